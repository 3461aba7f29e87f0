"""Hundreds of buses at once, read by a thin client: raw frames, one epoll set, one request outstanding a bus.

The simulator is a process of its own; this one is the client, which neither decodes nor thinks, so that what is
measured is the simulator. A share of the wire's limit is the ideal cycle (request + Td + answer) over the mean cycle of
all buses; without a wire the peer is a raw echo on as many ptys, driven by the same client.
"""

import os
import select
import subprocess
import sys
import tempfile
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from time import monotonic

from bench.bus_line import ROOT, running, simulator
from bench.echo_many import REPLY, REQUEST_BYTES
from bench.machine import LoadMeter
from bench.report import BenchFailed, Peer, Result, interleave, spread
from core.dlt645.commands import Read
from core.dlt645.frame import encode
from core.dlt645.identifiers import ENERGY_TOTAL

PREAMBLE = 4
BITS_PER_BYTE = 11
REPLY_DELAY_MS = 20
METERS = 8
FAST_PORTS = 64
WARM_UP_S, RUN_S, FAST_S = 1.0, 8.0, 3.0
QUICK_S = 0.6
REPETITIONS, FAST_REPETITIONS, QUICK_REPETITIONS = 3, 5, 1
SILENCE_S = 10.0
FIRST_METER = 645_000_000_000
SCENARIO = """
[estate]
id = "bench"
[tariff]
price = "0.4883"
[[generate]]
buildings = {buses}
floors = 1
rooms = {meters}
first_meter = "{first}"
bus = {{ baud = {baud}, preamble = 4, reply_delay_ms = {delay_ms}, wire = "{wire}" }}
"""


@dataclass(frozen=True, slots=True)
class Many:
    """One row: so many buses at a baud, with the share of the limit that is the floor and the goal."""

    baud: int
    buses: int
    floor: float
    goal: float

    @property
    def ideal_ms(self) -> float:
        """The least time of a transaction."""
        return (REQUEST_BYTES + len(REPLY)) * BITS_PER_BYTE * 1000 / self.baud + REPLY_DELAY_MS


ROWS = (Many(9600, 256, 0.95, 0.99), Many(2400, 512, 0.98, 0.997))
QUICK_ROWS = (Many(9600, 6, 0.95, 0.99),)
FAST_FLOOR, FAST_GOAL = 0.5, 0.8


class Client:
    """Keeps one request outstanding on every port."""

    def __init__(self, ports: Sequence[str], requests: Sequence[Sequence[bytes]], reply_bytes: int) -> None:
        self._epoll = select.epoll()
        self._requests = {}
        self._reply_bytes = reply_bytes
        for port, own in zip(ports, requests, strict=True):
            fd = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            tty.setraw(fd)
            self._epoll.register(fd, select.EPOLLIN)
            self._requests[fd] = cycle(own)

    def close(self) -> None:
        """Give all ports back."""
        for fd in self._requests:
            os.close(fd)
        self._epoll.close()

    def cycle_s(self, warm_up_s: float, run_s: float) -> float:
        """Mean seconds from one whole reply to the next on the same port, after a warm-up."""
        begin_s = monotonic() + warm_up_s
        end_s = begin_s + run_s
        missing = dict.fromkeys(self._requests, self._reply_bytes)
        first: dict[int, float] = {}
        last: dict[int, float] = {}
        replies = 0
        for fd, own in self._requests.items():
            os.write(fd, next(own))
        while (now_s := monotonic()) < end_s:
            ready = self._epoll.poll(SILENCE_S)
            if not ready:
                raise BenchFailed("nothing answers any more")
            now_s = monotonic()
            for fd, _mask in ready:
                missing[fd] -= len(os.read(fd, 4096))
                if missing[fd] > 0:
                    continue
                missing[fd] = self._reply_bytes
                if now_s >= begin_s:
                    replies += fd in first
                    first.setdefault(fd, now_s)
                    last[fd] = now_s
                os.write(fd, next(self._requests[fd]))
        self._settle(missing)
        if len(first) < len(self._requests) or not replies:
            raise BenchFailed(f"{len(self._requests) - len(first)} ports never answered")
        return sum(last[fd] - first[fd] for fd in first) / replies

    def _settle(self, missing: dict[int, int]) -> None:
        """Take the answers that are still under way, so that the next run begins with silent lines."""
        open_ports = {fd for fd, count in missing.items() if count > 0}
        end_s = monotonic() + SILENCE_S
        while open_ports and monotonic() < end_s:
            for fd, _mask in self._epoll.poll(0.2):
                missing[fd] -= len(os.read(fd, 4096))
                if missing[fd] <= 0:
                    open_ports.discard(fd)


def results(*, quick: bool) -> list[Result]:
    """All rows of many buses."""
    rows = [_shared(row, quick) for row in (QUICK_ROWS if quick else ROWS)]
    return [*rows, _unlimited(4 if quick else FAST_PORTS, quick)]


def _shared(row: Many, quick: bool) -> Result:
    """The share of the wire's limit that many buses reach together."""
    with _estate(row.buses, row.baud, REPLY_DELAY_MS, "byte-true") as (client, pid), LoadMeter((pid,)) as meter:
        run_s = QUICK_S if quick else RUN_S
        samples = interleave(
            {"cycle": lambda: client.cycle_s(QUICK_S if quick else WARM_UP_S, run_s)},
            QUICK_REPETITIONS if quick else REPETITIONS,
            f"bus: {row.buses} at {row.baud}",
        )["cycle"]
    value_ms = sum(samples) / len(samples) * 1000
    if value_ms < row.ideal_ms:
        raise BenchFailed(f"a cycle takes {value_ms:.2f} ms at {row.baud} baud: faster than the wire, so it is no wire")
    return Result(
        name=f"{row.buses} buses at {row.baud} baud 8E1, Td {REPLY_DELAY_MS} ms, thin client",
        value=value_ms,
        unit="ms",
        peer=Peer("limit of the wire", row.ideal_ms),
        ratio=row.ideal_ms / value_ms,
        spread=spread(samples),
        floor=None if quick else row.floor,
        goal=row.goal,
        void=meter.load.void,
    )


def _unlimited(ports: int, quick: bool) -> Result:
    """Transactions without a wire, beside the raw echo on as many ptys."""
    with _estate(ports, 9600, 0, "none") as (client, pid), _echo(ports) as (raw, echo_pid):
        run_s = QUICK_S if quick else FAST_S
        candidates: dict[str, Callable[[], float]] = {
            "meters": lambda: ports / client.cycle_s(QUICK_S, run_s),
            "echo": lambda: ports / raw.cycle_s(QUICK_S, run_s),
        }
        with LoadMeter((pid, echo_pid)) as meter:
            label = f"bus: {ports} ports without a wire"
            samples = interleave(candidates, QUICK_REPETITIONS if quick else FAST_REPETITIONS, label)
    rate, raw_rate = (sum(samples[name]) / len(samples[name]) for name in ("meters", "echo"))
    return Result(
        name=f"reads without a wire, {ports} ports, thin client",
        value=rate,
        unit="tx/s",
        peer=Peer(f"raw echo over {ports} ptys", raw_rate),
        ratio=rate / raw_rate,
        spread=spread(samples["meters"]),
        floor=None if quick else FAST_FLOOR,
        goal=FAST_GOAL,
        void=meter.load.void,
    )


@contextmanager
def _estate(buses: int, baud: int, delay_ms: int, wire: str) -> Iterator[tuple[Client, int]]:
    """A simulator of so many buses, and a client on all of them."""
    text = SCENARIO.format(buses=buses, meters=METERS, first=FIRST_METER, baud=baud, delay_ms=delay_ms, wire=wire)
    requests = [
        [_request(FIRST_METER + 10_000 * building + 100 + room + 1) for room in range(METERS)]
        for building in range(buses)
    ]
    with tempfile.TemporaryDirectory(prefix="bench-bus-") as folder, simulator(text, Path(folder)) as child:
        client = Client([child.ports[f"b{n + 1}-1"] for n in range(buses)], requests, len(REPLY))
        try:
            yield client, child.pid
        finally:
            client.close()


@contextmanager
def _echo(ports: int) -> Iterator[tuple[Client, int]]:
    """The raw echo on so many ptys, and a client on all of them."""
    command = [sys.executable, "-P", str(ROOT / "bench" / "echo_many.py"), str(ports)]
    with running(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        names = [process.stdout.readline().decode().strip() for _ in range(ports)]
        client = Client(names, [[bytes(REQUEST_BYTES)]] * ports, len(REPLY))
        try:
            yield client, process.pid
        finally:
            client.close()


def _request(address: int) -> bytes:
    return encode(Read(f"{address:012d}", ENERGY_TOTAL).to_frame(), PREAMBLE)
