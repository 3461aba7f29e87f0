"""The DL/T 645 ear of a line: both editions have one frame, so they share a decoder, and each meter answers its own.

Where all meters are of 2007 none is asked for its edition. A meter that was given another address or rate is followed.
"""

from collections.abc import Iterable, Sequence

from core.dlt645.anatomy import OVERHEAD
from core.dlt645.commands import BROADCAST_ADDRESS, CHANGE_BAUD, WRITE, WRITE_ADDRESS
from core.dlt645.edition1997 import WRITE_ADDRESS_97
from core.dlt645.frame import Frame, FrameDecoder, encode
from core.dlt645.question import read_question, write_register
from core.units import WH_PER_STEP
from sim.estate import BusConfig
from sim.fleet.members import BusMeters
from sim.kinds import KIND_1997
from sim.meters import Meter
from sim.meters.dlt645 import answer
from sim.meters.dlt645_1997 import answer_97
from sim.meters.energies import FORWARD_TOTAL

BYTE_GAP_S = 0.5
"""Tb: after this silence a half frame is dropped (DL/T 645-2007)."""
CHANGES = (WRITE, WRITE_ADDRESS, CHANGE_BAUD, WRITE_ADDRESS_97)
"""Commands after which a meter may have another address or another rate."""


class Dlt645Ear:
    """All DL/T 645 meters of one line, by address."""

    def __init__(self, config: BusConfig, meters: BusMeters) -> None:
        self.meters = meters
        self.decoder = FrameDecoder()
        self.baud_changed = False
        self.taken_bytes = 0
        self._preamble = config.preamble
        self._one_edition = True
        self._reply_delay_ms = config.reply_delay_ms
        self._baud = config.baud
        self._renamed: dict[str, str] = {}
        self._rates_differ = False
        self.learn_editions()

    def __len__(self) -> int:
        return len(self.meters)

    @property
    def bad_sums(self) -> int:
        """Frames whose sum did not fit."""
        return self.decoder.bad_sums

    @property
    def garbage_bytes(self) -> int:
        """Bytes outside frames."""
        return self.decoder.garbage_bytes

    def hear(self, data: bytes, silence_s: float) -> Sequence[Frame]:
        """All frames that are now whole, those of meters too."""
        if silence_s > BYTE_GAP_S and self.decoder.pending:
            self.decoder.reset()
        return self.decoder.feed(data)

    def at_once(self, data: bytes, at_ms: int) -> bytes | None:
        """The whole answer to the usual question, one register of a meter without a past; None: go the long way."""
        question = None if self.decoder.pending else read_question(data)
        if question is None or question[1] != FORWARD_TOTAL or not self._one_edition:
            return None
        total = self.meters.plain_total(question[0], at_ms)
        if total is None:
            return None
        total_wh, own = total
        preamble = self._preamble if own is None else own
        wire = write_register(question[0], FORWARD_TOTAL, total_wh // WH_PER_STEP, preamble)
        self.decoder.frames += wire is not None
        return wire

    def length(self, request: Frame, unheard_bytes: int) -> int:
        """The frame with as many waking bytes as the line's own preamble has."""
        length = OVERHEAD + len(request.data)
        return length + min(max(0, unheard_bytes - length), self._preamble)

    def reply_delay_ms(self, request: Frame) -> tuple[int, int]:
        """Td of the meter that is asked, where its vendor has one; otherwise the line's."""
        meter = self.meters.named(request.address)
        own = None if meter is None else meter.profile.reply_delay_ms
        return self._reply_delay_ms if own is None else own

    def answers(self, request: Frame, at_ms: int) -> list[bytes]:
        """What the meters say that the address field names."""
        said = []
        for meter in self.addressed(request):
            reply = self.answer(meter, request, at_ms)
            if reply is not None:
                said.append(encode(reply, self.preamble(meter)))
        return said

    def answer(self, meter: Meter, request: Frame, at_ms: int) -> Frame | None:
        """What one meter says, in its edition."""
        reply = self._answer(meter, request, at_ms)
        if reply is not None and request.control in CHANGES:
            self._note_change(meter)
        return reply

    def preamble(self, meter: Meter) -> int:
        """The vendor's, or the line's."""
        own = meter.profile.preamble
        return self._preamble if own is None else own

    def learn_editions(self) -> None:
        """Ask each meter for its edition from now on, where there is more than one."""
        self._one_edition = not self.meters.speaks(KIND_1997)
        self._answer = answer if self._one_edition else _own_edition

    def everybody(self) -> Iterable[Meter]:
        """All its meters."""
        return self.meters.values()

    def rest(self) -> None:
        """Nothing: a frame of this protocol knows its own end."""

    def reset(self) -> None:
        """Forget half a frame."""
        self.decoder.reset()

    def rates(self) -> set[int]:
        """The rates at which the meters work."""
        return {meter.notes.baud or self._baud for meter in self.meters.values()}

    def line_at(self, baud: int) -> None:
        """Meters at another rate are deaf from now on."""
        self._baud = baud
        self._rates_differ = self.rates() != {baud}

    def addressed(self, request: Frame) -> list[Meter]:
        """The meter of this address, or all that a pattern may mean."""
        address = request.address
        meter = self.meters.named(self._renamed.get(address, address) if self._renamed else address)
        if meter is not None:
            return [meter] if not self._rates_differ or self._at_rate(meter) else []
        if address.isdecimal() and address != BROADCAST_ADDRESS:
            return []
        return [meter for meter in self.meters.values() if not self._rates_differ or self._at_rate(meter)]

    def _note_change(self, meter: Meter) -> None:
        """A meter has got another address or another rate; a new rate holds once its answer is over."""
        if meter.address != meter.config.address:
            self._renamed[meter.address] = meter.config.address
        if meter.notes.baud is not None:
            self.baud_changed = True

    def _at_rate(self, meter: Meter) -> bool:
        """A meter that was told another rate is deaf on a line that stays at the old one."""
        return meter.notes.baud in (None, self._baud)


def _own_edition(meter: Meter, request: Frame, at_ms: int) -> Frame | None:
    """On a line with both editions."""
    return (answer_97 if meter.kind == KIND_1997 else answer)(meter, request, at_ms)
