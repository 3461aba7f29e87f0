"""The ledger: sums of zero, chains without a gap, one booking a key, nothing rewritten."""

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError

from server.domain.ledger import GENESIS, Link, chain_hash, lines_sha256
from server.errors import Conflict, NotFound, Refused
from server.flows.ledger import append_links as seal_links
from server.flows.ledger import next_links, post_topup, seal_batches
from server.store import schema
from server.store.engine import begin_writing, reader
from server.store.ledger import BATCH_HEADER, append_links, balance_at, lines_of_batch
from server.store.unit import Unit
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, balance, charge, keep_payment, read, reading, report, rows, top_up
from tests.server.estates import ESTATE, START_S, at, household, plant


def broken(engine: Engine) -> set[int]:
    """The invariants that verify finds broken."""
    return {mismatch.invariant for mismatch in report(engine).mismatches}


def tamper(engine: Engine, table: str, change: str) -> None:
    """Change rows behind the triggers, as somebody with the database's password can."""
    with begin_writing(engine) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
            connection.exec_driver_sql(change)
            connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
            return
        saved = connection.exec_driver_sql(
            f"SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{table}'"
        ).all()
        for name, _ in saved:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        connection.exec_driver_sql(change)
        for _, sql in saved:
            connection.exec_driver_sql(sql)


@pytest.fixture
def used(engine: Engine, writer: Writer) -> Engine:
    """An estate with an opening, a charge and a top-up, all sealed."""
    plant(writer)
    read(writer, reading(1, HOUR, 1_002_000), reading(2, HOUR, 1_000_010))
    charge(writer, HOUR)
    top_up(writer, 1, 1000, "key-1")
    assert writer.run(lambda unit: seal_batches(unit, ESTATE, at())) == 5
    assert agrees(engine).unsealed == 0
    return engine


def test_a_top_up_moves_money_from_its_provider_to_the_household(engine: Engine, writer: Writer) -> None:
    plant(writer)
    posted = top_up(writer, 1, 1234, "k", "sandbox")
    assert (posted.balance_fen, posted.level, posted.repeated) == (6234, 0, False)
    assert balance(engine, "provider:sandbox") == (-1234, 0)
    with pytest.raises(NotFound, match="H0099"):
        top_up(writer, 99, 1, "other")
    for amount_fen in (0, -5):
        with pytest.raises(Refused):
            top_up(writer, 1, amount_fen, "third")


def test_invariant_01_lines_of_every_batch_sum_to_zero(used: Engine) -> None:
    for batch in rows(used, "batch"):
        lines = [line for line in rows(used, "line") if line["batch_seq"] == batch["batch_seq"]]
        assert sum(int(str(line["amount_fen"])) for line in lines) == 0
        assert len(lines) == batch["lines"]
    tamper(used, "line", "UPDATE line SET amount_fen = amount_fen + 1 WHERE account_id = 'revenue'")
    assert 1 in broken(used)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE account SET balance_fen = balance_fen + 1 WHERE account_id = 'H0001'",
        "UPDATE account SET version = version + 1 WHERE account_id = 'H0002'",
        "UPDATE account SET balance_fen = balance_fen - 1 WHERE account_id = 'revenue'",
    ],
)
def test_invariant_02_balances_are_the_sum_of_gap_free_lines(used: Engine, change: str) -> None:
    tamper(used, "account", change)
    assert broken(used) == {2}


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("line", "UPDATE line SET to_wh = to_wh + 10 WHERE account_id = 'H0001' AND meter_id IS NOT NULL"),
        ("line", "UPDATE line SET from_wh = from_wh - 10 WHERE account_id = 'H0001' AND meter_id IS NOT NULL"),
        ("meter_cursor", "UPDATE meter_cursor SET total_wh = total_wh + 10"),
        ("meter_cursor", "DELETE FROM meter_cursor"),
        ("reading", "UPDATE reading SET verdict = 'jump'"),
        ("reading", "UPDATE reading SET total_wh = total_wh + 10"),
    ],
)
def test_invariant_03_charged_intervals_follow_the_readings(used: Engine, table: str, change: str) -> None:
    tamper(used, table, change)
    assert 3 in broken(used)


def test_invariant_04_a_key_books_once_and_refuses_another_payload(engine: Engine, writer: Writer) -> None:
    plant(writer)
    first = top_up(writer, 1, 700, "same")
    again = top_up(writer, 1, 700, "same")
    assert (again.batch_seq, again.repeated, again.balance_fen) == (first.batch_seq, True, 5700)
    for number, amount_fen in ((1, 701), (2, 700)):
        with pytest.raises(Conflict, match="same"):
            top_up(writer, number, amount_fen, "same")
    assert balance(engine, "H0001") == (5700, 0)
    assert agrees(engine).batches == 4
    with pytest.raises(DBAPIError):
        tamper(engine, "batch", "UPDATE batch SET idem_key = 'same'")


def test_invariant_05_every_payment_has_its_own_credit(used: Engine, writer: Writer) -> None:
    def pay(payment_id: str, batch_seq: int, amount_fen: int) -> None:
        values = {"provider": "sandbox", "transaction_id": payment_id, "account_id": "H0001", "state": "credited"}
        insert = schema.payment.insert().values(
            estate_id=ESTATE, payment_id=payment_id, amount_fen=amount_fen, batch_seq=batch_seq,
            event_at=0, created_ms=0, **values,
        )  # fmt: skip
        writer.run(lambda unit: unit.connection.execute(insert) and None)

    posted = writer.run(
        lambda unit: post_topup(
            unit, ESTATE, "H0001", 500, provider="sandbox", idem_key="paid", event_at=START_S, actor="test", now=at()
        )
    )
    assert broken(used) == {5}, "a provider's money without a payment"
    writer.run(lambda unit: keep_payment(unit, "H0001", 500, "sandbox", posted.batch_seq, at()))
    assert agrees(used).payments == 2
    pay("p2", posted.batch_seq, 500)
    assert broken(used) == {5}, "one credit for two payments"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE line SET charge_nf = charge_nf + 1 WHERE account_id = 'H0001' AND meter_id IS NOT NULL",
        "UPDATE line SET residue_after_nf = residue_after_nf + 1 WHERE account_id = 'H0001' AND meter_id IS NOT NULL",
        "UPDATE line SET tier_from_wh = 500000 WHERE account_id = 'H0001' AND meter_id IS NOT NULL",
        "UPDATE line SET tariff_id = 'tou' WHERE account_id = 'H0001' AND meter_id IS NOT NULL",
    ],
)
def test_invariant_06_charges_follow_from_registers_and_tariff(used: Engine, change: str) -> None:
    tamper(used, "line", change)
    assert 6 in broken(used)


def test_invariant_06_posted_fen_and_residue_are_the_exact_charge(engine: Engine, writer: Writer) -> None:
    plant(writer)
    total_wh = 1_000_000
    for hour in range(1, 30):
        total_wh += 10 * hour
        read(writer, reading(1, hour * HOUR, total_wh))
        charge(writer, hour * HOUR)
    balance_fen, residue_nf = balance(engine, "H0001")
    assert (5000 - balance_fen) * 10**9 + residue_nf == (total_wh - 1_000_000) * 58_886_875
    assert abs(residue_nf) < 10**9
    agrees(engine)


@pytest.mark.parametrize("table", schema.APPEND_ONLY)
def test_invariant_07_the_journal_cannot_be_rewritten(used: Engine, table: str) -> None:
    column = next(iter(schema.metadata.tables[table].c)).name
    with begin_writing(used) as connection, connection.begin():
        values: dict[str, object] = {
            name: 0 if str(item.type) in ("BIGINT", "INTEGER") else "x"
            for name, item in schema.metadata.tables[table].c.items()
        }
        connection.execute(schema.metadata.tables[table].insert().values(**values))
    for statement in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
        with (
            begin_writing(used) as connection,
            pytest.raises(DBAPIError, match="append-only"),
            connection.begin(),
        ):
            connection.exec_driver_sql(statement)


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("batch", "UPDATE batch SET memo = 'other' WHERE batch_seq = 2"),
        ("seal", "UPDATE seal SET previous_hash = hash WHERE batch_seq = 3"),
        ("seal", "DELETE FROM seal WHERE batch_seq = 2"),
        ("batch", "UPDATE batch SET batch_seq = 99 WHERE batch_seq = 5"),
    ],
)
def test_invariant_07_the_seals_show_what_was_rewritten(used: Engine, table: str, change: str) -> None:
    tamper(used, table, change)
    assert 7 in broken(used)


def test_invariant_07_a_missing_trigger_is_found(sqlite_engine: Engine) -> None:
    writer = Writer(sqlite_engine)
    plant(writer)
    writer.stop()
    with begin_writing(sqlite_engine) as connection, connection.begin():
        connection.exec_driver_sql("DROP TRIGGER line_no_DELETE")
    assert broken(sqlite_engine) == {7}


def test_the_unsealed_tail_is_counted_and_sealing_goes_on(engine: Engine, writer: Writer) -> None:
    plant(writer)
    assert agrees(engine).unsealed == 3
    assert writer.run(lambda unit: seal_batches(unit, ESTATE, at(), limit=1)) == 1
    assert agrees(engine).unsealed == 2
    assert writer.run(lambda unit: seal_batches(unit, ESTATE, at())) == 2
    assert writer.run(lambda unit: seal_batches(unit, ESTATE, at())) == 0
    top_up(writer, 1, 1, "late")
    assert agrees(engine).unsealed == 1


def test_seals_of_the_first_form_are_followed_and_led_on(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, tariff_id="tou", start_rates_wh=(10, 20, 30, 40))])
    read(writer, reading(1, HOUR, 1_002_000, (510, 520, 530, 540)))
    charge(writer, HOUR)

    def seal_as_before(unit: Unit) -> None:
        previous = GENESIS
        for batch_seq in (1, 2, 3):
            header = unit.connection.execute(
                select(*(schema.batch.c[name] for name in BATCH_HEADER)).where(schema.batch.c.batch_seq == batch_seq)
            ).one()
            lines = lines_sha256(lines_of_batch(unit.connection, ESTATE, batch_seq))
            own = chain_hash(previous, tuple(header), lines)
            append_links(unit.connection, ESTATE, [Link(batch_seq, lines, previous, own, 0, form=1)])
            previous = own

    writer.run(seal_as_before)
    top_up(writer, 1, 100, "later")
    assert writer.run(lambda unit: seal_batches(unit, ESTATE, at())) == 1
    assert [row["form"] for row in rows(engine, "seal")] == [1, 1, 1, 2]
    agrees(engine)
    tamper(engine, "line", "UPDATE line SET to_rates_wh = '510,520,530,541' WHERE to_rates_wh IS NOT NULL")
    assert "hash of the lines" in str(report(engine).mismatches)


def test_links_that_somebody_else_has_appended_are_refused(engine: Engine, writer: Writer) -> None:
    plant(writer)
    with reader(engine) as connection:
        links = next_links(connection, ESTATE, at())
    assert writer.run(lambda unit: seal_links(unit, ESTATE, links)) == 3
    with pytest.raises(Conflict, match="sealed by somebody else"):
        writer.run(lambda unit: seal_links(unit, ESTATE, links))
    agrees(engine)


def test_the_balance_at_an_instant_is_what_had_happened_by_then(engine: Engine, writer: Writer) -> None:
    plant(writer)
    for hour in (1, 2, 3):
        read(writer, reading(1, hour * HOUR, 1_000_000 + 10 * hour))
        charge(writer, hour * HOUR)
        if hour == 2:
            top_up(writer, 1, 700, "happened at the start, booked now")
    with reader(engine) as connection:
        found = [balance_at(connection, ESTATE, "H0001", START_S + second) for second in (-1, 0, HOUR, 2 * HOUR - 1)]
        now = balance_at(connection, ESTATE, "H0001", START_S + 3 * HOUR)
    assert found[0] == (0, 0)
    assert found[1] == (5700, 0)
    assert [(5700 - fen) * 10**9 + residue_nf for fen, residue_nf in found[2:]] == [588_868_750] * 2
    assert now == balance(engine, "H0001")


def test_a_key_with_another_request_is_refused_and_leaves_a_trace(engine: Engine, writer: Writer) -> None:
    plant(writer)
    top_up(writer, 1, 700, "same")
    with pytest.raises(Conflict, match="same"):
        top_up(writer, 1, 701, "same")
    noted = [row for row in rows(engine, "audit") if row["verb"] == "key.reused"]
    assert [(row["actor"], row["subject"]) for row in noted] == [("test", "same")]
    assert top_up(writer, 1, 700, "same").repeated
    assert len([row for row in rows(engine, "audit") if row["verb"] == "key.reused"]) == 1
