"""`estate645 archive` as people run it: alone, through a running server, as the owner on PostgreSQL, and killed."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine

from server import __main__
from server.__main__ import main
from server.admin.operations import Operations
from server.admin.service import AdminSocket
from server.admin.wire import socket_path
from server.cli import archive as command
from server.domain.heads import heads_of
from server.keyring import Keyring
from server.signing.ed25519 import generate_key_pair, load_public_key
from server.store.archive_file import about_of
from server.store.engine import reader
from server.store.months import parts
from server.store.privileges import grant
from server.store.writer import Writer
from tests.server.archived import DECEMBER, Today, close, live, sound
from tests.server.books import rows
from tests.server.conftest import next_name
from tests.server.estates import ESTATE
from tests.server.power.test_kills import let_go

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def today(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other commands need not be loaded, and the clock stands."""
    monkeypatch.setattr(__main__, "COMMANDS", ("archive", "verify"))
    monkeypatch.setattr(command, "Clock", Today)
    monkeypatch.delenv("DATABASE_URL", raising=False)


@pytest.fixture
def old(sqlite_engine: Engine) -> Engine:
    """Some months, of which December is closed."""
    return lived(sqlite_engine)


def lived(engine: Engine) -> Engine:
    writer = Writer(engine)
    live(writer)
    close(writer, engine, "2026-12", "2026-12-31")
    writer.stop()
    return engine


def url_of(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def test_moved_signed_verified_listed_and_put_back(
    old: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, out = url_of(old), tmp_path / "out"
    out.mkdir()
    pair = generate_key_pair(tmp_path / "keys")
    assert main(["archive", "--before", "2026-12-01", "--out", str(out), "--key", str(pair.private),
                 "--database", url]) == 0  # fmt: skip
    [path] = out.iterdir()
    about = about_of(path)
    assert about.until_at == DECEMBER
    assert f"{about.lines} lines deleted" in capsys.readouterr().out
    [head] = heads_of([about.head], load_public_key(pair.public), "f")
    assert (head.batch_seq, head.hash) == (about.last_seq, about.hash)
    assert main(["verify", "--database", url]) == 3
    assert f"NOT CHECKED: {about.lines} archived lines" in capsys.readouterr().out
    assert main(["verify", "--database", url, "--archives", str(out), "--public-key", str(pair.public)]) == 0
    assert "NOT CHECKED" not in capsys.readouterr().out
    assert main(["archive", "--database", url]) == 0
    assert path.name in capsys.readouterr().out
    path.write_bytes(path.read_bytes().replace(b"H0002", b"H0003"))
    assert main(["verify", "--database", url, "--archives", str(out)]) == 1
    assert f"archive {path.name}: SHA-256" in capsys.readouterr().out
    path.write_bytes(path.read_bytes().replace(b"H0003", b"H0002", 0))
    assert main(["archive", "--restore", str(path), "--database", url]) == 2
    assert "was changed since" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--before", "2026-12-01"], "name --before DATE and --out DIR"),
        (["--before", "2026-12-01", "--out", ".", "--restore", "x"], "name --before DATE"),
        (["--before", "2027-03-01", "--out", "."], "90 days"),
        (["--restore", "absent.archive"], "absent.archive"),
    ],
)
def test_what_does_not_go_is_said(
    old: Engine, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["archive", *arguments, "--database", url_of(old)]) == 2
    assert said in capsys.readouterr().err
    assert main(["verify", "--archives", "nowhere", "--database", url_of(old)]) == 2


def test_a_running_server_writes_for_the_command(old: Engine, tmp_path: Path) -> None:
    before = len(rows(old, "line"))
    path = socket_path(url_of(old))
    assert path is not None
    writer = Writer(old)
    operations = Operations(old, writer, Today(), ESTATE, None, Keyring(None))
    served = AdminSocket(path, operations.all())
    served.start()
    try:
        out = tmp_path / "out"
        out.mkdir()
        assert main(["archive", "--before", "2026-12-01", "--out", str(out), "--database", url_of(old)]) == 0
        [file] = out.iterdir()
        assert sound(old).archived == about_of(file).lines > 0
        assert main(["archive", "--restore", str(file), "--database", url_of(old)]) == 0
    finally:
        served.stop()
        writer.stop()
    assert len(rows(old, "line")) == before
    sound(old)


@pytest.mark.postgres
@pytest.mark.parametrize("backend", ["postgres"])
def test_on_postgresql_the_owner_alone_archives_and_whole_months_go(
    engine: Engine, postgres_folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = Writer(engine)
    live(writer)
    close(writer, engine, "2026-12", "2026-12-31")
    for month in range(2023 * 12 + 10, 2023 * 12 + 13):  # of the machine's time, which has its own years here
        writer.run(lambda unit, month=month: unit.connection.exec_driver_sql(
            f"SELECT estate645_add_month('line', {month})") and None)  # fmt: skip
    writer.stop()
    role = next_name("keeper")
    with psycopg.connect(f"host={postgres_folder} user=postgres dbname=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN")
    with engine.begin() as connection:
        grant(connection, role)
    out = tmp_path / "out"
    out.mkdir()
    moving = ["archive", "--before", "2026-12-01", "--out", str(out), "--database"]
    assert main([*moving, url_of(engine).replace("postgres@", f"{role}@")]) == 2
    assert "may not delete lines" in capsys.readouterr().err
    assert sound(engine).archived == 0
    with reader(engine) as connection:
        months = {name for name, table in parts(connection) if table == "line"}
    assert months == {"line_2023_11", "line_2023_12", "line_2024_01", "line_rest"}
    assert main([*moving, url_of(engine)]) == 0
    with reader(engine) as connection:
        assert {name for name, table in parts(connection) if table == "line"} == {"line_2024_01", "line_rest"}
    [file] = out.iterdir()
    sound(engine, file)
    assert main(["archive", "--restore", str(file), "--database", url_of(engine)]) == 0
    with reader(engine) as connection:
        assert {name for name, table in parts(connection) if table == "line"} == months
    sound(engine)


CYCLES_MIN, CYCLES_MAX = 12, 60
CHILD = """
import sys
from pathlib import Path
from server.domain.archive import present
from server.flows import archive as flow
from server.store.archive import acts
from server.store.engine import open_engine, reader
from server.store.writer import Writer
from tests.server.archived import DECEMBER, ESTATE, archive, clear, restore, steps
flow.LINES_A_UNIT = 4
engine = open_engine(sys.argv[1])
writer, folder = Writer(engine), Path(sys.argv[2])
step = steps(writer)
print("ready", flush=True)
while True:
    with reader(engine) as connection:
        kept = present(acts(connection, ESTATE))
    if kept:
        clear(step)
        restore(engine, step, folder / kept[-1].file)
        (folder / kept[-1].file).unlink()
    archive(engine, step, folder, DECEMBER)
"""


@pytest.mark.ci
@pytest.mark.timeout(900)
@pytest.mark.parametrize("backend", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_killed_at_any_moment_every_line_is_somewhere(engine: Engine, tmp_path: Path) -> None:
    lived(engine)
    lines, luck = len(rows(engine, "line")), random.Random(645)
    met = {True: 0, False: 0}  # how often a kill left something archived
    folder = tmp_path / "out"
    folder.mkdir()
    command_line = [sys.executable, "-P", "-c", CHILD, url_of(engine), str(folder)]
    for cycle in range(CYCLES_MAX):
        if cycle >= CYCLES_MIN and all(met.values()):
            return
        engine.dispose()
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command_line, stdout=subprocess.PIPE, cwd=ROOT, env=environment) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            time.sleep(luck.random())
            assert child.poll() is None, f"cycle {cycle}: it ended by itself"
            child.kill()
        let_go(engine)
        report = sound(engine)
        assert report.archived + len(rows(engine, "line")) == lines, f"cycle {cycle}"
        assert sound(engine, *folder.glob("*.archive")).lines == lines, f"cycle {cycle}"
        met[report.archived > 0] += 1
    pytest.fail(f"the kills met only one side: {met}")
