"""Exactly once and all or nothing: simultaneous messages, broken units, and every way a message can not fit."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import update

from server.errors import Conflict
from server.flows import payments
from server.flows.partners import PartnerTopup, accept_topup
from server.store import schema
from server.store.writer import Writer
from tests.server.books import agrees, balance, rows
from tests.server.estates import ESTATE, MACHINE_MS, START_S, account_id, at, meter_id, plant

OPENING_FEN = 5000
AMOUNT_FEN = 3000
TABLES = ("batch", "line", "payment", "callback_inbox", "notice", "relay_desired", "supply", "payment_order")


@dataclass(frozen=True)
class Event:
    order_no: str
    provider: str = "sandbox"
    event_id: str = "e1"
    transaction_id: str = "t1"
    amount_fen: int = AMOUNT_FEN
    paid: bool = True
    paid_ms: int = MACHINE_MS


class Desk:
    """One estate with money coming in."""

    def __init__(self, engine, writer):
        self.engine, self.writer = engine, writer
        plant(writer, 2)

    def order(self, number=1, amount_fen=AMOUNT_FEN):
        return self.writer.run(
            lambda unit: payments.create_order(
                unit, ESTATE, account_id(number), amount_fen, provider="sandbox", channel="online", actor="r", now=at()
            )
        ).order_no

    def submit(self, event, body="{}"):
        message = payments.Message(event, body, at(10))
        return self.writer.submit_alike(payments.record_callbacks, ESTATE, message, urgent=True)

    def take(self, event, body="{}"):
        return self.submit(event, body).result()

    def change(self, table, **values):
        self.writer.run(lambda unit: unit.connection.execute(update(table).values(**values)) and None)

    def balance(self, number=1):
        return balance(self.engine, account_id(number))[0]

    def suspense(self):
        known = {row["account_id"]: row["balance_fen"] for row in rows(self.engine, "account")}
        return known.get("suspense", 0)

    def table(self, name):
        return sorted(map(str, rows(self.engine, name)))


@pytest.fixture
def desk(engine, writer):
    return Desk(engine, writer)


def test_invariant_05_eight_simultaneous_callbacks_credit_once(desk):
    event = Event(desk.order())
    with ThreadPoolExecutor(8) as pool:
        futures = list(pool.map(lambda _: desk.submit(event), range(8)))
    results = sorted(str(future.result()) for future in futures)
    assert results == ["credited"] + ["repeat"] * 7
    assert desk.balance() == OPENING_FEN + AMOUNT_FEN
    assert len(rows(desk.engine, "payment")) == len(rows(desk.engine, "callback_inbox")) == 1
    agrees(desk.engine)


def test_invariant_05_eight_events_of_one_transaction_credit_once(desk):
    order_no = desk.order()
    with ThreadPoolExecutor(8) as pool:
        events = [Event(order_no, event_id=f"e{number}") for number in range(8)]
        results = sorted(str(future.result()) for future in pool.map(desk.submit, events))
    assert results == ["credited"] + ["repeat"] * 7
    assert desk.balance() == OPENING_FEN + AMOUNT_FEN
    agrees(desk.engine)


def test_invariant_05_credits_and_suspense_are_what_the_provider_took(desk):
    first, second = desk.order(1), desk.order(2)
    taken = [
        Event(first),
        Event(first),
        Event(second, event_id="e2", transaction_id="t2", amount_fen=1),
        Event("unknown", event_id="e3", transaction_id="t3"),
        Event(first, event_id="e4", transaction_id="t4"),
        Event(second, event_id="e5", transaction_id="t5", paid=False),
    ]
    for event in taken:
        desk.take(event)
    provider_fen = sum({event.transaction_id: event.amount_fen for event in taken if event.paid}.values())
    credited_fen = desk.balance(1) + desk.balance(2) - 2 * OPENING_FEN
    assert credited_fen == AMOUNT_FEN
    assert credited_fen + desk.suspense() == provider_fen
    assert balance(desk.engine, "provider:sandbox")[0] == -provider_fen
    agrees(desk.engine)


def test_invariant_04_a_key_has_one_batch_and_another_request_is_a_conflict(desk):
    def accept(amount_fen, digest, room=None):
        return desk.writer.run(
            lambda unit: accept_topup(
                unit, ESTATE, PartnerTopup("partner", "k1", digest, account_id(1), room, amount_fen, "t1", at())
            )
        )  # fmt: skip

    first = accept(2000, "a" * 64)
    assert accept(2000, "a" * 64) == first
    with pytest.raises(Conflict):
        accept(2001, "b" * 64)
    assert desk.balance() == OPENING_FEN + 2000
    keys = [row["idem_key"] for row in rows(desk.engine, "batch")]
    assert len(keys) == len(set(keys))
    agrees(desk.engine)


MISFITS = {
    "unknown order": {"order_no": "nobody"},
    "less": {"amount_fen": AMOUNT_FEN - 1},
    "more": {"amount_fen": AMOUNT_FEN + 1},
    "ten times": {"amount_fen": AMOUNT_FEN * 10},
    "other provider": {"provider": "other"},
}


@pytest.mark.parametrize("changes", MISFITS.values(), ids=MISFITS.keys())
@pytest.mark.parametrize("state", ["created", "closed", "account closed"])
@pytest.mark.parametrize("times", [1, 8])
def test_what_does_not_fit_is_nobodys_credit_and_never_lost(sqlite_desk, changes, state, times):
    desk = sqlite_desk
    order_no = desk.order()
    if state == "closed":
        desk.writer.run(lambda unit: payments.close_order(unit, ESTATE, order_no, at(), reason="test"))
    elif state == "account closed":
        desk.change(schema.account, status="closed")
    event = replace(Event(order_no), **changes)
    results = [str(future.result()) for future in [desk.submit(event) for _ in range(times)]]
    assert sorted(results, reverse=True) == ["suspense"] + ["repeat"] * (times - 1)
    assert desk.balance() == OPENING_FEN
    assert desk.suspense() == event.amount_fen
    assert [row["verb"] for row in rows(desk.engine, "audit")].count("payment.suspense") == 1
    [paid] = rows(desk.engine, "payment")
    assert (paid["state"], paid["account_id"]) == ("suspense", None)
    agrees(desk.engine)


@pytest.fixture
def sqlite_desk(sqlite_engine):
    writer = Writer(sqlite_engine)
    yield Desk(sqlite_engine, writer)
    writer.stop()


@pytest.mark.parametrize("state", ["closed", "account closed"])
def test_money_for_what_was_closed_meanwhile_waits_in_suspense(desk, state):
    order_no = desk.order()
    if state == "closed":
        desk.writer.run(lambda unit: payments.close_order(unit, ESTATE, order_no, at(), reason="test"))
    else:
        desk.change(schema.account, status="closed")
    assert desk.take(Event(order_no)) == "suspense"
    assert (desk.balance(), desk.suspense()) == (OPENING_FEN, AMOUNT_FEN)


def test_a_payment_of_nothing_is_kept_without_effect(desk):
    assert desk.take(Event(desk.order(), amount_fen=0)) == "ignored"
    assert desk.balance() == OPENING_FEN
    assert len(rows(desk.engine, "callback_inbox")) == 1


@pytest.mark.parametrize("broken", ["notices.add", "supply.on_balances", "post_all", "kept.settle_orders"])
def test_a_payment_commits_with_everything_that_follows_or_not_at_all(desk, monkeypatch, broken):
    order_no = desk.order()
    desk.change(schema.supply, desired="open", cause="arrears", relay="open")
    before = {name: desk.table(name) for name in TABLES}

    def fail(*_given, **_named):
        raise OSError("broken on purpose")

    with monkeypatch.context() as patch:
        patch.setattr(f"server.flows.crediting.{broken}", fail)
        with pytest.raises(OSError, match="on purpose"):
            desk.take(Event(order_no))
    assert {name: desk.table(name) for name in TABLES} == before
    assert desk.balance() == OPENING_FEN
    assert desk.take(Event(order_no)) == "credited"
    assert desk.balance() == OPENING_FEN + AMOUNT_FEN


def test_a_payment_wishes_the_power_back_and_starts_the_clock_in_its_own_unit(desk):
    desk.change(schema.supply, desired="open", cause="arrears", relay="open", relay_at=START_S, relay_ms=MACHINE_MS)
    heard = []
    desk.writer.subscribe(lambda topic, key: heard.append((topic, key)))
    order_no = desk.order()
    desk.take(Event(order_no))
    [wish] = rows(desk.engine, "relay_desired")
    assert (wish["meter_id"], wish["state"], wish["reason"]) == (meter_id(1), "closed", "paid")
    [order] = rows(desk.engine, "payment_order")
    assert (order["status"], order["powered_off"], order["paid_ms"]) == ("paid", 1, at(10).machine_ms)
    assert {("order", order_no), ("balance", account_id(1)), ("supply", "bus-1")} <= set(heard)


def test_the_notice_of_a_payment_says_how_much_and_where(desk):
    desk.take(Event(desk.order()))
    told = {row["arguments"] for row in rows(desk.engine, "notice") if row["kind"] == "topup"}
    assert told == {'{"amount_fen": 3000, "balance_fen": 8000, "room": "1-0001"}'}


def test_messages_that_wait_are_taken_in_together_and_each_once(desk, monkeypatch):
    runs, record = [], payments._recorded

    def counted(units, estate_id, messages):
        runs.append(len(messages))
        return record(units, estate_id, messages)

    monkeypatch.setattr(payments, "_recorded", counted)
    first, second = desk.order(1), desk.order(2)
    events = [
        Event(first),
        Event(second, event_id="e2", transaction_id="t2"),
        Event("nobody", event_id="e3", transaction_id="t3"),
        Event(first, event_id="e4", transaction_id="t4"),
        Event(first),
    ]
    release, started = threading.Event(), threading.Event()
    desk.writer.submit(lambda unit: (started.set(), release.wait(30)))
    assert started.wait(30)
    futures = [desk.submit(event) for event in events]
    release.set()
    assert [str(future.result()) for future in futures] == ["credited", "credited", "suspense", "suspense", "repeat"]
    assert runs == [3, 1, 1], "the same order or event is never twice in a round"
    assert (desk.balance(1), desk.balance(2)) == (OPENING_FEN + AMOUNT_FEN, OPENING_FEN + AMOUNT_FEN)
    assert desk.suspense() == 2 * AMOUNT_FEN
    assert len(rows(desk.engine, "callback_inbox")) == 4
    agrees(desk.engine)
