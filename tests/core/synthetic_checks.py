"""Checks by the synthetic vectors: cases that no public capture shows, such as negative values and refusals.

Same shape as `codec_checks`: each function takes a codec and yields what failed.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.errors import MeterRefused, ValueFormatError
from tests.core.codec_checks import Codec, synthetic

METER = "201412345678"
OPERATOR = "00000001"
LAST_SECOND = datetime(2026, 12, 31, 23, 59, 59)  # noqa: DTZ001 civil time
# What the display of an identifier counts, by its two highest bytes, in the project's unit.
DISPLAY_FACTOR = {"0000": 1000, "0202": 1000, "0203": 10**6, "0206": 1000, "0090": 100}


def check_synthetic_fields(codec: Codec) -> Iterator[str]:
    """Identifier, follow bit, sequence number, error and value as the vectors state them."""
    for vector in synthetic():
        frame, want = codec.frame.parse(bytes.fromhex(vector["hex"])), vector["decoded"]
        if codec.frame.encode(frame, 0) != bytes.fromhex(vector["hex"]):
            yield f"{vector['meaning']}: encodes differently"
        if frame.is_reply != (vector["direction"] == "response"):
            yield f"{vector['meaning']}: direction"
        if "di" in want and frame.identifier != int(want["di"], 16):
            yield f"{vector['meaning']}: identifier {frame.identifier}"
        if "follow" in want and frame.follow != want["follow"]:
            yield f"{vector['meaning']}: follow bit"
        if "seq" in want and frame.data[-1] != want["seq"]:
            yield f"{vector['meaning']}: sequence number"
        error = want.get("err", int(want["serr"], 16) if "serr" in want else None)
        if frame.abnormal != (error is not None) or (error or 0) != _word_if(frame):
            yield f"{vector['meaning']}: error {frame.data.hex()}"
        yield from _check_value(codec, frame, vector)


def _word_if(frame: Any) -> int:
    return int.from_bytes(frame.data, "little") if frame.abnormal else 0


def _check_value(codec: Codec, frame: Any, vector: dict[str, Any]) -> Iterator[str]:
    want = vector["decoded"]
    if want.get("valid_value") is False:
        try:
            read = codec.identifiers.decode_value(frame.identifier, frame.data[4:])
        except ValueFormatError:
            return
        yield f"{vector['meaning']}: read as {read}"
    elif "value" in want:
        (got,) = codec.identifiers.decode_value(frame.identifier, frame.data[4:])
        factor = DISPLAY_FACTOR.get(want["di"][:4]) if "di" in want else None
        factor = factor or DISPLAY_FACTOR.get(f"{frame.identifier:08X}"[:4])
        stated = int(want["value"], 16) if factor is None else Decimal(want["value"]) * factor
        if got != stated:
            yield f"{vector['meaning']}: {got}, stated {stated}"


def check_synthetic_blocks(codec: Codec) -> Iterator[str]:
    """A full energy block, and a voltage block whose missing phases are FF."""
    blocks = {
        "forward energy block total+4 tariffs": (1234560, 11110, 22220, 33330, 34120),
        "0x33 wrap: unsupported phase filled FF -> wire 32": (220000, None, None),
    }
    for meaning, stated in blocks.items():
        frame = codec.frame.parse(_wire(meaning))
        di, data = frame.identifier, frame.data[4:]
        got = codec.identifiers.decode_value(di, data)
        if got != stated or codec.identifiers.encode_value(di, stated) != data:
            yield f"{meaning}: {got}"


def check_synthetic_requests(codec: Codec) -> Iterator[str]:
    """Relay commands, broadcast time, follow-up and shortened address as our commands would send them."""
    commands = codec.commands
    password = commands.Password(2, "123456")
    sent = {
        "read follow-up SEQ=1": commands.ReadFollow(METER, 0x0001FF00, 1),
        "shortened address: low 4 digits 5678, rest AA wildcard, read voltage": commands.Read(
            "AAAAAAAA5678", 0x02010100
        ),
        "broadcast time 2026-11-23 08:52:03": commands.BroadcastTime(
            datetime(2026, 11, 23, 8, 52, 3)  # noqa: DTZ001 civil time
        ),
    }
    relay = {
        "trip, PA=02, password 123456, operator 00000001, deadline 2026-12-31 23:59:59": "TRIP",
        "direct close": "CLOSE",
        "keep power": "KEEP_POWER",
    }
    for meaning, name in relay.items():
        action = commands.RelayAction[name]
        sent[meaning] = commands.RelayControl(METER, action, LAST_SECOND, password, OPERATOR)
    for meaning, command in sent.items():
        wire = codec.frame.encode(command.to_frame(), 0)
        if wire != _wire(meaning):
            yield f"{meaning}: we would send {wire.hex().upper()}"


def check_synthetic_matching(codec: Codec) -> Iterator[str]:
    """Follow-up, relay and refusal replies answer what they should and nothing else."""
    commands = codec.commands
    relay = commands.RelayControl(METER, commands.RelayAction.TRIP, LAST_SECOND, commands.Password())
    follow = commands.ReadFollow(METER, 0x0001FF00, 1)
    next_one = commands.ReadFollow(METER, 0x0001FF00, 2)
    block = commands.Read(METER, 0x0001FF00)
    shortened = commands.Read("AAAAAAAA5678", 0x02020100)
    foreign = commands.Read("AAAAAAAA5679", 0x02020100)
    cases = (
        ("read follow-up, more to come (B1)", (block,), (follow, relay)),
        ("follow-up last frame SEQ=1", (follow,), (next_one, block)),
        ("follow-up abnormal: no data", (follow, next_one), (block, relay)),
        ("control OK", (relay,), (block, follow)),
        ("control refused: password/unauthorised", (relay,), (block, follow)),
        ("A-phase current -1.234 A (sign bit in top nibble)", (shortened,), (foreign, block)),
    )
    for meaning, right, wrong in cases:
        frame = codec.frame.parse(_wire(meaning))
        if not all(command.match(frame) for command in right):
            yield f"{meaning}: not recognised"
        if any(command.match(frame) for command in wrong):
            yield f"{meaning}: taken for the answer to something else"
    payload = commands.reply_value(follow, codec.frame.parse(_wire("follow-up last frame SEQ=1")))
    if payload != bytes(4):
        yield f"follow-up payload {payload.hex()}"
    try:
        commands.reply_value(relay, codec.frame.parse(_wire("control refused: password/unauthorised")))
        yield "a refused relay command counted as accepted"
    except MeterRefused as refusal:
        if refusal.err != 4:
            yield f"refusal {refusal.err}"


def _wire(meaning: str) -> bytes:
    (found,) = [vector["hex"] for vector in synthetic() if vector["meaning"] == meaning]
    return bytes.fromhex(found)
