"""Sums of money that people type: whole yuan or with one or two decimals, never a float."""

import re

from server.errors import Refused

_SUM = re.compile(r"\s*¥?\s*(\d{1,6})(?:\.(\d{1,2}))?\s*")
LARGEST_FEN = 2_000_00
SMALLEST_FEN = 100


def parse_fen(text: str) -> int:
    """`100`, `99.5` or `12.34` yuan in fen; Refused unless it is between ¥1 and ¥2,000."""
    match = _SUM.fullmatch(text)
    if match is None:
        raise Refused("the amount is no sum of money; write it like 100 or 99.50")
    fen = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))
    if not SMALLEST_FEN <= fen <= LARGEST_FEN:
        raise Refused("a payment is between ¥1 and ¥2,000; make two payments for more")
    return fen
