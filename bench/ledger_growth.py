"""What a line costs when the journal is ten times longer, or a hundred: charges at 10^5, 10^6 and 10^7 lines.

The lines in between are made by the database itself, in the order and with the keys of real batches, and move
nothing; the versions of the accounts lie apart, as after months of more top-ups here and silent meters there. What is
measured are real charges on top of them: the time until they are durable, and on SQLite also all CPU of the process,
with the copying of the log into the file that nobody waits for.
"""

import statistics
import time
from collections.abc import Callable

from bench.deduct_tick import ESTATE
from bench.ledger_estate import Books
from bench.report import Peer, Result, progress

METERS, QUICK_METERS = 10_000, 100
LINES = (10**5, 10**6)
WHOLE_LINES = (*LINES, 10**7)
QUICK_LINES = (10**3, 10**4)
CHARGES = 5
TIMES_MOST = 1.5
BATCHES_A_COMMIT = 10
VERSIONS_APART = 100
_APART = """
UPDATE account SET version = version + CAST(substr(account_id, 2) AS integer) * 37 % {apart}
WHERE estate_id = '{estate}' AND kind = 'household'
"""
_FILL_BATCH = """
INSERT INTO batch (estate_id, batch_seq, kind, event_at, created_ms, idem_key, payload_sha256, lines, turnover_fen)
VALUES ('{estate}', {seq}, 'charge', 0, 0, 'fill-{seq}', '', {meters}, 0)
"""
_FILL_LINES = """
INSERT INTO line (estate_id, batch_seq, line_no, account_id, amount_fen, balance_after_fen, account_version, charge_nf,
residue_after_nf, meter_id, install_no, tariff_id, from_wh, to_wh, tier_period_start, tier_from_wh, event_from,
event_to)
SELECT estate_id, {seq}, row_number() OVER (ORDER BY account_id), account_id, 0, balance_fen, version + 1, 500000000,
residue_nf, '000000000001', 1, tariff_id, 850, 1700, 1790784000, 850, 1791853500, 1791857100
FROM account WHERE estate_id = '{estate}' AND kind = 'household'
"""
_FILL_ACCOUNTS = "UPDATE account SET version = version + 1 WHERE estate_id = '{estate}' AND kind = 'household'"


def growth_rows(kind: str, make: Callable[[], str], *, quick: bool, whole: bool) -> list[Result]:
    """The cost of a line in the longest journal over that in the shortest; beside it what is allowed."""
    books = Books(make(), QUICK_METERS if quick else METERS)
    with books.engine.connect().execution_options(no_parameters=True) as connection, connection.begin():
        connection.exec_driver_sql(_APART.format(estate=ESTATE, apart=VERSIONS_APART))
    costs, sizes = [], QUICK_LINES if quick else WHOLE_LINES if whole else LINES
    for lines in sizes:
        progress(f"ledger: {kind}, a journal of {lines:,} lines")
        _fill(books, lines)
        costs.append(_cost(books))
    books.close()
    what = ("cost", "CPU") if kind == "sqlite" else ("cost",)
    return [
        _row(f"{kind}: {name} of a line in a journal of {lines:,} lines over that of {sizes[0]:,}", base, cost)
        for lines, each in zip(sizes[1:], costs[1:], strict=True)
        for name, base, cost in zip(what, costs[0], each, strict=False)
    ]


def _row(name: str, base: float, cost: float) -> Result:
    """Both in microseconds; a ratio of 1 is what is allowed, TIMES_MOST that of a cost that stays as it is."""
    peer = Peer(f"times {TIMES_MOST} allowed", base * 1e6)
    return Result(name, cost * 1e6, "us", peer, TIMES_MOST * base / cost, None, floor=1.0, goal=TIMES_MOST)


def _cost(books: Books) -> tuple[float, float]:
    """Seconds of a line: until it is durable, and of CPU with what is done for it afterwards."""
    samples = []
    for _ in range(CHARGES):
        books.read_all()
        books.vacuum()
        start, used = time.perf_counter(), time.process_time()
        books.charge_all()
        durable = time.perf_counter() - start
        books.vacuum()
        samples.append((durable / books.meters, (time.process_time() - used) / books.meters))
    return statistics.median(one[0] for one in samples), statistics.median(one[1] for one in samples)


def _fill(books: Books, lines: int) -> None:
    with books.engine.connect() as connection:
        seq = connection.exec_driver_sql("SELECT max(batch_seq) FROM batch").scalar_one()
        have = connection.exec_driver_sql("SELECT count(*) FROM line").scalar_one()
        connection.rollback()
        while have < lines:
            with connection.begin():
                for _ in range(BATCHES_A_COMMIT):
                    seq, have = seq + 1, have + books.meters
                    for statement in (_FILL_BATCH, _FILL_LINES, _FILL_ACCOUNTS):
                        connection.exec_driver_sql(statement.format(estate=ESTATE, seq=seq, meters=books.meters))
    books.vacuum()
