"""Old readings in files: only what nothing rests on leaves, every reading is somewhere, and verify follows them."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine

from server import __main__
from server.__main__ import main
from server.admin.archiving import READINGS
from server.admin.operations import Operations
from server.admin.service import AdminSocket
from server.admin.wire import socket_path
from server.cli import archive as command
from server.cli.archive_readings import move_months, restore_month
from server.domain.archive import Archived
from server.domain.reading_archive import check_signature, present
from server.errors import ConfigError, Refused
from server.flows import reading_archive as flow
from server.flows.archive import file_hash
from server.keyring import Keyring
from server.signing.ed25519 import generate_key_pair, load_public_key
from server.store import reading_archive as store
from server.store import view
from server.store.engine import begin_writing, reader
from server.store.months import add_months, month_of, parts
from server.store.reading_file import COLUMNS, about_of, rows_after
from server.store.writer import Writer
from tests.server.archived import DAY, JANUARY, NOW, Today, archive, checked, close, live, sound, steps
from tests.server.books import charge, read, reading, rows
from tests.server.estates import ESTATE, START_S, meter_id
from tests.server.power.test_kills import let_go

ROOT = Path(__file__).parents[2]
OCTOBER = month_of(START_S)
FORWARD = "forward within the meter's power"
BEFORE = OCTOBER + 3  # the months from January on stay


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the files go."""
    path = tmp_path / "archives"
    path.mkdir()
    return path


@pytest.fixture
def old(engine: Engine, writer: Writer, folder: Path) -> Engine:
    """Three households of some months; the lines of 2026 are archived, readings are kept by months."""
    writer.run(lambda unit: add_months(unit.connection, "reading", range(OCTOBER, OCTOBER + 5)))
    live(writer)
    close(writer, engine, "2026-12", "2026-12-31")
    archive(engine, steps(writer), folder, JANUARY)
    return engine


def move(engine: Engine, writer: Writer, folder: Path, before: int = BEFORE) -> list[Path]:
    """Move what may leave; the files."""
    move_months(engine, ESTATE, steps(writer), writer, before, folder, NOW, None)
    return sorted(folder.glob("*.readings"))


def keys(engine: Engine) -> dict[tuple[object, object], dict[str, object]]:
    """All readings of the database."""
    return {(row["read_at"], row["meter_id"]): row for row in rows(engine, "reading")}


def lines_of(folder: Path) -> Path:
    [path] = folder.glob("*.archive")
    return path


def test_months_leave_whose_lines_are_archived_and_no_other(old: Engine, writer: Writer, folder: Path) -> None:
    before = keys(old)
    with pytest.raises(Refused, match="lines of the journal still rest on readings of 2026-12"):
        move(old, writer, folder)
    files = sorted(folder.glob("*.readings"))
    assert [about_of(path).month for path in files] == ["2026-10", "2026-11"]
    left = keys(old)
    assert sum(about_of(path).readings for path in files) == len(before) - len(left) == 12
    assert all(before[key] == row for key, row in left.items())
    assert sound(old).archived_readings == 12
    assert sound(old, *files).archived_readings == 0
    whole = sound(old, lines_of(folder), *files)
    assert (whole.archived, whole.archived_readings) == (0, 0)
    with reader(old) as connection:
        months = {name for name, table in parts(connection) if table == "reading"}
    assert "reading_2026_10" not in months
    assert old.dialect.name == "sqlite" or "reading_2026_12" in months
    read(writer, reading(1, 120 * DAY, 1_000_000 + 1900 * 120))
    charge(writer, 120 * DAY)
    sound(old, lines_of(folder), *files)


def test_lines_that_are_here_keep_their_readings(engine: Engine, writer: Writer, folder: Path) -> None:
    live(writer, 0, 40)
    with pytest.raises(Refused, match="move its lines first"):
        move(engine, writer, folder)
    assert list(folder.iterdir()) == []


def test_what_is_needed_still_stays(engine: Engine, writer: Writer, folder: Path) -> None:
    """The last reading of a meter that fell silent, what is held after it, and what a person answers for."""
    writer.run(lambda unit: add_months(unit.connection, "reading", range(OCTOBER, OCTOBER + 5)))
    live(writer)
    close(writer, engine, "2026-12", "2026-12-31")
    archive(engine, steps(writer), folder, JANUARY)
    with begin_writing(engine) as connection, connection.begin():
        connection.exec_driver_sql(
            "UPDATE reading SET verdict = 'released' "
            f"WHERE meter_id = '{meter_id(2)}' AND read_at = {START_S + 10 * DAY}"
        )
        connection.exec_driver_sql(
            f"UPDATE meter_live SET reading_at = {START_S + 20 * DAY} WHERE meter_id = '{meter_id(3)}'"
        )
    with pytest.raises(Refused):
        move(engine, writer, folder)
    left = keys(engine)
    assert (START_S + 10 * DAY, meter_id(2)) in left
    assert {(START_S + day * DAY, meter_id(3)) for day in (20, 30, 40)} <= set(left)
    assert not {(START_S + 10 * DAY, meter_id(number)) for number in (1, 3)} & set(left)
    files = sorted(folder.glob("*.readings"))
    sound(engine, lines_of(folder), *files)
    with begin_writing(engine) as connection, connection.begin():
        connection.exec_driver_sql(
            f"UPDATE meter_live SET reading_at = {START_S + 110 * DAY} WHERE meter_id = '{meter_id(3)}'"
        )
    with pytest.raises(Refused):
        move(engine, writer, folder)  # what stayed for the silent meter follows, in files of its own
    assert len(sorted(folder.glob("*.readings"))) == len(files) + 1
    sound(engine, lines_of(folder), *folder.glob("*.readings"))
    sound(engine, lines_of(folder), *files)


def test_they_come_back_as_they_were(old: Engine, writer: Writer, folder: Path) -> None:
    before = keys(old)
    with pytest.raises(Refused):
        move(old, writer, folder)
    files = sorted(folder.glob("*.readings"))
    for path in files:
        restore_month(old, ESTATE, steps(writer), path)
        restored = sound(old, *files)
        assert restored.archived_readings == 0
    assert keys(old) == before
    with reader(old) as connection:
        assert present(store.acts(connection, ESTATE)) == []
        assert store.archived_until(connection, ESTATE) == 0
        with pytest.raises(Exception, match="no archive of this estate"):
            flow.to_restore(connection, ESTATE, files[0], file_hash(files[0]))
    sound(old, lines_of(folder))


def test_who_was_stopped_after_the_act_goes_on(old: Engine, writer: Writer, folder: Path) -> None:
    with reader(old) as connection:
        path = flow.write_readings(connection, ESTATE, OCTOBER, folder, NOW)
        assert flow.write_readings(connection, ESTATE, OCTOBER, folder, NOW) == path, "stopped before the act"
    steps(writer)(step=f"{READINGS}move", file=str(path))
    again = steps(writer)(step=f"{READINGS}move", file=str(path))
    assert again["archive_no"] == 1
    before = keys(old)
    sound(old, lines_of(folder), path)
    with reader(old) as connection:
        [act] = flow.unfinished(connection, ESTATE)
        staying = store.staying(connection, ESTATE, act)
    if old.dialect.name == "postgresql":  # and in the middle of letting the month go
        assert staying == []
        assert writer.run(lambda unit: flow.detach(unit, ESTATE, act, staying))
        with begin_writing(old) as connection, connection.begin():  # a row that the file does not say comes back
            connection.exec_driver_sql(f"UPDATE reading_2026_10 SET reason = 'x' WHERE meter_id = '{meter_id(1)}'")
        assert len(keys(old)) == len(before) - 3
        with reader(old) as connection:
            assert flow.unfinished(connection, ESTATE) == [act]
    with pytest.raises(Refused):
        move(old, writer, folder)
    with reader(old) as connection:
        left = [one for one in flow.unfinished(connection, ESTATE) if one.month != "2026-10"]
    assert left == []
    assert [row for row in keys(old).values() if row["read_at"] < START_S + 15 * DAY] == []  # type: ignore[operator]
    said = [
        row[COLUMNS.index("reason")] for one in folder.glob("*-2026-10-*") for row in rows_after(one, flow.START, 9)
    ]
    assert sorted(set(said)) == ([FORWARD, "x"] if old.dialect.name == "postgresql" else [FORWARD])
    assert len(said) == (4 if old.dialect.name == "postgresql" else 3)


def test_a_reading_that_was_changed_meanwhile_is_not_lost(old: Engine, writer: Writer, folder: Path) -> None:
    with reader(old) as connection:
        path = flow.write_readings(connection, ESTATE, OCTOBER, folder, NOW)
    act = steps(writer)(step=f"{READINGS}move", file=str(path))
    with begin_writing(old) as connection, connection.begin():
        connection.exec_driver_sql(
            f"UPDATE reading SET verdict = 'voided' WHERE meter_id = '{meter_id(1)}' AND read_at < {act['to_at']}"
        )
    assert steps(writer)(step=f"{READINGS}clear", file=str(path), after=flow.START)["readings"] == 2
    [row] = [one for one in keys(old).values() if one["read_at"] < act["to_at"]]  # type: ignore[operator]
    assert row["verdict"] == "voided"


def test_an_edited_byte_or_register_is_found(old: Engine, writer: Writer, folder: Path) -> None:
    with pytest.raises(Refused):
        move(old, writer, folder)
    path, *_ = files = sorted(folder.glob("*.readings"))
    good = path.read_bytes()
    path.write_bytes(good.replace(b"accepted", b"acceptet", 1))
    assert [one.subject for one in checked(old, *files).mismatches] == [f"archive {path.name}"]
    path.write_bytes(good)
    sound(old, lines_of(folder), *files)
    with begin_writing(old) as connection, connection.begin():
        trigger = "reading_archive_append_only ON reading_archive"
        connection.exec_driver_sql(
            f"DROP TRIGGER {trigger}" if old.dialect.name == "postgresql" else "DROP TRIGGER reading_archive_no_UPDATE"
        )
        connection.exec_driver_sql("UPDATE reading_archive SET readings = 7 WHERE archive_no = 1")
    subjects = {one.subject for one in checked(old, *files).mismatches}
    assert subjects == {"archive of readings 1", "table reading_archive"}


def test_archived_lines_must_rest_on_the_registers_of_the_files(old: Engine, writer: Writer, folder: Path) -> None:
    """Somebody changes a reading after its line was archived, and before the reading is."""
    with begin_writing(old) as connection, connection.begin():
        connection.exec_driver_sql(
            f"UPDATE reading SET total_wh = total_wh + 10 WHERE meter_id = '{meter_id(1)}' "
            f"AND read_at = {START_S + 10 * DAY}"
        )
    with pytest.raises(Refused):
        move(old, writer, folder)
    files = sorted(folder.glob("*.readings"))
    sound(old, *files)
    [found] = checked(old, lines_of(folder), *files).mismatches
    assert (found.invariant, "register that was read" in found.detail) == (6, True)


def test_archived_lines_must_rest_on_the_rates_of_the_files(old: Engine, writer: Writer, folder: Path) -> None:
    with begin_writing(old) as connection, connection.begin():
        connection.exec_driver_sql(
            f"UPDATE reading SET rate2_wh = rate2_wh - 10, rate4_wh = rate4_wh + 10 WHERE meter_id = '{meter_id(3)}' "
            f"AND read_at = {START_S + 10 * DAY}"
        )
    with pytest.raises(Refused):
        move(old, writer, folder)
    files = sorted(folder.glob("*.readings"))
    sound(old, *files)
    [found] = checked(old, lines_of(folder), *files).mismatches
    assert (found.invariant, found.detail) == (
        3, "to_rates_wh (T2, T4) is 1400,2300,3200,4100, should be 1400,2290,3200,4110"
    )  # fmt: skip


def test_pages_and_exports_say_that_they_are_archived(old: Engine, writer: Writer, folder: Path) -> None:
    with pytest.raises(Refused):
        move(old, writer, folder)
    with reader(old) as connection:
        until_at = store.archived_until(connection, ESTATE)
        assert month_of(until_at) == OCTOBER + 2
        assert store.is_archived(connection, ESTATE, START_S)
        assert not store.is_archived(connection, ESTATE, until_at)
        with pytest.raises(Archived, match=f"before {until_at}"):
            list(view.readings_seen(connection, ESTATE, view.whole_span(connection, ESTATE)))
        assert list(view.readings_seen(connection, ESTATE, view.Span(until_at, NOW.world_s)))


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only these, and the clock stands."""
    monkeypatch.setattr(__main__, "COMMANDS", ("archive", "verify"))
    monkeypatch.setattr(command, "Clock", Today)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("ESTATE645_READINGS_MONTHS", "3")


@pytest.mark.usefixtures("commands")
@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_command_moves_lists_signs_and_puts_back_beside_a_running_server(
    old: Engine, writer: Writer, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = old.url.render_as_string(hide_password=False)
    pair = generate_key_pair(tmp_path / "keys")
    path = socket_path(url)
    assert path is not None
    operations = Operations(old, writer, Today(), ESTATE, None, Keyring(None))
    served = AdminSocket(path, operations.all())
    served.start()
    moving = ["archive", "--readings", "--out", str(folder), "--key", str(pair.private), "--database", url]
    try:
        assert main([*moving, "--before", "2026-12-15"]) == 0
        assert "3 readings of 2026-10 are in" in capsys.readouterr().out
        assert main([*moving, "--before", "2027-03-15"]) == 2
        assert "the last 3 months of readings stay" in capsys.readouterr().err
        assert main(moving) == 2
        assert "still rest on readings of 2026-12" in capsys.readouterr().err
        files = sorted(folder.glob("*.readings"))
        assert main(["archive", "--database", url]) == 0
        listed = capsys.readouterr().out
        assert [one.name for one in files if one.name not in listed] == []
        assert main(["archive", "--restore", str(files[0]), "--database", url]) == 0
        assert "are in the database again" in capsys.readouterr().out
    finally:
        served.stop()
    check_signature(about_of(files[1]), load_public_key(pair.public), "f")
    other = generate_key_pair(tmp_path / "others")
    with pytest.raises(ConfigError, match="is signed with key"):
        check_signature(about_of(files[1]), load_public_key(other.public), "f")
    sound(old, lines_of(folder), files[1])


@pytest.mark.usefixtures("commands")
@pytest.mark.parametrize("backend", ["sqlite"])
def test_what_does_not_go_is_said(old: Engine, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = old.url.render_as_string(hide_password=False)
    for arguments, said in (
        (["--readings"], "name --out DIR"),
        (["--readings", "--out", str(folder / "nowhere")], "there is no folder"),
        (["--restore", str(folder / "x.readings")], "cannot be read"),
    ):
        assert main(["archive", *arguments, "--database", url]) == 2
        assert said in capsys.readouterr().err
    (folder / "plum-2026-10-0001.readings").write_bytes(b"somebody's")
    with reader(old) as connection, pytest.raises(ConfigError, match="no archive of this program"):
        flow.write_readings(connection, ESTATE, OCTOBER, folder, NOW)


CYCLES_MIN, CYCLES_MAX = 8, 60
CHILD = """
import sys
from pathlib import Path
from server.cli.archive_readings import move_months, restore_month
from server.flows import reading_archive as flow
from server.flows.archive import file_hash
from server.domain.reading_archive import present
from server.store import reading_archive as store
from server.store.engine import open_engine, reader
from server.store.writer import Writer
from tests.server.archived import ESTATE, NOW, steps
flow.ROWS_A_UNIT = 2
engine = open_engine(sys.argv[1])
writer, folder, before = Writer(engine), Path(sys.argv[2]), int(sys.argv[3])
step = steps(writer)
print("ready", flush=True)
while True:
    move_months(engine, ESTATE, step, writer, before, folder, NOW, None)
    with reader(engine) as connection:
        kept = present(store.acts(connection, ESTATE))
    for act in kept:
        restore_month(engine, ESTATE, step, folder / act.file)
"""


@pytest.mark.ci
@pytest.mark.timeout(900)
def test_killed_at_any_moment_every_reading_is_somewhere(
    engine: Engine, writer: Writer, folder: Path, old: Engine
) -> None:
    """Months leave and come back without end; the process that does it is killed."""
    writer.stop()
    before, luck = keys(old), random.Random(645)
    met = {True: 0, False: 0}  # how often a kill left something archived
    command_line = [sys.executable, "-P", "-c", CHILD, old.url.render_as_string(hide_password=False), str(folder)]
    for cycle in range(CYCLES_MAX):
        if cycle >= CYCLES_MIN and all(met.values()):
            return
        engine.dispose()
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(
            [*command_line, str(OCTOBER + 2)], stdout=subprocess.PIPE, cwd=ROOT, env=environment
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            time.sleep(luck.random())
            assert child.poll() is None, f"cycle {cycle}: it ended by itself"
            child.kill()
        let_go(engine)
        files = sorted(folder.glob("*.readings"))
        report = sound(old, lines_of(folder), *files)
        assert report.archived_readings == 0, f"cycle {cycle}: a file is not there"
        with reader(old) as connection:
            kept = present(store.acts(connection, ESTATE))
        told = {row[:2]: row for act in kept for row in rows_after(folder / act.file, flow.START, 99)}
        here = {key: tuple(row[name] for name in COLUMNS) for key, row in keys(old).items()}
        assert {key: (here | told).get(key) for key in before} == {
            key: tuple(row[name] for name in COLUMNS) for key, row in before.items()
        }, f"cycle {cycle}"
        met[bool(kept)] += 1
    pytest.fail(f"the kills met only one side: {met}")
