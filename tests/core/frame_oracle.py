"""A second reading of DL/T 645, slow and obvious, to judge the codec by.

It imports nothing of the project and shares no technique with it: bytes are handled as lists of two-character
hex strings, the stream is searched by trying every position, numbers go through `Decimal`. It knows the whole
stream at once, so it says what an incremental decoder must have found when the line has fallen silent.
"""

from decimal import Decimal
from typing import NamedTuple


class Seen(NamedTuple):
    """One frame: displayed address, control code and plain data as lower-case hex."""

    address: str
    control: int
    data: str


def _octets(raw: bytes) -> list[str]:
    return [format(byte, "02x") for byte in raw]


def _shift(octet: str, by: int) -> str:
    return format((int(octet, 16) + by + 256) % 256, "02x")


def frame_at(octets: list[str], i: int) -> tuple[Seen, int] | None:
    """The frame that begins exactly at position i, with the position behind it; None if there is none."""
    rest = octets[i:]
    if len(rest) < 12 or rest[0] != "68" or rest[7] != "68":
        return None
    count = int(rest[9], 16)
    if len(rest) < 10 + count + 2 or rest[10 + count + 1] != "16":
        return None
    total = 0
    for octet in rest[: 10 + count]:
        total = (total + int(octet, 16)) % 256
    if int(rest[10 + count], 16) != total:
        return None
    address = "".join(rest[6 - k] for k in range(6))
    data = "".join(_shift(octet, -0x33) for octet in rest[10 : 10 + count])
    return Seen(address, int(rest[8], 16), data), i + 10 + count + 2


def frames_in(raw: bytes) -> list[Seen]:
    """Every frame of a finished stream: leftmost first, and never two that overlap."""
    octets = _octets(raw)
    found = []
    i = 0
    while i < len(octets):
        hit = frame_at(octets, i)
        if hit is None:
            i += 1
        else:
            found.append(hit[0])
            i = hit[1]
    return found


def only_frame(raw: bytes) -> Seen | None:
    """The frame when the bytes are waking bytes and exactly one frame, else None."""
    octets = _octets(raw)
    while octets and octets[0] == "fe":
        octets = octets[1:]
    hit = frame_at(octets, 0)
    return hit[0] if hit is not None and hit[1] == len(octets) else None


def build(seen: Seen, waking: int = 0) -> bytes:
    """The wire bytes of a frame."""
    pairs = [seen.address[k : k + 2] for k in (10, 8, 6, 4, 2, 0)]
    plain = [seen.data[k : k + 2] for k in range(0, len(seen.data), 2)]
    octets = ["68", *pairs, "68", format(seen.control, "02x"), format(len(plain), "02x")]
    octets += [_shift(octet, 0x33) for octet in plain]
    octets.append(format(sum(int(octet, 16) for octet in octets) % 256, "02x"))
    return bytes.fromhex("fe" * waking + "".join(octets) + "16")


def number(data: bytes, decimals: int, *, signed: bool) -> Decimal | None:
    """A BCD field as the meter's display would show it; None when it is none."""
    digits = "".join(reversed(_octets(data)))
    minus = ""
    if signed and digits[0] in "89abcdef":
        digits = format(int(digits[0], 16) - 8, "x") + digits[1:]
        minus = "-"
    if any(digit not in "0123456789" for digit in digits):
        return None
    return Decimal(f"{minus}{digits}E-{decimals}")
