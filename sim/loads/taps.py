"""Energy drawn before a household's meter: it adds to the gate meter's sum and never to the household's."""


class Taps:
    """The taps of one household, each a span with a power; instants are world epoch milliseconds."""

    __slots__ = ("_taps",)

    def __init__(self) -> None:
        self._taps: list[tuple[int, int | None, int]] = []

    def __bool__(self) -> bool:
        return bool(self._taps)

    def start(self, at_ms: int, power_mw: int) -> int:
        """A tap of some power from now on; its number."""
        self._taps.append((at_ms, None, power_mw))
        return len(self._taps) - 1

    def end(self, number: int, at_ms: int) -> None:
        """A tap ends now, if it still runs."""
        start, until, power = self._taps[number]
        if until is None:
            self._taps[number] = start, at_ms, power

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
