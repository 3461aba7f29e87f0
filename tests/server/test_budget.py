"""The budget of a bus: shown before it is accepted, and refused when it cannot fit."""

import argparse
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from server.cli import import_
from server.domain.budget import TYPICAL_REPLY_MS, Cycles, Wire, budget_of, request_us, wire_of
from server.domain.estate_document import BusEntry, EstateDocument
from server.errors import Refused
from server.flows.estates import import_estate
from server.store.writer import Writer
from tests.server.books import rows
from tests.server.estates import at, document, household

NO_GAP = Wire(2400, 11, 219, 0)


def test_the_published_figure_of_64_meters_and_6_items():
    """dlt645.md: a 20-byte request, a 20-byte reply and a median delay of 219 ms at 2400 baud: about 155 s."""
    each_us = request_us(NO_GAP, (20, 20))
    assert 64 * 6 * each_us // 1_000_000 == 154


@pytest.mark.parametrize(
    ("baud", "sizes", "ms"),
    [(2400, (20, 24), 221.7), (2400, (20, 40), 295.0), (9600, (20, 24), 70.4), (1200, (20, 22), 405.0)],
)
def test_wire_times_are_those_of_the_published_table(baud, sizes, ms):
    """simulation.md, section 2: Td 20 ms, four FE before request and answer."""
    assert request_us(Wire(baud, 11, 20, 0), sizes) / 1000 == pytest.approx(ms, abs=0.06)


def test_a_budget_counts_each_item_as_often_as_it_is_read():
    energy_only = Cycles(900, 86_400, 86_400, 86_400, daily_freeze=False)
    bare = budget_of("b", NO_GAP, energy_only, [("2007", "gate")])
    full = budget_of("b", NO_GAP, Cycles(), [("2007", "household")])
    assert bare.requests_milli == 1000 + 3 * 1000 * 900 // 86_400
    assert full.requests_milli == 1000 + 1000 + 3000 * 900 // 3600 + 2000 * 900 // 21_600 + 2000 * 900 // 86_400
    assert budget_of("b", NO_GAP, Cycles(), [("1997", "household")]).requests_milli < full.requests_milli
    assert str(budget_of("b", NO_GAP, Cycles(), [("2007", "household")] * 64)) == (
        "64 meters x 2.9 requests need 81 s of a 900 s cycle (8 %)"
    )


def test_nobody_waits_for_a_typical_meter_longer_than_the_bus_allows():
    assert wire_of(9600, "N", 1, 80, 30) == Wire(9600, 10, 80, 30)
    assert wire_of(2400, "E", 1, 1000, 30).reply_ms == TYPICAL_REPLY_MS


def test_a_fast_world_has_less_time():
    real, fast = (budget_of("b", NO_GAP, Cycles(), [("2007", "household")] * 64, factor=f) for f in (1, 60))
    assert (real.fits, fast.fits) == (True, False)


def crowded(meters: int, **changes: object) -> EstateDocument:
    """So many meters on one slow bus."""
    planned = document([household(n + 1, opening_fen=0) for n in range(meters)])
    bus = BusEntry("bus-1", "/dev/ttyUSB0", baud=600)
    return replace(planned, buses=(bus,), estate=replace(planned.estate, **changes))


def test_an_import_refuses_a_bus_that_cannot_read_its_meters(engine: Engine, writer: Writer) -> None:
    with pytest.raises(Refused, match=r"bus bus-1: 301 meters x 2.8 requests need \d+ s of a 900 s cycle"):
        writer.run(lambda unit: import_estate(unit, crowded(300), at()))
    assert rows(engine, "estate") == []
    done = writer.run(lambda unit: import_estate(unit, crowded(300, reading_cycle_s=3600), at()))
    assert [(one.bus_id, one.meters, one.fits) for one in done.budgets] == [("bus-1", 301, True)]


def test_the_command_shows_budgets_without_writing(tmp_path, capsys):
    source = "docs/estate.example.toml"
    arguments = argparse.Namespace(
        path=Path(source), config=None, database=f"sqlite:///{tmp_path / 'x.db'}", dry_run=True, lang="both"
    )
    assert import_.run(arguments) == 0
    said = capsys.readouterr().out
    assert "requests need" in said
    assert "nothing was written" in said
    assert "没有写入任何内容" in said
    assert not (tmp_path / "x.db").exists()
