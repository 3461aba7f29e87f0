"""The ledger on both databases: bulk deduction, durable top-ups, both at once, verification, and growth.

Deduction is 50,000 meters as one durable transaction with cursors, lines, balances and their consequences; in service
the billing job takes small batches between which payments go first. It stands beside what is allowed, and beside the
same statements from the bare driver, which tells how much of the time is the machine's. A top-up is the product's whole
one: what a third party sends becomes order, payment, double entry, notice and kept answer, from 64 payers who each wait
for their answer. Once every sync takes 4 ms longer, as on the disk of a real site (SQLite by a VFS, PostgreSQL by
commit_delay), and the peer is the number of syncs such a disk can do; once the disk is as it is, and the peer sends
the same statements by the bare driver. Where no peer exists a figure stands beside what is allowed or asked for, and
a ratio above 1 is better.
"""

import gc
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pysqlite3

from bench.deduct_tick import ESTATE
from bench.ledger_estate import Books, databases, paid
from bench.ledger_growth import growth_rows
from bench.ledger_raw import noted, replayed
from bench.machine import Load, LoadMeter
from bench.report import BenchFailed, Peer, Result, progress, spread
from bench.slow_sync import slow_sync
from server.collect.supervisor import SWITCH_INTERVAL_S
from server.flows.verification import verify
from server.store.engine import reader

KINDS = ("sqlite", "postgresql")
METERS, QUICK_METERS = 50_000, 100
REPETITIONS, QUICK_REPETITIONS = 7, 2
PAYERS, EACH, QUICK_EACH = 64, 40, 2
WARM_UP_EACH = 16  # so many that the statistics tell of an index
WAIT_S = 0.004
DEDUCTION_S = {"sqlite": (1.0, 0.5), "postgresql": (2.5, 1.0)}
BARE_RATIO, BARE_RATIO_GOAL = 0.7, 1.0
SYNC_RATIO, SYNC_RATIO_GOAL = 8.0, 15.0
RAW_RATIO, RAW_RATIO_GOAL = 0.35, 0.8
P99_MS, P99_GOAL_MS = 150.0, 50.0
PAUSE_S = 0.01  # between two payments of the one who pays while everybody is charged
VERIFY_LINES, VERIFY_LINES_GOAL = 500_000.0, 1_000_000.0
SYNCS = 60
BESIDE_TURNS, VERIFY_TURNS = 3, 3
ON_ONE_ESTATE = ("deduction", "beside", "verify")
ROWS = (*ON_ONE_ESTATE, "slow-disk", "this-disk", "growth")


def run(*, quick: bool, rows: Sequence[str] = ROWS, whole: bool = False) -> tuple[list[Result], list[Load]]:
    """Measure the named rows; quick is small and sets no floor, `whole` lets the journal grow to 10^7 lines."""
    loads: list[Load] = []
    results: list[Result] = []
    parts: dict[str, Callable[[bool], list[Result]]] = {
        "slow-disk": _delayed, "this-disk": _raw, "growth": lambda quick: _growth(quick, whole),
    }  # fmt: skip
    chosen = [parts[name] for name in parts if name in rows]
    if wanted := [name for name in ON_ONE_ESTATE if name in rows]:
        chosen.insert(0, lambda quick: _on_one_estate(quick, wanted))
    for part in chosen:
        with LoadMeter() as meter:
            found = part(quick)
        loads.append(meter.load)
        results += [_judged(row, quick, meter.load.void) for row in found]
    progress("")
    return results, loads


def _judged(row: Result, quick: bool, void: bool) -> Result:
    return replace(row, floor=None if quick else row.floor, void=void)


def _on_one_estate(quick: bool, wanted: Sequence[str]) -> list[Result]:
    measures = {"beside": _beside, "verify": _verify}
    with databases(KINDS) as makers:
        rows = []
        for kind, make in makers.items():
            progress(f"ledger: {kind}, an estate")
            books = Books(make(), QUICK_METERS if quick else METERS)
            twin = Books(make(), books.meters)
            charged = _deduction(kind, books, twin, quick)
            twin.close()
            rows += charged if "deduction" in wanted else []
            rows += [measures[name](kind, books, quick) for name in wanted if name in measures]
            books.close()
    return rows


def _deduction(kind: str, books: Books, twin: Books, quick: bool) -> list[Result]:
    """The time of one transaction, and the share of it that the bare driver takes for the same statements."""
    samples, ratios = [], []
    for turn in range(QUICK_REPETITIONS if quick else REPETITIONS):
        progress(f"ledger: {kind}, {books.meters} meters in one transaction, {turn + 1}")
        books.read_all()
        twin.read_all()
        with noted(books.engine) as statements:
            start = time.perf_counter()
            books.charge_all()
            samples.append(time.perf_counter() - start)
        ratios.append(replayed(_driver(twin), statements) / samples[-1])
    most, goal = DEDUCTION_S[kind]
    value, ratio = statistics.median(samples), statistics.median(ratios)
    name = f"{kind}: {books.meters:,} meters in one durable transaction"
    bare = Peer("same SQL, bare driver", value * ratio)
    return [
        _allowed(name, samples, "s", most, goal),
        Result(
            f"{name}, beside the bare driver",
            value,
            "s",
            bare,
            ratio,
            spread(ratios),
            floor=BARE_RATIO,
            goal=BARE_RATIO_GOAL,
        ),
    ]


def _allowed(name: str, samples: list[float], unit: str, most: float, goal: float) -> Result:
    value = statistics.median(samples)
    peer = Peer("allowed", most)
    return Result(name, value, unit, peer, most / value, spread(samples), floor=1.0, goal=most / goal)


def _beside(kind: str, books: Books, quick: bool) -> Result:
    """The time of a payment while all meters are being charged in the batches of service."""
    waits: list[float] = []
    failures: list[BaseException] = []

    def pay(turn: int, done: threading.Event) -> None:
        number = 0
        try:
            while not done.is_set():
                start = time.perf_counter()
                books.top_up(number, f"beside-{turn}-{number}")
                waits.append((time.perf_counter() - start) * 1_000)
                number += 1
                time.sleep(PAUSE_S)
        except BaseException as error:
            failures.append(error)

    for turn in range(1 if quick else BESIDE_TURNS):
        progress(f"ledger: {kind}, payments beside the billing, {turn + 1}")
        books.read_all()
        done = threading.Event()
        payer = threading.Thread(target=pay, args=(turn, done))
        with _as_served():
            payer.start()
            books.charge_in_batches()
            done.set()
            payer.join()
    if failures or not waits:
        raise BenchFailed(
            f"a payment beside the billing failed: {failures[0]}" if failures else "nobody paid meanwhile"
        )
    p99 = statistics.quantiles([*waits, waits[-1]], n=100)[98]
    name = f"{kind}: p99 of a top-up while {books.meters:,} meters are charged"
    return Result(name, p99, "ms", Peer("allowed", P99_MS), P99_MS / p99, None, floor=1.0, goal=P99_MS / P99_GOAL_MS)


@contextmanager
def _as_served() -> Iterator[None]:
    """What the server arranges in its process: threads that take turns quickly, and old objects left unsearched."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(interval)


def _verify(kind: str, books: Books, quick: bool) -> Result:
    """Lines a second of `verify` over what was booked, sealed, in one pass; nothing may be found."""
    progress(f"ledger: {kind}, sealing and verifying")
    books.seal()
    samples = []
    for _ in range(QUICK_REPETITIONS if quick else VERIFY_TURNS):
        with reader(books.engine) as connection:
            start = time.perf_counter()
            report = verify(connection, ESTATE)
            samples.append(report.lines / (time.perf_counter() - start))
        if report.mismatches or report.unsealed:
            raise BenchFailed(f"verify found {report.mismatches[:1]}, {report.unsealed} batches unsealed")
    value = statistics.median(samples)
    name = f"{kind}: verify {report.lines:,} lines"
    peer = Peer("asked for", VERIFY_LINES)
    goal = VERIFY_LINES_GOAL / VERIFY_LINES
    return Result(name, value, "lines/s", peer, value / VERIFY_LINES, spread(samples), floor=1.0, goal=goal)


def _delayed(quick: bool) -> list[Result]:
    """Top-ups beside the syncs that a disk can do which takes 4 ms longer for each."""
    rows = []
    with slow_sync(WAIT_S), databases(KINDS, delayed=True) as makers:
        for kind, make in makers.items():
            books = warmed(Books(make(), QUICK_METERS))
            each = QUICK_EACH if quick else EACH
            rates = []
            for turn in range(QUICK_REPETITIONS if quick else REPETITIONS):
                progress(f"ledger: {kind}, top-ups on a slow disk, {turn + 1}")
                rates.append(PAYERS * each / paid(books, PAYERS, each, f"slow-{turn}"))
            books.close()
            value, syncs = statistics.median(rates), _syncs()
            name = f"{kind}: durable top-ups of {PAYERS} payers, 4 ms added to every sync"
            peer = Peer("syncs/s", syncs)
            rows.append(
                Result(name, value, "/s", peer, value / syncs, spread(rates), floor=SYNC_RATIO, goal=SYNC_RATIO_GOAL)
            )
    return rows


def warmed(books: Books) -> Books:
    """Books with some top-ups, of which the statistics of a database in service know."""
    paid(books, PAYERS, WARM_UP_EACH, "warm-up")
    books.vacuum()
    return books


def _syncs() -> float:
    """How many syncs a second this disk does when each takes 4 ms longer."""
    with tempfile.TemporaryFile(prefix="e645sync") as file:
        start = time.perf_counter()
        for _ in range(SYNCS):
            file.write(bytes(4_096))
            file.flush()
            time.sleep(WAIT_S)
            os.fdatasync(file.fileno())
        return SYNCS / (time.perf_counter() - start)


def _raw(quick: bool) -> list[Result]:
    """Top-ups beside the same statements from the bare driver, on the disk as it is."""
    rows = []
    with databases(KINDS) as makers:
        for kind, make in makers.items():
            ours, theirs = warmed(Books(make(), QUICK_METERS)), warmed(Books(make(), QUICK_METERS))
            theirs.close()
            connect = _driver(theirs)
            each, ratios, rates = QUICK_EACH if quick else EACH, [], []
            for turn in range(QUICK_REPETITIONS if quick else REPETITIONS):
                progress(f"ledger: {kind}, top-ups beside the bare driver, {turn + 1}")
                with noted(ours.engine) as statements:
                    spent = paid(ours, PAYERS, each, f"raw-{turn}")
                rates.append(PAYERS * each / spent)
                ratios.append(replayed(connect, statements) / spent)
            ours.close()
            value, ratio = statistics.median(rates), statistics.median(ratios)
            name = f"{kind}: durable top-ups of {PAYERS} payers on this disk"
            peer = Peer("same SQL, bare driver", value / ratio)
            rows.append(Result(name, value, "/s", peer, ratio, spread(rates), floor=RAW_RATIO, goal=RAW_RATIO_GOAL))
    return rows


def _driver(books: Books) -> Callable[[], Any]:
    url = books.engine.url
    if url.get_backend_name() == "postgresql":
        return lambda: psycopg.connect(f"host={url.query['host']} user=postgres dbname={url.database}")

    def connect() -> Any:
        connection = pysqlite3.connect(str(url.database), isolation_level=None)
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    return connect


def _growth(quick: bool, whole: bool) -> list[Result]:
    with databases(KINDS) as makers:
        return [row for kind, make in makers.items() for row in growth_rows(kind, make, quick=quick, whole=whole)]
