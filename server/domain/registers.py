"""What a meter showed at an instant: steps between two sights, what is taken for one in between, rates as text."""

from collections.abc import Sequence
from typing import NamedTuple

from core.reading import ROLL_OVER_TENTHS
from core.units import REGISTER_MODULUS_WH
from server.domain.readings import Rates
from server.domain.tariff_calendar import Terms

NO_RATES: Rates = (0, 0, 0, 0)


class Registers(NamedTuple):
    """What a meter showed at an instant of world time; Wh before the ratio."""

    at: int
    total_wh: int
    rates_wh: Rates | None


def step_wh(before_wh: int, after_wh: int) -> int:
    """Forward step of one register, through its modulus if need be."""
    return (after_wh - before_wh) % REGISTER_MODULUS_WH


def may_release(accepted_wh: int, held_wh: int) -> bool:
    """Whether a held register may be taken for the honest one: forward, or through the end of the register (R18)."""
    return held_wh >= accepted_wh or accepted_wh * 10 >= REGISTER_MODULUS_WH * ROLL_OVER_TENTHS


def split_by_time(start: Registers, end: Registers, at: int) -> Registers:
    """Registers at `at`, as if the energy between two readings had flowed evenly; whole Wh, rounded down."""
    past_s, span_s = at - start.at, end.at - start.at

    def cut(before_wh: int, after_wh: int) -> int:
        return (before_wh + step_wh(before_wh, after_wh) * past_s // span_s) % REGISTER_MODULUS_WH

    rates = None
    if start.rates_wh is not None and end.rates_wh is not None:
        sharp, peak, flat, valley = map(cut, start.rates_wh, end.rates_wh)
        rates = (sharp, peak, flat, valley)
    return Registers(at, cut(start.total_wh, end.total_wh), rates)


def boundary_registers(terms: Terms, start: Registers, end: Registers, read: Registers | None) -> Registers:
    """Registers at the end of `terms` between two readings, of which `read` was read just there, or nothing.

    A total that was read there stands; when rates are priced and were not read there, each has gone the same part of
    its way as the total.
    """
    if terms.end_s is None:
        raise ValueError("terms without an end have no boundary")
    if read is None:
        return split_by_time(start, end, terms.end_s)
    if not terms.by_rates or read.rates_wh is not None or start.rates_wh is None or end.rates_wh is None:
        return read
    past_wh, whole_wh = step_wh(start.total_wh, read.total_wh), step_wh(start.total_wh, end.total_wh)
    if past_wh > whole_wh:
        return read  # no forward step; it is held
    sharp, peak, flat, valley = (
        (was + step_wh(was, now) * past_wh // max(1, whole_wh)) % REGISTER_MODULUS_WH
        for was, now in zip(start.rates_wh, end.rates_wh, strict=True)
    )
    return read._replace(rates_wh=(sharp, peak, flat, valley))


def all_rates(values: Sequence[int | None]) -> Rates | None:
    """Four registers, or None when any is absent."""
    sharp, peak, flat, valley = values
    if sharp is None or peak is None or flat is None or valley is None:
        return None
    return sharp, peak, flat, valley


def rates_text(rates_wh: Rates | None) -> str | None:
    """Rate registers as a line keeps them: "1,2,3,4"."""
    return None if rates_wh is None else ",".join(map(str, rates_wh))


def rates_from(text: str | None) -> Rates | None:
    """Rate registers from that text."""
    if text is None:
        return None
    sharp, peak, flat, valley = map(int, text.split(","))
    return sharp, peak, flat, valley
