"""How much of a whole billing tick is the kernel: an estate on SQLite, read, charged and committed as in service."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

from core import deduct
from core.tariff import tariff_from_dict
from server.clock import Now
from server.domain.estate_document import (
    BuildingEntry,
    BusEntry,
    EstateDocument,
    EstateEntry,
    HouseholdEntry,
    RoomEntry,
)
from server.domain.readings import MeterReading
from server.flows.billing import charge_due
from server.flows.estates import import_estate
from server.flows.readings import record
from server.store.engine import open_engine, upgrade
from server.store.writer import Writer

ESTATE = "bench"
START_S = 1_791_853_500
HOUR_S = 3_600
STEP_WH = 850
METERS_PER_BUS = 64
TARIFF = {
    "id": "single",
    "name": "two tiers a month",
    "versions": [
        {
            "valid_from": "2021-01-01",
            "price": "0.58886875",
            "tier_steps": ["0.05", "0.25"],
            "tier_limits_wh": [200_000, 400_000],
            "tier_period": "month",
        }
    ],
}


def estate_document(meters: int) -> EstateDocument:
    """An estate of so many households on one tariff."""
    numbers = range(1, meters + 1)
    buses = [f"bus-{n}" for n in range(1, -(-meters // METERS_PER_BUS) + 1)]
    return EstateDocument(
        estate=EstateEntry(ESTATE, "Bench Garden", "Asia/Shanghai"),
        tariffs=(tariff_from_dict(TARIFF),),
        buses=tuple(BusEntry(bus_id, f"/dev/tty.{bus_id}") for bus_id in buses),
        buildings=(BuildingEntry("1", "Building 1"),),
        rooms=tuple(RoomEntry(f"1-{n:05d}", "1", 1, f"{n:05d}") for n in numbers),
        households=tuple(
            HouseholdEntry(
                account_id=f"H{n:05d}", room_id=f"1-{n:05d}", holder="", phone="", tariff_id="single",
                meter_id=f"{n:012d}", bus_id=buses[(n - 1) // METERS_PER_BUS], start_wh=0, opening_fen=50_000,
            )
            for n in numbers
        ),
        gates=(),
    )  # fmt: skip


def tick_seconds(meters: int, ticks: int) -> list[tuple[float, float]]:
    """(whole tick, kernel within it) for each of some ticks over all meters."""
    spent = [0.0]

    def timed(*arguments: Any, **options: Any) -> None:
        start = perf_counter()
        deduct(*arguments, **options)
        spent[0] += perf_counter() - start

    with tempfile.TemporaryDirectory(prefix="e645bench") as folder:
        engine = open_engine(f"sqlite:///{Path(folder) / 'bench.db'}")
        upgrade(engine)
        writer = Writer(engine)
        try:
            writer.run(lambda unit: import_estate(unit, estate_document(meters), Now(START_S, START_S * 1_000)))
            with patch("server.domain.billing.deduct", timed), patch("server.domain.plain_charges.deduct", timed):
                return [_tick(writer, meters, number, spent) for number in range(1, ticks + 1)]
        finally:
            writer.stop()
            engine.dispose()


def _tick(writer: Writer, meters: int, number: int, spent: list[float]) -> tuple[float, float]:
    at = START_S + number * HOUR_S
    now = Now(at, at * 1_000)
    readings = [MeterReading(f"{n:012d}", at, at * 1_000, number * STEP_WH, None) for n in range(1, meters + 1)]
    writer.run(lambda unit: record(unit, ESTATE, readings, now))
    spent[0], start = 0.0, perf_counter()
    charge: Callable[[Any], Any] = lambda unit: charge_due(unit, ESTATE, now)  # noqa: E731
    charged = 0
    while charged < meters and (batch := writer.run(charge).meters):
        charged += batch
    if charged != meters:
        raise RuntimeError(f"a tick charged {charged} of {meters} meters")
    return perf_counter() - start, spent[0]
