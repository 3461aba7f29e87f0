"""Local fee control: a meter that keeps the credit itself, counts it down and trips when it is spent.

The wallet and the security module are those of the dummy scheme (`core.vending`): its key is public, no real meter has
it. The credit at an instant is the credit when something last changed it, less what has flowed since at the meter's
prices by rate; nothing is counted down while nobody asks. At alarm amount 1 the alarm sounds; at alarm amount 2 the
meter trips and lets the button close once more; when the overdraft is used up it trips for good, until a purchase
brings it back above that and at least the close-allowed amount. The world asks when the next of these is due.
"""

from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from typing import TYPE_CHECKING

from core.dlt645.identifiers import encode_value
from core.dlt645.prepaid import PURCHASES_KEPT
from core.dlt645.values import bcd_to_int, encode_minute, int_to_bcd
from core.vending import DummyEsam, Wallet
from sim.timing.spans import HOUR_MS

if TYPE_CHECKING:
    from datetime import datetime

    from sim.meters import Meter

NF_PER_FEN = 10**9
NF_PER_PRICE_STEP = 10_000
RATES = 4
HORIZON_MS = 24 * HOUR_MS
ALARM_1, ALARM_2, OVERDRAFT, HOARD, CLOSE_ALLOWED = range(0x04001001, 0x04001006)
PRICES = tuple(range(0x04050101, 0x04050105))
MONEY_METER, AUTHENTICATED, NOT_OPENED = 2 << 8, 1 << 13, 1 << 14
PURCHASE_SIZES = (5, 2, 4, 4, 4, 4)
PURCHASE_FIELDS, PURCHASE_BYTES = len(PURCHASE_SIZES), sum(PURCHASE_SIZES)
WHOLE = 0xFF
HALF = Fraction(1, 2)


@dataclass(slots=True)
class Account:
    """The credit of one meter: `balance_nf` when the rates stood at `rates_wh`; `due_ms` is the next check."""

    wallet: Wallet
    esam: DummyEsam
    balance_nf: int
    rates_wh: tuple[int, ...]
    prices_nf: tuple[int, ...]
    lent: bool = False
    in_debt: bool = False
    due_ms: int | None = None
    watched_ms: int | None = None
    asked: int = 0
    times: tuple["datetime", ...] = ()


def account_of(meter: "Meter") -> Account | None:
    """The account of a meter with local fee control, opened when first asked for; None in remote mode."""
    account = meter.notes.account
    if account is None and meter.local_credit_fen is not None:
        wallet = Wallet(remaining_fen=meter.local_credit_fen)
        esam = DummyEsam(meter.address, wallet, bytes(2) + bytes.fromhex(meter.address)[::-1])
        begins = meter.register.rates_wh(meter.origin_ms)
        balance_nf = meter.local_credit_fen * NF_PER_FEN
        account = meter.own().account = Account(wallet, esam, balance_nf, begins, prices_nf(meter))
    return account


def prices_nf(meter: "Meter") -> tuple[int, ...]:
    """Nanofen per Wh by rate, as written or as delivered: the tariff of the estate to four decimals of a yuan."""
    return tuple(bcd_to_int(meter.parameter(di)) * NF_PER_PRICE_STEP for di in PRICES)


def delivered_price(meter: "Meter", rate: int) -> bytes:
    """The price field of a rate as the meter was delivered: half a step counts up."""
    prices = meter.calendar.version_at(meter.origin_ms).prices
    return int_to_bcd(int(prices[rate - 1] / NF_PER_PRICE_STEP + HALF), 4)


def balance_nf(meter: "Meter", account: Account, at_ms: int) -> int:
    """Credit at an instant in nanofen; negative in debt."""
    flowed = (now - then for now, then in zip(meter.register.rates_wh(at_ms), account.rates_wh, strict=True))
    return account.balance_nf - sum(wh * price for wh, price in zip(flowed, account.prices_nf, strict=True))


def balance_fen(meter: "Meter", account: Account, at_ms: int) -> int:
    """Credit in whole fen, towards the meter's owner: a begun fen is spent."""
    return balance_nf(meter, account, at_ms) // NF_PER_FEN


def credit_fen(meter: "Meter", at_ms: int) -> int | None:
    """Credit in a meter with local fee control, negative in debt; None in remote mode."""
    account = account_of(meter)
    return None if account is None else balance_fen(meter, account, at_ms)


def money(meter: "Meter", di: int, at_ms: int) -> bytes | None:
    """0090 02 00 remaining and 01 overdraft; None in remote mode where the vendor refuses, else zero."""
    account = account_of(meter)
    if account is None:
        return encode_value(di, [0]) if meter.profile.money else None
    if di >> 8 & 0xFF == 0x01:
        return encode_value(di, [0])
    fen = balance_fen(meter, account, at_ms)
    return encode_value(di, [max(-fen, 0) if di & 0xFF else max(fen, 0)])


def current_price_nf(meter: "Meter", at_ms: int) -> int:
    """What a Wh costs now."""
    account = account_of(meter)
    return 0 if account is None else account.prices_nf[meter.calendar.rate_at(at_ms) - 1]


def authenticated_min(meter: "Meter", at_ms: int) -> int:
    """Minutes, begun ones included, for which an authentication still holds; 0 without one."""
    account = meter.notes.account
    if account is None:
        return 0
    validity_s = account.esam.validity_s
    return next((left for left in range(int(validity_s / 60), 0, -1)
                 if account.esam.is_authenticated(at_ms / 1000 + 60 * (left - 1))), 0)  # fmt: skip


def reprice(meter: "Meter", at_ms: int) -> None:
    """A price or a limit was written: what has flowed so far is paid at the old price, and the new limits hold."""
    account = meter.notes.account
    if account is not None:
        _rebase(meter, account, at_ms)
        account.prices_nf = prices_nf(meter)
        meter.run_credit(at_ms)


def status_bits(meter: "Meter", at_ms: int) -> int:
    """The account's share of status word 3."""
    account = account_of(meter)
    if account is None:
        return 0
    authenticated = AUTHENTICATED if account.esam.is_authenticated(at_ms / 1000) else 0
    return MONEY_METER | authenticated | (0 if account.wallet.count else NOT_OPENED)


def authenticate(meter: "Meter", data: bytes, at_ms: int) -> bytes:
    """03H: what the security module says; `SecurityRefused` with its error word. Money that comes in acts at once."""
    account = account_of(meter)
    assert account is not None
    fen = balance_fen(meter, account, at_ms)
    _rebase(meter, account, at_ms)
    wallet = account.wallet
    wallet.remaining_fen, wallet.overdraft_fen = max(fen, 0), max(-fen, 0)
    wallet.hoard_limit_fen = bcd_to_int(meter.parameter(HOARD))
    counted, account.asked = wallet.count, account.asked + 1
    said = account.esam.answer(data, at_ms / 1000, _random(meter, account, at_ms))
    if wallet.count != counted:
        account.balance_nf += (wallet.remaining_fen - wallet.overdraft_fen - fen) * NF_PER_FEN
        account.times = (meter.civil(at_ms), *account.times[: PURCHASES_KEPT - 1])
        act(meter, at_ms)
    return said


def act(meter: "Meter", at_ms: int) -> None:
    """Let alarm and relay follow the credit."""
    account = account_of(meter)
    assert account is not None
    fen = balance_fen(meter, account, at_ms)
    _sound(meter, fen)
    spent = fen <= -_limit(meter, OVERDRAFT)
    if spent and not meter.relay.keep_power:
        account.in_debt = True
        if not meter.relay.command_open:
            meter.trip(at_ms)
    elif account.in_debt and not spent and fen >= _limit(meter, CLOSE_ALLOWED):
        account.in_debt = False
        meter.allow_close(at_ms)
    elif not account.in_debt:
        _lend(meter, account, fen, at_ms)
    account.due_ms = _next_ms(meter, account, at_ms)


def holds_open(meter: "Meter") -> bool:
    """Whether debt keeps the contacts open whatever the head-end permits."""
    account = meter.notes.account
    return account is not None and account.in_debt


def purchase(meter: "Meter", di: int) -> bytes | None:
    """03 33: the n-th last purchase of money, one field (DI1) or whole; None where there is no account."""
    account = account_of(meter)
    item, back = di >> 8 & 0xFF, di & 0xFF
    if account is None or not 1 <= back <= PURCHASES_KEPT or not (1 <= item <= PURCHASE_FIELDS or item == WHOLE):
        return None
    if back > len(account.times):
        return b"\0" * PURCHASE_BYTES if item == WHOLE else b"\0" * PURCHASE_SIZES[item - 1]
    booked = account.wallet.bookings[back - 1]
    amounts = (booked.credit.amount_fen, booked.before_fen, booked.after_fen, booked.total_fen)
    fields = [
        encode_minute(account.times[back - 1]),
        int_to_bcd(booked.credit.count % 10_000, 2),
        *(int_to_bcd(fen % 10**8, 4) for fen in amounts),
    ]
    return b"".join(fields) if item == WHOLE else fields[item - 1]


def replan(meter: "Meter", at_ms: int) -> None:
    """The contacts moved: the credit runs out at another time."""
    account = meter.notes.account
    if account is not None:
        account.due_ms = _next_ms(meter, account, at_ms)


def _limit(meter: "Meter", di: int) -> int:
    return bcd_to_int(meter.parameter(di))


def _sound(meter: "Meter", fen: int) -> None:
    limit = _limit(meter, ALARM_1)
    if limit:
        meter.relay.alarm = fen <= limit


def _lend(meter: "Meter", account: Account, fen: int, at_ms: int) -> None:
    """Alarm amount 2: trip once, and let the resident close again with the button."""
    limit = _limit(meter, ALARM_2)
    if limit and fen <= limit and not account.lent and not meter.relay.keep_power:
        account.lent = True
        meter.trip(at_ms)
        meter.allow_close(at_ms)
    elif fen > limit:
        account.lent = False


def _rebase(meter: "Meter", account: Account, at_ms: int) -> None:
    account.balance_nf = balance_nf(meter, account, at_ms)
    account.rates_wh = meter.register.rates_wh(at_ms)


def _next_ms(meter: "Meter", account: Account, at_ms: int) -> int:
    """The first instant within a day at which a threshold is reached, or the end of that day."""
    end_ms = at_ms + HORIZON_MS
    now_nf = balance_nf(meter, account, at_ms)
    limits = (_limit(meter, ALARM_1), _limit(meter, ALARM_2), -_limit(meter, OVERDRAFT))
    left_nf = now_nf - _cost_nf(meter, account, at_ms, end_ms)
    ahead = [fen for fen in limits if left_nf // NF_PER_FEN <= fen < now_nf // NF_PER_FEN]
    if not ahead:
        return end_ms
    low_ms = at_ms
    while end_ms - low_ms > 1:
        middle_ms = (low_ms + end_ms) // 2
        reached = (now_nf - _cost_nf(meter, account, at_ms, middle_ms)) // NF_PER_FEN <= max(ahead)
        low_ms, end_ms = (low_ms, middle_ms) if reached else (middle_ms, end_ms)
    return end_ms


def _cost_nf(meter: "Meter", account: Account, from_ms: int, until_ms: int) -> int:
    """What will flow at its prices if nobody touches anything; the total is asked, since only the past has rates."""
    cost_nf, register = 0, meter.register
    while from_ms < until_ms:
        following = meter.calendar.next_switch_ms(from_ms)
        end_ms = until_ms if following is None else min(following, until_ms)
        price_nf = account.prices_nf[meter.calendar.rate_at(from_ms) - 1]
        cost_nf += (register.steps_wh(end_ms) - register.steps_wh(from_ms)) * price_nf
        from_ms = end_ms
    return cost_nf


def _random(meter: "Meter", account: Account, at_ms: int) -> bytes:
    """Four bytes that differ from one authentication to the next; a run with the same seed draws the same."""
    return sha256(f"{meter.address} {account.asked} {at_ms}".encode()).digest()[:4]
