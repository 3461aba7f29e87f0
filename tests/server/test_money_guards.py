"""Invariants of money, each with a probe that holds and that fails once its guard is taken away.

A probe plays a story and asserts; `without_guard` runs it with the guard removed and demands that it fails, so that no
probe can be blind. The invariants of supply have theirs in test_supply_invariants.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.exc import DBAPIError

from core.reading import ADVANCING, Verdict
from server.domain.columns import Columns
from server.domain.verification import Findings
from server.errors import Conflict
from server.flows import billing, readings
from server.flows import ledger as booking
from server.flows.ledger import post_topup, seal_batches
from server.flows.verification import verify
from server.store import bulk
from server.store import ledger as journal
from server.store import writer as writing
from server.store.engine import begin_writing, reader
from server.store.schema import account, batch, line, meter_cursor, payment, seal
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, charge, keep_payment, read, reading, rows, top_up
from tests.server.estates import ESTATE, account_id, at, meter_id, plant

TESTS = Path(__file__).parents[1]
MONEY = (1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 18)  # the numbered invariants that are about money
Patch = pytest.MonkeyPatch
Probe = Callable[[Engine, Writer, Patch], None]


@pytest.fixture
def engine(sqlite_engine: Engine) -> Engine:
    """The guards are the same on both databases."""
    return sqlite_engine


def without_guard(probe: Probe, engine: Engine, writer: Writer, patch: Patch) -> None:
    with pytest.raises((AssertionError, DBAPIError, pytest.fail.Exception)):
        probe(engine, writer, patch)


def used(writer: Writer) -> None:
    """Two households that were charged, one of which paid."""
    plant(writer)
    read(writer, reading(1, HOUR, 1_002_000), reading(2, HOUR, 1_000_010))
    charge(writer, HOUR)
    top_up(writer, 1, 700, "paid")
    writer.run(lambda unit: seal_batches(unit, ESTATE, at()))


def broken(engine: Engine) -> set[int]:
    with reader(engine) as connection:
        return {one.invariant for one in verify(connection, ESTATE).mismatches}


def behind(engine: Engine, *statements: object) -> None:
    """Change rows behind everybody's back, and put the triggers there again."""
    with begin_writing(engine) as connection, connection.begin():
        asked = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE '%\\_no\\_UPDATE' ESCAPE '\\'"
        triggers = connection.exec_driver_sql(asked).all()
        for name, _ in triggers:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]
        for _, words in triggers:
            connection.exec_driver_sql(words)


def blind(number: int) -> Callable[[Patch], None]:
    """`verify` that does not see one invariant."""

    def remove(patch: Patch) -> None:
        note = Findings.note

        def some(self: Findings, invariant: int, subject: str, detail: str) -> None:
            if invariant != number:
                note(self, invariant, subject, detail)

        patch.setattr(Findings, "note", some)

    return remove


def careless(patch: Patch) -> None:
    """Updates that do not compare before they set."""
    real, of_columns = bulk.Bundle.update, bulk.Bundle.update_columns

    def kept_of(setting, key):  # type: ignore[no-untyped-def]
        kept = [name for name in key if name not in ("version", "seq")]
        return kept, [len(setting) + list(key).index(name) for name in kept]

    def update_(self, table, setting, key, given, increment=(), *, otherwise=None):  # type: ignore[no-untyped-def]
        kept, places = kept_of(setting, key)
        bare = [(*row[: len(setting)], *(row[place] for place in places)) for row in given]
        real(self, table, setting, kept, bare, increment, otherwise=None)

    def update_columns_(self, table, setting, key, given, increment=(), *, otherwise):  # type: ignore[no-untyped-def]
        kept, places = kept_of(setting, key)
        bare = [*given.columns[: len(setting)], *(given.columns[place] for place in places)]
        of_columns(self, table, setting, kept, Columns(tuple(bare), given.rows), increment, otherwise=None)

    patch.setattr(bulk.Bundle, "update", update_)
    patch.setattr(bulk.Bundle, "update_columns", update_columns_)


# 1: lines of a batch, and of all batches, sum to zero


def probe_01(engine: Engine, writer: Writer, _patch: Patch) -> None:
    used(writer)
    behind(engine, update(line).where(line.c.account_id == "cash").values(amount_fen=-701, balance_after_fen=-701))
    assert 1 in broken(engine)


# 2: a balance follows from its lines, without a gap in the versions


def probe_02(engine: Engine, writer: Writer, patch: Patch) -> None:
    plant(writer)
    real = journal.standing

    def meanwhile(connection, *rest):  # type: ignore[no-untyped-def]
        found = real(connection, *rest)
        own = account.c.account_id == account_id(1)
        connection.execute(account.update().where(own).values(version=account.c.version + 1))
        return found

    patch.setattr(booking.journal, "standing", meanwhile)
    with pytest.raises(Conflict, match="somebody else"):
        top_up(writer, 1, 100, "late")
    agrees(engine)


def probe_02_verified(engine: Engine, writer: Writer, _patch: Patch) -> None:
    used(writer)
    behind(engine, update(account).where(account.c.account_id == account_id(1)).values(balance_fen=10**6))
    assert broken(engine) == {2}


# 3 and 8: charged intervals follow each other, each charge with its cursor


def probe_03(engine: Engine, writer: Writer, patch: Patch) -> None:
    plant(writer)
    read(writer, reading(1, HOUR, 1_002_000))
    load = billing.load_due

    def meanwhile(connection, *rest):  # type: ignore[no-untyped-def]
        found = load(connection, *rest)
        connection.execute(meter_cursor.update().where(meter_cursor.c.meter_id == meter_id(1)).values(seq=7))
        return found

    patch.setattr(billing, "load_due", meanwhile)
    with pytest.raises(Conflict, match="somebody else"):
        charge(writer, HOUR)
    assert [row for row in rows(engine, "batch") if row["kind"] == "charge"] == []


def probe_03_verified(engine: Engine, writer: Writer, _patch: Patch) -> None:
    used(writer)
    behind(engine, update(meter_cursor).where(meter_cursor.c.meter_id == meter_id(1)).values(total_wh=1_000_000))
    assert broken(engine) == {3}


def probe_08(engine: Engine, writer: Writer, patch: Patch) -> None:
    plant(writer)
    read(writer, reading(1, HOUR, 1_002_000))
    before = {name: rows(engine, name) for name in ("account", "batch", "line", "meter_cursor", "notice")}

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    patch.setattr(billing, "on_balances", fail)
    with pytest.raises(ZeroDivisionError):
        charge(writer, HOUR)
    assert {name: rows(engine, name) for name in before} == before


def no_savepoint(patch: Patch) -> None:
    """A writer that keeps what a failed unit has written."""
    patch.setattr(writing, "undo_unit", writing.keep_unit)


# 4: one batch for each key


def probe_04(engine: Engine, writer: Writer, _patch: Patch) -> None:
    plant(writer)
    first = top_up(writer, 1, 700, "same")
    assert top_up(writer, 1, 700, "same").batch_seq == first.batch_seq
    with pytest.raises(Conflict, match="same"):
        top_up(writer, 1, 701, "same")
    assert sum(row["idem_key"] == "same" for row in rows(engine, "batch")) == 1


def forgetful(patch: Patch) -> None:
    """A booking that does not look for its key."""
    real = journal.standing

    def standing(connection, estate_id, _keys, names):  # type: ignore[no-untyped-def]
        return real(connection, estate_id, [], names)

    patch.setattr(booking.journal, "standing", standing)


def indifferent(patch: Patch) -> None:
    """A booking that takes every request under a known key for the same."""
    patch.setattr(booking, "payload_sha256", lambda *_: "same")


# 5: a provider's transaction is credited once


def probe_05(engine: Engine, writer: Writer, _patch: Patch) -> None:
    used(writer)
    words = {"provider": "sandbox", "idem_key": "by provider", "event_at": 0, "actor": "test", "now": at()}
    posted = writer.run(lambda unit: post_topup(unit, ESTATE, account_id(2), 500, **words))  # type: ignore[arg-type]
    number = f"t{posted.batch_seq}"
    paid = {"provider": "sandbox", "transaction_id": number, "account_id": account_id(2), "state": "credited"}
    own = {"estate_id": ESTATE, "amount_fen": 500, "batch_seq": posted.batch_seq, "event_at": 0, "created_ms": 0}
    writer.run(lambda unit: keep_payment(unit, account_id(2), 500, "sandbox", posted.batch_seq, at()))
    agrees(engine)
    with pytest.raises(DBAPIError):
        writer.run(
            lambda unit: unit.connection.execute(payment.insert().values(payment_id="p2", **own, **paid)) and None
        )
    behind(engine, update(payment).values(amount_fen=501))
    assert broken(engine) == {5}


# 6: every charge can be worked out again to the nanofen


def probe_06(engine: Engine, writer: Writer, _patch: Patch) -> None:
    used(writer)
    own = (line.c.account_id == account_id(1), line.c.meter_id.is_not(None))
    behind(engine, update(line).where(*own).values(charge_nf=line.c.charge_nf + 1))
    assert 6 in broken(engine)


# 7: nothing is rewritten


def probe_07(engine: Engine, writer: Writer, _patch: Patch) -> None:
    used(writer)
    for statement in (update(batch).values(memo="x"), line.delete(), update(seal).values(hash="x")):
        with pytest.raises(DBAPIError, match="append-only"), begin_writing(engine) as connection, connection.begin():
            connection.execute(statement)


def probe_07_sealed(engine: Engine, writer: Writer, _patch: Patch) -> None:
    used(writer)
    behind(engine, update(batch).where(batch.c.batch_seq == 2).values(memo="something else"))
    assert broken(engine) == {7}


def no_triggers(patch: Patch) -> None:
    """A database whose triggers were dropped."""
    real = used

    def dropped(writer: Writer) -> None:
        real(writer)
        names = [f"{table}_no_{verb}" for table in ("batch", "line", "seal") for verb in ("UPDATE", "DELETE")]
        for name in names:
            writer.run(lambda unit, name=name: unit.connection.exec_driver_sql(f"DROP TRIGGER {name}") and None)  # type: ignore[misc]

    patch.setitem(globals(), "used", dropped)


def no_seals(patch: Patch) -> None:
    """A journal that nobody seals."""
    patch.setitem(globals(), "seal_batches", lambda *_: 0)


# 15: a late, repeated or backward reading moves no balance


def probe_15(engine: Engine, writer: Writer, _patch: Patch) -> None:
    used(writer)
    before = rows(engine, "account")
    verdicts = read(
        writer, reading(1, HOUR // 2, 1_003_000), reading(1, HOUR, 1_002_000), reading(1, 2 * HOUR, 1_001_500)
    )
    charge(writer, 2 * HOUR)
    assert rows(engine, "account") == before
    assert not set(verdicts) & set(ADVANCING)


def believing(patch: Patch) -> None:
    """Readings of which every one is accepted."""
    real = readings.judge_reading

    def judge(state, item):  # type: ignore[no-untyped-def]
        return replace(real(state, item), verdict=Verdict.ACCEPTED, step_wh=item.total_wh - state.total_wh)

    patch.setattr(readings, "judge_reading", judge)


# 16: no charge beyond what the meter can have counted


def probe_16(engine: Engine, writer: Writer, _patch: Patch) -> None:
    plant(writer)
    read(writer, reading(1, HOUR, 1_500_000))
    charge(writer, HOUR)
    assert [row for row in rows(engine, "batch") if row["kind"] == "charge"] == []


PROBES: list[tuple[int, Probe, Callable[[Patch], None]]] = [
    (1, probe_01, blind(1)),
    (2, probe_02, careless),
    (2, probe_02_verified, blind(2)),
    (3, probe_03, careless),
    (3, probe_03_verified, blind(3)),
    (4, probe_04, forgetful),
    (4, probe_04, indifferent),
    (5, probe_05, blind(5)),
    (6, probe_06, blind(6)),
    (7, probe_07, no_triggers),
    (7, probe_07_sealed, no_seals),
    (8, probe_08, no_savepoint),
    (15, probe_15, believing),
    (16, probe_16, believing),
]


@pytest.mark.parametrize(("number", "probe", "remove"), PROBES)
def test_each_probe_holds_with_its_guard(
    number: int, probe: Probe, remove: object, engine: Engine, writer: Writer, monkeypatch: Patch
) -> None:
    assert number in MONEY
    assert remove is not None
    probe(engine, writer, monkeypatch)


@pytest.mark.parametrize(("number", "probe", "remove"), PROBES)
def test_each_probe_fails_without_its_guard(
    number: int, probe: Probe, remove: Callable[[Patch], None], engine: Engine, writer: Writer, monkeypatch: Patch
) -> None:
    assert number in MONEY
    remove(monkeypatch)
    without_guard(probe, engine, writer, monkeypatch)


def test_every_numbered_invariant_of_money_has_tests_of_its_name() -> None:
    names = " ".join(path.read_text("utf-8") for path in TESTS.rglob("test_*.py"))
    assert [number for number in MONEY if f"def test_invariant_{number:02d}_" not in names] == []
    assert {number for number, _, _ in PROBES} | {18} == set(MONEY)  # 18: tests/house/test_money_is_an_integer.py
