"""`verify` finds forgeries that agree with themselves: counters, accounts, orders, agreements and triggers."""

import pytest
from sqlalchemy import Engine

from server.clock import Clock
from server.domain.ledger import CASH
from server.flows.ledger import post_topup, seal_batches
from server.flows.payments import sell_at_counter
from server.jobs.ledger_watch import EVERY_S, FIRST_AFTER_S, LedgerWatch
from server.store import schema
from server.store.unit import Unit
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, charge, keep_payment, read, reading, report, rows
from tests.server.estates import ESTATE, START_S, at, household, meter_id, plant
from tests.server.test_exchanges import NEW, new_reading, replace
from tests.server.test_ledger import tamper


def said(engine: Engine) -> list[str]:
    return [f"{one.invariant} {one.detail}" for one in report(engine).mismatches]


@pytest.fixture
def replaced(sqlite_engine: Engine, writer_of_sqlite: Writer) -> Engine:
    """A household whose meter was replaced after 190 kWh of its first tier."""
    plant(writer_of_sqlite, [household(1, opening_fen=100_000)])
    read(writer_of_sqlite, reading(1, 20 * HOUR, 1_190_000))
    replace(writer_of_sqlite, 24 * HOUR, 1_190_000)
    return sqlite_engine


@pytest.mark.parametrize(
    ("period", "found"),
    [
        ("tier_period_start", "6 tier counter carried over is 0, should be 190000"),
        ("tier_period_start - 86400", "6 goes on in the tier period from"),
    ],
)
def test_invariant_06_a_counter_that_an_exchange_lost_is_found(
    replaced: Engine, writer_of_sqlite: Writer, period: str, found: str
) -> None:
    change = f"tier_period_wh = 0, tier_period_start = {period}"
    tamper(replaced, "exchange", f"UPDATE exchange SET {change}")
    tamper(replaced, "meter_cursor", f"UPDATE meter_cursor SET {change} WHERE meter_id = '{NEW}'")
    read(writer_of_sqlite, new_reading(30 * HOUR, 20_120))  # type: ignore[arg-type]
    charge(writer_of_sqlite, 40 * HOUR)
    [mismatch] = said(replaced)
    assert mismatch.startswith(found)


def test_invariant_06_a_counter_that_was_zeroed_under_another_begin_is_found(
    sqlite_engine: Engine, writer_of_sqlite: Writer
) -> None:
    plant(writer_of_sqlite, [household(1, opening_fen=100_000)])
    read(writer_of_sqlite, reading(1, 20 * HOUR, 1_190_000))
    charge(writer_of_sqlite, 20 * HOUR)
    agrees(sqlite_engine)
    tamper(sqlite_engine, "meter_cursor", "UPDATE meter_cursor SET tier_period_wh = 0, tier_period_start = 1")
    assert said(sqlite_engine) == ["6 stands in a tier period from 1, which is none"]


def test_invariant_03_a_charge_on_the_account_of_somebody_else_is_found(
    sqlite_engine: Engine, writer_of_sqlite: Writer
) -> None:
    plant(writer_of_sqlite, 3)
    for hour, feeds in ((1, "H0001"), (2, "H0003"), (3, "H0001")):
        tamper(sqlite_engine, "meter", f"UPDATE meter SET account_id = '{feeds}' WHERE meter_id = '{meter_id(1)}'")
        read(writer_of_sqlite, reading(1, hour * HOUR, 1_000_000 + 1000 * hour))
        charge(writer_of_sqlite, hour * HOUR)
        if hour == 1:
            agrees(sqlite_engine)
    assert said(sqlite_engine) == ["3 account is H0003, should be H0001", "3 account is H0001, should be H0003"]


def test_invariant_03_all_charges_on_the_account_of_somebody_else_are_found(
    sqlite_engine: Engine, writer_of_sqlite: Writer
) -> None:
    plant(writer_of_sqlite, 3)
    tamper(sqlite_engine, "meter", f"UPDATE meter SET account_id = 'H0003' WHERE meter_id = '{meter_id(1)}'")
    read(writer_of_sqlite, reading(1, HOUR, 1_001_000))
    charge(writer_of_sqlite, HOUR)
    tamper(sqlite_engine, "meter", f"UPDATE meter SET account_id = 'H0001' WHERE meter_id = '{meter_id(1)}'")
    assert said(sqlite_engine) == ["3 account of its charges is H0003, should be H0001"]


def test_invariant_05_a_payment_rests_on_its_order_and_its_message(
    sqlite_engine: Engine, writer_of_sqlite: Writer
) -> None:
    plant(writer_of_sqlite)
    writer_of_sqlite.run(
        lambda unit: sell_at_counter(unit, ESTATE, "H0001", 1000, actor="wu", idem_key="sale", now=at())
    )
    posted = writer_of_sqlite.run(
        lambda unit: post_topup(
            unit, ESTATE, "H0002", 500, provider="sandbox", idem_key="p", event_at=START_S, actor="sandbox", now=at()
        )
    )
    writer_of_sqlite.run(lambda unit: keep_payment(unit, "H0002", 500, "sandbox", posted.batch_seq, at()))
    agrees(sqlite_engine)
    for table, change, found in (
        (
            "payment_order",
            f"UPDATE payment_order SET actor = 'li' WHERE provider = '{CASH}'",
            "5 who sold it is li, should be wu",
        ),
        (
            "payment_order",
            "UPDATE payment_order SET amount_fen = 501 WHERE amount_fen = 500",
            "5 order is ('H0002', 501,",
        ),
        ("payment_order", "DELETE FROM payment_order", "5 was credited without an order"),
        ("callback_inbox", "DELETE FROM callback_inbox", "5 1 payments of 1700000000000 ms rest on 0 messages"),
    ):
        tamper(sqlite_engine, table, change)
        assert any(one.startswith(found) for one in said(sqlite_engine)), (found, said(sqlite_engine))


def test_invariant_07_a_trigger_that_refuses_nothing_is_found(engine: Engine, writer: Writer) -> None:
    plant(writer)
    agrees(engine)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(
                "CREATE OR REPLACE FUNCTION estate645_append_only() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RETURN NULL; END $$"
            )
        else:
            connection.exec_driver_sql("DROP TRIGGER seal_no_DELETE")
            connection.exec_driver_sql('CREATE TRIGGER seal_no_DELETE BEFORE DELETE ON "seal" BEGIN SELECT 1; END')
    assert "7 its append-only trigger is gone or another" in said(engine)


def test_seals_that_were_made_anew_while_the_server_runs_are_found(
    sqlite_engine: Engine, writer_of_sqlite: Writer
) -> None:
    plant(writer_of_sqlite)
    writer_of_sqlite.run(lambda unit: seal_batches(unit, ESTATE, at()))
    clock = [0.0]
    watch = LedgerWatch(sqlite_engine, writer_of_sqlite, Clock(), ESTATE, steady_s=lambda: clock[0])
    for later in (FIRST_AFTER_S, EVERY_S):
        clock[0] += later
        watch.run_once()
    assert rows(sqlite_engine, "estate")[0]["breaker"] == "closed"
    tamper(sqlite_engine, "batch", "UPDATE batch SET memo = 'another' WHERE batch_seq = 1")
    tamper(sqlite_engine, "seal", "DELETE FROM seal")
    writer_of_sqlite.run(lambda unit: seal_batches(unit, ESTATE, at()))
    assert said(sqlite_engine) == []
    clock[0] += EVERY_S
    watch.run_once()
    assert rows(sqlite_engine, "estate")[0]["breaker"] == "open"


def test_invariant_05_recharges_and_instalments_without_their_batch_are_found(engine: Engine, writer: Writer) -> None:
    plant(writer)
    own, when = {"estate_id": ESTATE, "account_id": "H0001"}, {"created_ms": 1, "world_at": 1}
    into = {**own, "meter_id": meter_id(1), "amount_fen": 5, "created_ms": 1, "actor": "wu"}
    part = {**own, **when, "plan_no": 7, "due_day": "2026-10-13", "parts": "{}", "taken_fen": 5, "wanted_fen": 5}

    def forge(unit: Unit) -> None:
        for recharge_id, status in (("r1", "booked"), ("r2", "refused")):
            unit.connection.execute(schema.recharge.insert().values(**into, recharge_id=recharge_id, status=status))
        unit.connection.execute(schema.debt_instalment.insert().values(**part))

    writer.run(forge)
    keys = ("recharge:r1", "recharge:r2", "recharge_return:r2", "instalment:7:2026-10-13")
    assert [one.subject for one in report(engine).mismatches] == [f"batch of {key}" for key in keys]
