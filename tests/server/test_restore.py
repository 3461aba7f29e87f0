"""What may come to a restore: backups of older and newer releases, other estates, other keys, archives beside them."""

import shutil
from pathlib import Path

import psycopg
import pysqlite3
import pytest
from sqlalchemy import Engine

from server import __main__
from server.__main__ import main
from server.keyring import Keyring, new_key, write_keys
from server.store.archive_file import about_of
from server.store.engine import begin_writing, open_engine, reader
from server.store.months import parts
from server.store.writer import Writer
from tests.server.archived import DECEMBER, archive, close, live, sound, steps
from tests.server.books import agrees, rows, top_up
from tests.server.conftest import create_database, next_name
from tests.server.estates import ESTATE, meter_id, plant
from tests.server.upgrade.test_upgrade import columns_of, figures, kept, lived


@pytest.fixture(autouse=True)
def only_these_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other commands need not be loaded."""
    monkeypatch.setattr(__main__, "COMMANDS", ("backup", "restore", "migrate", "verify"))
    monkeypatch.delenv("DATABASE_URL", raising=False)


@pytest.fixture
def backup(sqlite_engine: Engine, tmp_path: Path) -> Path:
    """A backup of a small estate."""
    writer = Writer(sqlite_engine)
    plant(writer)
    writer.stop()
    path = tmp_path / "estate.backup"
    assert main(["backup", str(path), "--database", str(sqlite_engine.url)]) == 0
    return path


def changed(path: Path, statement: str, *values: object) -> None:
    """Change a backup behind everybody's back."""
    file = pysqlite3.connect(str(path), isolation_level=None)
    file.execute(statement, values)
    file.close()


@pytest.mark.parametrize("into", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_a_backup_of_an_older_release_comes_back_as_todays_and_stays_as_it_is(
    into: str, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "old.backup"
    engine = lived(f"sqlite:///{tmp_path / 'old.db'}", "0010")
    columns = columns_of(engine)
    before = figures(engine, columns)
    assert main(["verify", "--database", str(engine.url)]) == 2
    assert "is of revision 0010, and this release works with" in capsys.readouterr().err
    assert main(["backup", str(file), "--database", str(engine.url)]) == 0
    engine.dispose()
    bytes_before = file.read_bytes()
    target = f"sqlite:///{tmp_path / 'new.db'}"
    if into == "postgres":
        target = create_database(request.getfixturevalue("postgres_folder"), next_name("restored"), "template1")
    assert main(["restore", str(file), "--database", target]) == 0
    assert "revision 0010" in capsys.readouterr().out
    assert file.read_bytes() == bytes_before
    restored = open_engine(target)
    assert kept(restored, columns, before)
    agrees(restored)
    restored.dispose()


@pytest.mark.parametrize(
    ("statement", "said", "in_chinese"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", "a newer release (revision 9999", "由更新的版本写出"),
        ("DROP TABLE alembic_version", "is no backup of this program", "不是本程序的备份"),
    ],
)
def test_what_this_release_cannot_read_is_refused(
    backup: Path, tmp_path: Path, statement: str, said: str, in_chinese: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(backup, statement)
    target = f"sqlite:///{tmp_path / 'none.db'}"
    for lang, text in (("en", said), ("zh", in_chinese)):
        assert main(["restore", str(backup), "--database", target, "--lang", lang]) == 2
        assert text in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("none")] == []


def test_a_database_of_a_newer_release_is_left_alone(
    backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(backup, "UPDATE alembic_version SET version_num = '9999'")
    for command in (["migrate"], ["verify"], ["backup", str(tmp_path / "none.backup")]):
        assert main([*command, "--database", f"sqlite:///{backup}"]) == 2
        assert "was written by a newer release" in capsys.readouterr().err
    assert not list(tmp_path.glob("none*"))


def test_what_is_no_database_or_is_in_the_way_is_refused(
    backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = tmp_path / "letter.txt"
    strange.write_text("dear estate, " * 500)
    assert main(["restore", str(strange), "--database", f"sqlite:///{tmp_path / 'none.db'}"]) == 2
    assert "is no backup of this program" in capsys.readouterr().err
    (tmp_path / "there.db").write_text("somebody's")
    assert main(["restore", str(backup), "--database", f"sqlite:///{tmp_path / 'there.db'}"]) == 2
    assert "never written over" in capsys.readouterr().err
    assert (tmp_path / "there.db").read_text() == "somebody's"
    for target, said in (
        (f"sqlite:///{tmp_path / 'no' / 'x.db'}", "没有文件夹"),
        ("x.db", "不是 URL；请使用 sqlite:///FILE 或 postgresql://"),
        ("mysql://x/y", "不支持数据库"),
    ):
        assert main(["restore", str(backup), "--database", target, "--lang", "zh"]) == 2
        assert said in capsys.readouterr().err


def test_a_file_of_signed_heads_that_is_left_is_told(
    backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = tmp_path / "heads.jsonl"
    monkeypatch.setenv("ESTATE645_HEADS_FILE", str(heads))
    for name, said in (("first", False), ("second", True)):
        capsys.readouterr()
        assert main(["restore", str(backup), "--database", f"sqlite:///{tmp_path / name}.db"]) == 0
        out = capsys.readouterr().out
        assert (f"the signed heads in {heads} name what this backup" in out) == said
        assert (f"{heads}中的签名链头" in out) == said
        heads.touch()


def test_another_estate_is_refused(backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    into = ["restore", str(backup), "--database", f"sqlite:///{tmp_path / 'none.db'}", "--estate"]
    assert main([*into, "pear"]) == 2
    assert f"holds estate {ESTATE} and not pear" in capsys.readouterr().err
    assert not (tmp_path / "none.db").exists()
    assert main([*into, ESTATE]) == 0


def test_passwords_that_do_not_open_here_are_told_before_anything_is_restored(
    backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, other = tmp_path / "own.keys", tmp_path / "other.keys"
    for path in (own, other):
        write_keys(path, [new_key()])
    locked = Keyring(own).lock(ESTATE, meter_id(1), "918273")
    changed(backup, "UPDATE meter SET password = ? WHERE meter_id = ?", locked, meter_id(1))
    site = tmp_path / "site.toml"

    def restore(name: str, keys: Path | None, *more: str) -> int:
        site.write_text(f'meter_keys = "{keys}"\n' if keys else "")
        target = f"sqlite:///{tmp_path / name}"
        return main(["restore", str(backup), "--config", str(site), "--database", target, *more])

    for keys in (None, other):
        assert restore("a.db", keys) == 2
        said = capsys.readouterr().err
        assert "1 meter passwords" in said
        assert "--without-keys" in said
        assert "918273" not in said
        assert not (tmp_path / "a.db").exists()
    assert restore("a.db", own) == 0
    assert restore("b.db", None, "--without-keys") == 0


@pytest.mark.postgres
@pytest.mark.parametrize("backend", ["postgres"])
def test_months_archives_and_the_working_role_come_through_a_backup(
    engine: Engine, postgres_folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lived by months, a part archived, backed up as the working role, restored, worked with as that role again."""
    writer = Writer(engine)
    live(writer)
    close(writer, engine, "2026-12", "2026-12-31")
    for month in range(2023 * 12 + 10, 2023 * 12 + 13):
        writer.run(lambda unit, month=month: unit.connection.exec_driver_sql(
            f"SELECT estate645_add_month('line', {month})") and None)  # fmt: skip
    folder = tmp_path / "archives"
    folder.mkdir()
    path = archive(engine, steps(writer), folder, DECEMBER)
    writer.stop()
    role = next_name("keeper")
    with psycopg.connect(f"host={postgres_folder} user=postgres dbname=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN")
    url = engine.url.render_as_string(hide_password=False)
    assert main(["migrate", "--database", url, "--role", role]) == 0
    file = tmp_path / "estate.backup"
    assert main(["backup", str(file), "--database", url.replace("postgres@", f"{role}@")]) == 0
    assert f"{about_of(path).lines} lines more lie in archives" in capsys.readouterr().out
    target = create_database(postgres_folder, next_name("restored"), "template1")
    assert main(["restore", str(file), "--database", target, "--estate", ESTATE]) == 0
    assert main(["migrate", "--database", target, "--role", role]) == 0
    restored = open_engine(target.replace("postgres@", f"{role}@"))
    with reader(restored) as connection:
        months = {name for name, table in parts(connection) if table == "line"}
    assert months >= {"line_2024_01", "line_rest"}
    assert sound(restored).archived == about_of(path).lines
    assert sound(restored, path).archived == 0
    writer = Writer(restored)
    top_up(writer, 1, 100, "life goes on")
    writer.stop()
    assert sound(restored, path).lines == sound(engine, path).lines + 2
    with pytest.raises(Exception, match="permission denied"), begin_writing(restored) as connection, connection.begin():
        connection.exec_driver_sql("DELETE FROM line")
    assert rows(restored, "archive") == rows(engine, "archive")
    restored.dispose()
    shutil.rmtree(folder)
