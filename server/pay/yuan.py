"""Yuan as providers write them, to fen and back, as text: no float on the way."""

import re

from server.errors import CallbackRejected

_YUAN = re.compile(r"(\d{1,10})(?:\.(\d{1,2}))?", re.ASCII)


def fen_of_yuan(written: str) -> int:
    """`20`, `20.5` or `20.05` in fen; raises CallbackRejected for signs, exponents, a third decimal, anything else."""
    match = _YUAN.fullmatch(written)
    if match is None:
        raise CallbackRejected("an amount is not in yuan with at most two decimals")
    return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))


def yuan_of_fen(amount_fen: int) -> str:
    """Fen as yuan with two decimals; `amount_fen` is not negative."""
    return f"{amount_fen // 100}.{amount_fen % 100:02d}"
