"""The verify command: which database it takes, what it prints, and its exit codes."""

import json
import re
import shutil
from pathlib import Path

import pytest

from server import __main__
from server.__main__ import main
from server.store.engine import begin_writing, open_engine
from server.store.writer import Writer
from tests.server.books import HOUR, charge, read, reading
from tests.server.estates import plant


@pytest.fixture(autouse=True)
def only_this_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other commands need not be loaded."""
    monkeypatch.setattr(__main__, "COMMANDS", ("verify",))


@pytest.fixture
def database(tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small estate with one charge, as the demo leaves it in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    path = tmp_path / ".demo" / "estate645.db"
    path.parent.mkdir()
    shutil.copyfile(sqlite_template, path)
    engine = open_engine(f"sqlite:///{path}")
    writer = Writer(engine)
    plant(writer)
    read(writer, reading(1, HOUR, 1_002_000))
    charge(writer, HOUR)
    writer.stop()
    engine.dispose()
    return path


def spoil(path: Path) -> None:
    """Take a fen from somebody."""
    engine = open_engine(f"sqlite:///{path}")
    with begin_writing(engine) as connection, connection.begin():
        connection.exec_driver_sql("UPDATE account SET balance_fen = balance_fen - 1 WHERE account_id = 'H0001'")
    engine.dispose()


def test_without_arguments_it_checks_the_last_demo(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify"]) == 0
    said = capsys.readouterr().out
    assert "1 charges recomputed" in said
    assert "unsealed tail 4" in said
    assert "0 mismatches" in said


def test_the_report_is_in_the_language_asked_for(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--lang", "en"]) == 0
    assert re.search("[\u4e00-\u9fff]", capsys.readouterr().out) is None
    spoil(database)
    assert main(["verify", "--lang", "zh"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if not re.search("[\u4e00-\u9fff]", line)] == []
    assert "  不符，不变式2: account H0001: stored balance is 4881, should be 4882" in said


def test_a_wrong_fen_is_named_and_ends_with_1(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(database)
    assert main(["verify"]) == 1
    assert "MISMATCH invariant 2: account H0001: stored balance is 4881, should be 4882" in capsys.readouterr().out


def test_json_is_one_document(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(database)
    assert main(["verify", "--json", "--database", f"sqlite:///{database}"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["mismatches"] == 1
    assert document["estates"][0]["mismatches"][0]["subject"] == "account H0001"


def test_the_configured_database_is_checked_and_a_missing_one_is_not_created(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "server.toml"
    config.write_text(f'database_url = "sqlite:///{database}"\n')
    assert main(["verify", "--config", str(config)]) == 0
    missing = tmp_path / "missing.db"
    assert main(["verify", "--database", f"sqlite:///{missing}"]) == 2
    assert str(missing) in capsys.readouterr().err
    assert not missing.exists()


def test_a_file_that_is_no_database_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.db"
    path.write_text("no database " * 100)
    assert main(["verify", "--database", f"sqlite:///{path}"]) == 2
    assert str(path) in capsys.readouterr().err
