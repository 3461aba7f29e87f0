"""Searches from the console: one a bus, beside everything else, ended at will, and what they found is read again."""

from concurrent.futures import Future
from threading import Event

import pytest

from core.dlt645.search import Heard
from core.modbus.commands import ReadRegisters
from server.collect.port import LineSettings
from server.errors import Conflict, NotFound
from server.jobs.searching import BusSearches
from tests.core.search_bus import Line, Meter
from tests.e2e.processes import wait_until

METERS = [Meter("202600010101", total=0x5634), Meter("000000000009", "1997", total=0x99)]


class Bus:
    """The model line as the collector would ask it."""

    def __init__(self, *meters):
        self.line = Line(*meters)
        self.gate = Event()
        self.gate.set()
        self.asked = 0
        self.broken = None

    def ask(self, bus_id, command, linger_s):
        assert bus_id == "bus-1"
        self.gate.wait(20)
        self.asked += 1
        answer = Future()
        if self.broken is not None:
            answer.set_exception(self.broken)
        else:
            silent = isinstance(command, ReadRegisters)
            answer.set_result(Heard((), 0, 0.0) if silent else self.line.ask(command))
        return answer

    def searches(self):
        return BusSearches(self.ask, lambda: {"bus-1": LineSettings(9600, "E")})


def done(searches):
    wait_until(lambda: searches.of("bus-1").state != "running", "the search is over")
    return searches.of("bus-1")


def test_the_meters_of_a_bus_are_found_and_read_again():
    searches = Bus(*METERS).searches()
    assert searches.of("bus-1") is None
    searches.start("bus-1")
    search = done(searches)
    assert (search.state, search.error, search.doubts) == ("done", "", ())
    found = {(one.protocol, one.address): one for one in search.meters}
    assert set(found) == {("2007", "202600010101"), ("1997", "000000000009")}
    assert {searches.registers_wh("bus-1", one)[0] for one in found.values()} == {56_340, 990}
    assert {one.baud for one in found.values()} == {9600}


def test_one_search_a_bus_and_only_of_a_bus_that_is_read():
    bus = Bus(*METERS)
    searches = bus.searches()
    bus.gate.clear()
    searches.start("bus-1")
    with pytest.raises(Conflict, match="running already"):
        searches.start("bus-1")
    with pytest.raises(NotFound, match="bus-9 is not being read"):
        searches.start("bus-9")
    bus.gate.set()
    done(searches)
    searches.start("bus-1")
    assert done(searches).state == "done"


def test_a_search_ends_when_somebody_ends_it_and_keeps_what_it_found():
    bus = Bus(*METERS)
    searches = bus.searches()
    bus.gate.clear()
    searches.start("bus-1")
    searches.end("bus-1")
    bus.gate.set()
    assert done(searches).state == "ended"
    asked = bus.asked
    assert asked < 20
    searches.stop()


def test_a_line_that_is_lost_is_said():
    bus = Bus(*METERS)
    bus.broken = NotFound("bus bus-1 is not open: unplugged")
    searches = bus.searches()
    searches.start("bus-1")
    search = done(searches)
    assert (search.state, search.error) == ("failed", "bus bus-1 is not open: unplugged")


def test_a_meter_that_is_gone_does_not_tell_its_register():
    bus = Bus(*METERS)
    searches = bus.searches()
    searches.start("bus-1")
    [first, _] = done(searches).meters
    bus.line.meters = ()
    assert searches.registers_wh("bus-1", first) == (None, ())
    bus.broken = NotFound("unplugged")
    assert searches.registers_wh("bus-1", first) == (None, ())


def test_numbers_of_nameplates_are_asked_first_and_the_silent_ones_are_said():
    bus = Bus(*METERS)
    searches = bus.searches()
    searches.start("bus-1", ("000000000009", "000000000888"))
    search = done(searches)
    assert search.addresses == ("000000000009", "000000000888")
    assert bus.line.asked[0].address == "000000000009"
    assert search.doubts == (("silent", "", "000000000888"),)
    assert sorted(one.address for one in search.meters) == ["000000000009", "202600010101"]
