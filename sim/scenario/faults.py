"""Faults as a scenario writes them: beside a household, as [[fault]] tables, and as rates in [faults] or [events].

The short form stands in the household's own table. A [[fault]] names its place: household, meter, gate or bus. Rates
are per 1000 households (or main meters, or buses, for what sits there) and 30 days, for kinds that need nobody else.
"""

from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

import numpy as np

from sim.estate import FaultConfig
from sim.faults.fault import BUS, GATE, HOUSEHOLD, Key
from sim.faults.registry import KINDS
from sim.scenario.columns import Households
from sim.scenario.section import Section
from sim.timing.spans import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

METER = "meter"
NONE = "none"
PER_MILLE = 1000
UNITS_MS = {"s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}
YEAR_MAX = 2099
OFFSET_DAYS_MAX = 36_525
"""A hundred years: what is later is beyond every run and every meter's clock."""
OFFSET_DIGITS_MAX = 12
OLD_KEYS = ("drop_wh", "tap_power_w")
"""Keys of the short form that any kind may carry along."""
Sizes = tuple[tuple[str, object], ...]


def read_sizes(section: Section, kind: str) -> Sizes:
    """The keys of a kind that the table gives, checked."""
    return tuple((key.name, _value(section, key)) for key in KINDS[kind].keys if section.has(key.name))


def read_beside(section: Section, zone: ZoneInfo, household_id: str) -> FaultConfig | None:
    """A household's own fault: its name with `at` beside it, or a table of kind, at, until and sizes."""
    value = section.raw("fault", NONE)
    inner = section.inner("fault") if isinstance(value, dict) else section
    names = [NONE, *(name for name, kind in KINDS.items() if HOUSEHOLD in kind.where)]
    kind_key = "fault" if inner is section else "kind"
    kind = inner.choice(kind_key, names, NONE)
    if inner is section:
        for key in OLD_KEYS:
            section.raw(key)
    config = None if kind == NONE else _timed(inner, zone, kind, HOUSEHOLD, household_id, kind_key)
    if kind == NONE:
        world_ms(inner, "at", zone)
        world_ms(inner, "until", zone)
    if inner is not section:
        inner.finish()
    return config


def read_faults(
    sections: Sequence[Section], zone: ZoneInfo, households: Households, gate_ids: Sequence[str], bus_ids: Sequence[str]
) -> tuple[FaultConfig, ...]:
    """All [[fault]] tables; each names one place that there is."""
    return tuple(_fault(section, zone, households, {GATE: gate_ids, BUS: bus_ids}) for section in sections)


def read_rates(section: Section, key: str) -> tuple[tuple[str, int], ...]:
    """Rates by kind, those that are not zero."""
    inner = section.inner(key)
    alone = [name for name, kind in KINDS.items() if not any(size.name == "with" for size in kind.keys)]
    rates = tuple((name, inner.whole(name, 0, PER_MILLE, 0)) for name in alone)
    inner.finish()
    return tuple((name, rate) for name, rate in rates if rate)


def world_ms(section: Section, key: str, zone: ZoneInfo) -> int | None:
    """World epoch milliseconds of a moment; without an offset it is in the estate's zone."""
    if not section.has(key):
        section.raw(key)
        return None
    moment = section.moment(key)
    if moment.year > YEAR_MAX:
        raise section.wrong(key, f"a moment until the year {YEAR_MAX}, the last one that a meter's clock can tell")
    return int((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()) * 1000


def _fault(
    section: Section, zone: ZoneInfo, households: Households, others: Mapping[str, Sequence[str]]
) -> FaultConfig:
    kind = section.choice("kind", list(KINDS))
    places = [key for key in (HOUSEHOLD, METER, GATE, BUS) if section.has(key)]
    if len(places) != 1:
        raise section.wrong(HOUSEHOLD, "one of household, meter, gate and bus, and only one")
    where, name = places[0], section.text(places[0])
    if where == METER:
        where, name = HOUSEHOLD, _behind(section, households)
    elif where == HOUSEHOLD and households.ids.find(name) is None:
        raise section.wrong(HOUSEHOLD, "a household of this scenario")
    elif where in others and name not in others[where]:
        raise section.wrong(where, f"a {where} of this scenario")
    if where not in KINDS[kind].where:
        raise section.wrong("kind", f"for a {where}: {', '.join(n for n, k in KINDS.items() if where in k.where)}")
    config = _timed(section, zone, kind, where, name)
    section.finish()
    return config


def _behind(section: Section, households: Households) -> str:
    """The household of a meter's address."""
    found = np.flatnonzero(households.rows["address"] == int(section.digits(METER, 12)))
    if not len(found):
        raise section.wrong(METER, "the address of a household's meter")
    return households.ids[int(found[0])]


def _timed(section: Section, zone: ZoneInfo, kind: str, where: str, name: str, kind_key: str = "kind") -> FaultConfig:
    found = [_from_start_ms(section, key) for key in ("at", "until")]
    from_start = found != [None, None]
    if from_start and any(ms is None and section.has(key) for key, ms in zip(("at", "until"), found, strict=True)):
        raise section.wrong("until", "counted from the start like at, or a date like at")
    at_ms, until_ms = found if from_start else (world_ms(section, key, zone) for key in ("at", "until"))
    if until_ms is not None and until_ms <= (at_ms or 0):
        raise section.wrong("until", "a time after at")
    for key in KINDS[kind].keys:
        section.raw(key.name)
    sizes, stands = read_sizes(section, kind), section.place(kind_key)
    sizes_stand = tuple((size, section.place(size)) for size, _value in sizes)
    return FaultConfig(kind, at_ms or 0, until_ms, where, name, sizes, from_start, stands, sizes_stand)


def _from_start_ms(section: Section, key: str) -> int | None:
    """Milliseconds after the world's start, written as "+36h"; None for anything else."""
    value = section.raw(key)
    if not isinstance(value, str) or not value.startswith("+"):
        return None
    number, unit = value[1:-1], UNITS_MS.get(value[-1:])
    if unit is None or not number.isdecimal():
        raise section.wrong(key, "a moment, or a time after the start such as +90m, +36h or +3d")
    if len(number) > OFFSET_DIGITS_MAX or int(number) * unit > OFFSET_DAYS_MAX * DAY_MS:
        raise section.wrong(key, f"a time after the start of at most {OFFSET_DAYS_MAX} days")
    return int(number) * unit


def _value(section: Section, key: Key) -> object:
    if isinstance(key.default, bool):
        return section.flag(key.name, key.default)
    if isinstance(key.default, int):
        value = section.whole(key.name, key.low, key.high)
        if value % key.multiple:
            raise section.wrong(key.name, f"a multiple of {key.multiple}, the step of the register")
        return value
    if isinstance(key.default, tuple):
        return section.wholes(key.name, key.low, key.high)
    return section.text(key.name)
