"""`estate645 doctor`: what is wrong is said with how to mend it and decides the exit code."""

import argparse
import fcntl
import json
import os
import pty
import resource
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from server.admin.service import AdminSocket
from server.cli import checkup, doctor
from server.collect.port import LineSettings
from server.domain.clock_doubt import ClockDoubt
from server.flows import clock_doubt
from server.store import schema
from server.store.engine import open_engine
from server.store.writer import Writer
from tests.server.estates import ESTATE, at, plant


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in [one for one in os.environ if one.startswith(("ESTATE645_", "DATABASE_URL"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def database(tmp_path, sqlite_template):
    """A sound estate in a file; its bus is a pty of this process."""
    path = tmp_path / "estate.db"
    shutil.copy(sqlite_template, path)
    engine = open_engine(f"sqlite:///{path}")
    writer = Writer(engine)
    plant(writer)
    master, slave = pty.openpty()
    url = os.ttyname(slave)
    os.close(slave)
    writer.run(lambda unit: unit.connection.execute(schema.bus.update().values(url=url)) and None)
    writer.stop()
    engine.dispose()
    yield f"sqlite:///{path}"
    os.close(master)


def look(capsys, *arguments):
    parser = argparse.ArgumentParser()
    doctor.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["doctor", *map(str, arguments), "--json"])
    code = parsed.run(parsed)
    return code, json.loads(capsys.readouterr().out)


def of(findings, subject):
    return [one for one in findings if one["subject"] == subject]


def change(database, statement):
    engine = open_engine(database)
    writer = Writer(engine)
    writer.run(lambda unit: unit.connection.execute(statement) and None)
    writer.stop()
    engine.dispose()


def test_a_sound_estate_has_nothing_wrong(database, capsys):
    code, found = look(capsys, "--database", database)
    assert [one for one in found if one["state"] == "wrong"] == []
    assert code == 0
    assert "revision 0" in of(found, "database")[-1]["en"]
    assert "parity E is not on" in of(found, "bus bus-1")[0]["en"]  # a pty keeps none
    assert {"settings", "disk", "time zone", "clock", "limits"} <= {one["subject"] for one in found}
    assert all(one["en"] and one["zh"] for one in found)
    assert all(bool(one["mend_en"]) == bool(one["mend_zh"]) for one in found)


def test_it_is_said_for_people_in_the_language_they_want(database, capsys):
    parser = argparse.ArgumentParser()
    doctor.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["doctor", "--database", database, "--lang", "zh"])
    assert parsed.run(parsed) == 0
    shown = capsys.readouterr().out
    assert "所有设置项均有效" in shown
    assert "every key" not in shown


def test_a_port_that_is_missing_or_no_port_is_wrong(database, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, found = look(capsys, tmp_path / "none", tmp_path / "file", "--database", database)
    assert code == 1
    assert "no such device; plug the adapter in" in of(found, f"bus {tmp_path / 'none'}")[0]["en"]
    assert "not a serial port" in of(found, f"bus {tmp_path / 'file'}")[0]["en"]


def test_a_port_that_somebody_holds_is_busy_unless_it_is_the_running_server(database, capsys):
    engine = open_engine(database)
    with engine.connect() as connection:
        url = connection.execute(text("SELECT url FROM bus")).scalar_one()
    engine.dispose()
    with open(url, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, found = look(capsys, "--database", database)
        assert (code, "busy" in of(found, "bus bus-1")[0]["en"]) == (1, True)
        path = database.removeprefix("sqlite:///")
        listener = AdminSocket(Path(f"{path}.admin"), {"buses": lambda _: {"done": [{"bus": "bus-1"}]}})
        listener.start()
        try:
            code, found = look(capsys, "--database", database)
        finally:
            listener.stop()
        assert (code, "running server" in of(found, "bus bus-1")[0]["en"]) == (0, True)


@pytest.mark.parametrize(
    ("told", "state", "said"),
    [
        ({"open": False, "trouble": "run/x: no such device; plug the adapter in or correct the url of the bus (see "
                                    "/dev/serial/by-id)"}, "wrong", "no such device"),
        ({"open": False, "trouble": "", "waiting": True}, "warning", "waits for"),
        ({"open": True, "meters": 2, "silent_meters": 2}, "wrong", "none of its 2 meters answers"),
        ({"open": True, "meters": 2, "silent_meters": 1}, "ok", "is open in the running server"),
    ],
)  # fmt: skip
def test_a_bus_of_the_running_server_is_no_better_than_the_server_says(told, state, said):
    held = {"bus-1": checkup.ServedBus.told({"bus": "bus-1", **told})}
    [one] = checkup.ports([("bus-1", "run/x", LineSettings())], held)
    assert (one.state, said in one.en) == (state, True)
    assert "no such device" not in one.zh


def test_wrong_settings_are_said_and_nothing_else_is_looked_at(tmp_path, capsys):
    (tmp_path / "server.toml").write_text("prot = 1\n")
    code, [one] = look(capsys, "--config", tmp_path / "server.toml")
    assert (code, one["state"]) == (1, "wrong")
    assert "'prot'" in one["en"]


@pytest.mark.parametrize(("mode", "state"), [(0o644, "wrong"), (0o640, "wrong"), (0o600, "ok"), (0o400, "ok")])
def test_secret_files_are_their_owners_alone(tmp_path, mode, state, capsys):
    key = tmp_path / "key.pem"
    key.write_text("secret")
    key.chmod(mode)
    (tmp_path / "server.toml").write_text('sandbox_merchant_key = "key.pem"\n')
    _, found = look(capsys, "--config", tmp_path / "server.toml")
    [one] = of(found, "sandbox_merchant_key")
    assert one["state"] == state
    assert ("chmod 600" in one["mend_en"]) == (state == "wrong")


def test_a_database_that_is_not_there_or_is_none_or_is_newer(tmp_path, database, capsys):
    code, found = look(capsys, "--database", f"sqlite:///{tmp_path / 'none.db'}")
    assert (code, "there is no database" in of(found, "database")[0]["en"]) == (0, True)
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "text.db").write_text("no database at all, but longer than a header" * 50)
    code, found = look(capsys, "--database", f"sqlite:///{tmp_path / 'text.db'}")
    assert (code, of(found, "database")[0]["state"]) == (1, "wrong")
    change(database, text("UPDATE alembic_version SET version_num = '9999'"))
    code, found = look(capsys, "--database", database)
    assert (code, "newer than this program" in of(found, "database")[0]["en"]) == (1, True)
    change(database, text("UPDATE alembic_version SET version_num = '0001'"))
    code, found = look(capsys, "--database", database)
    assert (code, of(found, "database")[0]["state"]) == (0, "warning")


def test_a_clock_that_was_put_back_is_wrong(database, capsys):
    change(database, schema.meter_live.update().where(schema.meter_live.c.estate_id == ESTATE).values(contact_ms=2**52))
    code, found = look(capsys, "--database", database)
    assert code == 1
    assert any("was put back" in one["en"] for one in of(found, "clock"))


@pytest.mark.parametrize(("said", "state"), [("yes\n", "ok"), ("no\n", "warning"), ("", "unknown")])
def test_whether_the_clock_is_kept_is_asked_of_systemd(monkeypatch, said, state):
    done = subprocess.CompletedProcess((), 0, stdout=said)
    monkeypatch.setattr(checkup.subprocess, "run", lambda *_args, **_options: done)
    assert [one.state for one in checkup.clock(1000, None)] == [state]


@pytest.mark.parametrize(("kernel", "state"), [(None, "unknown"), (True, "ok"), (False, "warning")])
def test_without_systemd_the_kernel_tells_if_it_does(monkeypatch, kernel, state):
    def missing(*_args, **_options):
        raise FileNotFoundError

    monkeypatch.setattr(checkup.subprocess, "run", missing)
    monkeypatch.setattr(checkup, "kernel_synchronised", lambda: kernel)
    assert [one.state for one in checkup.clock(1000, 1000)] == [state]


@pytest.mark.parametrize(("free_mb", "state"), [(100, "wrong"), (1000, "warning"), (5000, "ok")])
def test_room_on_the_disk(monkeypatch, tmp_path, free_mb, state):
    monkeypatch.setattr(checkup.shutil, "disk_usage", lambda _path: SimpleNamespace(free=free_mb * 2**20))
    assert [one.state for one in checkup.disk(tmp_path / "x.db") if one.subject == "disk"] == [state]


def test_a_folder_that_cannot_be_written(monkeypatch, tmp_path):
    monkeypatch.setattr(checkup.os, "access", lambda *_: False)
    assert next(iter(checkup.disk(tmp_path / "x.db"))).state == "wrong"


def test_zones_holidays_and_descriptors(monkeypatch):
    assert [one.state for one in checkup.zone("Asia/Nowhere", 1_795_000_000)] == ["wrong"]
    assert [one.state for one in checkup.zone("Asia/Shanghai", 1_795_000_000)] == ["ok"]
    assert [one.state for one in checkup.zone("Asia/Shanghai", 4_000_000_000)] == ["ok", "warning"]
    monkeypatch.setattr(checkup.resource, "getrlimit", lambda _: (256, 300))
    assert [one.state for one in checkup.limits(200)] == ["wrong"]
    monkeypatch.setattr(checkup.resource, "getrlimit", lambda _: (256, resource.RLIM_INFINITY))
    assert [one.state for one in checkup.limits(200)] == ["ok"]


def test_a_clock_that_a_running_server_doubts_is_wrong_with_what_to_do(database, capsys):
    engine = open_engine(database)
    writer = Writer(engine)
    said = ClockDoubt("meters", -7200, 12, 11)
    writer.run(lambda unit: clock_doubt.tell(unit, ESTATE, said, at(60)))
    code, found = look(capsys, "--database", database)
    [wrong] = [one for one in of(found, "clock") if one["state"] == "wrong"]
    assert (code, wrong["en"]) == (
        1, "7200 s behind the clocks of 11 of 12 meters: readings are held, nothing is charged or cut",
    )  # fmt: skip
    assert "timedatectl" in wrong["mend_en"]
    assert "慢7200秒" in wrong["zh"]
    writer.run(lambda unit: clock_doubt.tell(unit, ESTATE, None, at(120)))
    writer.stop()
    engine.dispose()
    assert [one for one in of(look(capsys, "--database", database)[1], "clock") if one["state"] == "wrong"] == []
