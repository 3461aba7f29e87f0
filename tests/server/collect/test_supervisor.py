"""The collector as its owner sees it: another thread that starts, takes wishes, reports and leaves nothing behind."""

import threading
from dataclasses import replace
from time import monotonic, sleep

import pytest

from core.dlt645 import identifiers as di
from server.collect.port import PortError
from server.collect.supervisor import Supervisor
from server.collect.work import BusPlan, Cadence, MeterPlan, MeterUnread
from server.errors import EstateError, NotFound
from tests.server.collect.fake_bus import FAST, ChangingOrders, FakeMeter, FakePort, RememberingSink, World

A, B, C = "202600000001", "202600000002", "202600000003"
QUIET = Cadence(reading_cycle_s=86_400, near_cycle_s=86_400)


def until(condition, timeout_s=20.0):
    end = monotonic() + timeout_s
    while not condition():
        assert monotonic() < end, f"not within {timeout_s} s"
        sleep(0.005)


class Estate:
    """Two buses in memory and a collector over them."""

    def __init__(self):
        self.world = World()
        self.meters = {address: FakeMeter(address, self.world) for address in (A, B, C)}
        self.ports = {"bus-1": FakePort([self.meters[A], self.meters[B]]), "bus-2": FakePort([self.meters[C]])}
        self.sink, self.orders = RememberingSink(), ChangingOrders()
        self.plans = [
            BusPlan(bus_id, f"memory:{bus_id}", tuple(MeterPlan(m) for m in port.meters), timing=FAST, cadence=QUIET)
            for bus_id, port in self.ports.items()
        ]
        self.collector = Supervisor(
            self.plans, self.sink, self.orders, self.world.clocks(), port_of=lambda plan: self.ports[plan.bus_id]
        )


@pytest.fixture
def estate():
    before = set(threading.enumerate())
    estate = Estate()
    yield estate
    estate.sink.open_gate.set()
    estate.collector.stop()
    assert set(threading.enumerate()) <= before
    assert all(not port.status.is_open for port in estate.ports.values())


def test_all_buses_are_read_and_shown(estate):
    estate.collector.start()
    until(lambda: {r.meter_id for r in estate.sink.readings} == {A, B, C})
    until(lambda: {s.meter_id for s in estate.sink.states} == {A, B, C})
    first, second = estate.collector.status()
    assert (first.bus_id, first.meters, first.open, first.failures) == ("bus-1", 2, True, 0)
    assert (second.bus_id, second.meters) == ("bus-2", 1)
    assert first.transactions > 4
    assert 0 < first.latency_p50_ms <= first.latency_p95_ms < 5000
    assert estate.collector.sink_trouble == ""


def test_a_wake_brings_an_order_to_its_bus_at_once(estate):
    estate.collector.start()
    until(lambda: estate.sink.states)
    estate.orders.want(C, "trip")
    estate.collector.wake("bus-2")
    estate.collector.wake("no-such-bus")
    until(lambda: estate.meters[C].status3 & di.RELAY_OPEN)
    until(lambda: any(s.meter_id == C and s.status3 for s in estate.sink.states))
    assert estate.ports["bus-1"].relay_frames == []


def test_read_now_answers_with_a_snapshot_or_with_the_reason(estate):
    estate.meters[B].silent = True
    assert isinstance(estate.collector.read_now(A).exception(1), PortError)  # not started yet
    estate.collector.start()
    assert estate.collector.read_now(A).result(20).total_wh == 12_345_670
    assert isinstance(estate.collector.read_now("209912312359").exception(20), NotFound)
    assert isinstance(estate.collector.read_now(B).exception(20), MeterUnread)


def test_reload_adds_removes_and_changes_while_running(estate):
    estate.collector.start()
    until(lambda: {r.meter_id for r in estate.sink.readings} == {A, B, C})
    first = estate.plans[0]
    late = FakeMeter("202600000009", estate.world)
    estate.ports["bus-1"].meters[late.address] = late
    estate.collector.reload([replace(first, meters=(*first.meters, MeterPlan(late.address)))])
    until(lambda: any(r.meter_id == late.address for r in estate.sink.readings))
    until(lambda: not estate.ports["bus-2"].status.is_open)
    assert [status.bus_id for status in estate.collector.status()] == ["bus-1"]
    assert estate.ports["bus-1"].opens == 1  # the line stayed open
    estate.collector.reload([replace(first, attempts_max=1)])
    until(lambda: estate.ports["bus-1"].opens == 2)


def test_a_plan_that_names_no_port_is_shown_and_the_others_go_on(estate):
    plans, known = [replace(estate.plans[0], url="rfc2217://x"), estate.plans[1]], set()

    def port_of(plan):
        if plan.bus_id == "bus-1" and plan.bus_id not in known:
            raise PortError("rfc2217://x: unknown kind of port; write /dev/ttyUSB0 or tcp://host:port")
        return estate.ports[plan.bus_id]

    collector = Supervisor(plans, estate.sink, estate.orders, estate.world.clocks(), port_of=port_of)
    collector.start()
    try:
        until(lambda: estate.sink.readings)
        status = collector.status()[0]
        assert (status.open, status.last_error[:17]) == (False, "rfc2217://x: unkn")
        known.add("bus-1")
        collector.follow(plans)  # the same ones: what was refused is tried again
        until(lambda: collector.status()[0].open)
        assert estate.ports["bus-2"].opens == 1
    finally:
        collector.stop()


def test_it_starts_again_and_refuses_to_start_twice(estate):
    estate.collector.start()
    with pytest.raises(EstateError, match="already runs"):
        estate.collector.start()
    estate.collector.stop()
    estate.collector.stop()
    seen = len(estate.sink.readings)
    estate.collector.start()
    until(lambda: len(estate.sink.readings) > seen)


def test_stop_hands_over_what_was_read(estate):
    estate.sink.open_gate.clear()
    estate.collector.start()
    until(lambda: estate.ports["bus-2"].count(identifier=di.ENERGY_BLOCK) == 1)
    until(lambda: estate.ports["bus-2"].count(identifier=di.STATUS_WORD_3) >= 1)
    threading.Timer(0.3, estate.sink.open_gate.set).start()
    estate.collector.stop()
    assert C in {r.meter_id for r in estate.sink.readings}


def test_a_demand_cut_short_by_stop_is_answered(estate):
    estate.meters[A].silent = estate.meters[B].silent = True
    estate.collector.start()
    promises = [estate.collector.read_now(A) for _ in range(30)]
    estate.collector.stop()
    assert all(isinstance(promise.exception(5), MeterUnread | PortError) for promise in promises)
