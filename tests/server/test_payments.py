"""Money in: credited once or in suspense, whoever says it how often; in one unit with all its consequences."""

import hashlib
import json
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.domain.ledger import SUSPENSE
from server.domain.payments import TOPUP_MAX_FEN
from server.errors import Conflict, NotFound, Refused
from server.flows import payments
from server.flows.partners import PartnerTopup, accept_topup
from server.flows.verification import verify
from server.pay.provider import PaidEvent
from server.store import schema
from tests.server.estates import ESTATE, MACHINE_MS, account_id, at
from tests.server.local_writer import rolled_back
from tests.server.supply_stage import CLOSED, PERMITTED, Stage


@pytest.fixture
def stage(writer):
    return Stage(writer, households=2, opening_fen=0)


def order(stage, number=1, amount_fen=5000, provider="sandbox", channel="online"):
    return stage.writer.run(
        lambda unit: payments.create_order(
            unit, ESTATE, account_id(number), amount_fen, provider, channel, "anna", stage.now
        )
    )


def event(order_no, /, **changes):
    return replace(PaidEvent("sandbox", "e1", "t1", order_no, 5000, True, MACHINE_MS), **changes)


def call(stage, message, body="{}"):
    return stage.writer.run(lambda unit: payments.record_callback(unit, ESTATE, message, body, now=stage.now))


def accept(stage, **changes):
    values = {
        "client_id": "partner", "idem_key": "k1", "body_sha256": "a" * 64, "account_id": account_id(1),
        "room_id": None, "amount_fen": 3000, "transaction_id": "x1", **changes,
    }  # fmt: skip
    return stage.writer.run(lambda unit: accept_topup(unit, ESTATE, PartnerTopup(**values, now=stage.now)))


def suspended(stage):
    [row] = stage.rows(schema.account, schema.account.c.account_id == SUSPENSE)
    return row["balance_fen"]


def verbs(stage):
    return [row["verb"] for row in stage.rows(schema.audit)]


def agrees(stage):
    assert stage.look(lambda connection: verify(connection, ESTATE)).mismatches == ()


def test_an_order_is_a_row_before_anybody_is_asked(stage):
    made = order(stage)
    [row] = stage.rows(schema.payment_order)
    assert (row["order_no"], row["status"], row["amount_fen"]) == (made.order_no, "created", 5000)
    assert row["token_sha256"] == hashlib.sha256(made.token.encode()).hexdigest()
    assert made.token not in repr(made)
    assert len(made.order_no) <= 64


@pytest.mark.parametrize("amount_fen", [-1, 0, 999, TOPUP_MAX_FEN + 1])
def test_amounts_out_of_range_are_refused(stage, amount_fen):
    with pytest.raises(Refused):
        order(stage, amount_fen=amount_fen)


def test_orders_are_for_households_on_known_channels(stage):
    for name in ("revenue", SUSPENSE, "cash", "nobody"):
        with pytest.raises(NotFound):
            stage.writer.run(
                lambda unit, name=name: payments.create_order(
                    unit, ESTATE, name, 5000, "sandbox", "online", "anna", at()
                )
            )
    with pytest.raises(Refused, match="channel"):
        order(stage, channel="counter")
    stage.set_account(1, status="closed")
    with pytest.raises(NotFound):
        order(stage)


def test_a_callback_credits_its_order_with_everything_that_follows(stage):
    made = order(stage)
    assert call(stage, event(made.order_no), '{"raw": 1}') == "credited"
    assert stage.balance(1) == 5000
    [paid] = stage.rows(schema.payment_order)
    assert (paid["status"], paid["paid_ms"], paid["powered_off"]) == ("paid", stage.now.machine_ms, 0)
    [booked] = stage.rows(schema.payment)
    assert (booked["payment_id"], booked["state"], booked["account_id"]) == (
        paid["payment_id"], "credited", account_id(1),
    )  # fmt: skip
    [kept] = stage.rows(schema.callback_inbox)
    assert (kept["body"], kept["verdict"]) == ('{"raw": 1}', "credited")
    assert {row["channel"] for row in stage.notices(1, "topup")} == {"page", "message"}
    said = json.loads(stage.notices(1, "topup")[0]["arguments"])
    assert (said["amount_fen"], said["balance_fen"]) == (5000, 5000)
    agrees(stage)


def test_a_repeat_changes_nothing_in_any_table(stage):
    made = order(stage)
    call(stage, event(made.order_no))
    before = {table.name: stage.rows(table) for table in schema.metadata.sorted_tables}
    stage.wait(60)
    assert call(stage, event(made.order_no)) == "repeat"
    assert {table.name: stage.rows(table) for table in schema.metadata.sorted_tables} == before


def test_a_new_event_of_the_same_transaction_is_kept_and_credits_nothing(stage):
    made = order(stage)
    call(stage, event(made.order_no))
    assert call(stage, event(made.order_no, event_id="e2")) == "repeat"
    assert stage.balance(1) == 5000
    assert [row["verdict"] for row in stage.rows(schema.callback_inbox)] == ["credited", "repeat"]
    assert verbs(stage) == []


@pytest.mark.parametrize("changes", [{"amount_fen": 9000}, {"order_no": "other"}, {"paid": False}])
def test_a_message_that_contradicts_a_booked_payment_is_audited(stage, changes):
    made = order(stage)
    call(stage, event(made.order_no))
    assert call(stage, event(made.order_no, **changes), "other body") == "repeat"
    assert (stage.balance(1), suspended(stage)) == (5000, 0)
    assert verbs(stage) == ["payment.contradicted"]
    assert sorted(row["verdict"] for row in stage.rows(schema.callback_inbox)) == ["contradicted", "credited"]


@pytest.mark.parametrize("amount_fen", [4999, 5001, 1])
def test_another_amount_waits_in_suspense(stage, amount_fen):
    made = order(stage)
    assert call(stage, event(made.order_no, amount_fen=amount_fen)) == "suspense"
    assert (stage.balance(1), suspended(stage)) == (0, amount_fen)
    assert verbs(stage) == ["payment.suspense"]
    assert stage.rows(schema.payment_order)[0]["status"] == "created"
    [row] = stage.rows(schema.payment)
    assert (row["state"], row["account_id"], row["order_no"]) == ("suspense", None, made.order_no)
    agrees(stage)


def test_an_unknown_order_waits_in_suspense(stage):
    assert call(stage, event("no-such-order")) == "suspense"
    assert suspended(stage) == 5000
    assert call(stage, event("no-such-order")) == "repeat"
    assert suspended(stage) == 5000


def test_the_order_of_another_provider_waits_in_suspense(stage):
    made = order(stage, provider="other")
    assert call(stage, event(made.order_no)) == "suspense"
    assert stage.balance(1) == 0


def test_a_closed_order_waits_in_suspense(stage):
    made = order(stage)
    closed = stage.writer.run(
        lambda unit: payments.close_order(unit, ESTATE, made.order_no, stage.now, reason="nobody paid")
    )
    assert closed
    assert call(stage, event(made.order_no)) == "suspense"
    assert (stage.balance(1), suspended(stage)) == (0, 5000)


def test_a_second_transaction_for_a_paid_order_waits_in_suspense(stage):
    made = order(stage)
    call(stage, event(made.order_no))
    assert call(stage, event(made.order_no, event_id="e2", transaction_id="t2")) == "suspense"
    assert (stage.balance(1), suspended(stage)) == (5000, 5000)


def test_a_failed_payment_credits_nothing_and_may_still_succeed(stage):
    made = order(stage)
    assert call(stage, event(made.order_no, paid=False, transaction_id="t0")) == "ignored"
    assert stage.rows(schema.payment) == []
    assert call(stage, event(made.order_no, event_id="e2")) == "credited"
    assert stage.balance(1) == 5000


def test_a_paid_order_cannot_be_closed(stage):
    made = order(stage)
    call(stage, event(made.order_no))
    for number in (made.order_no, "nobody"):
        assert not stage.writer.run(
            lambda unit, number=number: payments.close_order(unit, ESTATE, number, stage.now, reason="late")
        )
    assert stage.rows(schema.payment_order)[0]["status"] == "paid"


def test_cash_is_booked_once_a_key(stage):
    first = stage.pay(1, 2000, "sale-0001")
    stage.pay(1, 500, "sale-0002")
    assert stage.pay(1, 2000, "sale-0001") == first
    assert first.balance_fen == 2000
    assert stage.balance(1) == 2500
    assert verbs(stage) == ["topup.sold", "topup.sold"]
    assert {row["channel"] for row in stage.rows(schema.payment_order)} == {"counter"}
    agrees(stage)


@pytest.mark.parametrize(("number", "amount_fen"), [(2, 2000), (1, 2001)])
def test_a_key_of_the_counter_is_for_one_sale(stage, number, amount_fen):
    stage.pay(1, 2000)
    with pytest.raises(Conflict):
        stage.pay(number, amount_fen)
    assert (stage.balance(1), stage.balance(2)) == (2000, 0)


@pytest.mark.parametrize("amount_fen", [0, -500, TOPUP_MAX_FEN + 1])
def test_the_counter_refuses_impossible_amounts(stage, amount_fen):
    with pytest.raises(Refused):
        stage.pay(1, amount_fen)


def test_a_third_party_gets_the_same_answer_again(stage):
    first = accept(stage)
    assert first == {
        "result": "credited", "transaction_id": "x1", "amount_fen": 3000, "batch_seq": 2, "balance_fen": 3000,
    }  # fmt: skip
    stage.pay(1, 500)
    assert accept(stage) == first
    assert list(accept(stage)) == list(first)
    assert stage.balance(1) == 3500


def test_a_third_partys_key_with_another_body_is_a_conflict(stage):
    accept(stage)
    with pytest.raises(Conflict, match="key"):
        accept(stage, body_sha256="b" * 64, amount_fen=4000)
    assert stage.balance(1) == 3000


def test_a_transaction_under_another_key_is_a_conflict(stage):
    accept(stage)
    with pytest.raises(Conflict, match="transaction"):
        accept(stage, idem_key="k2", body_sha256="b" * 64)
    assert stage.balance(1) == 3000


def test_keys_and_transactions_of_two_clients_do_not_meet(stage):
    accept(stage)
    accept(stage, client_id="other", body_sha256="b" * 64)
    assert stage.balance(1) == 6000


def test_money_for_nobody_waits_in_suspense(stage):
    for key, subject in (("k1", {"account_id": "H9999"}), ("k2", {"account_id": "revenue"})):
        answer = accept(stage, idem_key=key, transaction_id=key, **subject)
        assert (answer["result"], answer["balance_fen"]) == ("suspense", None)
    answer = accept(stage, idem_key="k3", transaction_id="k3", account_id=None, room_id="9-9999")
    assert answer["result"] == "suspense"
    assert suspended(stage) == 9000
    agrees(stage)


def test_a_room_names_its_household(stage):
    assert accept(stage, account_id=None, room_id="1-0002")["result"] == "credited"
    assert stage.balance(2) == 3000


def test_pay_to_power_is_measured_to_the_read_back(writer):
    stage = Stage(writer)
    stage.cut(1)
    stage.pay(1, 2000)
    [paid] = stage.rows(schema.payment_order)
    assert (paid["powered_off"], paid["confirmed_ms"]) == (1, None)
    stage.wait(4)
    stage.status(1, PERMITTED)
    stage.wait(3)
    stage.status(1, CLOSED)
    [paid] = stage.rows(schema.payment_order)
    assert paid["confirmed_ms"] - paid["paid_ms"] == 4000
    assert paid["button_ms"] - paid["paid_ms"] == 7000


def test_a_payment_that_leaves_the_power_off_starts_no_pay_to_power_clock(writer):
    stage = Stage(writer)
    stage.cut(1)
    stage.pay(1, 1)
    assert stage.rows(schema.payment_order)[0]["powered_off"] == 0


@dataclass(frozen=True)
class Message:
    """One delivery of a callback in a random history."""

    transaction: int
    event: int
    order: int
    amount_fen: int
    paid: bool


MESSAGES = st.builds(
    Message, st.integers(0, 3), st.integers(0, 3), st.integers(0, 2), st.sampled_from([5000, 6000]), st.booleans()
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(MESSAGES, max_size=15))
def test_in_any_history_a_transaction_is_booked_once_and_an_order_paid_once(sqlite_engine, history):
    with rolled_back(sqlite_engine) as writer:
        stage = Stage(writer, households=1, opening_fen=0)
        orders = [order(stage, 1).order_no for _ in range(2)] + ["unknown"]
        for item in history:
            message = event(
                orders[item.order], event_id=f"e{item.event}", transaction_id=f"t{item.transaction}",
                amount_fen=item.amount_fen, paid=item.paid,
            )  # fmt: skip
            call(stage, message, repr(item))
        booked = stage.rows(schema.payment)
        first = {}
        for item in history:
            if item.paid:
                first.setdefault(item.transaction, item)
        assert {row["transaction_id"]: row["amount_fen"] for row in booked} == {
            f"t{name}": item.amount_fen for name, item in first.items()
        }
        credited = [row for row in booked if row["state"] == "credited"]
        assert len({row["order_no"] for row in credited}) == len(credited)
        assert stage.balance(1) == sum(row["amount_fen"] for row in credited)
        assert suspended(stage) == sum(row["amount_fen"] for row in booked if row["state"] == "suspense")
        agrees(stage)
