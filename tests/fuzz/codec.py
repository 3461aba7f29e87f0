"""What must hold in the decoders for any bytes: nothing but the documented errors, and no second meaning.

Frames are judged by the oracle of the frame layer, which shares no technique with the code. Whatever a decoder of
values accepts, its encoder must take back or refuse as ProtocolMisuse, and what it wrote must read the same.
"""

from contextlib import suppress

from core.dlt645 import edition1997, identifiers
from core.dlt645.explain import explain as explain_frame
from core.dlt645.frame import Frame, FrameDecoder, encode, parse
from core.dlt645.replies import parse_reply
from core.dlt645.requests import parse_request
from core.errors import FrameError, MeterRefused, ProtocolMisuse, ValueFormatError
from core.modbus import rtu
from tests import oracle
from tests.core import frame_oracle
from tests.fuzz.kernels import is_digits

KNOWN = tuple(sorted(identifiers.TABLE))
KNOWN_97 = tuple(sorted(edition1997.TABLE_97))


def _seen(frames: list[Frame]) -> list[frame_oracle.Seen]:
    return [frame_oracle.Seen(frame.address.lower(), frame.control, frame.data.hex()) for frame in frames]


def frame(data: bytes) -> None:
    """The stream decoder finds what the oracle finds, in pieces as at once; every frame encodes to its bytes."""
    if not data:
        return
    cut, stream = data[0] % 60 + 1, data[1:]
    wanted = frame_oracle.frames_in(stream)
    at_once, pieces = FrameDecoder(), FrameDecoder()
    found = at_once.feed(stream) + at_once.flush()
    in_pieces = [f for i in range(0, len(stream), cut) for f in pieces.feed(stream[i : i + cut])] + pieces.flush()
    assert _seen(found) == _seen(in_pieces) == wanted
    assert (at_once.pending, pieces.pending, at_once.frames) == (0, 0, len(found))
    assert (at_once.garbage_bytes, at_once.bad_sums) == (pieces.garbage_bytes, pieces.bad_sums)
    for one in found:
        _encodes_to_its_bytes(one, stream)


def _encodes_to_its_bytes(one: Frame, stream: bytes) -> None:
    try:
        wire = encode(one, 0)
    except ProtocolMisuse:
        assert not is_digits(one.address.lower())
        return
    assert wire in stream
    assert parse(wire) == one
    _typed(one)


def _typed(one: Frame) -> None:
    """A typed request encodes to the very data it was read from; a reply is refused, or is written again."""
    try:
        command = parse_request(one)
    except ValueFormatError:
        pass
    else:
        assert command.to_frame().data == one.data
    with suppress(ValueFormatError):
        assert parse_reply(one).to_frame() == one


def explain(data: bytes) -> None:
    """Explaining never fails, names a defect exactly when the oracle sees no frame, and shows each byte once."""
    told = explain_frame(data)
    only = frame_oracle.only_frame(data)
    assert told.is_sound == (only is not None)
    assert (told.error_en is None) == (told.error_zh is None)
    assert told.is_sound or told.error_en
    assert all(
        isinstance(text, str) for row in told.rows for text in (row.name_en, row.name_zh, row.text_en, row.text_zh)
    )
    if only is not None:
        assert (told.address, told.control, told.checksum_ok) == (only.address.upper(), only.control, True)
        assert parse(data).data.hex() == only.data
        _typed(parse(data))
    else:
        try:
            parse(data)
        except FrameError:
            return
        raise AssertionError("parse accepts what the oracle refuses")


def values(data: bytes) -> None:
    """Values of 2007: read or refused as ValueFormatError; what is read can be written and reads the same."""
    if len(data) < 4:
        return
    di = int.from_bytes(data[:4], "little")
    if data[3] & 0x80:
        di = KNOWN[(di & 0x7FFFFFFF) % len(KNOWN)]
    try:
        row = identifiers.decode_value(di, data[4:])
    except ValueFormatError:
        return
    try:
        again = identifiers.encode_value(di, row)
    except ProtocolMisuse:
        return
    assert identifiers.decode_value(di, again) == row


def old_edition(data: bytes) -> None:
    """Values and frames of 1997: nothing but the documented errors, and one value for one set of bytes."""
    if len(data) < 4:
        return
    di = int.from_bytes(data[:2], "little")
    if data[2] & 0x80:
        di = KNOWN_97[di % len(KNOWN_97)]
    try:
        row = edition1997.decode_value_97(di, data[3:])
    except ValueFormatError:
        row = None
    assert row is None or row == edition1997.decode_value_97(di, data[3:])
    one = Frame("000000000001", data[2], data[3:258])
    request = edition1997.Read97("000000000001", di)
    edition1997.identifier_97(one)
    if request.match(one):
        assert _payload_or_error(request, one) == (one.data[0] if one.abnormal else one.data[2:])


def _payload_or_error(request: edition1997.Read97, reply: Frame) -> bytes | int:
    try:
        return edition1997.reply_value_97(request, reply)
    except MeterRefused as refused:
        return refused.err


def modbus(data: bytes) -> None:
    """Modbus RTU: pieces as at once, nothing but FrameError, and every accepted frame builds the bytes it came from."""
    if len(data) < 2:
        return
    cut, as_meter, stream = data[0] % 40 + 1, bool(data[1] & 1), _with_crc(data[2:], data[1])
    at_once, pieces = rtu.RtuDecoder(requests=as_meter), rtu.RtuDecoder(requests=as_meter)
    found = at_once.feed(stream) + at_once.flush()
    in_pieces = [f for i in range(0, len(stream), cut) for f in pieces.feed(stream[i : i + cut])] + pieces.flush()
    assert found == in_pieces
    assert (at_once.pending, pieces.pending, at_once.garbage_bytes) == (0, 0, pieces.garbage_bytes)
    for one in found:
        assert one.is_reply != as_meter
        assert rtu.encode(one) in stream
    with suppress(FrameError):
        assert rtu.encode(rtu.parse(stream)) == stream


def _with_crc(stream: bytes, choice: int) -> bytes:
    """Half of the streams end with the right CRC of their last bytes, or hardly any frame would be sound."""
    if not choice & 2:
        return stream
    body = stream[choice >> 2 :] or stream
    return stream + oracle.crc16_bitwise(body, 0x8005, 0xFFFF, 0).to_bytes(2, "little")


TARGETS = {"modbus": modbus, "frame": frame, "explain": explain, "values": values, "old_edition": old_edition}
