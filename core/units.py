"""Units of the whole project and the exact conversions between them.

Energy is an integer of watt-hours, price an integer of nanofen per Wh, a charge an integer of nanofen, the
ledger an integer of fen with a residue of nanofen per account, so that nothing is ever lost. Text for people
(yuan, kWh) is made and read here with integer arithmetic only.
"""

import re

WH_PER_STEP = 10  # one count of a DL/T 645 energy register, 0.01 kWh
REGISTER_MODULUS_WH = 10**9  # six digits before the point and two behind, in kWh
WH_PER_KWH = 1000
NF_PER_FEN = 10**9
FEN_PER_YUAN = 100

_DECIMAL = re.compile(r"([+-]?)([0-9]{1,12})(?:\.([0-9]+))?")


def post_charge(charge_nf: int, residue_nf: int) -> tuple[int, int]:
    """Split what an account owes into whole fen to post and the residue to carry (half-up, exact).

    `residue_nf` stays within [-5e8, 5e8), so the posted fen are the rounded cumulative charge at any time.
    """
    owed_nf = charge_nf + residue_nf
    posted_fen = (owed_nf + NF_PER_FEN // 2) // NF_PER_FEN
    return posted_fen, owed_nf - posted_fen * NF_PER_FEN


def format_yuan(fen: int) -> str:
    """Show fen as yuan with two decimals: 1234 -> "12.34", -5 -> "-0.05"."""
    yuan, rest = divmod(abs(fen), FEN_PER_YUAN)
    return f"{'-' if fen < 0 else ''}{yuan}.{rest:02d}"


def format_kwh(wh: int) -> str:
    """Show Wh as kWh with two decimals, the magnitude cut as a register's display cuts it: 1239 -> "1.23"."""
    steps = abs(wh) // WH_PER_STEP
    kwh, rest = divmod(steps, WH_PER_KWH // WH_PER_STEP)
    return f"{'-' if wh < 0 and steps else ''}{kwh}.{rest:02d}"


def parse_yuan(text: str) -> int:
    """Read an amount in yuan with at most two decimals as fen; `ValueError` says what is wrong."""
    return _scaled(text, decimals=2, what="an amount in yuan")


def parse_price(text: str) -> int:
    """Read a price in yuan/kWh with at most eight decimals as nanofen per Wh, exactly; `ValueError` else."""
    return _scaled(text, decimals=8, what="a price in yuan/kWh")


def parse_kwh(text: str) -> int:
    """Read an energy in kWh with at most three decimals as Wh, exactly; `ValueError` else."""
    return _scaled(text, decimals=3, what="an energy in kWh")


def _scaled(text: str, *, decimals: int, what: str) -> int:
    """Read a plain decimal number as an integer of 10**-decimals."""
    match = _DECIMAL.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not {what}: write digits with a point, like 12.34")
    sign, whole, fraction = match[1], match[2], (match[3] or "").rstrip("0")
    if len(fraction) > decimals:
        raise ValueError(f"{text!r} is not {what}: at most {decimals} decimals")
    value = int(whole + fraction.ljust(decimals, "0"))
    return -value if sign == "-" else value
