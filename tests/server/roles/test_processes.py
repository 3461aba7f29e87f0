"""The watch over web processes: whatever becomes of them, the process that reads meters goes on, and can be ended."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from server.roles import processes
from server.roles.desk import REGISTERS_MAX, Desk
from server.roles.processes import WebProcesses
from server.transport.memory import Bell

SLEEPER = (sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)")


class Told(Exception):
    """A signal met the handler of before."""


class NoDesk(Desk):
    """Tells nothing and answers nothing."""

    def __init__(self):
        super().__init__(None)

    def boot(self):
        return None

    def handlers(self):
        return {}


@pytest.fixture
def signals():
    """Signals that nobody obeys fail the test, and do not end it."""

    def told(number, _frame):
        raise Told(number)

    before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def webs(monkeypatch, signals):
    monkeypatch.setattr(processes, "COMMAND", SLEEPER)
    monkeypatch.setattr(processes, "STOP_S", 0.2)
    monkeypatch.setattr(processes, "LOOK_S", 0.02)
    made = WebProcesses(1, socket.create_server(("127.0.0.1", 0)))
    desk = NoDesk()
    made.learn = lambda: made.begin(desk, Bell())
    yield made
    made.stop()
    desk.close()


def after(seconds, work):
    thread = threading.Timer(seconds, work)
    thread.start()
    return thread


def watched(webs, until, timeout_s=60, told=None):
    """Watch until this is true; `told` gets the ids whenever there are others."""
    give_up = time.monotonic() + timeout_s

    def look():
        while not until() and time.monotonic() < give_up:
            time.sleep(0.01)
        webs.end()

    looking = threading.Thread(target=look)
    looking.start()
    webs.watch(told.append if told is not None else lambda pids: None)
    looking.join()
    return until()


def begun(webs):
    """As after a start: what the children need is known, and the first of them does not serve yet."""
    ending = after(0.1, lambda: os.kill(os.getpid(), signal.SIGTERM))
    webs.learn()
    ending.join()
    webs._ending = False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait_for_web_processes_in_order(webs, number):
    after(0.1, lambda: os.kill(os.getpid(), number))
    webs.learn()
    webs.watch(lambda pids: None)


def test_who_never_comes_to_serve_is_ended_and_another_is_started(webs, monkeypatch):
    begun(webs)
    first = webs.pids
    monkeypatch.setattr(processes, "READY_S", 0.2)
    told = []
    assert watched(webs, lambda: webs.pids not in ([], first), told=told)
    assert told[-1] == webs.pids


def test_who_served_and_stirs_no_more_is_ended_and_another_is_started(webs, monkeypatch):
    begun(webs)
    monkeypatch.setattr(processes, "SILENT_LOOKS_MAX", 10)
    child = webs._places[0].child
    child.ready.set()
    looks = []

    def stirs():
        """A child that beats is left alone, however many looks go by."""
        looks.append(child.hear())
        return len(looks) > 30

    assert watched(webs, stirs)
    assert webs.pids == [child.pid]
    webs._ending = False
    assert watched(webs, lambda: webs.pids not in ([], [child.pid]))


def test_a_machine_that_starts_no_process_now_is_asked_again_later(webs, monkeypatch):
    begun(webs)
    tries, real = [], subprocess.Popen

    def popen(*arguments, **named):
        tries.append(time.monotonic())
        if len(tries) == 1:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return real(*arguments, **named)

    monkeypatch.setattr(processes.subprocess, "Popen", popen)
    os.kill(webs.pids[0], signal.SIGKILL)
    assert watched(webs, lambda: len(tries) == 2 and webs.pids)


def test_the_pause_stays_the_longest_however_often_they_end():
    place = processes._Place(None)
    pauses = []
    for _ in range(2000):
        place.fail(100.0, steady=False)
        pauses.append(place.again_at_s - 100.0)
    assert pauses[:6] == [0.0, 1.0, 3.0, 7.0, 15.0, processes.PAUSE_S_MAX]
    assert set(pauses[5:]) == {processes.PAUSE_S_MAX}
    place.fail(100.0, steady=True)
    assert place.again_at_s == 100.0


def test_all_are_waited_for_together(monkeypatch, signals):
    monkeypatch.setattr(processes, "COMMAND", SLEEPER)
    monkeypatch.setattr(processes, "STOP_S", 2.0)  # one after the other they would take 8 s
    several = WebProcesses(4, socket.create_server(("127.0.0.1", 0)))
    several._begin = lambda child: None  # they were told to serve, and do not end when they are asked to
    began = time.monotonic()
    several.stop()
    assert 2.0 <= time.monotonic() - began < 6.0
    assert several.pids == []


class Slow:
    """A collector that knows how it stands, and meters that are waited for."""

    def __init__(self):
        self.answered = threading.Event()
        self.collector, self.searches, self.clock_sane = self, self, lambda: True
        self.read_now = self.wake = None

    def status(self):
        return ("bus1",)

    def registers_wh(self, bus_id, meter):
        self.answered.wait(10)
        return None, ()


def test_meters_that_are_waited_for_keep_nobody_from_the_status():
    slow = Slow()
    desk = Desk(slow)
    handlers = desk.handlers()
    waiting = [handlers["search_registers"]("bus1", None) for _ in range(3 * REGISTERS_MAX)]
    try:
        assert handlers["status"]().result(5) == ("bus1",)
        assert not any(one.done() for one in waiting)
    finally:
        slow.answered.set()
        desk.close()
