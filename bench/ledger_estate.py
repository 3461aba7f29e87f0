"""An estate for the ledger bench, on either database: read, charged and topped up through the product's flows."""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from bench import postgres_server
from bench.deduct_tick import ESTATE, HOUR_S, START_S, STEP_WH
from bench.ledger_plant import plant
from bench.report import BenchFailed
from server.clock import Now
from server.domain.readings import MeterReading
from server.flows.billing import charge_due
from server.flows.ledger import append_links, next_links
from server.flows.partners import PartnerTopup, accept_topups
from server.flows.readings import record
from server.jobs.boundaries import AwaitedFreezes
from server.jobs.ticks import charge_all
from server.store.engine import open_engine, reader, upgrade
from server.store.writer import Writer

COMMIT_DELAY_US = 4_000
LINKS_AT_ONCE = 5_000


def now_at(hour: int) -> Now:
    """The instant `hour` hours after the start."""
    at = START_S + hour * HOUR_S
    return Now(at, at * 1_000)


class Books:
    """One database with an estate of `meters` households and the product's writer."""

    def __init__(self, url: str, meters: int) -> None:
        self.meters, self.hour = meters, 0
        self.engine: Engine = open_engine(url)
        upgrade(self.engine)
        self.writer = Writer(self.engine)
        self.writer.run(lambda unit: plant(unit, meters))
        self.vacuum()

    def vacuum(self) -> None:
        """What a server in service has done meanwhile: the autovacuum, or the thread that copies SQLite's log."""
        if self.engine.dialect.name == "sqlite":
            pooled = self.engine.raw_connection()
            pooled.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            pooled.close()
        else:
            with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM ANALYZE")

    def read_all(self) -> None:
        """Every meter is read an hour later."""
        self.hour += 1
        now = now_at(self.hour)
        readings = [
            MeterReading(f"{n:012d}", now.world_s, now.machine_ms, self.hour * STEP_WH, None)
            for n in range(1, self.meters + 1)
        ]
        self.writer.run(lambda unit: record(unit, ESTATE, readings, now))

    def charge_all(self) -> None:
        """Charge all of them as one unit, durable when this returns."""
        now = now_at(self.hour)
        outcome = self.writer.run(lambda unit: charge_due(unit, ESTATE, now, limit=self.meters))
        if outcome.meters != self.meters or outcome.accounts != self.meters:
            raise BenchFailed(f"{outcome.meters} of {self.meters} meters were charged")

    def charge_in_batches(self) -> None:
        """Charge all of them as the billing job does."""
        now = now_at(self.hour)
        if charge_all(self.engine, self.writer, ESTATE, lambda: now, AwaitedFreezes()) != self.meters:
            raise BenchFailed("not all meters were charged")

    def top_up(self, number: int, key: str) -> None:
        """One household pays a yuan through a third party."""
        account_id = f"H{number % self.meters + 1:05d}"
        wish = PartnerTopup("bench", key, key, account_id, None, 100, key, now_at(self.hour))
        self.writer.submit_alike(accept_topups, ESTATE, wish, urgent=True).result()

    def seal(self) -> None:
        """Chain everything."""
        while True:
            with reader(self.engine) as connection:
                links = next_links(connection, ESTATE, now_at(self.hour), limit=LINKS_AT_ONCE)
            if not links:
                return
            self.writer.run(lambda unit, links=links: append_links(unit, ESTATE, links))  # type: ignore[misc]

    def close(self) -> None:
        """Stop the writer."""
        self.writer.stop()
        self.engine.dispose()


def paid(books: Books, payers: int, each: int, label: str) -> float:
    """Seconds in which so many payers, each waiting for one answer before the next payment, have paid."""
    failures: list[BaseException] = []
    start = threading.Barrier(payers + 1)

    def pay(payer: int) -> None:
        try:
            start.wait()
            for number in range(each):
                books.top_up(payer * each + number, f"{label}-{payer}-{number}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=pay, args=(payer,)) for payer in range(payers)]
    for thread in threads:
        thread.start()
    start.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    if failures:
        raise BenchFailed(f"a payer failed: {failures[0]}")
    return time.perf_counter() - begun


@contextmanager
def databases(kinds: Sequence[str], *, delayed: bool = False) -> Iterator[dict[str, Callable[[], str]]]:
    """Makers of empty databases by kind; PostgreSQL syncs its log before a commit is told, `delayed` by 4 ms."""
    folder = Path(tempfile.mkdtemp(prefix="e645bench"))
    numbers = iter(range(10**6))
    try:
        makers: dict[str, Callable[[], str]] = {"sqlite": lambda: f"sqlite:///{folder / f'{next(numbers)}.db'}"}
        binaries = postgres_server.binaries()
        if "postgresql" not in kinds:
            yield {kind: makers[kind] for kind in kinds}
            return
        if binaries is None:
            raise BenchFailed(postgres_server.ABSENT)
        options: tuple[str, ...] = ("fsync=on", "max_wal_size=4GB", "shared_buffers=256MB")
        if delayed:
            options += (f"commit_delay={COMMIT_DELAY_US}", "commit_siblings=0")
        with postgres_server.cluster(binaries, options=options) as server:

            def postgres() -> str:
                name = f"bench{next(numbers)}"
                _create(server.socket, name)
                return f"postgresql://postgres@/{name}?host={server.socket}"

            yield {kind: {**makers, "postgresql": postgres}[kind] for kind in kinds}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _create(socket: str, name: str) -> None:
    import psycopg

    with psycopg.connect(f"host={socket} user=postgres dbname=postgres", autocommit=True) as connection:
        created: Any = f"CREATE DATABASE {name}"
        connection.execute(created)
