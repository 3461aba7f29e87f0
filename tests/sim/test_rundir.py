"""The run directory of a run that names none: new each time, and the dead ones of the same user are swept."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from sim.control import rundir
from sim.control.rundir import LOCK_NAME, RunDirectory, sweep_dead
from tests.sim.test_sight import ESTATE


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def left_by_a_killed_one(temporary, name="estate645-sim-old"):
    """A directory whose lock nobody holds, with a port in it."""
    directory = temporary / name
    directory.mkdir()
    (directory / LOCK_NAME).write_text('["bus-1"]')
    (directory / "bus-1").symlink_to("/dev/pts/9999")
    return directory


def test_what_a_killed_simulator_left_is_swept_at_the_next_start(temporary, request):
    scenario = temporary / "estate.toml"
    scenario.write_text(ESTATE)
    command = [sys.executable, "-P", "-m", "sim", str(scenario), "--ready", str(temporary / "ready")]

    def started():
        (temporary / "ready").unlink(missing_ok=True)
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ | {"TMPDIR": str(temporary)})
        request.addfinalizer(process.wait)
        request.addfinalizer(process.kill)
        while not (temporary / "ready").exists():
            assert process.poll() is None
            time.sleep(0.02)
        return process

    killed = started()
    killed.kill()
    killed.wait()
    (first,) = temporary.glob("estate645-sim-*")
    assert (first / "bus-1").is_symlink()
    process = started()
    (second,) = temporary.glob("estate645-sim-*")
    assert second != first
    assert (second / "bus-1").is_symlink()
    process.send_signal(signal.SIGTERM)
    process.wait()
    assert not [*temporary.glob("estate645-sim-*")]


def test_a_living_one_one_in_the_making_and_other_peoples_files_are_left_alone(temporary):
    alive = RunDirectory.chosen(None, ["bus-1"])
    (alive.path / "bus-1").symlink_to("/dev/pts/9999")
    (temporary / "estate645-sim-new").mkdir()
    (temporary / "estate645-sim-newer").mkdir()
    (temporary / "estate645-sim-newer" / LOCK_NAME).touch()
    kept = left_by_a_killed_one(temporary)
    (kept / "notes.txt").touch()
    (temporary / "estate645-sim-link").symlink_to(left_by_a_killed_one(temporary, "elsewhere"))
    sweep_dead()
    assert (alive.path / "bus-1").is_symlink()
    assert (temporary / "estate645-sim-newer" / LOCK_NAME).exists()
    assert (temporary / "estate645-sim-new").exists()
    assert [one.name for one in kept.iterdir()] == ["notes.txt"]
    assert (temporary / "elsewhere" / "bus-1").is_symlink()
    alive.close()
    assert (alive.path / "bus-1").is_symlink() is False


def test_what_another_user_left_is_left_to_him(temporary, monkeypatch):
    dead = left_by_a_killed_one(temporary)
    monkeypatch.setattr(rundir.os, "geteuid", lambda: os.getuid() + 1)
    sweep_dead()
    assert (dead / "bus-1").is_symlink()
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    sweep_dead()
    assert not dead.exists()


def test_a_lock_that_is_a_link_is_not_followed(temporary):
    dead = left_by_a_killed_one(temporary)
    (dead / LOCK_NAME).unlink()
    (temporary / "other").write_text('["bus-1"]')
    (dead / LOCK_NAME).symlink_to(temporary / "other")
    sweep_dead()
    assert (dead / "bus-1").is_symlink()


def test_a_start_at_the_same_time_that_looks_into_a_new_directory_is_waited_for(temporary, monkeypatch):
    made = temporary / "estate645-sim-new"
    made.mkdir()
    held = os.open(made / LOCK_NAME, os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    monkeypatch.setattr(rundir.tempfile, "mkdtemp", lambda prefix: str(made))
    looked = threading.Timer(0.1, os.close, [held])
    looked.start()
    directory = RunDirectory.chosen(None, ["bus-1"])
    looked.join()
    assert directory.path == made
    directory.close()
    assert not made.exists()
