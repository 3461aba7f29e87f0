"""Sums of money that people type: whole yuan or with one or two decimals, never a float.

Digits may be wide, as Chinese keyboards write them; `sums.js` reads the same.
"""

import re
from collections.abc import Sequence
from unicodedata import normalize

from server.domain.payments import Limits
from server.errors import Refused

_SUM = re.compile(r"\s*¥?\s*([0-9]{1,6})(?:\.([0-9]{1,2}))?\s*")


def parse_fen(text: str) -> int:
    """`100`, `99.5` or `12.34` yuan in fen; Refused for anything else. The range is the flow's rule."""
    match = _SUM.fullmatch(normalize("NFKC", text))
    if match is None:
        raise Refused("the amount is no sum of money; write it like 100 or 99.50")
    return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))


def within(amounts: Sequence[int], limits: Limits) -> list[int]:
    """Those of these amounts in whole yuan that may be paid at once; the largest whole one where none may."""
    found = [yuan for yuan in amounts if limits.topup_min_fen <= yuan * 100 <= limits.topup_max_fen]
    return found or [max(1, limits.topup_max_fen // 100)]
