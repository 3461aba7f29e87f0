"""The server's own clock stands a year ahead or behind: what is held, who is told, and how it goes on by itself.

Meters, bus, collector, flows and jobs are the real ones on one virtual clock; only the head-end's clock is set wrong.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from server.domain.clock_doubt import ahead_s
from server.flows.estates import import_estate
from server.flows.verification import verify
from server.store import schema
from server.store.readings import newest_contact_ms
from tests.server.estates import ESTATE, SIMULATED, START_S, account_id, at, document, household, meter_id
from tests.server.proof.whole import Whole, virtual_collector
from tests.sim import rig

HOMES = 5
YEAR_S = 365 * 86_400
POWER_W = 3000
HALF_HOUR_S = 1800


@pytest.fixture
def estate(sqlite_engine, monkeypatch):
    homes = [household(n + 1, opening_fen=100_000) for n in range(HOMES)]
    plan = document(homes)
    plan = replace(plan, estate=replace(plan.estate, daily_freeze=0, billing_cycle_s=900), gates=())
    simulated = [
        rig.household(home.room_id, home.meter_id, load="constant", mean_power_w=POWER_W, start_register_wh=1_000_000)
        for home in homes
    ]
    scenario = rig.table(simulated, [rig.bus(baud=9600)], tariff={"id": "single"} | SIMULATED)
    start = datetime.fromtimestamp(START_S, UTC)
    whole = Whole(sqlite_engine, scenario, lambda unit: import_estate(unit, plan, at()), start)
    with virtual_collector(monkeypatch, whole):
        yield whole


def run(whole, seconds):
    """Let the jobs run each half minute while the buses are polled."""
    for _ in range(seconds // 30):
        whole.live(30)
        whole.tick.run_once()
        whole.watch.run_once()
        whole.anomalies.run_once()


def live(whole, seconds):
    """The head-end runs for so long."""
    with whole.polling():
        run(whole, seconds)


def start_again(whole, ahead_s, *, looks=True):
    """A new process finds its clock so far off."""
    whole.clock.jump_s = ahead_s
    whole.restart()
    if looks:
        whole.guard.look_at_past(whole.look(lambda connection: newest_contact_ms(connection, ESTATE)))


def rows(whole, query):
    return whole.look(lambda connection: [dict(row._mapping) for row in connection.execute(query)])


def cases(whole):
    query = select(schema.anomaly_case).order_by(schema.anomaly_case.c.opened_ms)
    return [(row["kind"], row["status"], json.loads(row["evidence"])) for row in rows(whole, query)]


def charged_wh(whole, number):
    """Energy of all charges of a household, counter-posted ones taken off."""
    query = select(schema.line.c.from_wh, schema.line.c.to_wh).where(
        schema.line.c.account_id == account_id(number), schema.line.c.to_wh.is_not(None)
    )
    return sum(row["to_wh"] - row["from_wh"] for row in rows(whole, query))


def register_wh(whole, number):
    query = select(schema.meter_cursor.c.total_wh).where(schema.meter_cursor.c.meter_id == meter_id(number))
    return rows(whole, query)[0]["total_wh"]


def true_wh(whole, seconds):
    """What a meter has counted in so many seconds of its constant load."""
    return POWER_W * seconds // 3600


def all_is_charged_once(whole):
    """Every charge goes on where the last one ended, up to what the meters show within a cycle; the books verify."""
    passed_s = int(whole.env.now)
    for number in range(1, HOMES + 1):
        wh = charged_wh(whole, number)
        assert wh == register_wh(whole, number) - 1_000_000
        assert true_wh(whole, passed_s - 2 * 900) <= wh <= true_wh(whole, passed_s)
    assert whole.look(lambda connection: verify(connection, ESTATE)).mismatches == ()


@pytest.mark.parametrize("off_s", [YEAR_S, -YEAR_S])
def test_nothing_is_charged_by_a_clock_a_year_off_and_all_of_it_once_the_clock_is_right(estate, off_s):
    live(estate, HALF_HOUR_S)
    before = charged_wh(estate, 1)
    assert before > 0
    start_again(estate, off_s)
    with estate.polling():
        run(estate, HALF_HOUR_S)
        assert charged_wh(estate, 1) == before
        assert not estate.guard.look()
        newest = rows(estate, select(schema.reading.c.read_at))
        assert all(abs(row["read_at"] - START_S) < 86_400 for row in newest)  # no reading has a time of that clock
        [(kind, status, evidence)] = cases(estate)
        assert (kind, status, evidence["doubt"]) == ("server_clock", "open", "meters")
        assert abs(ahead_s(evidence) - off_s) <= 60
        assert evidence["clocks_alike"] >= 3
        estate.clock.jump_s = 0  # somebody sets it right, without a restart
        run(estate, HALF_HOUR_S)
    assert estate.guard.look()
    assert [(kind, status) for kind, status, _ in cases(estate)] == [("server_clock", "closed")]
    all_is_charged_once(estate)


def test_what_was_charged_by_times_to_come_is_taken_back_and_charged_again(estate):
    live(estate, HALF_HOUR_S)
    start_again(estate, YEAR_S, looks=False)  # as if it had been off for an hour only: the first answers are believed
    live(estate, HALF_HOUR_S)
    ahead = select(schema.reading.c.verdict).where(schema.reading.c.read_at > START_S + YEAR_S // 2)
    assert [row["verdict"] for row in rows(estate, ahead)] == ["accepted"] * HOMES
    start_again(estate, 0)
    live(estate, HALF_HOUR_S)
    assert {row["verdict"] for row in rows(estate, ahead)} <= {"revoked", "voided"}
    assert estate.guard.look()
    all_is_charged_once(estate)
