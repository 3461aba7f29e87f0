"""One read that may take several frames: B1, then 12H with SEQ 1, 2, 3 ... until a reply without the follow bit.

Sans-IO: send `next_command()` while it is not None, give every reply to `take`. The first reply has no sequence
number; in the others it is the last byte and is stripped. Some meters set the follow bit on a complete answer to say
"I have events": the next reply then carries 04 00 15 01, which is kept apart in `report` and ends the reading. Such a
meter may refuse the follow-up, too: a refusal of any but the first command ends the reading with what had come.
"""

from collections.abc import Callable

from core.dlt645.commands import ACTIVE_REPORT, SEQUENCE_MAX, Command, Read, ReadFollow, reply_value
from core.dlt645.frame import Frame
from core.errors import FrameError, MeterRefused, ProtocolMisuse

TOTAL_MAX = 16_384  # bytes of one joined answer; the longest known record has some hundred


class LongRead:
    """Reads one identifier of one meter, however many frames it takes. A refusal ends it.

    That of the first command raises; that of a later one is kept in `refusal`, `data` is then what came before it.
    request: the first command, 11H unless given; follow: what asks for the next part, from address, identifier and
    sequence number; value: the payload of a reply. The two are those of 2007 unless given.
    """

    def __init__(
        self,
        address: str,
        di: int,
        request: Command | None = None,
        *,
        follow: Callable[[str, int, int], Command] = ReadFollow,
        value: Callable[[Command, Frame], bytes] = reply_value,
    ) -> None:
        self._command: Command | None = request or Read(address, di)
        self._address = address
        self._di = di
        self._follow = follow
        self._value = value
        self._seq = 0
        self._data = bytearray()
        self.report: bytes | None = None
        self.refusal: MeterRefused | None = None

    @property
    def data(self) -> bytes:
        """The joined data without identifiers and sequence numbers; complete once `next_command` is None.

        After a `refusal` only its length tells whether it is all: a follow bit may have stood for events alone.
        """
        return bytes(self._data)

    def next_command(self) -> Command | None:
        """What to send next, or None when nothing more is to come."""
        return self._command

    def take(self, reply: Frame) -> None:
        """Take the reply to `next_command()`.

        `MeterRefused` for a refusal of the first command, `ProtocolMisuse` for a foreign reply, `FrameError` for an
        answer without end.
        """
        if self._command is None:
            raise ProtocolMisuse("the reading is complete")
        command, self._command = self._command, None
        try:
            payload = self._value(command, reply)
        except MeterRefused as refusal:
            if not self._seq:
                raise
            self.refusal = refusal
            return
        if reply.identifier == ACTIVE_REPORT != self._di:
            self.report = payload
            return
        self._data += payload
        if not reply.follow:
            return
        if self._seq == SEQUENCE_MAX or len(self._data) > TOTAL_MAX:
            raise FrameError(f"meter {reply.address} answers {self._di:08X} without end: {len(self._data)} bytes")
        self._seq += 1
        # Behind a wildcard, the meter has named itself by now.
        self._command = self._follow(reply.address, self._di, self._seq)
