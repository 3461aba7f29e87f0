"""Meters that keep the credit themselves: what may be set in them, and how a recharge of one fares.

Such a meter charges and cuts by itself, so neither billing nor supply policy touches its household. Money reaches it as
a recharge with a purchase count. A recharge is waiting until its count is issued, running until the meter's own count
decides it, then booked or refused; of one meter only one is running, since counts have one issuer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

LOCAL: Final = "local"
REMOTE: Final = "remote"
CUSTOMER_DIGITS: Final = 12
AMOUNT_MAX_FEN: Final = 99_999_999  # eight digits with two behind the point
PRICE_STEP_NF: Final = 10_000  # a meter's price has four digits behind the point
PRICE_MAX_NF: Final = 99_999_999 * PRICE_STEP_NF
BACKOFF_MIN_MS: Final = 10_000
BACKOFF_MAX_MS: Final = 600_000
SETTING_TRIES_MAX: Final = 5
HAND_TRIES_MIN: Final = 3  # a recharge that was asked for so often may be decided by a person

RechargeStatus = Literal["waiting", "running", "booked", "refused"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One figure in the meter: its identifier, and whether it is money (fen) or a price (nanofen per Wh)."""

    name: str
    identifier: int
    is_price: bool = False

    @property
    def most(self) -> int:
        """The largest figure that its field holds."""
        return PRICE_MAX_NF if self.is_price else AMOUNT_MAX_FEN


SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {
        one.name: one
        for one in (
            Setting("alarm1_fen", 0x04001001),
            Setting("alarm2_fen", 0x04001002),
            Setting("overdraft_fen", 0x04001003),
            Setting("hoard_fen", 0x04001004),
            Setting("close_allowed_fen", 0x04001005),
            Setting("price_sharp_nf_per_wh", 0x04050101, is_price=True),
            Setting("price_peak_nf_per_wh", 0x04050102, is_price=True),
            Setting("price_flat_nf_per_wh", 0x04050103, is_price=True),
            Setting("price_valley_nf_per_wh", 0x04050104, is_price=True),
        )
    }
)


def settings_problem(wanted: Mapping[str, int]) -> str:
    """Why these figures cannot be set together, or nothing."""
    for name, value in wanted.items():
        setting = SETTINGS.get(name)
        if setting is None:
            return f"{name!r} is no setting of a meter; allowed: {', '.join(SETTINGS)}"
        if not 0 <= value <= setting.most:
            return f"{name} = {value} is wrong; allowed: 0 to {setting.most}"
        if setting.is_price and value % PRICE_STEP_NF:
            return f"{name} = {value} is wrong; a meter's price is a multiple of {PRICE_STEP_NF}, 0.0001 yuan/kWh"
    if wanted.get("alarm1_fen", AMOUNT_MAX_FEN) < wanted.get("alarm2_fen", 0):
        return "alarm1_fen must be at least alarm2_fen, or the meter trips before it warns"
    return ""


def recharge_problem(amount_fen: int, balance_fen: int) -> str:
    """Why this amount cannot go from the account into the meter, or nothing."""
    if not 1 <= amount_fen <= AMOUNT_MAX_FEN:
        return f"a recharge of {amount_fen} fen is not possible; allowed: 1 to {AMOUNT_MAX_FEN}"
    if amount_fen > balance_fen:
        return f"the account has {balance_fen} fen; a recharge takes no more than that"
    return ""


def next_try_ms(tries: int, now_ms: int) -> int:
    """When a try that settled nothing is made again: after 10 s, doubling to ten minutes."""
    return now_ms + min(BACKOFF_MAX_MS, BACKOFF_MIN_MS << min(tries, 10))
