"""The child processes of the demo, and the promise that none survives it.

Each child gets a session of its own (so that Ctrl-C reaches only the demo, which stops them in order), a log file
in the demo folder, and the kernel's word that it dies with the demo even if the demo is killed. A child says that
it is ready by writing its ready file; a child that dies first ends the demo with the tail of its log.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from server.errors import EstateError

PR_SET_PDEATHSIG = 1
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
LOG_TAIL_LINES = 15


class ChildFailed(EstateError):
    """A child of the demo died or did not get ready; the message carries the tail of its log."""


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass(slots=True)
class Child:
    """One running child: its name, process, ready file and log."""

    name: str
    process: subprocess.Popen[bytes]
    ready: Path
    log: Path

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> dict[str, Any]:
        """The content of the ready file; raises ChildFailed with the tail of the log."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.ready.exists():
                return cast(dict[str, Any], json.loads(self.ready.read_text("utf-8")))
            if self.process.poll() is not None:
                raise ChildFailed(f"the {self.name} ended with code {self.process.returncode}:\n{self.tail()}")
            time.sleep(0.05)
        said = self.tail() or "it has said nothing yet, so the machine is busy with something else: try again"
        raise ChildFailed(f"the {self.name} was not ready within {timeout_s:.0f} s:\n{said}")

    def tail(self) -> str:
        """The last lines of the child's log."""
        try:
            lines = self.log.read_text("utf-8", "replace").splitlines()
        except OSError:
            return "(no log)"
        return "\n".join(lines[-LOG_TAIL_LINES:])

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Ask to stop, then insist; returns the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(timeout_s)
        return int(self.process.returncode)


def _environment() -> dict[str, str]:
    """Ours without the settings of a real server: the demo must never touch that server's database or port."""
    return {
        name: value
        for name, value in os.environ.items()
        if name != "DATABASE_URL" and not name.startswith("ESTATE645_")
    }


def start(name: str, command: Sequence[str], folder: Path) -> Child:
    """Start `python -P COMMAND --ready FILE` with its log in `folder`."""
    ready = folder / f"{name}.ready.json"
    log = folder / f"{name}.log"
    ready.unlink(missing_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", *command, "--ready", str(ready)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  # no threads yet when the demo starts its children
        )
    return Child(name, process, ready, log)


def stop_all(children: Sequence[Child]) -> dict[str, int]:
    """Stop in the given order; returns exit codes by name."""
    return {child.name: child.stop() for child in children}
