"""The line between two processes: what travels, in which order answers come, and what happens at its end."""

import pickle
import socket
import threading
import time
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager

import pytest

from core.dlt645.security import Serr
from core.errors import CoreError, MeterRefused
from core.vending import SecurityRefused
from server.cli.demo.processes import start
from server.clock import Now
from server.errors import Conflict, EstateError, NoAnswer
from server.flows import people
from server.flows.lockout import Place
from server.store.engine import upgrade
from server.store.unit import Deed
from server.transport import channel as lines
from server.transport.channel import Channel, Fault
from server.transport.parcel import NotCarried, pack, unpack

PATIENCE_S = 30


@contextmanager
def line(here=None, there=None):
    """Two ends with these handlers; the events say that an end has heard of the end."""
    heard = [threading.Event(), threading.Event()]
    ends = [
        Channel(end, handlers or {}, ended.set)
        for end, handlers, ended in zip(socket.socketpair(), (here, there), heard, strict=True)
    ]
    for end in ends:
        end.start()
    try:
        yield *ends, heard
    finally:
        for end in ends:
            end.close()


def test_a_deed_names_its_flow_and_carries_its_arguments():
    deed = Deed(people.authenticate, "li", True, place=Place("address 1"), now=Now(1, 2))
    again = unpack(pack(deed))
    assert (again._flow, again._arguments, again._named) == (deed._flow, deed._arguments, deed._named)


def test_a_function_inside_a_function_does_not_travel():
    with pytest.raises(NotCarried, match="does not travel"):
        pack(Deed(lambda _unit: None))


class Outside:
    def __reduce__(self):
        return print, ("this was run",)


@pytest.mark.parametrize("stranger", [Outside(), Fault, time.sleep, pickle.loads, threading.Event])
def test_only_names_of_ours_are_taken(stranger, capsys):
    data = pickle.dumps(stranger)
    if stranger is Fault:
        assert unpack(data) is Fault
        return
    with pytest.raises(NotCarried):
        unpack(data)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("function", [start, unpack, upgrade], ids=["program", "parcel", "schema"])
def test_of_our_functions_only_flows_are_taken(function):
    with pytest.raises(NotCarried):
        unpack(pack(function))


@pytest.mark.parametrize("name", [b"socket", b"log", b"struct.pack", b"socket.socket", b"unknown"])
def test_what_a_module_of_ours_has_imported_is_not_ours(name):
    module = b"server.transport.channel"
    with pytest.raises(NotCarried):
        unpack(b"\x80\x04\x8c" + bytes([len(module)]) + module + b"\x8c" + bytes([len(name)]) + name + b"\x93.")


def test_answers_and_errors_come_back_as_they_were():
    later = Future()

    def refuse():
        raise Conflict("this key came before")

    def meter():
        raise MeterRefused(4, "meter 1 refused with ERR 04H")

    def break_down():
        raise KeyError("secret detail")

    there = {"add": lambda a, b: a + b, "later": lambda: later, "refuse": refuse, "meter": meter, "break": break_down}
    with line(there=there) as (here, _, _heard):
        slow = here.ask("later")
        assert here.ask("add", 2, 3).result(PATIENCE_S) == 5
        assert not slow.done()
        later.set_result([1])
        assert slow.result(PATIENCE_S) == [1]
        with pytest.raises(Conflict, match="this key came before"):
            here.ask("refuse").result(PATIENCE_S)
        with pytest.raises(Fault, match="KeyError"):
            here.ask("break").result(PATIENCE_S)
        with pytest.raises(MeterRefused, match="meter 1 refused with ERR 04H") as refused:
            here.ask("meter").result(PATIENCE_S)
        assert refused.value.err == 4
        with pytest.raises(Fault):
            here.ask("nobody knows this").result(PATIENCE_S)


class Changing:
    def __reduce__(self):
        raise RuntimeError("changed size during iteration")


def nested(depth):
    found = []
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize("value", [threading.Lock(), Changing(), nested(5000)], ids=["nameless", "changing", "deep"])
def test_an_answer_that_cannot_travel_is_an_error_and_not_silence(value):
    with line(there={"what": lambda: value, "next": lambda: 1}) as (here, _, _heard):
        with pytest.raises(NotCarried):
            here.ask("what").result(PATIENCE_S)
        assert here.ask("next").result(PATIENCE_S) == 1


def test_who_cannot_send_any_more_lets_go_of_the_line():
    def break_down():
        raise RuntimeError("a mistake of ours")

    with line() as (here, there, heard):
        asked = here.ask("what")
        there._put(break_down)
        with pytest.raises((NoAnswer, Fault)):
            asked.result(PATIENCE_S)
        with pytest.raises(NoAnswer):
            here.ask("what").result(PATIENCE_S)
        assert heard[0].wait(PATIENCE_S)


def test_who_gives_up_is_not_worked_for():
    waiting, begun = Future(), threading.Event()

    def work():
        begun.set()
        return waiting

    with line(there={"work": work}) as (here, _, _heard):
        asked = here.ask("work")
        assert begun.wait(PATIENCE_S)
        assert asked.cancel()
        deadline = time.monotonic() + PATIENCE_S
        while not waiting.cancelled() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert waiting.cancelled()
        waiting2 = here.ask("work")
        with pytest.raises(CancelledError):
            waiting2.result(PATIENCE_S)


def test_rings_before_an_answer_are_heard_before_it():
    heard, known = [], []
    with line(here={"ring": heard.extend}) as (here, there, _heard):

        def write(number):
            there.gather("ring", ("balance", str(number)))
            there.gather("ring", ("balance", str(number)))
            return number

        there._handlers = {"write": write}
        for number in range(20):
            asked = here.ask("write", number)
            asked.add_done_callback(lambda done: known.append(("balance", str(done.result())) in heard))
            assert asked.result(PATIENCE_S) == number
    assert len(heard) == 20, "each once"
    assert known == [True] * 20


def test_rings_alone_come_soon():
    rung = threading.Event()
    with line(here={"ring": lambda items: rung.set()}) as (_, there, _heard):
        there.gather("ring", ("meter", "1"))
        assert rung.wait(PATIENCE_S)


def test_the_end_of_one_side_answers_what_the_other_has_asked():
    never = Future()
    with line(there={"never": lambda: never}) as (here, there, heard):
        asked = here.ask("never")
        there.close()
        with pytest.raises(NoAnswer, match="may have been done"):
            asked.result(PATIENCE_S)
        assert heard[0].wait(PATIENCE_S)
        with pytest.raises(NoAnswer):
            here.ask("never").result(PATIENCE_S)


def test_who_takes_nothing_is_let_go_and_keeps_nobody_waiting(monkeypatch):
    monkeypatch.setattr(lines, "GATHERED_MAX", 1000)
    deaf, ours = socket.socketpair()
    ended = threading.Event()
    with deaf:
        end = Channel(ours, {}, ended.set)
        end.start()
        begun = time.monotonic()
        for number in range(200_000):
            end.gather("ring", ("meter", f"{number:0100d}"))
        assert ended.wait(PATIENCE_S)
        assert time.monotonic() - begun < 30
        end.close()


def kinds(root):
    """All classes of errors below one that the project has; tests have some of their own."""
    found = {kind for below in root.__subclasses__() for kind in (below, *kinds(below))}
    return {kind for kind in found if not kind.__module__.startswith("tests.")}


OF_THEIR_OWN = {MeterRefused: MeterRefused(0x0102, "no such data"), SecurityRefused: SecurityRefused(Serr.COUNT)}


@pytest.mark.parametrize("kind", sorted(kinds(EstateError) | kinds(CoreError), key=lambda one: one.__qualname__))
def test_an_error_arrives_as_it_was_with_its_words_and_figures(kind):
    error = OF_THEIR_OWN.get(kind) or kind("what was wrong, where, and what to do")
    again = unpack(pack(error))
    assert (type(again), str(again), vars(again)) == (kind, str(error), vars(error))
