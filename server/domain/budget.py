"""How much of its cycle a bus needs: the time of every frame that its meters are asked in one cycle, on average.

    frame time = bytes x bits per byte / baud;  a request costs both frames, the meter's reply delay and the guard gap

Frames carry four waking bytes each. The delay is what meters really take (median of 782 measured replies: 219 ms), not
the longest for which a bus waits; `reply_ms` says it better where it was measured. Control frames, reads on demand,
meters near a threshold, repeats and healing come on top, so a bus should keep a reserve.
"""

from collections.abc import Iterable
from dataclasses import dataclass

TYPICAL_REPLY_MS = 220
DAY_S = 86_400
FULL_PERMILLE = 1000
TIGHT_PERMILLE = 700  # above it little is left for what comes on top
MILLI = 1000

Request = tuple[int, int]  # bytes asked, bytes answered

# what one item costs, by protocol: energy with its rates, status word, U I P, date and time, a freeze with its time
_ITEMS: dict[str, dict[str, tuple[Request, ...]]] = {
    "2007": {
        "energy": ((20, 40),),
        "status": ((20, 22),),
        "variables": ((20, 22), (20, 23), (20, 23)),
        "clock": ((20, 24), (20, 23)),
        "freeze": ((20, 25), (20, 40)),
    },
    "1997": {
        "energy": ((18, 38),),
        "status": (),
        "variables": ((18, 20), (18, 20), (18, 21)),
        "clock": ((18, 22), (18, 21)),
        "freeze": (),
    },
    "modbus": {
        "energy": ((8, 25),),
        "status": ((8, 7),),
        "variables": ((8, 9), (8, 9), (8, 9)),
        "clock": (),
        "freeze": (),
    },
}


@dataclass(frozen=True, slots=True)
class Cycles:
    """How often each quantity is read, in world seconds; freezes come once a day or not at all."""

    reading_s: int = 900
    status_s: int = 900
    variables_s: int = 3600
    clock_s: int = 21_600
    daily_freeze: bool = True


@dataclass(frozen=True, slots=True)
class Wire:
    """The line of a bus: speed, bits of one byte on it, how long a meter takes, silence between frames."""

    baud: int
    bits_per_byte: int
    reply_ms: int
    gap_ms: int


@dataclass(frozen=True, slots=True)
class Budget:
    """What a bus needs of its cycle. `requests_milli` are requests to a meter in one cycle, in thousandths."""

    bus_id: str
    meters: int
    requests_milli: int
    need_ms: int
    cycle_ms: int

    @property
    def permille(self) -> int:
        """The part of the cycle that is needed."""
        return self.need_ms * FULL_PERMILLE // self.cycle_ms

    @property
    def fits(self) -> bool:
        """Whether every meter can be read once in its cycle."""
        return self.need_ms <= self.cycle_ms

    @property
    def tight(self) -> bool:
        """Whether so little is left that repeats and orders will make the cycle late."""
        return self.permille > TIGHT_PERMILLE

    def __str__(self) -> str:
        """The budget in a sentence."""
        requests = f"{self.requests_milli / MILLI:.1f}"
        return (
            f"{self.meters} meters x {requests} requests need {-(-self.need_ms // MILLI)} s of a "
            f"{self.cycle_ms // MILLI} s cycle ({self.permille // 10} %)"
        )


def wire_of(baud: int, parity: str, stop_bits: int, reply_delay_max_ms: int, gap_ms: int) -> Wire:
    """The line as it is configured; nobody waits for a typical meter longer than the bus allows."""
    bits = 9 + (parity != "N") + stop_bits
    return Wire(baud, bits, min(TYPICAL_REPLY_MS, reply_delay_max_ms), gap_ms)


def request_us(wire: Wire, request: Request) -> int:
    """Microseconds that one request and its answer keep the bus."""
    on_line = -(-sum(request) * wire.bits_per_byte * 1_000_000 // wire.baud)
    return on_line + (wire.reply_ms + wire.gap_ms) * MILLI


def budget_of(bus_id: str, wire: Wire, cycles: Cycles, meters: Iterable[tuple[str, str]], *, factor: int = 1) -> Budget:
    """The budget of a bus whose meters are given as (protocol, kind); `factor` shortens the cycle of a fast world.

    A gate has no relay, so neither status, clock nor freeze of it is read.
    """
    count = need_us = requests_milli = 0
    for protocol, kind in meters:
        count += 1
        for item, every_s in _spans(cycles, kind):
            cost = _ITEMS.get(protocol, _ITEMS["2007"])[item]
            requests_milli += len(cost) * MILLI * cycles.reading_s // every_s
            need_us += sum(request_us(wire, one) for one in cost) * cycles.reading_s // every_s
    each = requests_milli // count if count else 0
    return Budget(bus_id, count, each, -(-need_us // MILLI), cycles.reading_s * MILLI // factor)


def _spans(cycles: Cycles, kind: str) -> Iterable[tuple[str, int]]:
    """Each item with its span; none is read more often than the cycle."""
    yield "energy", cycles.reading_s
    yield "variables", max(cycles.reading_s, cycles.variables_s)
    if kind == "gate":
        return
    yield "status", max(cycles.reading_s, cycles.status_s)
    yield "clock", max(cycles.reading_s, cycles.clock_s)
    if cycles.daily_freeze:
        yield "freeze", max(cycles.reading_s, DAY_S)
