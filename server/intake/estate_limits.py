"""The limits of top-ups and refunds in an estate file: from their keys to the entry, and checked against each other."""

from typing import Any

from server.domain.payments import TOPUP_MIN_FEN
from server.intake.estate_keys import WRONG, Key
from server.intake.estate_values import yuan
from server.languages import Word, wrong
from server.languages import mark as _


def above_zero(value: object) -> int:
    """An amount in yuan above zero as quoted text, as fen."""
    amount_fen = yuan(value)
    if amount_fen <= 0:
        raise ValueError
    return amount_fen


_ALLOWED = _('yuan as quoted text, such as "30.00", above 0.00')
NAMES = ("topup_min", "topup_max", "balance_max", "sales_day_max", "refund_alone_max")
LIMITS = tuple(Key(name, f"{name}_fen", above_zero, _ALLOWED) for name in NAMES)


def check_topups(where: str, fields: dict[str, Any]) -> None:
    """Refuse limits that no payment could keep."""
    least_fen = fields.get("topup_min_fen", TOPUP_MIN_FEN)
    for name in ("topup_max", "balance_max"):
        most_fen = fields.get(f"{name}_fen")
        if most_fen is not None and most_fen < least_fen:
            value = f"{most_fen // 100}.{most_fen % 100:02d}"
            raise wrong(WRONG, where=where, key=name, value=value, allowed=Word(_("not below topup_min")))
