"""A second reading of Modbus RTU, slow and obvious, to judge ours by.

It imports nothing of the project nor of pymodbus: the CRC is divided out bit by bit, frames are text in hex, the stream
is searched by trying every position, numbers are `Fraction`s. It knows the whole stream at once.
"""

from fractions import Fraction
from typing import NamedTuple


class Said(NamedTuple):
    """One frame: unit, function as on the wire, and the rest without CRC as lower-case hex."""

    unit: int
    function: int
    rest: str


def crc(data: bytes) -> bytes:
    """The CRC as it travels: polynomial 8005H, bits reversed, preset FFFFH, low byte first."""
    remainder = 65535
    for byte in data:
        remainder ^= byte
        for _bit in "01234567":
            odd = remainder % 2
            remainder //= 2
            if odd:
                remainder ^= 0b1010_0000_0000_0001  # 8005H read backwards
    return bytes((remainder % 256, remainder // 256))


def build(said: Said) -> bytes:
    """The wire bytes."""
    body = bytes([said.unit, said.function]) + bytes.fromhex(said.rest)
    return body + crc(body)


def _lengths(raw: bytes, replies: bool) -> list[int]:
    """How long a frame that begins so may be: at most one length."""
    function = raw[1]
    if function in (0x83, 0x84, 0x90):
        return [5] if replies and raw[2] else []
    if function in (3, 4):
        if not replies:
            return [8]
        return [raw[2] + 5] if raw[2] % 2 == 0 and 2 <= raw[2] <= 250 else []
    if function == 16:
        if replies:
            return [8]
        if len(raw) < 7:
            return []
        count = raw[4] * 256 + raw[5]
        return [9 + raw[6]] if raw[6] == 2 * count and 1 <= count <= 123 else []
    return []


def _counts_make_sense(raw: bytes, replies: bool) -> bool:
    if raw[1] & 0x80 or (replies and raw[1] in (3, 4)):
        return True
    first, count = raw[2] * 256 + raw[3], raw[4] * 256 + raw[5]
    return 1 <= count <= (123 if raw[1] == 16 else 125) and first + count <= 65536


def frame_at(raw: bytes, at: int, replies: bool) -> tuple[Said, int] | None:
    """The frame that begins exactly there, with the position behind it."""
    rest = raw[at:]
    if len(rest) < 5 or not 1 <= rest[0] <= 247:
        return None
    for length in _lengths(rest, replies):
        body = rest[:length]
        if len(body) == length and crc(body[:-2]) == body[-2:] and _counts_make_sense(body, replies):
            return Said(body[0], body[1], body[2:-2].hex()), at + length
    return None


def frames_in(raw: bytes, *, replies: bool = True, sent: bytes = b"") -> list[Said]:
    """Every frame of a finished stream, leftmost first: replies and the echo of `sent`, or requests."""
    found: list[Said] = []
    at = 0
    while at < len(raw):
        if sent and raw[at : at + len(sent)] == sent:
            found.append(Said(sent[0], sent[1], sent[2:-2].hex()))
            at += len(sent)
            continue
        hit = frame_at(raw, at, replies)
        if hit is None:
            at += 1
        else:
            found.append(hit[0])
            at = hit[1]
    return found


def single(words: list[int]) -> Fraction | None:
    """An IEEE 754 single as an exact fraction, None for NaN and infinity."""
    digits = "".join(format(word, "016b") for word in words)
    exponent, significand = int(digits[1:9], 2), Fraction(int(digits[9:], 2), 2**23)
    if exponent == 255:
        return None
    magnitude = (1 + significand) * Fraction(2) ** (exponent - 127) if exponent else significand / 2**126
    return -magnitude if digits[0] == "1" else magnitude


def nearest(value: Fraction) -> int:
    """The nearest integer, a half away from zero."""
    below = abs(value).__floor__()
    away = below + (abs(value) - below >= Fraction(1, 2))
    return -away if value < 0 else away
