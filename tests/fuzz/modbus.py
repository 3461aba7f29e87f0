"""What must hold in the Modbus RTU decoder for any bytes: the oracle's frames, in any split, and each one its bytes.

The first byte chooses the side that listens, whether it has sent something, and whether a right CRC is put behind what
follows (or nearly every changed frame would die at it); the second is the size of the pieces.
"""

from core.errors import FrameError
from core.modbus.explain import explain_rtu
from core.modbus.rtu import RtuDecoder, encode, parse
from tests.core import modbus_oracle

SENT = bytes.fromhex("010400480002F1DD")


def rtu(data: bytes) -> None:
    """The decoder finds what the oracle finds, in pieces as at once; every byte is in a frame or garbage."""
    if len(data) < 2:
        return
    requests, sent = bool(data[0] & 1), SENT if data[0] & 2 and not data[0] & 1 else b""
    cut, stream = data[1] % 60 + 1, data[2:]
    if data[0] & 4:
        stream += modbus_oracle.crc(stream)
    wanted = [modbus_oracle.build(said) for said in modbus_oracle.frames_in(stream, replies=not requests, sent=sent)]
    at_once, pieces = (RtuDecoder(sent=sent, requests=requests) for _ in range(2))
    found = at_once.feed(stream) + at_once.flush()
    assert found == [f for i in range(0, len(stream), cut) for f in pieces.feed(stream[i : i + cut])] + pieces.flush()
    assert [encode(one) for one in found] == wanted
    assert [parse(wire) for wire in wanted] == found
    assert (at_once.pending, pieces.pending, at_once.frames) == (0, 0, len(found))
    assert at_once.garbage_bytes == pieces.garbage_bytes == len(stream) - sum(map(len, wanted))
    _whole(stream)


def _whole(wire: bytes) -> None:
    """A frame alone is read, explained without a byte left over and encoded to its bytes, or is none for both."""
    told = explain_rtu(wire)
    try:
        frame = parse(wire)
    except FrameError:
        assert told is None
        return
    assert told is not None
    assert encode(frame) == wire == b"".join(row.data for row in told.rows)


TARGETS = {"rtu": rtu}
