"""A scenario file (TOML) read into an estate, or refused with file, line, key and allowed values.

One table [estate], one [tariff], and arrays [[bus]], [[household]], [[gate]] and [[generate]]. Every key that is not
known is an error. Civil times without an offset are in the estate's time zone.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from sim.errors import ScenarioError
from sim.estate import (
    BUTTONS,
    CLOCKS,
    LOADS,
    PROMPT_DELAY_S,
    SLOW_DELAY_S,
    BusConfig,
    GateConfig,
    HouseholdConfig,
    Resident,
    Scenario,
)
from sim.loads.profiles import read_profiles
from sim.scenario.bus import read_bus
from sim.scenario.columns import HouseholdRows, Ids, Members
from sim.scenario.estate import read_climate, read_events, read_gate_traits
from sim.scenario.faults import read_beside, read_faults
from sim.scenario.generator import Generator, read_generator
from sim.scenario.holidays import read_holidays
from sim.scenario.meter import read_meter
from sim.scenario.origins import Origins
from sim.scenario.places import Places
from sim.scenario.section import Section
from sim.scenario.tariff import read_calendar
from sim.scenario.unique import check_meters, refuse_same_ids
from sim.timing.spans import YEAR_S_MAX

TEN_YEARS_S = 10 * YEAR_S_MAX


def load_scenario(path: Path, seed: int = 1) -> Scenario:
    """Read a scenario file, `seed` draws what is generated; ScenarioError when it is unreadable or impossible."""
    try:
        text = path.read_text("utf-8")
        table = tomllib.loads(text)
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: not TOML: {error}") from error
    return scenario_from_dict(table, str(path), seed=seed, places=Places(text))


def scenario_from_dict(
    table: Mapping[str, Any], path: str = "scenario", *, seed: int = 1, places: Places | None = None
) -> Scenario:
    """Read a scenario that is already parsed; `path` names it in messages, `seed` draws what is generated."""
    top = Section(path, "the file", table, places)
    estate = top.section("estate")
    zone = _zone(estate)
    profiles = read_profiles(top.section("replay"), Path(path).parent)
    replayable = len(profiles) if top.has("replay") else 0
    generate = top.sections("generate")
    generators = [read_generator(section, replayable) for section in generate]
    buses = _buses(top, generators, generate)
    bus_ids = [bus.bus_id for bus in buses]
    rows, lived_in, fed = HouseholdRows(bus_ids), Origins(), Origins()
    for section in top.sections("household"):
        rows.add(_household(section, zone, buses, replayable))
        lived_in.add(section)
    for section, generator in zip(generate, generators, strict=True):
        generator.add_households(rows, seed)
        lived_in.add(section, generator.buildings * generator.households_per_building)
    households = rows.finish()
    refuse_same_ids("household", households.ids, lived_in)
    gates = _gates(top, generators, generate, households.ids, buses, fed)
    check_meters(bus_ids, households, gates, Origins(lived_in, fed))
    holidays = read_holidays(estate)
    scenario = Scenario(
        estate_id=estate.name("id"),
        name=estate.name("name", estate.name("id")),
        calendar=read_calendar(top.section("tariff"), zone, holidays),
        buses=buses,
        households=households,
        gates=gates,
        profiles=profiles,
        events=read_events(top.section("events"), top.section("faults")),
        climate=read_climate(top.section("weather")),
        holidays=holidays,
        faults=read_faults(top.sections("fault"), zone, households, [gate.gate_id for gate in gates], bus_ids),
    )
    estate.finish()
    top.finish()
    return scenario


def _zone(estate: Section) -> ZoneInfo:
    try:
        return ZoneInfo(estate.text("time_zone", "Asia/Shanghai"))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise estate.wrong("time_zone", "an IANA name such as Asia/Shanghai") from error


def _buses(top: Section, generators: Sequence[Generator], generate: Sequence[Section]) -> tuple[BusConfig, ...]:
    """All buses, those written down first."""
    origins, buses = Origins(), []
    for section in top.sections("bus"):
        buses.append(read_bus(section))
        origins.add(section)
    for section, generator in zip(generate, generators, strict=True):
        made = list(generator.buses())
        buses += made
        origins.add(section, len(made))
    if not buses:
        raise top.wrong("bus", "at least one table [[bus]] or [[generate]]")
    refuse_same_ids("bus", [bus.bus_id for bus in buses], origins)
    return tuple(buses)


def _gates(
    top: Section,
    generators: Sequence[Generator],
    generate: Sequence[Section],
    ids: Ids,
    buses: Sequence[BusConfig],
    origins: Origins,
) -> tuple[GateConfig, ...]:
    """All main meters, those written down first; `origins` gets where they come from."""
    gates = []
    for section in top.sections("gate"):
        gates.append(_gate(section, ids, buses))
        origins.add(section)
    for section, generator in zip(generate, generators, strict=True):
        made = list(generator.gates(ids))
        gates += made
        origins.add(section, len(made))
    refuse_same_ids("gate", [gate.gate_id for gate in gates], origins)
    return tuple(gates)


def _household(section: Section, zone: ZoneInfo, buses: Sequence[BusConfig], profiles: int) -> HouseholdConfig:
    load = section.choice("load", LOADS, "family")
    mean_power_w = section.whole("mean_power_w", 1, 20_000) if section.has("mean_power_w") else None
    if load == "constant" and mean_power_w is None:
        raise section.wrong("mean_power_w", 'needed with load = "constant"; a whole number from 1 to 20000')
    if load == "replay" and not profiles:
        raise section.wrong("load", "replay only with a table [replay] that names a file")
    household = HouseholdConfig(
        household_id=section.name("id"),
        meter=read_meter(section, buses),
        load=load,
        mean_power_w=mean_power_w,
        tier_used_wh=section.whole("tier_used_wh", 0, 2**53, 0),
        solar_w=section.whole("solar_w", 0, 100_000, 0),
        profile=section.whole("profile", 0, max(profiles - 1, 0), 0),
        resident=_resident(section),
        fault=read_beside(section, zone, section.name("id")),
    )
    section.finish()
    return household


def _resident(section: Section) -> Resident:
    if not section.has("resident"):
        section.raw("resident")
        return Resident()
    inner = section.inner("resident")
    button = inner.choice("button", BUTTONS, "prompt")
    default = SLOW_DELAY_S if button == "slow" else PROMPT_DELAY_S
    delay_s = inner.span("button_delay_s", 0, TEN_YEARS_S, default)
    resident = Resident(button, delay_s, inner.choice("clock", CLOCKS, "world"))
    inner.finish()
    return resident


def _gate(section: Section, ids: Ids, buses: Sequence[BusConfig]) -> GateConfig:
    gate = GateConfig(
        gate_id=section.name("id"),
        meter=read_meter(section, buses),
        feeds=section.name("feeds", section.raw("id")),
        households=_members(section, ids),
        **read_gate_traits(section),
    )
    section.finish()
    return gate


def _members(section: Section, ids: Ids) -> Members:
    """The households behind a main meter, by name or by the beginning of their names."""
    chosen, prefix = section.raw("households"), section.raw("prefix")
    if (chosen is None) == (prefix is None):
        raise section.wrong("households", 'either households = ["1-0101", ...] or prefix = "1-"')
    if prefix is not None:
        found = list(ids.with_prefix(section.text("prefix")))
    else:
        names = chosen if isinstance(chosen, list) and all(isinstance(name, str) for name in chosen) else []
        found = [ids.find(name) for name in names]
    if not found or None in found or len(set(found)) < len(found):
        raise section.wrong(
            "households" if prefix is None else "prefix", "ids of households of this scenario, each once"
        )
    return Members(ids, np.array(found, np.int32))
