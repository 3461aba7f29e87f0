"""Energy drawn before a household's meter: it adds to the gate meter's sum and never to the household's."""


class Taps:
    """The taps of one household, each a span with a power; instants are world epoch milliseconds."""

    __slots__ = ("_taps",)

    def __init__(self) -> None:
        self._taps: list[tuple[int, int | None, int]] = []

    def __bool__(self) -> bool:
        return bool(self._taps)

    def start(self, at_ms: int, until_ms: int | None, power_mw: int) -> None:
        """A tap of some power from `at_ms` to `until_ms` (None: until further notice)."""
        self._taps.append((at_ms, until_ms, power_mw))

    def end(self, at_ms: int) -> None:
        """All taps that run end now."""
        self._taps = [
            (start, at_ms if until is None or until > at_ms else until, power) for start, until, power in self._taps
        ]

    def edges_ms(self) -> list[int]:
        """Instants at which a tap begins or ends."""
        return [at_ms for start, until, _ in self._taps for at_ms in (start, until) if at_ms is not None]

    def energy(self, at_ms: int) -> int:
        """mW x ms drawn by taps up to an instant."""
        return sum(
            power * max(0, (at_ms if until is None else min(at_ms, until)) - start)
            for start, until, power in self._taps
        )

    def power_mw(self, at_ms: int) -> int:
        """Power of the taps that run at an instant."""
        return sum(p for start, until, p in self._taps if start <= at_ms and (until is None or at_ms < until))
