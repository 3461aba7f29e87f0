"""What happened in the last seconds: transactions a second, use of the wire, lag of the loop.

The counters of a bus and of the loop count since the start. A sample of them is taken every second, and what has
happened since the oldest one that is kept is recent.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sim.timing.clock import ServedEnvironment
from sim.wire.bus import Bus

SAMPLE_S = 1.0
WINDOW = 5
"""Samples kept: as many seconds are recent."""
SLICE_BUSES = 64


@dataclass(slots=True)
class Sample:
    """The counters at one machine second: answers and ideal wire seconds of each bus, and the histogram of lags."""

    at_s: float
    lags: list[int]
    buses: dict[str, tuple[int, float]] = field(default_factory=dict)


class Recent:
    """Samples of the last seconds."""

    def __init__(self, env: ServedEnvironment, buses: Mapping[str, Bus]) -> None:
        self._env = env
        self._buses = buses
        self._samples: deque[Sample] = deque(maxlen=WINDOW)

    def keep_sampling(self) -> None:
        """Take a sample now and every second from now on."""
        self._env.submit(self.sampling())
        self._env.call_at(self._env.now + SAMPLE_S, self.keep_sampling)

    def sampling(self) -> Iterator[None]:
        """Take a sample, in slices."""
        made = Sample(self._env.wall_s(), self._env.lag.counted())
        for number, (bus_id, bus) in enumerate(self._buses.items(), start=1):
            made.buses[bus_id] = (bus.counters.answers, bus.counters.ideal_s)
            if number % SLICE_BUSES == 0:
                yield
        self._samples.append(made)

    def summary(self, now_s: float) -> dict[str, Any]:
        """All buses together since the oldest sample, with the lags of that time."""
        span_s, oldest = self._span(now_s)
        lags = self._env.lag.since_ms(oldest.lags if oldest else [])
        before = list(oldest.buses.values()) if oldest else []
        answers = sum(bus.counters.answers for bus in self._buses.values()) - sum(one[0] for one in before)
        ideal_s = sum(bus.counters.ideal_s for bus in self._buses.values()) - sum(one[1] for one in before)
        return {
            "seconds": round(span_s, 3),
            "transactions_per_s": round(answers / span_s, 2) if span_s > 0 else 0.0,
            "utilisation": round(ideal_s / span_s / len(self._buses), 4) if span_s > 0 else 0.0,
            "lag": lags,
        }

    def of_bus(self, bus_id: str, now_s: float) -> dict[str, float]:
        """One bus since the oldest sample."""
        span_s, oldest = self._span(now_s)
        answers, ideal_s = oldest.buses[bus_id] if oldest else (0, 0.0)
        counters = self._buses[bus_id].counters
        if span_s <= 0:
            return {"transactions_per_s": 0.0, "utilisation": 0.0}
        return {
            "transactions_per_s": round((counters.answers - answers) / span_s, 2),
            "utilisation": round((counters.ideal_s - ideal_s) / span_s, 4),
        }

    def _span(self, now_s: float) -> tuple[float, Sample | None]:
        oldest = self._samples[0] if self._samples else None
        return now_s - (oldest.at_s if oldest else 0.0), oldest
