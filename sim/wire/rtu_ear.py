"""The Modbus ear of a line: a request is what came between two silences of 3.5 characters, with the right CRC.

So neither a frame of DL/T 645 nor half a request wakes a meter, however the bytes happen to read. The bus begins an
answer not before the silence is over; bytes that came within it spoil the request. Where the line has no wire model
nothing takes time: then a burst ends with its first sound request, and with a request of another protocol. Broadcasts
(unit 0) and other units are passed over.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import ClassVar

from core.modbus.rtu import (
    FIXED,
    FRAME_MAX,
    QUIET_CHARACTERS,
    QUIET_MIN_S,
    READ_HOLDING,
    READ_INPUT,
    WRITE_REGISTERS,
    RtuFrame,
    is_sound,
)
from sim.estate import BusConfig
from sim.meters import Meter
from sim.meters.modbus import Request, answer_rtu

SHORTEST = 4
CRC_BYTES = 2
WRITE_HEAD = 7
MS_PER_S = 1000


@dataclass(slots=True)
class Burst:
    """One request, the unit that it is for as text, and whether more bytes came right behind it."""

    address: str
    request: Request
    wire_bytes: int
    spoilt: bool = False

    is_reply: ClassVar[bool] = False


class RtuEar:
    """All Modbus meters of one line, by unit."""

    baud_changed = False

    def __init__(self, config: BusConfig, units: Mapping[int, Meter]) -> None:
        self.units = units
        self.taken_bytes = 0
        self.bad_sums = 0
        self.garbage_bytes = 0
        self._config = config
        self.quiet_s = max(QUIET_CHARACTERS * config.line.bits_per_byte / config.baud, QUIET_MIN_S)
        self._heard = bytearray()
        self._burst: Burst | None = None

    def __len__(self) -> int:
        return len(self.units)

    def at_once(self, data: bytes, at_ms: int) -> bytes | None:
        """Nothing: only silence tells where a request of this protocol ends."""
        return None

    def hear(self, data: bytes, silence_s: float) -> Sequence[Burst]:
        """The request that the burst makes up to now, if it does."""
        if not data:
            return ()
        if silence_s >= self.quiet_s:
            self._drop()
        if self._burst is not None:
            self._burst.spoilt = True
            self.taken_bytes -= self._burst.wire_bytes
        self._burst = None
        room = FRAME_MAX + 1 - len(self._heard)
        self._heard += data[:room]
        self.garbage_bytes += max(0, len(data) - room)
        if not self._is_sound():
            return ()
        self._burst = _burst_of(bytes(self._heard))
        self.taken_bytes += len(self._heard)
        if not self._config.byte_true:
            burst, self._burst = self._burst, None
            self._heard.clear()
            return (burst,)
        return (self._burst,)

    def length(self, request: Burst, _unheard_bytes: int) -> int:
        """Its own bytes; nothing wakes a Modbus meter."""
        return request.wire_bytes

    def reply_delay_ms(self, _request: Burst) -> tuple[int, int]:
        """Td of the line, and at least the silence that ends the request."""
        least_ms, most_ms = self._config.reply_delay_ms
        quiet_ms = ceil(self.quiet_s * MS_PER_S) if self._config.byte_true else 0
        return max(least_ms, quiet_ms), max(most_ms, quiet_ms)

    def addressed(self, request: Burst) -> list[Meter]:
        """The unit."""
        meter = self.units.get(int(request.address))
        return [] if meter is None else [meter]

    def answer(self, meter: Meter, request: Burst, at_ms: int) -> RtuFrame | None:
        """What one meter says, as the unit that was asked; nothing to a burst that went on or is another unit's."""
        if request.spoilt or request.address != meter.line_address:
            return None
        return answer_rtu(meter, request.request, self._config.baud, at_ms)

    def preamble(self, _meter: Meter) -> int:
        """None."""
        return 0

    def everybody(self) -> Iterable[Meter]:
        """All its meters."""
        return self.units.values()

    def answers(self, request: Burst, at_ms: int) -> list[bytes]:
        """What the unit says."""
        said = [self.answer(meter, request, at_ms) for meter in self.addressed(request)]
        return [reply.to_wire(0) for reply in said if reply is not None]

    def learn_editions(self) -> None:
        """Nothing: Modbus has none."""

    def rest(self) -> None:
        """Another protocol's request ended; without a wire there is no silence to tell."""
        if not self._config.byte_true:
            self._drop()

    def reset(self) -> None:
        """Forget the burst: it was spoken into."""
        self._drop()

    def rates(self) -> set[int]:
        """A Modbus meter keeps the rate of its line."""
        return {self._config.baud}

    def line_at(self, baud: int) -> None:
        """Never: these meters would have to follow."""

    def _drop(self) -> None:
        """The burst is over."""
        if self._burst is None and self._heard:
            self.garbage_bytes += len(self._heard)
            self.bad_sums += 1
        self._burst = None
        self._heard.clear()

    def _is_sound(self) -> bool:
        heard = bytes(self._heard)
        if not SHORTEST <= len(heard) <= FRAME_MAX or not _has_its_size(heard):
            return False
        return is_sound(heard)


def _burst_of(wire: bytes) -> Burst:
    return Burst(str(wire[0]), Request(wire[0], wire[1], wire[2:-CRC_BYTES]), len(wire))


def _has_its_size(heard: bytes) -> bool:
    """Whether a request of a function that we know is as long as it says; of others nobody knows."""
    if heard[1] in (READ_HOLDING, READ_INPUT):
        return len(heard) == FIXED
    if heard[1] == WRITE_REGISTERS:
        return len(heard) > WRITE_HEAD and len(heard) == WRITE_HEAD + heard[WRITE_HEAD - 1] + CRC_BYTES
    return True
