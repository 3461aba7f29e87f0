"""What pages, payments and the ticks ask again and again finds its rows by an index, whatever has piled up beside them.

Judged by SQLite's own plan, without statistics: a table that grows for ever is never walked through for a few rows.
"""

import re

import pysqlite3
import pytest

from server.flows import cases
from server.jobs.clock_guard import ClockGuard
from server.jobs.collecting import FlowOrders
from server.jobs.keep_power import KeepPowerJob
from server.jobs.ticks import BillingTick
from server.store import acceptance, payments, schema
from tests.server.web.conftest import ESTATE
from tests.server.web.recorded import Recorder

GROWING = frozenset(
    {
        "payment_order", "payment", "relay_attempt", "relay_desired", "reading", "notice", "audit", "callback_inbox",
        "idempotency", "line", "batch", "seal", "register_day", "case_event", "anomaly_case", "refund", "login_session",
        "keep_attempt", "keep_desired", "reading_act", "candidate_day",
    }
)  # fmt: skip
STAFF = (
    "/today", "/wall", "/wall?room=1-101", "/households/A1", "/counter", "/counter?room=1-101", "/find?q=1-101",
    "/find?q=0001", "/supply", "/supply?room=1-101", "/supply/decisions", "/supply/decisions/all", "/buses", "/cases",
)  # fmt: skip
CSRF = re.compile(r'name="csrf" value="([^"]+)"')
OF_READINGS = re.compile(r"(SEARCH|SCAN) reading\b")
RESIDENT = ("/me", "/me/usage", "/me/bills", "/me/account")


@pytest.fixture
def recorder(monkeypatch):
    recorder, connect = Recorder(), pysqlite3.connect
    monkeypatch.setattr(pysqlite3, "connect", lambda *a, **k: recorder.connect(connect, *a, **k))
    return recorder


def play(web):
    """A morning: pages, a sale, an online payment, a household that is about to be cut."""
    operator, cashier, resident = (web.signed_in(role) for role in ("operator", "cashier", "resident"))
    for path in STAFF:
        assert operator.get(path).status_code in (200, 303), path
    for path in RESIDENT:
        assert resident.get(path).status_code == 200, path
    csrf = CSRF.search(cashier.get("/counter?room=1-101").text)[1]
    sale = {"account_id": "A1", "amount": "50", "sale_key": "sale-0001", "csrf": csrf}
    sold = cashier.post("/counter", data=sale).headers["location"]
    assert cashier.get(sold).status_code == 200
    assert cashier.get("/payments").status_code == 200
    assert cashier.get(f"/payments?q={sold.rpartition('=')[2]}").status_code == 200
    with web.state.engine.connect() as connection:
        assert payments.open_orders(connection, ESTATE, limit=10) == []
    web.execute(schema.account.update().where(schema.account.c.account_id == "A2").values(balance_fen=-100))
    web.execute(schema.estate.update().values(mode="armed"))
    guard = ClockGuard()
    BillingTick(web.state.engine, web.state.writer, web.clock, ESTATE, guard=guard).run_once()
    orders = FlowOrders(web.state.engine, web.state.writer, web.clock, ESTATE, clock_sane=guard.look)
    assert orders.next("bus1") == []
    assert "bus1" in orders.everywhere()
    KeepPowerJob(web.state.engine, web.state.writer, web.clock, ESTATE, clock_sane=guard.look).run_once()


def test_nothing_that_grows_is_walked_through(recorder, web):
    play(web)
    assert len(recorder.statements) > 100
    walks = recorder.walks(web.state.engine, GROWING)
    assert walks == [], "\n".join(f"{steps}: {text}" for text, steps in walks)


def test_held_readings_are_looked_for_among_held_readings(recorder, web):
    """Every few seconds the search for anomalies asks for those of the newest hours, which are nearly none of them."""
    with web.state.engine.connect() as connection:
        cases.find(connection, ESTATE, web.clock.now())
        assert acceptance.held(connection, ESTATE) == []
    steps = [step for _, plan in recorder.plans(web.state.engine) for step in plan if OF_READINGS.search(step)]
    of_meters = [step for step in steps if "meter_id=?" in step]
    assert [step.split()[4] for step in steps if step not in of_meters] == ["reading_held"] * 3


@pytest.mark.parametrize(
    ("path", "table", "index"),
    [("/households/A1", "account", "account_home"), ("/today", "supply", "supply_lost")],
)
def test_what_pages_count_is_counted_in_an_index(recorder, web, path, table, index):
    """Not in all households, whose rows are wide."""
    operator = web.signed_in("operator")
    recorder.statements.clear()
    operator.get(path)
    counts = [
        step
        for text, plan in recorder.plans(web.state.engine)
        if "count(*)" in text
        for step in plan
        if step.startswith((f"SCAN {table} ", f"SEARCH {table} "))
    ]
    assert counts
    assert all(index in step for step in counts)


def test_a_missing_index_is_seen(recorder, web):
    web.signed_in("operator").get("/today")
    assert recorder.walks(web.state.engine, GROWING) == []
    with web.state.engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX relay_attempt_created")
    assert [steps for _, steps in recorder.walks(web.state.engine, GROWING)] != []
