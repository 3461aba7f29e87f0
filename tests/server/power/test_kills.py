"""kill -9 under load: not a fen lost and none doubled, whatever was going on; unknown bookings are resolved by key."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from server.store.engine import reader
from server.store.schema import batch, meter_cursor
from server.store.writer import Writer
from tests.server.books import agrees, balance, top_up
from tests.server.estates import START_S, account_id, meter_id, plant
from tests.server.power.killed import HOMES, PAYERS, amount_of, home_of

ROOT = Path(__file__).parents[3]
OPENING_FEN = 5000
HOUR = 3600


class Nursery:
    """The process that forks what is killed."""

    def __init__(self, url: str, acknowledged: Path) -> None:
        acknowledged.touch()
        command = [sys.executable, "-P", "-m", "tests.server.power.killed", url, str(acknowledged)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        )
        self._acknowledged, self._read = acknowledged, 0

    def kill_after(self, child: int, hour: int, keys: int) -> list[str]:
        """Let a child work until it was told about so many keys, kill it, and return them all."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(child, hour, file=self.process.stdin, flush=True)
        pid = int(self.process.stdout.readline())
        deadline = time.monotonic() + 60
        while len(self._lines()) < keys:
            assert time.monotonic() < deadline, "the child books nothing"
            time.sleep(0.001)
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
        lines = self._lines()
        self._read += sum(len(line) + 1 for line in lines)
        return lines

    def _lines(self) -> list[str]:
        with self._acknowledged.open() as file:
            file.seek(self._read)
            return [line.rstrip("\n") for line in file if line.endswith("\n")]

    def end(self) -> None:
        """Fork no more."""
        with self.process:
            assert self.process.stdin is not None
            self.process.stdin.close()


def let_go(engine: Engine) -> None:
    """Wait until PostgreSQL has ended what it was doing for the killed process; SQLite has nobody of its own."""
    if engine.dialect.name != "postgresql":
        return
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    deadline = time.monotonic() + 60
    while True:
        with engine.connect() as connection:
            if not connection.exec_driver_sql(others).scalar():
                return
        assert time.monotonic() < deadline, "PostgreSQL still works for a process that is gone"
        time.sleep(0.005)


def reached_hour(engine: Engine) -> int:
    """How far the first household is charged."""
    with reader(engine) as connection:
        query = select(meter_cursor.c.read_at).where(meter_cursor.c.meter_id == meter_id(1))
        return (connection.execute(query).scalar_one() - START_S) // HOUR


def booked_keys(engine: Engine) -> list[str]:
    """Every top-up in the books."""
    with reader(engine) as connection:
        return list(connection.execute(select(batch.c.idem_key).where(batch.c.kind == "topup")).scalars())


def survive(engine: Engine, folder: Path, cycles: int, seed: int) -> None:
    """Kill again and again; nothing acknowledged is lost, and every unknown key can simply be sent again."""
    luck = random.Random(seed)
    writer = Writer(engine)
    plant(writer, HOMES)
    writer.stop()
    url = engine.url.render_as_string(hide_password=False)
    nursery = Nursery(url, folder / "acknowledged")
    told: set[str] = set()
    try:
        for child in range(cycles):
            engine.dispose()
            lines = nursery.kill_after(child, reached_hour(engine) + 1, luck.randrange(1, 25))
            told |= {line for line in lines if line.startswith("k-")}
            hours = [int(line.removeprefix("h-")) for line in lines if line.startswith("h-")]
            let_go(engine)
            booked = set(booked_keys(engine))
            assert told - booked == set(), f"seed {seed}, cycle {child}"
            assert not hours or reached_hour(engine) >= hours[-1], f"seed {seed}, cycle {child}"
            told |= resolve(engine, child, booked)
    finally:
        nursery.end()
    books_are_exact(engine, told)


def resolve(engine: Engine, child: int, booked: set[str]) -> set[str]:
    """Send what each payer was about to be told, and its next key, again: booked once, whatever became of them."""
    keys = set()
    for payer in range(PAYERS):
        own = [int(key.rsplit("-", 1)[1]) for key in booked if key.startswith(f"k-{child}-{payer}-")]
        last = max(own, default=-1)
        keys |= {f"k-{child}-{payer}-{number}" for number in (last, last + 1) if number >= 0}
    writer = Writer(engine)
    for key in keys:
        assert top_up(writer, home_of(key), amount_of(key), key).repeated == (key in booked)
    writer.stop()
    return keys


def books_are_exact(engine: Engine, told: set[str]) -> None:
    """Every key once, every balance its opening and its keys less what the meter used, and verify agrees."""
    keys = booked_keys(engine)
    assert sorted(keys) == sorted(set(keys))
    assert set(keys) >= told
    agrees(engine)
    hours = reached_hour(engine)
    for home in range(1, HOMES + 1):
        paid_fen = sum(amount_of(key) for key in keys if home_of(key) == home)
        balance_fen, residue_nf = balance(engine, account_id(home))
        used_nf = (OPENING_FEN + paid_fen - balance_fen) * 10**9 + residue_nf
        if hours * 10 * home <= 200_000:  # within the first tier of the month
            assert used_nf == hours * 10 * home * 58_886_875


def test_kills_lose_and_double_nothing(engine: Engine, tmp_path: Path) -> None:
    survive(engine, tmp_path, 3, 645)


@pytest.mark.ci
@pytest.mark.timeout(900)
def test_three_hundred_kills(engine: Engine, tmp_path: Path) -> None:
    survive(engine, tmp_path, 300, 1_000)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10_000, 10_010))
def test_five_thousand_kills(sqlite_engine: Engine, tmp_path: Path, seed: int) -> None:
    survive(sqlite_engine, tmp_path, 500, seed)
