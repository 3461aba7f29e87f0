"""Databases of older revisions, full of data, become today's: every figure stays, verify agrees, and life goes on.

The rows were written by the code of those revisions (README.md beside this).
"""

import json
import os
import random
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect

from core.reading import Verdict
from server.store.engine import open_engine, reader, upgrade
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, balance, charge, read, reading, rows, top_up
from tests.server.estates import account_id
from tests.server.power.test_kills import let_go

ROOT = Path(__file__).parents[3]
OLD = sorted(path.stem for path in Path(__file__).parent.glob("*.sql"))
QUICK = ("0001", "0019")  # between them they meet every migration; the others begin in CI
RENAMED = {("meter", "edition"): "protocol"}
ADDED = "meter_credit"  # an account that every estate needs since 0007
UNTOUCHED = {"alembic_version"}
SEALED = ("'what held at the upgrade'", "'told assignment'")  # batches that seal rules of money, since 0032 and 0034
TOLD = ("'fee_booked'", "'transferred'")  # acts of accounts that are told since 0027, those before it too
PAID = """
INSERT INTO payment (estate_id, payment_id, provider, transaction_id, order_no, account_id, amount_fen, batch_seq,
event_at, created_ms, state)
SELECT batch.estate_id, 'counter ' || batch.batch_seq, 'cash', 'counter ' || batch.batch_seq,
'counter ' || batch.batch_seq, line.account_id, line.amount_fen, batch.batch_seq, batch.event_at, batch.created_ms,
'credited'
FROM batch
JOIN ({lines}) AS line ON line.batch_seq = batch.batch_seq
WHERE batch.kind = 'topup' AND batch.actor = 'test' AND line.amount_fen > 0
"""
ORDERED = """
INSERT INTO payment_order (estate_id, order_no, account_id, amount_fen, provider, channel, status, created_ms,
created_at, paid_ms, payment_id, actor)
SELECT estate_id, order_no, account_id, amount_fen, provider, 'counter', 'paid', created_ms, event_at, created_ms,
payment_id, 'test' FROM payment WHERE payment_id LIKE 'counter %'
"""
AGREED = """
INSERT INTO approval (estate_id, approval_id, kind, payload, payload_sha256, requested_by, requested_ms, expires_ms,
approved_by, approved_ms, status) VALUES ('plum', 'approval-1', 'rerate', '{payload}', '{sha256}', 'zhou', 1, 2, 'wang',
1, 'approved')
"""
TERMS = {  # of the re-rating in 0019
    "rerate_id": "3af46d7524974513a5336c06fd341bed",
    "terms_sha256": "356d833d0ce686cab29cf3b9dea8da7c0347f19cfce7a783a0b7c094efef0dd4",
}
LINES = "SELECT batch_seq, account_id, amount_fen FROM line"
ARCHIVED = " UNION ALL SELECT 5, 'H0002', 100 UNION ALL SELECT 7, 'H0003', 200"  # in 0019
UNBOOKED = "DELETE FROM recharge WHERE recharge_id = 'recharge_id of old'"  # made up, without its batch
EMPTY = {"settlement_begun", "recharge"}
LATER = 40 * 24 * HOUR
CHILD = """
import os, signal, sys
from sqlalchemy import event
from server.store.engine import open_engine, upgrade
engine, left = open_engine(sys.argv[1]), [int(sys.argv[2])]
@event.listens_for(engine, "before_cursor_execute")
def count(*_):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
upgrade(engine)
print(int(sys.argv[2]) - left[0])
"""


def marked(revisions: list[str]) -> list[object]:
    """The oldest and the newest always, those in between in CI."""
    return [one if one in QUICK else pytest.param(one, marks=pytest.mark.ci) for one in revisions]


def lived(url: str, revision: str) -> Engine:
    """The database of that revision with its rows, the payments of its top-ups, and nothing that was never booked."""
    engine = open_engine(url)
    upgrade(engine, revision)
    statements = Path(__file__).with_name(f"{revision}.sql").read_text("utf-8").split(";\n")
    with engine.begin() as connection:
        for statement in statements:
            if statement.strip():
                connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        connection.exec_driver_sql(PAID.format(lines=LINES + ARCHIVED * (revision == "0019")))
        connection.exec_driver_sql(ORDERED, execution_options={"no_parameters": True})
        if revision == "0019":
            payload = json.dumps(TERMS)
            agreed = AGREED.format(payload=payload, sha256=sha256(payload.encode()).hexdigest())
            connection.exec_driver_sql(agreed, execution_options={"no_parameters": True})
        if inspect(connection).has_table("recharge"):
            connection.exec_driver_sql(UNBOOKED)
    return engine


def figures(engine: Engine, columns: dict[str, list[str]]) -> dict[str, list[str]]:
    """All rows of these columns of these tables, in some order."""
    found = {}
    with reader(engine) as connection:
        for table, names in columns.items():
            query = f"SELECT {', '.join(names)} FROM {table}"
            found[table] = sorted(repr(tuple(row)) for row in connection.exec_driver_sql(query))
    return found


def columns_of(engine: Engine) -> dict[str, list[str]]:
    """Every table and its columns; parts of tables by months are not tables of their own."""
    inspector = inspect(engine)
    tables = set(inspector.get_table_names()) - UNTOUCHED
    parts = {one for one in tables for table in ("line", "reading") if one.startswith(f"{table}_") and
             one.removeprefix(f"{table}_") in ("before", "rest")}  # fmt: skip
    return {one: [column["name"] for column in inspector.get_columns(one)] for one in sorted(tables - parts)}


def kept(engine: Engine, columns: dict[str, list[str]], before: dict[str, list[str]]) -> bool:
    """Whether every figure is there, under the name that it has today, and nothing else but ADDED, TOLD and SEALED."""
    today = columns_of(engine)
    named = {
        table: [one if one in today[table] else RENAMED[table, one] for one in names]
        for table, names in columns.items()
    }
    after = figures(engine, named)
    added = [row for row in after["account"] if f"'{ADDED}'" in row]
    sealed = [row for row in after["batch"] if any(memo in row for memo in SEALED)]
    now = before | {
        "account": sorted({*before["account"], *added}), "batch": sorted({*before["batch"], *sealed}),
    }  # fmt: skip
    if "account_event" in before:
        told = [row for row in after["account_event"] if any(act in row for act in TOLD)]
        now["account_event"] = sorted({*before["account_event"], *told})
    return after == now


@pytest.mark.parametrize("revision", marked(OLD))
def test_every_figure_stays_and_life_goes_on(empty_url: str, revision: str) -> None:
    engine = lived(empty_url, revision)
    columns = columns_of(engine)
    before = figures(engine, columns)
    assert [table for table, found in before.items() if not found and table not in EMPTY] == []
    upgrade(engine)
    assert kept(engine, columns, before)
    report = agrees(engine)
    assert report.lines == len(before["line"]) > 40
    assert report.sealed > 15
    meaning(engine, revision)
    writer = Writer(engine)
    was_fen, _ = balance(engine, account_id(1))
    top_up(writer, 1, 700, "after the upgrade")
    assert read(writer, reading(1, LATER, 1_400_000)) == [Verdict.ACCEPTED]
    charge(writer, LATER)
    writer.stop()
    assert balance(engine, account_id(1))[0] < was_fen + 700
    assert agrees(engine).charges > report.charges
    engine.dispose()


def meaning(engine: Engine, revision: str) -> None:
    """What is new of old rows says what held before."""
    account = next(row for row in rows(engine, "account") if row["account_id"] == account_id(1))
    if revision < "0005":
        assert json.loads(str(account["own_rules"])) == {
            "alarm1": ["fixed", 3000], "alarm2": ["fixed", 1000], "close_allowed_fen": 0, "overdraft_fen": 0,
        }  # fmt: skip
    if revision < "0006":
        assert {row["form"] for row in rows(engine, "seal")} == {1}
    if revision < "0008":
        assert {row["rules"] for row in rows(engine, "reading")} == {1}
    if revision < "0012":
        assert {row["paid_ms"] for row in rows(engine, "payment")} == {None}
    if revision < "0013":
        assert account["payment"] == "prepaid"
    assert {row["protocol"] for row in rows(engine, "meter")} == {"2007"}
    if revision < "0019":
        assert {row["act"] for row in rows(engine, "bulk_cut")} <= {"cut"}
    assert {row["fee"] for row in rows(engine, "meter")} == {"remote"}


def killed(engine: Engine, statement: int) -> int:
    """Migrate in a process that kills itself before that statement; how many there were if it came through, else 0."""
    url = engine.url.render_as_string(hide_password=False)
    engine.dispose()
    command = [sys.executable, "-P", "-c", CHILD, url, str(statement)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, -9), done.stderr
    let_go(engine)
    return int(done.stdout) if done.returncode == 0 else 0


def test_a_migration_that_was_killed_is_run_again(empty_url: str) -> None:
    engine = lived(empty_url, "0001")
    columns = columns_of(engine)
    before = figures(engine, columns)
    assert killed(engine, 100) == 0
    assert columns_of(engine) == columns
    assert figures(engine, columns) == before
    upgrade(engine)
    assert kept(engine, columns, before)
    agrees(engine)
    engine.dispose()


@pytest.mark.ci
def test_killed_before_any_statement_nothing_is_half_done(empty_url: str) -> None:
    engine = lived(empty_url, "0001")
    columns, luck = columns_of(engine), random.Random(645)
    before = figures(engine, columns)
    for statement in sorted(luck.sample(range(1, 130), 12)):
        assert killed(engine, statement) == 0
        assert columns_of(engine) == columns, f"statement {statement}"
        assert figures(engine, columns) == before, f"statement {statement}"
    assert 130 < killed(engine, 10_000) < 400
    assert kept(engine, columns, before)
    agrees(engine)
    engine.dispose()
