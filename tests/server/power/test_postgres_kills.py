"""PostgreSQL killed under load: bookings whose commit is unknown are sent again under their key until they are told."""

import random
import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from bench import postgres_server as postgres
from server.errors import StorageUnavailable
from server.store.engine import open_engine, upgrade
from server.store.writer import Writer
from tests.memory import quick_folder
from tests.server.books import HOUR, charge, read, reading, top_up_alike
from tests.server.conftest import create_database
from tests.server.estates import plant
from tests.server.power.killed import HOMES, amount_of, home_of
from tests.server.power.test_kills import books_are_exact, reached_hour

PAYERS = 4
QUIET_S = 0.02

pytestmark = pytest.mark.postgres


@pytest.fixture
def server() -> Iterator[postgres.Server]:
    """A server of this test's own; its write-ahead log is written before a commit is told, as in service."""
    folder = postgres.binaries()
    if folder is None:
        pytest.skip(postgres.ABSENT)
    with postgres.cluster(folder, quick_folder(), ("fsync=on", "synchronous_commit=on")) as server:
        yield server


class Payers:
    """Threads that pay until told to end; a booking in doubt is sent again under the same key."""

    def __init__(self, writer: Writer) -> None:
        self.writer, self.told, self.doubts = writer, set(), 0
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self._pay, args=(payer,), daemon=True) for payer in range(PAYERS)]
        self.threads.append(threading.Thread(target=self._charge, daemon=True))
        for thread in self.threads:
            thread.start()

    def _pay(self, payer: int) -> None:
        number = 0
        while not self.ended.is_set():
            key, tries = f"k-0-{payer}-{number}", 0
            while True:
                try:
                    top_up_alike(self.writer, home_of(key), amount_of(key), key).result()
                    break
                except StorageUnavailable:
                    tries += 1
                    time.sleep(QUIET_S)
            self.doubts += tries > 0
            self.told.add(key)
            number += 1

    def _charge(self) -> None:
        hour = 1
        while not self.ended.is_set():
            try:
                for home in range(1, HOMES + 1):
                    read(self.writer, reading(home, hour * HOUR, 1_000_000 + hour * 10 * home))
                charge(self.writer, hour * HOUR)
                hour += 1
            except StorageUnavailable:
                time.sleep(QUIET_S)

    def end(self) -> None:
        """Finish what is under way."""
        self.ended.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()


def survive(server: postgres.Server, cycles: int, seed: int) -> None:
    """Kill the server again and again while people pay."""
    engine: Engine = open_engine(create_database(server.socket, "killed", "template1"))
    upgrade(engine)
    writer = Writer(engine)
    plant(writer, HOMES)
    payers, luck = Payers(writer), random.Random(seed)
    for _ in range(cycles):
        enough = len(payers.told) + luck.randrange(1, 60)
        deadline = time.monotonic() + 60
        while len(payers.told) < enough:
            assert time.monotonic() < deadline, "nobody could pay after the server came back"
            time.sleep(0.001)
        server.kill()
        server.start()
    payers.end()
    writer.stop()
    assert payers.doubts > 0
    assert reached_hour(engine) > 0
    books_are_exact(engine, payers.told)
    engine.dispose()


def test_a_killed_server_loses_and_doubles_nothing(server: postgres.Server) -> None:
    survive(server, 2, 645)


@pytest.mark.ci
@pytest.mark.timeout(900)
def test_twenty_kills(server: postgres.Server) -> None:
    survive(server, 20, 1_000)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10_000, 10_004))
def test_two_hundred_kills(server: postgres.Server, seed: int) -> None:
    survive(server, 50, seed)
