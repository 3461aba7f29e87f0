"""The slow and obvious twin of the compiled code, in yuan and kWh as a person would reckon.

Imports nothing of ours: integers, fractions and the definitions only. Checks run bit by bit; a step is
charged by walking through the tiers one after the other with exact fractions of a yuan. Nobody may use it
for anything but judging the real code.
"""

from dataclasses import dataclass
from fractions import Fraction

NF_PER_YUAN = 10**11
WH_PER_KWH = 1000
ENERGY_MAX_WH = 2**31 - 1
PERIOD_MAX_WH = 2**53
MONEY_MAX_NF = 2**62
LEVEL, KEEP_POWER = 3, 4
NONE, ALARM1, ALARM2, TRIP, CLOSE_ALLOWED, BACKWARDS, JUMP, RANGE = range(8)


def sum_modulo_256(data):
    """DL/T 645 check: all bytes added, carry dropped."""
    return sum(data) % 256


def crc16_bitwise(data, polynomial, register, final_xor):
    """A reflected CRC-16 by its definition; polynomial in normal (not reversed) notation."""
    reversed_polynomial = int(f"{polynomial:016b}"[::-1], 2)
    for byte in data:
        for bit in range(8):
            carry = (register ^ (byte >> bit)) & 1
            register >>= 1
            if carry:
                register ^= reversed_polynomial
    return register ^ final_xor


@dataclass(frozen=True)
class Tariff:
    """Prices in yuan/kWh: one a rate for tier 1; surcharges[k] is what tier k + 2 costs on top of tier 1."""

    rate_prices: tuple
    limits_kwh: tuple
    surcharges: tuple
    close_allowed_yuan: Fraction = Fraction(0)

    @staticmethod
    def of(prices_nf_per_wh, steps_nf_per_wh, limits_wh, close_allowed_nf=0):
        """The same tariff from the integers that the product uses."""
        surcharges = [sum(steps_nf_per_wh[: k + 1]) for k in range(len(steps_nf_per_wh))]
        return Tariff(
            tuple(Fraction(p, 10**8) for p in prices_nf_per_wh),
            tuple(Fraction(limit, WH_PER_KWH) for limit in limits_wh),
            tuple(Fraction(s, 10**8) for s in surcharges),
            Fraction(close_allowed_nf, NF_PER_YUAN),
        )


@dataclass(frozen=True)
class Account:
    """What a meter's account holds; energy of the tier period in kWh, money in yuan, level 0..3."""

    period_kwh: Fraction
    balance_yuan: Fraction
    alarm1_yuan: Fraction
    alarm2_yuan: Fraction
    overdraft_yuan: Fraction
    level: int = 0
    keep_power: bool = False


def register_step(prev_wh, new_wh, modulus_wh, longest_wh):
    """(step, anomaly): how far a register moved forward, or why that cannot be believed."""
    forward = new_wh - prev_wh if new_wh >= prev_wh else new_wh + modulus_wh - prev_wh
    if forward <= longest_wh:
        return forward, None
    return None, "back" if new_wh < prev_wh else "jump"


def charge_yuan(tariff, steps_kwh, ratio, period_kwh):
    """Charge of one step: rates at tier-1 prices, then tier by tier what lies in it costs more."""
    charge = sum(step * ratio * price for step, price in zip(steps_kwh, tariff.rate_prices, strict=False))
    begin, end = period_kwh, period_kwh + sum(steps_kwh) * ratio
    for k, surcharge in enumerate(tariff.surcharges):
        bottom = tariff.limits_kwh[k]
        top = tariff.limits_kwh[k + 1] if k + 1 < len(tariff.limits_kwh) else None
        inside_end = end if top is None else min(end, top)
        inside = inside_end - max(begin, bottom)
        if inside > 0:
            charge += inside * surcharge
    return charge


def level_and_event(account, balance_yuan, close_allowed_yuan):
    """The warning level that a balance gives, and the edge against the stored level."""
    level = 0
    if balance_yuan < account.alarm1_yuan:
        level = 1
    if balance_yuan < account.alarm2_yuan:
        level = 2
    if balance_yuan <= -account.overdraft_yuan:
        level = 3
    if account.level == 3 and not balance_yuan > close_allowed_yuan:
        level = 3
    if account.keep_power:
        level = min(level, 2)
    if account.level == 3 and level < 3:
        return level, CLOSE_ALLOWED
    return level, (level if level > account.level else NONE)


def deduct_one(tariff, account, prev_wh, new_wh, ratio, modulus_wh, longest_wh):
    """(charge yuan, account after, event) of one meter; an anomaly changes nothing."""
    steps = [register_step(p, n, modulus_wh, longest_wh) for p, n in zip(prev_wh, new_wh, strict=True)]
    anomalies = [anomaly for _, anomaly in steps if anomaly]
    if anomalies:
        return Fraction(0), account, BACKWARDS if "back" in anomalies else JUMP
    energy_wh = sum(step for step, _ in steps) * ratio
    too_large = energy_wh > ENERGY_MAX_WH or abs(account.balance_yuan) * NF_PER_YUAN > MONEY_MAX_NF
    if too_large or not 0 <= account.period_kwh * WH_PER_KWH <= PERIOD_MAX_WH:
        return Fraction(0), account, RANGE
    charge = charge_yuan(tariff, [Fraction(step, WH_PER_KWH) for step, _ in steps], ratio, account.period_kwh)
    balance = account.balance_yuan - charge
    level, event = level_and_event(account, balance, tariff.close_allowed_yuan)
    after = Account(
        account.period_kwh + Fraction(energy_wh, WH_PER_KWH),
        balance,
        account.alarm1_yuan,
        account.alarm2_yuan,
        account.overdraft_yuan,
        level,
        account.keep_power,
    )
    return charge, after, event


def half_up_fen(charge_yuan_so_far):
    """The bill of a settlement period in fen: half a fen goes up."""
    return (charge_yuan_so_far * 100 + Fraction(1, 2)).__floor__()


@dataclass(frozen=True)
class SeasonTerms:
    """What some months of a tariff say: prices of the registers, limits and surcharges as in `Tariff`."""

    months: frozenset
    tariff: Tariff


def charge_year_yuan(seasons, restarts, hours):
    """Charge of hourly energies, hour by hour: the month chooses prices, the counter of tiers restarts on given days.

    restarts(day) says whether the counter begins anew at this day's midnight; hours are (local datetime, kWh of each
    register) in the order of time.
    """
    charge, counter, last = Fraction(0), Fraction(0), None
    for moment, kwh in hours:
        if moment.date() != last:
            last = moment.date()
            if restarts(last):
                counter = Fraction(0)
        (season,) = [one for one in seasons if moment.month in one.months]
        charge += charge_yuan(season.tariff, kwh, 1, counter)
        counter += sum(kwh)
    return charge


def window_of(windows, minute):
    """The name of the window that holds a minute: (from, to, name), which may run over midnight."""
    names = [
        name
        for begin, end, name in windows
        if (begin <= minute < end) or (end <= begin and (minute >= begin or minute < end))
    ]
    (name,) = names
    return name
