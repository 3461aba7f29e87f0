"""The truth as a file that an auditor can judge by: tariff, energy of every meter over time, relays, labels.

JSON objects, one a line. The energy that a meter counted is a chain of points (milliseconds since the start, mW x ms)
between which it grows evenly: quarter-hours, and instants at which contacts, taps, habits or laws changed; points that
lie on the line of their neighbours are left out. What is shown lags behind by spans. Nothing here is computed for the
auditor: it gets what happened and does its own arithmetic.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sim.kinds import protocol_and_model
from sim.loads.load import MWMS_PER_WH, SLOT_MS
from sim.meters import Meter
from sim.rates import PriceVersion, SeasonTerms
from sim.truth import hidden_mwms
from sim.world import World

FORMAT = 2
Point = tuple[int, int]


def export_lines(world: World, meters: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """The estate, its meters (all, or those named) and the labels."""
    at_ms = world.now_ms
    yield _estate(world, at_ms)
    for household in world.households.values():
        if not meters or household.meter.config.address in meters:
            supply = household.supply
            events = [event for event in household.meter.relay.events if event.at_ms <= at_ms]
            switchings = [segment for segment in supply.switchings() if segment.at_ms <= at_ms]
            yield _meter(world, household.meter, at_ms) | {
                "household": household.household_id,
                "tier_used_wh": household.config.tier_used_wh,
                "relay": [[_since(world, event.at_ms), event.to, event.cause] for event in events],
                "contacts": [[_since(world, s.at_ms), "closed" if s.on else "open"] for s in switchings],
                "drawn_wh": supply.energy(at_ms) // MWMS_PER_WH,
                "hidden_wh": hidden_mwms(household, at_ms) // MWMS_PER_WH,
                "unmetered_wh": household.taps.energy(at_ms) // MWMS_PER_WH,
            }
    for gate in world.gates.values():
        if not meters or gate.meter.config.address in meters:
            members = [f"{world.fleet.address[index]:012d}" for index in gate.config.households.indices.tolist()]
            yield _meter(world, gate.meter, at_ms) | {"gate": gate.config.gate_id, "members": members}
    for active in list(world.faults.faults):
        if active.from_ms <= at_ms:
            yield {"what": "label"} | world.faults.label(active, at_ms)


def _estate(world: World, at_ms: int) -> dict[str, Any]:
    return {
        "what": "estate",
        "format": FORMAT,
        "estate": world.scenario.estate_id,
        "seed": world.seed,
        "from_s": world.origin_ms / 1000,
        "until_s": at_ms / 1000,
        "time_zone": world.calendar.zone.key,
        "holidays": [list(span) for span in world.scenario.holidays.spans],  # days since 1970, both ends included
        "versions": [_version(version) for version in world.calendar.versions],
    }


def _version(version: PriceVersion) -> dict[str, Any]:
    """Prices and steps as exact fractions of nanofen per Wh."""
    return {
        "valid_from_s": version.valid_from_ms / 1000,
        "kind": version.kind,
        "tier_period": version.tier_period,
        "tier_start": list(version.tier_start),
        "seasons": [_season(season) for season in version.seasons],
    }


def _season(season: SeasonTerms) -> dict[str, Any]:
    days = (season.windows.workday, season.windows.weekend, season.windows.holiday)
    return {
        "months": list(season.months),
        "limits_wh": list(season.limits_wh),
        "prices_nf_per_wh": [str(price) for price in season.prices],
        "steps_nf_per_wh": [str(step) for step in season.steps],
        "windows": [[[window.start_minute, window.end_minute, window.rate] for window in day] for day in days],
    }


def _meter(world: World, meter: Meter, at_ms: int) -> dict[str, Any]:
    register = meter.register
    return {
        "what": "meter",
        "meter": meter.config.address,
        "bus": meter.config.bus_id,
        "protocol": protocol_and_model(meter.kind)[0],
        "start_wh": register.start_wh,
        "energy": [[_since(world, t), e] for t, e in energy_points(world, meter, at_ms)],
        "lags_wh": [[_since(world, span.from_ms), span.offset_wh] for span in register.shown if span.from_ms <= at_ms],
    }


def energy_points(world: World, meter: Meter, until_ms: int) -> list[Point]:
    """Instants and the energy counted up to them, without those that lie on the way between two others."""
    source, origin_ms = meter.register.source, world.origin_ms
    slots = range(origin_ms // SLOT_MS * SLOT_MS + SLOT_MS, until_ms, SLOT_MS)
    edges = {at_ms for at_ms in meter.edges_ms() if origin_ms < at_ms < until_ms}
    points: list[Point] = []
    for at_ms in sorted({origin_ms, *slots, *edges, until_ms}):
        point = (at_ms, source.energy(at_ms))
        if len(points) > 1 and _on_the_way(points[-2], points[-1], point):
            points.pop()
        points.append(point)
    return points


def _on_the_way(first: Point, middle: Point, last: Point) -> bool:
    return (middle[1] - first[1]) * (last[0] - first[0]) == (last[1] - first[1]) * (middle[0] - first[0])


def _since(world: World, at_ms: int) -> int:
    return at_ms - world.origin_ms
