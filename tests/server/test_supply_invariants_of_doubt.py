"""Invariants 17, 21 and 22: two people, a durable store and a sane clock stand before every cut.

Each has a probe that holds and that fails once its guard is taken away.
"""

import json

import pytest

from server import app
from server.collect.work import Clocks
from server.config import Config
from server.domain import supply as rules
from server.errors import Conflict, Refused, StorageUnavailable
from server.flows import approvals, breaker, relays
from server.jobs.anomalies import AnomalyJob
from server.jobs.clock_guard import ClockGuard
from server.jobs.clock_watch import ClockWatch
from server.jobs.collecting import FlowOrders, FlowSink
from server.jobs.ticks import BillingTick
from server.store import approvals as approval_rows
from server.store import schema
from server.store.writer import Writer
from tests.server.estates import ESTATE, meter_id
from tests.server.supply_stage import Stage


@pytest.fixture
def writer(sqlite_engine):
    writer = Writer(sqlite_engine)
    yield writer
    writer.stop()


@pytest.fixture
def stage(writer):
    return Stage(writer, households=6)


def without_guard(probe, *args, **settings):
    with pytest.raises(AssertionError):
        probe(*args, **settings)


def ready(stage, *numbers):
    stage.overdraw(*numbers)
    stage.be_ready(*numbers)


# 17: an act of two people needs two people, the same payload, in time


def probe_17(stage, actor="bert", sha=None, wait_s=0):
    stage.set(schema.estate, mode="dry_run")
    asked = stage.writer.run(lambda unit: approvals.request_mode(unit, ESTATE, "armed", actor="anna", now=stage.now))
    [row] = stage.rows(schema.approval)
    stage.wait(wait_s)
    refused = False
    try:
        stage.writer.run(
            lambda unit: approvals.approve(
                unit, ESTATE, asked, sha or row["payload_sha256"], actor=actor, now=stage.now
            )
        )
    except (Refused, Conflict):
        refused = True
    assert refused
    assert stage.site()["mode"] == "dry_run"


WRONG = {"the same person": {"actor": "anna"}, "another payload": {"sha": "0" * 64}, "too late": {"wait_s": 1801}}


@pytest.mark.parametrize("case", WRONG)
def test_invariant_17_without_a_second_person_nothing_happens(stage, case):
    probe_17(stage, **WRONG[case])


@pytest.mark.parametrize(
    ("case", "blind"),
    [
        ("the same person", {"requested_by": "somebody"}),
        ("another payload", {"payload_sha256": "0" * 64}),
        ("too late", {"expires_ms": 2**62}),
    ],
)
def test_invariant_17_fails_when_a_guard_is_blind(stage, monkeypatch, case, blind):
    real = approval_rows.get
    monkeypatch.setattr(approval_rows, "get", lambda *args: {**real(*args), **blind})
    with pytest.raises(AssertionError):
        probe_17(stage, **WRONG[case])


# 21: while the durable store cannot be written, no trip is sent


class FullDisk:
    """Refuses every write."""

    def run(self, _work, *, urgent=False):
        raise StorageUnavailable("the disk is full")


class StageClock:
    def __init__(self, stage):
        self.stage = stage

    def now(self):
        return self.stage.now


def probe_21(stage, engine, expected=StorageUnavailable):
    ready(stage, 1, 2)
    stage.decide()
    orders = FlowOrders(engine, FullDisk(), StageClock(stage), ESTATE, clock_sane=lambda: True)
    sent = True
    try:
        sent = orders.still_current(meter_id(1), 1)
    except expected:
        sent = False
    assert not sent
    stage.pay(2, 2000)
    assert orders.still_current(meter_id(2), 2)


def test_invariant_21_without_a_durable_store_no_trip_is_sent_and_closes_are(stage, sqlite_engine):
    probe_21(stage, sqlite_engine)


def test_invariant_21_fails_when_a_reader_alone_clears_a_trip(stage, sqlite_engine, monkeypatch):
    monkeypatch.setattr(relays, "is_trip", lambda *_: False)
    without_guard(probe_21, stage, sqlite_engine)


def test_invariant_21_clearing_a_trip_is_itself_a_write(stage, sqlite_engine):
    ready(stage, 1)
    stage.decide()
    orders = FlowOrders(sqlite_engine, stage.writer, StageClock(stage), ESTATE, clock_sane=lambda: True)
    assert orders.still_current(meter_id(1), 1)
    assert stage.supply(1)["candidate_at"] == stage.now.world_s
    stage.set(schema.estate, stopped=1)
    assert not orders.still_current(meter_id(1), 1)


# 22: while a clock is in doubt, nobody is cut


def probe_22(stage):
    ready(stage, 1)
    stage.decide(clock_sane=False)
    assert stage.trips() == []
    stage.decide()
    assert len(stage.trips()) == 1


@pytest.fixture
def unguarded(monkeypatch):
    """Without the breaker, which opens for the same reason and would hide whether the check itself is there."""
    monkeypatch.setattr(breaker, "doubt", lambda *_facts, **_clock: "")


@pytest.mark.usefixtures("unguarded")
def test_invariant_22_a_clock_in_doubt_cuts_nobody(stage):
    probe_22(stage)


@pytest.mark.usefixtures("unguarded")
def test_invariant_22_fails_without_the_check_of_the_clock(stage, monkeypatch):
    monkeypatch.setattr(rules, "RULES", tuple(one for one in rules.RULES if one.__name__ != "_clock"))
    without_guard(probe_22, stage)


def probe_22_frame(stage, engine):
    """The clock jumps between the decision and its frame."""
    ready(stage, 1)
    stage.decide()
    machine = {"wall_s": 1000.0, "steady_s": 0.0}
    guard = ClockGuard(lambda: machine["wall_s"], lambda: machine["steady_s"])
    orders = FlowOrders(engine, stage.writer, StageClock(stage), ESTATE, clock_sane=guard.look)
    assert orders.still_current(meter_id(1), 1)
    machine["wall_s"] += 3600
    assert not orders.still_current(meter_id(1), 1)


def test_invariant_22_a_clock_that_jumps_after_the_decision_sends_no_trip(stage, sqlite_engine):
    probe_22_frame(stage, sqlite_engine)


@pytest.mark.parametrize("blind", ["the guard", "the check before the frame"])
def test_invariant_22_fails_when_the_frame_does_not_ask_the_clock(stage, sqlite_engine, monkeypatch, blind):
    if blind == "the guard":
        monkeypatch.setattr(ClockGuard, "look", lambda _self: True)
    else:
        monkeypatch.setattr(rules, "RECHECKED", rules.RECHECKED - {"clock_sane"})
    without_guard(probe_22_frame, stage, sqlite_engine)


def probe_real(url, **settings):
    application = app.Application(Config(database_url=url, collect=False, **settings))
    try:
        assert (application.sandbox, application.senders) == (None, {})
    finally:
        application.stop()


def test_no_receipt_is_invented_at_a_real_site_whose_cuts_go_by_it(stage, sqlite_engine, tmp_path):
    """A gateway without telephones that answers for residents would let households be cut unwarned."""
    url = sqlite_engine.url.render_as_string(hide_password=False)
    sqlite_engine.dispose()
    probe_real(url)
    anchor = tmp_path / "anchor.json"
    times = dict.fromkeys(("machine_utc", "world_utc"), "2026-10-13T01:05:00+00:00")
    anchor.write_text(json.dumps({**times, "factor": 1}), "utf-8")
    without_guard(probe_real, url, clock_anchor=str(anchor))


def test_invariant_22_billing_and_collector_share_one_guard(stage, sqlite_engine, monkeypatch):
    given: dict[str, dict[str, object]] = {}

    def noting(part):
        def build(*args, **kwargs):
            given[part.__name__] = kwargs
            return part(*args, **kwargs)

        return build

    for part in (BillingTick, FlowOrders, FlowSink, Clocks, ClockWatch, AnomalyJob):
        monkeypatch.setattr(app, part.__name__, noting(part))
    url = sqlite_engine.url.render_as_string(hide_password=False)
    sqlite_engine.dispose()
    application = app.Application(Config(database_url=url))
    try:
        assert given["FlowOrders"]["clock_sane"]()
        given["BillingTick"]["guard"].distrust("the test says so")
        assert not given["FlowOrders"]["clock_sane"]()
        assert given["ClockWatch"]["guard"] is given["BillingTick"]["guard"]
        assert given["FlowSink"]["may_time"]()
        assert given["AnomalyJob"]["may_time"]()
        monkeypatch.setattr(given["ClockWatch"]["guard"], "_synchronised", lambda: None)
        for number in range(3):  # the meters' clocks reach the guard, and it the readings
            given["Clocks"]["heard"](f"{number:012d}", -365 * 86_400)
        assert not given["FlowSink"]["may_time"]()
        assert not given["AnomalyJob"]["may_time"]()
        asked = []
        monkeypatch.setattr(application.collector, "ask_clocks", lambda: asked.append(1))
        given["ClockWatch"]["ask_clocks"]()
        assert asked == [1]
    finally:
        application.stop()
