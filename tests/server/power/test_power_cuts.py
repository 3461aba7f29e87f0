"""Simulated power cuts: as the product opens its files no told booking is ever lost; the same cuts catch NORMAL."""

import random
import shutil
from pathlib import Path

import pytest

from server.store.engine import open_engine
from server.store.writer import Writer
from tests.server.estates import plant
from tests.server.power.power_cut import Disk, library, losses, recorded
from tests.server.power.workload import AS_IT_IS, HOMES

CUTS_A_RUN = 200
LOSSES_OF_NORMAL = 0.3  # of the cuts; far fewer would mean that the harness cuts nothing


@pytest.fixture(scope="session")
def vfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording VFS."""
    return library(tmp_path_factory.mktemp("vfs"))


@pytest.fixture
def planted(sqlite_template: Path, tmp_path: Path) -> Path:
    """A closed database with a small estate."""
    path = tmp_path / "before" / "estate645.db"
    path.parent.mkdir()
    shutil.copyfile(sqlite_template, path)
    engine = open_engine(f"sqlite:///{path}")
    writer = Writer(engine)
    plant(writer, HOMES)
    writer.stop()
    engine.dispose()
    assert not path.with_name(f"{path.name}-wal").exists()
    return path


def lost_acknowledgements(vfs: Path, planted: Path, folder: Path, *, synchronous: str, cuts: int, seed: int) -> int:
    """Record runs and cut each of them; the cuts that lost something."""
    lost = 0
    for run in range(-(-cuts // CUTS_A_RUN)):
        here = folder / f"run-{run}"
        here.mkdir()
        shutil.copyfile(planted, here / planted.name)
        recorded(vfs, here / planted.name, here / "trace", synchronous=synchronous, seed=seed + run)
        lost += losses(here / "trace", planted, here, min(cuts - run * CUTS_A_RUN, CUTS_A_RUN), seed + run)
        shutil.rmtree(here)
    return lost


def test_nothing_acknowledged_is_lost(vfs: Path, planted: Path, tmp_path: Path) -> None:
    assert lost_acknowledgements(vfs, planted, tmp_path, synchronous=AS_IT_IS, cuts=60, seed=645) == 0


def test_the_same_cuts_catch_a_database_that_does_not_sync(vfs: Path, planted: Path, tmp_path: Path) -> None:
    lost = lost_acknowledgements(vfs, planted, tmp_path, synchronous="NORMAL", cuts=40, seed=645)
    assert lost >= 40 * LOSSES_OF_NORMAL


@pytest.mark.ci
@pytest.mark.timeout(900)
def test_two_thousand_cuts(vfs: Path, planted: Path, tmp_path: Path) -> None:
    assert lost_acknowledgements(vfs, planted, tmp_path, synchronous=AS_IT_IS, cuts=2_000, seed=1_000) == 0
    lost = lost_acknowledgements(vfs, planted, tmp_path, synchronous="NORMAL", cuts=200, seed=1_000)
    assert lost >= 200 * LOSSES_OF_NORMAL


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10_000, 12_500, 100))
def test_fifty_thousand_cuts(vfs: Path, planted: Path, tmp_path: Path, seed: int) -> None:
    assert lost_acknowledgements(vfs, planted, tmp_path, synchronous=AS_IT_IS, cuts=2_000, seed=seed) == 0


def test_a_cut_keeps_what_was_synced_and_may_tear_the_rest() -> None:
    disk = Disk(bytearray(b"a" * 2048))
    disk.pending.append((512, b"b" * 1024))
    left = {disk.after_cut(random.Random(seed)) for seed in range(200)}
    assert all(one[:512] == b"a" * 512 and one[1536:] == b"a" * 512 for one in left)
    assert {one[512:1536] for one in left} >= {b"a" * 1024, b"b" * 1024, b"b" * 512 + b"a" * 512}
    assert any(0 < one[512:1024].count(b"b") < 512 for one in left), "a torn sector"
    disk.sync()
    assert {disk.after_cut(random.Random(seed)) for seed in range(9)} == {b"a" * 512 + b"b" * 1024 + b"a" * 512}
