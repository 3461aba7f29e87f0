"""The machine under the measurement: what it is, and whether somebody else had its CPUs meanwhile.

A run is void when the host stole CPU or other processes used more than a tenth of a core while we measured.
Our own processes (this one and the children named) never make a run void: starving ourselves is a miss.
"""

import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Self

from core import isa, isa_available

VOID_CORES = 0.10
_TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def describe() -> dict[str, Any]:
    """The machine as the JSON document shows it."""
    return {
        "cpu": _cpu_model(),
        "isa": isa(),
        "isa_available": list(isa_available()),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "executable_bits": 64 if sys.maxsize > 2**32 else 32,
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


@dataclass(frozen=True, slots=True)
class Load:
    """CPU used by others between two points in time, in cores; None where the system does not tell."""

    steal_cores: float | None
    foreign_cores: float | None

    @property
    def void(self) -> bool:
        """Whether others took so much that the figures say nothing about us."""
        return (self.steal_cores or 0.0) + (self.foreign_cores or 0.0) > VOID_CORES


class LoadMeter:
    """Context manager around a measurement: `load` holds what others used, once it is left."""

    def __init__(self, children: Sequence[int] = ()) -> None:
        self._children = tuple(children)
        self.load = Load(None, None)

    def __enter__(self) -> Self:
        self._start = monotonic()
        self._before = _cpu_seconds(self._children)
        return self

    def __exit__(self, *_: object) -> None:
        after, elapsed = _cpu_seconds(self._children), monotonic() - self._start
        if self._before is None or after is None or elapsed <= 0:
            return
        steal, busy, own = (late - early for late, early in zip(after, self._before, strict=True))
        self.load = Load(max(0.0, steal) / elapsed, max(0.0, busy - own) / elapsed)


def _cpu_seconds(children: Sequence[int]) -> tuple[float, float, float] | None:
    """(stolen, busy, our own) CPU seconds since boot, or None without /proc."""
    try:
        fields = Path("/proc/stat").read_text("ascii").splitlines()[0].split()[1:]
        user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[:8])
        own = sum(_process_ticks(pid) for pid in (os.getpid(), *children))
    except (OSError, ValueError, IndexError):
        return None
    busy = user + nice + system + irq + softirq
    return steal / _TICKS_PER_S, busy / _TICKS_PER_S, own / _TICKS_PER_S


def process_s(pid: int) -> float:
    """CPU seconds that a process has used, user and system."""
    return _process_ticks(pid) / _TICKS_PER_S


def _process_ticks(pid: int) -> int:
    """User and system ticks of a process and of the children it has waited for (proc(5), fields 14 to 17)."""
    after_name = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return sum(int(field) for field in after_name[11:15])
