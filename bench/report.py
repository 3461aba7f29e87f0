"""Results of a bench: one JSON document for machines, one table on standard error for people.

A result is a value in its unit, the peer (or physical limit) measured in the same run, and `ratio`: how many
times better than the peer we are. Floors and goals are ratios. The spread is the interquartile range of the
repetitions over their median. A floor that is missed makes the run fail, unless the machine was not ours.
"""

import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any

from bench.machine import Load, describe

EXIT_OK, EXIT_MISSED, EXIT_FAILED = 0, 1, 2
MIN_FOR_QUARTILES = 4


class BenchFailed(Exception):
    """The bench could not measure: what was started did not answer as it must."""


@dataclass(frozen=True, slots=True)
class Peer:
    """What we are compared with, and its value in the unit of the result."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Result:
    """One line of a bench; `void` is true when others used the machine during the measurement."""

    name: str
    value: float
    unit: str
    peer: Peer | None = None
    ratio: float | None = None
    spread: float | None = None
    floor: float | None = None
    goal: float | None = None
    void: bool = False

    @property
    def missed(self) -> bool:
        """Whether a floor was measured and not reached, on a machine that was ours."""
        return not self.void and self.floor is not None and self.ratio is not None and self.ratio < self.floor


def spread(samples: Sequence[float]) -> float:
    """Interquartile range over median (the whole range for fewer than four samples)."""
    if len(samples) < MIN_FOR_QUARTILES:
        return (max(samples) - min(samples)) / statistics.median(samples)
    low, _, high = statistics.quantiles(samples, n=4)
    return (high - low) / statistics.median(samples)


def interleave(candidates: Mapping[str, Callable[[], float]], repetitions: int, label: str) -> dict[str, list[float]]:
    """Run every candidate `repetitions` times, in turns, so that drift of the machine hits all alike."""
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(repetitions):
        for name, candidate in candidates.items():
            progress(f"{label}: {name}, {turn + 1}/{repetitions}")
            samples[name].append(candidate())
    progress("")
    return samples


def seconds(action: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = perf_counter()
    action()
    return perf_counter() - start


def cpu_seconds(action: Callable[[], object]) -> float:
    """Time that this thread computed during one call: for work that waits for nothing, whoever else is about."""
    start = thread_time()
    action()
    return thread_time() - start


def progress(text: str) -> None:
    """One line that replaces itself, only where somebody looks at a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def document(bench: str, results: Sequence[Result], loads: Sequence[Load]) -> dict[str, Any]:
    """The JSON document of a bench run."""
    machine = describe()
    for name in ("steal_cores", "foreign_cores"):
        worst = max((getattr(load, name) or 0.0 for load in loads), default=0.0)
        machine[name] = round(worst, 3)
    return {"bench": bench, "machine": machine, "results": [_rounded(asdict(result)) for result in results]}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def publish(bench: str, results: Sequence[Result], loads: Sequence[Load], target: str | None) -> int:
    """Print the table, write the document to a file or ('-') standard output; the exit status."""
    print(table(bench, results), file=sys.stderr)
    text = json.dumps(document(bench, results, loads), indent=2, ensure_ascii=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
    elif target is not None:
        Path(target).write_text(text, "utf-8")
    return EXIT_MISSED if any(result.missed for result in results) else EXIT_OK


def unwritable(target: Path) -> str | None:
    """Why the document could not be written there, or None; asked before minutes are spent on measuring."""
    if target.is_dir():
        return "is a directory"
    return None if target.parent.is_dir() else f"there is no directory {target.parent}"


def table(bench: str, results: Sequence[Result]) -> str:
    """The results as aligned text."""
    rows = [("", "value", "unit", "peer", "ratio", "spread", "floor", "goal", "")]
    for result in results:
        peer = f"{result.peer.name} {result.peer.value:.4g}" if result.peer else "-"
        state = "void" if result.void else "MISSED" if result.missed else "ok" if result.floor else ""
        spread_text = "-" if result.spread is None else f"{result.spread:.0%}"
        numbers = (_number(result.ratio), spread_text, _number(result.floor), _number(result.goal))
        rows.append((result.name, f"{result.value:.4g}", result.unit, peer, *numbers, state))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([f"bench {bench}", *lines])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
