"""The two ends of the bus bench: a line driven through `core.session`, and the children that answer on it.

The line is opened raw and without parity, as a pty needs it; the simulator and the raw echo are processes of
their own, started for the bench and ended with it.
"""

import json
import os
import select
import signal
import subprocess
import sys
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Self

from bench.report import BenchFailed
from core.dlt645.commands import Command
from core.session import BusSession, ReplyReceived, Timing

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
POLL_S = 0.02
READ_BYTES = 4096
ROOT = Path(__file__).resolve().parents[1]


class Line:
    """One serial port, raw; blocking writes, reads with a deadline."""

    def __init__(self, port: str) -> None:
        self._fd = os.open(port, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._fd)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def transact(self, session: BusSession, command: Command) -> None:
        """One request and its reply through the session; `BenchFailed` for anything else."""
        while (wait := session.ready_at() - monotonic()) > 0:
            sleep(wait)
        os.write(self._fd, session.request(command, monotonic()))
        while (event := session.next_event()) is None:
            timer = session.get_timer()
            now = monotonic()
            timeout_ms = READY_TIMEOUT_S * 1000 if timer is None else max(0.0, timer - now) * 1000
            if self._poll.poll(timeout_ms):
                session.receive_data(os.read(self._fd, READ_BYTES), monotonic())
            else:
                session.handle_timer(monotonic())
        if not isinstance(event, ReplyReceived):
            raise BenchFailed(f"{command!r} was answered by {event!r}")

    def exchange(self, request: bytes, reply_bytes: int) -> None:
        """Write, and read until so many bytes are back: no session, no codec."""
        os.write(self._fd, request)
        while reply_bytes > 0:
            if not self._poll.poll(READY_TIMEOUT_S * 1000):
                raise BenchFailed("the echo does not answer")
            reply_bytes -= len(os.read(self._fd, READ_BYTES))


def session_of(baud: int) -> BusSession:
    """A session without a gap between frames, since the limit of the wire has none either."""
    return BusSession(Timing(baud=baud, frame_gap_s=0.0))


@dataclass(frozen=True, slots=True)
class Child:
    """A process that answers, and its ports by name."""

    pid: int
    ports: dict[str, str]


@contextmanager
def simulator(scenario: str, folder: Path, *options: str) -> Iterator[Child]:
    """The simulator with a scenario (TOML text), ready to answer."""
    (folder / "estate.toml").write_text(scenario, "utf-8")
    ready = folder / "ready.json"
    command = [sys.executable, "-P", "-m", "sim", str(folder / "estate.toml"), "--seed", "1"]
    command += ["--ready", str(ready), "--run-dir", str(folder / "run"), *options]
    log = folder / "sim.log"
    with log.open("wb") as output, running(command, stdout=output, stderr=output) as process:
        give_up = monotonic() + READY_TIMEOUT_S
        while not ready.exists():
            if process.poll() is not None or monotonic() > give_up:
                raise BenchFailed(f"the simulator did not start:\n{log.read_text('utf-8', 'replace')}")
            sleep(POLL_S)
        yield Child(process.pid, json.loads(ready.read_text("utf-8"))["ports"])


@contextmanager
def echo() -> Iterator[Child]:
    """The raw peer, ready to answer."""
    command = [sys.executable, "-P", str(Path(__file__).with_name("echo_peer.py"))]
    with running(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield Child(process.pid, {"echo": process.stdout.readline().decode().strip()})


@contextmanager
def running(command: list[str], **streams: object) -> Iterator[subprocess.Popen[bytes]]:
    """A child that ends with the block: asked first, killed when it does not listen."""
    process: subprocess.Popen[bytes] = subprocess.Popen(command, cwd=ROOT, **streams)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
