"""Sums of money that people type: whole yuan or with one or two decimals, never a float."""

import re

from server.errors import Refused

_SUM = re.compile(r"\s*¥?\s*(\d{1,6})(?:\.(\d{1,2}))?\s*")


def parse_fen(text: str) -> int:
    """`100`, `99.5` or `12.34` yuan in fen; Refused for anything else. The range is the flow's rule."""
    match = _SUM.fullmatch(text)
    if match is None:
        raise Refused("the amount is no sum of money; write it like 100 or 99.50")
    return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))
