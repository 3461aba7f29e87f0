"""Lines of an account are found block by block of their versions: the right ones, by an index, and on few pages."""

import re
from pathlib import Path

import pysqlite3
import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from server.domain.rerating import Rerate
from server.domain.settlement import Settlement
from server.store import (
    bills,
    books,
    comparison,
    doubts,
    household,
    ledger,
    listing,
    rerating,
    schemes,
    statements,
    voiding,
)
from server.store.account_lines import BLOCK
from server.store.engine import open_engine
from server.store.schema import meter_live
from tests.house.sources import ROOT
from tests.server.estates import ESTATE, START_S, account_id, meter_id, plant
from tests.server.web.recorded import Recorder

ONE, OTHER = account_id(1), account_id(2)
FIRST, SECOND = 45, 21  # the versions of the two, neither of which ends a block
EVERY = 7  # so many lines are a top-up each
BATCH = """
INSERT INTO batch (estate_id, batch_seq, kind, event_at, created_ms, idem_key, payload_sha256, lines, turnover_fen)
VALUES ('{e}', {seq}, '{kind}', {at}, {at}, 'key {seq}', '', 1, 0)
"""
LINES = """
INSERT INTO line (estate_id, batch_seq, line_no, account_id, amount_fen, balance_after_fen, account_version, charge_nf,
meter_id, install_no, tariff_id, from_wh, to_wh, tier_period_start, tier_from_wh, event_from, event_to)
SELECT estate_id, {seq}, row_number() OVER (ORDER BY account_id), account_id, {seq}, {seq}, version + 1, 0,
{meter}, 1, 'single', 0, 10, 0, 0, {at} - 3600, {at} FROM account WHERE {those}
"""
GROW = "UPDATE account SET version = version + 1 WHERE {those}"


def grow(connection, seq, those, *, topup=False):
    """One more line on each of `those` accounts, an hour after the one before; its amount is its batch."""
    values = {"e": ESTATE, "seq": seq, "at": START_S + seq * 3600, "those": those}
    values |= {"kind": "topup", "meter": "NULL"} if topup else {"kind": "charge", "meter": f"'{meter_id(1)}'"}
    for text in (BATCH, LINES, GROW):
        connection.exec_driver_sql(text.format(**values))


@pytest.fixture
def grown(engine, writer):
    """Two accounts of FIRST and SECOND lines: version 1 is their opening, the batch of the others is their version."""
    plant(writer, 2)
    with engine.begin() as connection:
        connection.execute(update(meter_live).values(reading_at=0))
        for version in range(2, FIRST + 1):
            both = f"account_id IN ('{ONE}', '{OTHER if version <= SECOND else ONE}')"
            grow(connection, 1000 + version, both, topup=version % EVERY == 0)
    with engine.connect() as connection:
        yield connection


def amounts(newest, count):
    """The amounts of so many lines below a version, without the opening."""
    return [1000 + version for version in range(newest, max(newest - count, 1), -1)]


def test_the_newest_lines_are_the_newest_wherever_a_block_ends(grown):
    for count in range(1, 2 * BLOCK + 2):
        found = household.ledger(grown, ESTATE, ONE, limit=count)
        assert [one.amount_fen for one in found] == amounts(FIRST, count)
        for top in (SECOND, SECOND - 3):
            rows = ledger.lines_of_account(grown, ESTATE, OTHER, limit=count, before_version=top + 1)
            assert [row["amount_fen"] for row in rows] == amounts(top, count)
            listed = listing.ledger_lines(grown, ESTATE, OTHER, before=top + 1, limit=count)
            assert [row["batch_seq"] for row in listed] == [row["batch_seq"] for row in rows]
    everything = ledger.lines_of_account(grown, ESTATE, OTHER)
    assert [row["account_version"] for row in everything] == list(range(SECOND, 0, -1))
    assert ledger.lines_of_account(grown, ESTATE, "nobody") == []


def test_what_is_among_the_lines_of_an_account_is_found_in_all_its_blocks(grown):
    topups = [1000 + version for version in range(FIRST, 1, -1) if version % EVERY == 0]
    assert [one.amount_fen for one in household.ledger(grown, ESTATE, ONE, limit=99, kinds=["topup"])] == topups
    for version in (1, BLOCK - 1, BLOCK, BLOCK + 1, FIRST):
        (one,) = bills.numbered_line(grown, ESTATE, ONE, version)
        assert one.line.account_version == version
        assert one.balance_before_fen == (0 if version == 1 else 5000 if version == 2 else 1000 + version - 1)
    assert bills.numbered_line(grown, ESTATE, ONE, FIRST + 1) == []
    until = START_S + (1000 + FIRST) * 3600
    between = bills.lines_between(grown, ESTATE, ONE, START_S, until)
    assert [one.line.account_version for one in between] == list(range(2, FIRST + 1))
    assert bills.newest_charge(grown, ESTATE, ONE) == (FIRST, until)
    opening = 5000
    assert ledger.balance_at(grown, ESTATE, ONE, until)[0] == opening + sum(amounts(FIRST, FIRST))
    assert schemes.last_topups(grown, ESTATE, [ONE, OTHER]) == {ONE: 1042, OTHER: 1021}
    assert schemes.spent(grown, ESTATE, [ONE, OTHER], 0)[OTHER][0] == -sum(amounts(SECOND, SECOND))
    lines = voiding.meter_lines(grown, ESTATE, ONE, meter_id(1), 1)
    assert [one.account_version for one, _ in lines] == [v for v in range(FIRST, 1, -1) if v % EVERY]
    assert books._position(grown, ESTATE, ONE)["account_version"] == FIRST
    charged = [amount for amount in amounts(FIRST, doubts.LAST_LINES) if amount not in topups]
    assert doubts._unconfirmed(grown, ESTATE, [ONE, OTHER])[ONE] == -sum(charged)


def test_an_account_has_each_version_once(grown):
    grown.rollback()
    again = LINES.replace("version + 1", "version")
    with pytest.raises(IntegrityError), grown.begin():
        grown.exec_driver_sql(again.format(seq=9999, at=0, meter="NULL", those=f"account_id = '{ONE}'"))


RERATE = Rerate("r", "single", "{}", 0, 1, 1, "")
OCTOBER = Settlement("month", "2026-10", 0, 10**10, 10**6, 0, 0, "{}", "", "", "", 0, 0, "")
EVER = 10**10
ORDERED = {  # with whether the newest come first by themselves
    "newest lines": lambda conn: household.ledger(conn, ESTATE, ONE),
    "newest top-ups": lambda conn: household.ledger(conn, ESTATE, ONE, kinds=["topup"]),
    "a page of lines": lambda conn: listing.ledger_lines(conn, ESTATE, ONE, before=9, limit=5),
    "lines before one": lambda conn: ledger.lines_of_account(conn, ESTATE, ONE, before_version=9),
    "newest charge": lambda conn: bills.newest_charge(conn, ESTATE, ONE),
    "what may be taken back": lambda conn: voiding.meter_lines(conn, ESTATE, ONE, meter_id(1), 1),
    "doubts": lambda conn: doubts._owing_since_ms(conn, ESTATE, [ONE, OTHER]),
}
ASKED = ORDERED | {
    "charges of a meter": lambda conn: bills.charges_of(conn, ESTATE, ONE, (meter_id(1), 1), EVER, EVER),
    "a balance": lambda conn: ledger.balance_at(conn, ESTATE, ONE, EVER),
    "a bill": lambda conn: bills.numbered_line(conn, ESTATE, ONE, 9),
    "a month": lambda conn: bills.lines_between(conn, ESTATE, ONE, 0, EVER),
    "last top-ups": lambda conn: schemes.last_topups(conn, ESTATE, [ONE, OTHER]),
    "what was spent": lambda conn: schemes.spent(conn, ESTATE, [ONE, OTHER], 0),
    "a position": lambda conn: books._position(conn, ESTATE, ONE),
    "what is unconfirmed": lambda conn: doubts._unconfirmed(conn, ESTATE, [ONE, OTHER]),
    "what was corrected": lambda conn: rerating.corrected(conn, ESTATE, [RERATE], [ONE, OTHER]),
    "courses": lambda conn: comparison.courses(
        conn, ESTATE, comparison.Lineages(conn, ESTATE), [ONE, OTHER], (0, EVER), instants=[1]
    ),
    "a statement": lambda conn: statements.lines_in(conn, ESTATE, OCTOBER, [ONE, OTHER]),
}


@pytest.mark.parametrize("backend", ["sqlite"])
def test_no_line_of_another_account_is_looked_at_and_the_newest_are_not_sorted(database_url, monkeypatch):
    recorder, connect = Recorder(), pysqlite3.connect
    monkeypatch.setattr(pysqlite3, "connect", lambda *a, **k: recorder.connect(connect, *a, **k))
    engine = open_engine(database_url)
    for name, ask in ASKED.items():
        with engine.connect() as connection:
            recorder.statements.clear()
            ask(connection)
            raw = connection.connection.driver_connection
            steps = [
                row[3]
                for text, given in list(recorder.statements.items())
                for row in raw.execute(f"EXPLAIN QUERY PLAN {text}", given)
            ]
        found = [step for step in steps if re.match(r"(SEARCH|SCAN) (line|before|batch)\b", step)]
        assert any("line_account_version (<expr>=? AND account_id=?" in step for step in found), (name, steps)
        assert [step for step in found if "SCAN" in step or step.endswith("(estate_id=?)")] == [], name
        assert name not in ORDERED or not any("FOR ORDER BY" in step for step in steps), (name, steps)
    engine.dispose()


def test_nobody_else_asks_for_the_lines_of_an_account():
    named = re.compile(r"\bline\.c\.account_id(?: ==|\.in_)")
    found = {path.name: len(named.findall(path.read_text("utf-8"))) for path in (ROOT / "server").rglob("*.py")}
    found = {name: count for name, count in found.items() if count and name != "account_lines.py"}
    assert found == {"books.py": 1, "statements.py": 2}, "these name the batch, too; SQLite has no index by account"


HOUSEHOLDS = """
WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {n})
INSERT INTO account (estate_id, account_id, kind, version) SELECT '{e}', printf('H%04d', i), 'household', i % {apart}
FROM n
"""


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_charge_changes_few_pages_of_a_long_journal(engine):
    households, lines, apart = 500, 200, 5
    log = Path(f"{engine.url.database}-wal")
    with engine.begin() as connection:
        connection.exec_driver_sql(HOUSEHOLDS.format(e=ESTATE, n=households, apart=apart))
        for seq in range(lines):
            grow(connection, seq, "1")
    with engine.connect() as connection:
        connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with connection.begin():
            grow(connection, lines, "1")
    assert log.stat().st_size // 4096 < households / 4, "one page for each account would be more than that"
