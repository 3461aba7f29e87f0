"""What the control API said about a running estate, with the history of a few minutes."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sim.timing.spans import DAY_S, HOUR_S, MINUTE_S

HISTORY = 240
"""Points of the curve of transactions."""


@dataclass(slots=True)
class Sight:
    """The latest answers to GET /metrics, /time and /faults; `take` puts newer ones in their place."""

    metrics: dict[str, Any] = field(default_factory=dict)
    time: dict[str, Any] = field(default_factory=dict)
    faults: list[dict[str, Any]] = field(default_factory=list)
    history: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))
    scroll: int = 0
    busiest_first: bool = False
    message: str = ""

    def take(self, metrics: dict[str, Any], time: dict[str, Any], faults: list[dict[str, Any]]) -> None:
        """Newer answers; the transactions since the last ones become a point of the curve."""
        gone_s = metrics["elapsed_s"] - self.metrics.get("elapsed_s", metrics["elapsed_s"])
        if gone_s > 0:
            self.history.append((metrics["transactions"] - self.metrics["transactions"]) / gone_s)
        self.metrics, self.time = metrics, time
        self.faults = sorted(faults, key=lambda one: -one["start_s"])

    @property
    def buses(self) -> list[dict[str, Any]]:
        """The buses in the order that is wanted."""
        buses: list[dict[str, Any]] = self.metrics["buses"]
        if not self.busiest_first:
            return buses
        return sorted(buses, key=lambda bus: -bus["recent"]["transactions_per_s"])

    @property
    def civil(self) -> datetime:
        """World time in the estate's zone."""
        return datetime.fromisoformat(self.time["world_civil"])


def lasted(seconds: float) -> str:
    """A span of time in its two largest units."""
    whole = int(seconds)
    days, hours, minutes = whole // DAY_S, whole // HOUR_S % 24, whole // MINUTE_S % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {whole % 60:02d} s" if minutes else f"{whole} s"


def snapshot(sight: Sight) -> str:
    """Everything that matters in one line."""
    metrics, recent = sight.metrics, sight.metrics["recent"]
    lag = recent["lag"]
    speed = sight.time["speed"]
    return (
        f"{sight.time['world_civil']} {'leaping' if speed == 'max' else f'x{speed}'} "
        f"meters {metrics['meters']} buses {len(metrics['buses'])} relays_open {metrics['relays_open']} "
        f"transactions {metrics['transactions']} per_s {recent['transactions_per_s']} "
        f"wire {recent['utilisation']:.1%} "
        f"lag_ms p50 {lag['p50_ms']} p99 {lag['p99_ms']} max {lag['max_ms']} faults {len(sight.faults)}"
        + (f" ports_down {metrics['ports_down']}" if metrics["ports_down"] else "")
    )
