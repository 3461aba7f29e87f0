"""Fifty thousand meters in one process: memory, start until the first answer, and a month in virtual time.

The estate is `examples/estate-50k.toml`. Memory is the resident set of the simulator on its ptys after every meter has
answered once; the start runs from the spawn of the process to the first answer of a meter. The month is the whole
command, from its start to its end, with 15-minute registers, freezes and events. A virtual meter's memory is what the
big estate takes beyond a small one; its peer is a server of PyPI `dlt645`, of which every meter needs its own. The
other rows have no peer: they stand beside the figure allowed, and a ratio above 1 is better than that.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from bench.bus_line import ROOT, Child, Line, session_of, simulator
from bench.machine import Load, LoadMeter
from bench.report import BenchFailed, Peer, Result, progress, spread
from core.dlt645.commands import Read
from core.dlt645.identifiers import ENERGY_TOTAL

EXAMPLE = ROOT / "examples" / "estate-50k.toml"
SMALL = {"buildings": 1, "floors": 1, "rooms": 1, "households_per_gate": 0}
QUICK = {"buildings": 2, "floors": 3, "rooms": 4, "households_per_gate": 6}
DAYS, QUICK_DAYS = 30, 2
REPETITIONS, QUICK_REPETITIONS = 3, 1
MONTH_TIMEOUT_S = 900
WORLD_START = "2026-10-01T00:00:00+08:00"
MEMORY_MB, MEMORY_GOAL_MB = 150.0, 80.0
START_S, START_GOAL_S = 5.0, 2.0
MONTH_S, MONTH_GOAL_S = 60.0, 30.0
TIMES_SMALLER, TIMES_SMALLER_GOAL = 1_000.0, 10_000.0
BAUD = 9600
SERVERS, QUICK_SERVERS = 6, 1
PEER_TIMEOUT_S = 120
PEER = """
import sys
from pathlib import Path
from dlt645 import MeterServerService
def resident_kib():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS")))
kept, before = [], resident_kib()
for number in range(int(sys.argv[1])):
    kept.append(MeterServerService.new_tcp_server("127.0.0.1", 0, 30))
print((resident_kib() - before) / len(kept))
"""


Sample = TypeVar("Sample")


@dataclass(frozen=True, slots=True)
class Running:
    """What a simulator on ptys took: seconds until the first answer, KiB after all meters answered."""

    meters: int
    start_s: float
    resident_kib: int


def run(*, quick: bool) -> tuple[list[Result], list[Load]]:
    """Measure memory and start, then the month; quick uses a small estate and sets no floor."""
    repetitions = QUICK_REPETITIONS if quick else REPETITIONS
    text = pattern(QUICK if quick else {})
    with LoadMeter() as meter:
        big = _repeat("50,000 meters on ptys", repetitions, lambda: on_ptys(text))
        small_kib = on_ptys(pattern(SMALL)).resident_kib
        months = _repeat("a month", repetitions, lambda: month(text, QUICK_DAYS if quick else DAYS))
        peer_kib = server_kib(QUICK_SERVERS if quick else SERVERS)
    void = meter.load.void
    rows = [_memory(big, quick), _start(big, quick), _month(months, quick), _each(big, small_kib, peer_kib, quick)]
    return [_judged(row, void) for row in rows], [meter.load]


def pattern(changes: dict[str, int]) -> str:
    """The example's text, with some keys of [[generate]] changed."""
    lines = EXAMPLE.read_text("utf-8").splitlines()
    for key, value in changes.items():
        [place] = [number for number, line in enumerate(lines) if line.startswith(f"{key} =")]
        lines[place] = f"{key} = {value}"
    return "\n".join(lines) + "\n"


def addresses(text: str) -> Iterator[tuple[str, list[str]]]:
    """Every bus with the addresses of its households, by the documented order of generated estates."""
    [wanted] = tomllib.loads(text)["generate"]
    rooms = [100 * (floor + 1) + room + 1 for floor in range(wanted["floors"]) for room in range(wanted["rooms"])]
    for building in range(wanted["buildings"]):
        first = int(wanted["first_meter"]) + 10_000 * building
        for start in range(0, len(rooms), wanted["meters_per_bus"]):
            line = start // wanted["meters_per_bus"] + 1
            numbers = rooms[start : start + wanted["meters_per_bus"]]
            yield f"b{building + 1}-{line}", [f"{first + number:012d}" for number in numbers]


def on_ptys(text: str) -> Running:
    """Start the simulator, wait for the first answer, then let every meter of every bus answer once."""
    began_s = monotonic()
    everybody = list(addresses(text))
    first_bus, first_members = everybody[0]
    with (
        tempfile.TemporaryDirectory(prefix="bench-estate-") as folder,
        simulator(text, Path(folder), "--wire-limit", "off") as child,
    ):
        _read_all(child, first_bus, first_members[:1])
        start_s = monotonic() - began_s
        meters = sum(_read_all(child, bus, members) for bus, members in everybody)
        return Running(meters, start_s, resident_kib(child.pid))


def _read_all(child: Child, bus: str, members: list[str]) -> int:
    """Read the total energy of some meters of a bus."""
    session = session_of(BAUD)
    with Line(child.ports[bus]) as line:
        for address in members:
            line.transact(session, Read(address, ENERGY_TOTAL))
    return len(members)


def resident_kib(pid: int) -> int:
    """The resident set of a process (proc(5))."""
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def month(text: str, days: int) -> dict[str, Any]:
    """One run in virtual time: its summary, with the seconds of the whole command."""
    with tempfile.TemporaryDirectory(prefix="bench-estate-") as folder:
        path = Path(folder) / "estate.toml"
        path.write_text(text, "utf-8")
        command = [sys.executable, "-P", "-m", "sim", str(path), "--speed", "max", "--days", str(days)]
        command += ["--world-start", WORLD_START]
        began_s = monotonic()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=MONTH_TIMEOUT_S, check=False)
        took_s = monotonic() - began_s
    if done.returncode:
        raise BenchFailed(f"the month ended with {done.returncode}:\n{done.stderr}")
    summary: dict[str, Any] = json.loads(done.stdout)
    if summary["registers"] != summary["households"] * days * 96:
        raise BenchFailed(f"registers are missing: {summary['registers']}")
    return summary | {"command_s": took_s}


def server_kib(servers: int) -> float:
    """KiB of one meter of PyPI `dlt645`, the mean of some in a process of their own."""
    command = [sys.executable, "-c", PEER, str(servers)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PEER_TIMEOUT_S, check=False)
    if done.returncode:
        raise BenchFailed(f"the dlt645 servers ended with {done.returncode}:\n{done.stderr}")
    return float(done.stdout.splitlines()[-1])


def _repeat(label: str, repetitions: int, measure: Callable[[], Sample]) -> list[Sample]:
    samples = []
    for turn in range(repetitions):
        progress(f"estate: {label}, {turn + 1}/{repetitions}")
        samples.append(measure())
    progress("")
    return samples


def _allowed(name: str, samples: list[float], unit: str, most: float, goal: float) -> Result:
    """A figure that should be small, beside what is allowed."""
    value = statistics.median(samples)
    return Result(
        name=name,
        value=value,
        unit=unit,
        peer=Peer("allowed", most),
        ratio=most / value,
        spread=spread(samples),
        floor=1.0,
        goal=most / goal,
    )


def _memory(runs: list[Running], quick: bool) -> Result:
    name = f"memory of {runs[0].meters:,} households and their main meters on ptys"
    return _unfloored(
        _allowed(name, [r.resident_kib / 1000 * 1.024 for r in runs], "MB", MEMORY_MB, MEMORY_GOAL_MB), quick
    )


def _start(runs: list[Running], quick: bool) -> Result:
    name = "start until the first answer"
    return _unfloored(_allowed(name, [r.start_s for r in runs], "s", START_S, START_GOAL_S), quick)


def _month(months: list[dict[str, Any]], quick: bool) -> Result:
    """All months must be one: the digest is part of what is measured."""
    if len({summary["digest"] for summary in months}) != 1:
        raise BenchFailed("two virtual runs of one seed and start differ")
    one = months[0]
    events = sum(count for name, count in one["events"].items() if name.startswith(("relay", "fault")))
    name = f"{one['days']:.0f} days of {one['households']:,} households, {one['freezes']:,} freezes, {events:,} events"
    return _unfloored(_allowed(name, [m["command_s"] for m in months], "s", MONTH_S, MONTH_GOAL_S), quick)


def _each(runs: list[Running], small_kib: int, peer_kib: float, quick: bool) -> Result:
    kib = [max(r.resident_kib - small_kib, 1) / r.meters for r in runs]
    result = Result(
        name="memory of a virtual meter",
        value=statistics.median(kib),
        unit="KiB",
        peer=Peer("a dlt645 server", peer_kib),
        ratio=peer_kib / statistics.median(kib),
        spread=spread(kib),
        floor=TIMES_SMALLER,
        goal=TIMES_SMALLER_GOAL,
    )
    return _unfloored(result, quick)


def _unfloored(result: Result, quick: bool) -> Result:
    return replace(result, floor=None) if quick else result


def _judged(result: Result, void: bool) -> Result:
    """Memory does not depend on who else uses the machine; times do."""
    return replace(result, void=void and result.unit == "s")
