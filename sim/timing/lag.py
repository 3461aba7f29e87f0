"""How late the simulator's own loop is, as percentiles.

Every event of the wire has an absolute deadline; the loop records by how much it stepped the event later.
Lags are counted in buckets of 10 microseconds up to 200 ms, so that recording costs one addition and the
percentiles never depend on how long the run was. A lag above the last bucket counts there and in `max_s`.
"""

BUCKET_S = 1e-5
BUCKETS = 20_000


class LagMeter:
    """Histogram of lags in seconds."""

    def __init__(self) -> None:
        self._buckets = [0] * (BUCKETS + 1)
        self.count = 0
        self.max_s = 0.0

    def record(self, lag_s: float) -> None:
        """Count one lag; a negative lag (an early event) is a defect and raises ValueError."""
        if lag_s < 0:
            raise ValueError(f"event stepped {-lag_s:.6f} s early")
        self._buckets[min(int(lag_s / BUCKET_S), BUCKETS)] += 1
        self.count += 1
        self.max_s = max(self.max_s, lag_s)

    def percentile_s(self, percent: float) -> float:
        """Upper edge in seconds of the bucket that holds the given percentile; 0.0 without records."""
        return min(_percentile_s(self._buckets, self.count, percent), self.max_s)

    def summary_ms(self) -> dict[str, float]:
        """Percentiles 50 and 99 and the maximum in milliseconds, and how many events were measured."""
        return {
            "p50_ms": round(self.percentile_s(50) * 1000, 3),
            "p99_ms": round(self.percentile_s(99) * 1000, 3),
            "max_ms": round(self.max_s * 1000, 3),
            "events": self.count,
        }

    def counted(self) -> list[int]:
        """The buckets in use so far, to be handed to `since_ms` later."""
        return self._buckets[: int(self.max_s / BUCKET_S) + 1]

    def since_ms(self, before: list[int]) -> dict[str, float]:
        """As `summary_ms`, of what was recorded after `before` was counted; the maximum is its bucket's upper edge."""
        now = self.counted()
        new = [count - (before[index] if index < len(before) else 0) for index, count in enumerate(now)]
        events = sum(new)
        parts = {
            name: _percentile_s(new, events, percent) for name, percent in (("p50", 50), ("p99", 99), ("max", 100))
        }
        return {f"{name}_ms": round(value * 1000, 3) for name, value in parts.items()} | {"events": events}


def _percentile_s(buckets: list[int], count: int, percent: float) -> float:
    wanted = count * percent / 100
    seen = 0
    for index, number in enumerate(buckets):
        seen += number
        if number and seen >= wanted:
            return (index + 1) * BUCKET_S
    return 0.0
