"""The plan of the demo: two hundred households on lines that can read them all within the reading cycle."""

import logging
from collections import Counter

from server.cli import demo
from server.cli.demo.estate import BAUD, FACTOR, gates, households
from server.cli.demo.files import write_head_end
from server.domain.budget import Cycles, Wire, budget_of
from server.intake.estate_file import read_estate
from tests.server.estates import START_S

METERS_MAX = 29  # energy and status take 0.14 s a meter at 9600 baud; a cycle lasts 15 s of machine time
REPLY_MS = 20  # what the simulated meters take, and what the page of the buses measures


def test_no_bus_has_more_meters_than_its_cycle_holds():
    plan = households()
    on_bus = Counter(item.bus for item in (*plan, *gates()))
    assert len(plan) == 200
    assert max(on_bus.values()) <= METERS_MAX
    assert len({home.meter for home in plan}) == 200


def test_every_bus_has_room_in_its_cycle(tmp_path):
    write_head_end(tmp_path, tmp_path, households())
    site = read_estate(tmp_path, START_S).estate
    spans = (site.reading_cycle_s, site.status_cycle_s, site.variables_cycle_s, site.clock_cycle_s)
    cycles = Cycles(*spans, bool(site.daily_freeze))
    on_bus = Counter(item.bus for item in households())
    for bus, count in on_bus.items():
        budget = budget_of(bus, Wire(BAUD, 11, REPLY_MS, 30), cycles, [("2007", "household")] * count, factor=FACTOR)
        assert not budget.tight, budget


def test_making_the_database_goes_into_a_file_so_that_the_greeting_comes_first(tmp_path, caplog):
    made, before = logging.getLogger("alembic.runtime.migration"), list(logging.getLogger("alembic").handlers)
    with caplog.at_level(logging.INFO):
        with demo._upgrade_logged(tmp_path):
            made.info("Running upgrade")
        made.info("afterwards")
    assert [record.getMessage() for record in caplog.records] == ["afterwards"]
    assert "Running upgrade" in (tmp_path / demo.UPGRADE_LOG).read_text("utf-8")
    assert logging.getLogger("alembic").handlers == before
