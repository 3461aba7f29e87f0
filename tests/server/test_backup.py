"""Backup while people pay, restore into either database, and nothing that does not verify is kept."""

import shutil
import stat
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from server import __main__
from server.__main__ import main
from server.flows.ledger import seal_batches
from server.store.engine import begin_writing, open_engine, reader
from server.store.schema import batch, metadata
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, charge, read, reading, rows, top_up
from tests.server.conftest import create_database, next_name
from tests.server.estates import ESTATE, at, plant


@pytest.fixture(autouse=True)
def only_these_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other commands need not be loaded."""
    monkeypatch.setattr(__main__, "COMMANDS", ("backup", "restore"))


@pytest.fixture
def lived_in(engine: Engine, writer: Writer) -> Engine:
    """An estate with some of everything."""
    plant(writer)
    read(writer, reading(1, HOUR, 1_002_000), reading(2, HOUR, 1_000_010))
    charge(writer, HOUR)
    writer.run(lambda unit: seal_batches(unit, ESTATE, at()))
    return engine


def url_of(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def everything(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables, in some order."""
    return {name: sorted((tuple(row.values()) for row in rows(engine, name)), key=repr) for name in metadata.tables}


@pytest.mark.parametrize("into", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_a_backup_comes_back_whole_into_either_database(
    lived_in: Engine, into: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file = tmp_path / "out" / "estate.backup"
    file.parent.mkdir()
    assert main(["backup", str(file), "--database", url_of(lived_in)]) == 0
    assert [path.name for path in file.parent.iterdir()] == ["estate.backup"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    target = f"sqlite:///{tmp_path / 'restored.db'}"
    if into == "postgres":
        target = create_database(request.getfixturevalue("postgres_folder"), next_name("restored"), "template1")
    assert main(["restore", str(file), "--database", target]) == 0
    restored = open_engine(target)
    assert everything(restored) == everything(lived_in)
    writer = Writer(restored)
    top_up(writer, 1, 100, "life goes on")
    writer.stop()
    agrees(restored)
    restored.dispose()
    assert main(["restore", str(file), "--database", target]) == 2, "never over what is there"


def test_a_backup_beside_payments_is_one_moment(lived_in: Engine, writer: Writer, tmp_path: Path) -> None:
    ended, told = threading.Event(), []

    def pay() -> None:
        number = 0
        while not ended.is_set():
            top_up(writer, 1, 100, f"p-{number}")
            told.append(number)
            number += 1

    payer = threading.Thread(target=pay)
    payer.start()
    while len(told) < 5:
        pass
    before = len(told)
    status = main(["backup", str(tmp_path / "moment"), "--database", url_of(lived_in)])
    ended.set()
    payer.join()
    assert status == 0
    engine = open_engine(f"sqlite:///{tmp_path / 'moment'}")
    with reader(engine) as connection:
        kept = set(connection.execute(select(batch.c.idem_key).where(batch.c.kind == "topup")).scalars())
    assert {f"p-{number}" for number in range(before)} <= kept
    agrees(engine)
    engine.dispose()


def test_what_does_not_verify_is_not_kept(lived_in: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = tmp_path / "good"
    assert main(["backup", str(good), "--database", url_of(lived_in)]) == 0
    with begin_writing(lived_in) as connection, connection.begin():
        connection.exec_driver_sql("UPDATE account SET balance_fen = balance_fen + 1 WHERE account_id = 'H0001'")
    assert main(["backup", str(tmp_path / "bad"), "--database", url_of(lived_in)]) == 2
    assert "account H0001" in capsys.readouterr().err
    assert not (tmp_path / "bad").exists()
    shutil.copyfile(good, tmp_path / "bad")
    engine = open_engine(f"sqlite:///{tmp_path / 'bad'}")
    with begin_writing(engine) as connection, connection.begin():
        connection.exec_driver_sql("UPDATE account SET balance_fen = balance_fen + 1 WHERE account_id = 'H0001'")
    engine.dispose()
    assert main(["restore", str(tmp_path / "bad"), "--database", f"sqlite:///{tmp_path / 'none.db'}"]) == 2
    assert not (tmp_path / "none.db").exists()


def test_what_is_in_the_way_is_named(lived_in: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("x")
    assert main(["backup", str(tmp_path / "taken"), "--database", url_of(lived_in)]) == 2
    assert "never written over" in capsys.readouterr().err
    assert main(["backup", str(tmp_path / "no" / "folder"), "--database", url_of(lived_in)]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert main(["restore", str(tmp_path / "absent"), "--database", f"sqlite:///{tmp_path / 'n.db'}"]) == 2
    assert "no backup" in capsys.readouterr().err
