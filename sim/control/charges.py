"""Routes of the control API that say what a head-end should have charged.

GET  /truth/charge?meter=&from_wh=&to_wh=  what the way between two registers costs, and when they were shown
POST /truth/charges {"cursors": [...]}     what a head-end at these cursors should have charged

A cursor is {"meter": ADDRESS, "register_wh": N}, and "at_s" and "rates_wh" if the caller likes.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from core.units import REGISTER_MODULUS_WH
from sim.scenario.section import Section
from sim.truth import charge_between_nf, decimal_text, judge_cursor, locate

if TYPE_CHECKING:
    from sim.control.api import Control

CURSORS_MAX = 10_000
RATES = 4


def charge(control: "Control", query: dict[str, str], _body: Any) -> Iterator[Any]:
    """GET /truth/charge; from_wh defaults to the start register, to_wh to what the meter shows."""
    world = control.world
    household = world.household(query.get("meter", ""))
    register, now_ms = household.meter.register, world.now_ms
    ends = {"from_wh": register.start_wh, "to_wh": register.shown_wh(now_ms)[0]}
    numbers = {key: int(value) if value.isdecimal() else value for key, value in query.items()}
    section = Section("/truth/charge", "query", numbers)
    located = {}
    for key, default in ends.items():
        found = locate(register, section.whole(key, 0, REGISTER_MODULUS_WH - 1, default), now_ms, now_ms)
        if found is None:
            raise section.wrong(key, "a register that the meter has shown")
        located[key] = found
    low, high = located["from_wh"], located["to_wh"]
    cost = charge_between_nf(household, world.calendar, low[0], high[0], now_ms)
    yield {
        "meter": household.meter.address,
        "charge_nf": decimal_text(cost),
        "from_window": _seconds(low),
        "to_window": _seconds(high),
    }


def charges(control: "Control", _query: dict[str, str], body: Any) -> Iterator[Any]:
    """POST /truth/charges: the verdict on many cursors."""
    section = Section("/truth/charges", "body", body)
    cursors = section.raw("cursors")
    if not isinstance(cursors, list) or len(cursors) > CURSORS_MAX:
        raise section.refuse("cursors", f'the body must be {{"cursors": [...]}} with at most {CURSORS_MAX} of them')
    world, verdicts = control.world, []
    now_ms = world.now_ms
    for cursor in section.sections("cursors"):
        household = world.household(cursor.text("meter"))
        verdicts.append(judge_cursor(household, world.calendar, _checked(cursor), now_ms))
        yield verdicts
    yield verdicts


def _checked(cursor: Section) -> dict[str, Any]:
    """The fields of a cursor, each with an error that names it; fields of the caller's own are passed over."""
    at_s = cursor.raw("at_s")
    if at_s is not None and (isinstance(at_s, bool) or not isinstance(at_s, int | float) or not math.isfinite(at_s)):
        raise cursor.wrong("at_s", "world epoch seconds, or nothing for now")
    rates_wh = None if cursor.raw("rates_wh") is None else cursor.wholes("rates_wh", 0, REGISTER_MODULUS_WH - 1)
    if rates_wh and len(rates_wh) != RATES:
        raise cursor.wrong("rates_wh", f"{RATES} registers, or nothing")
    return {
        "register_wh": cursor.whole("register_wh", 0, REGISTER_MODULUS_WH - 1),
        "at_s": at_s,
        "rates_wh": rates_wh,
    }


def _seconds(located: tuple[int, int, int | None]) -> list[float | None]:
    _, entered_ms, left_ms = located
    return [entered_ms / 1000, None if left_ms is None else left_ms / 1000]
