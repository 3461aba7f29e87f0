"""What a meter and its line must not do: let a question move midnight, refuse what it measures, flatter the wire."""

import time
from datetime import datetime

import pytest

from core.dlt645.commands import Read
from core.dlt645.frame import FrameDecoder, encode
from core.dlt645.identifiers import CURRENT_BLOCK, ENERGY_TOTAL, POWER_BLOCK, POWER_TOTAL
from sim.timing.clock import RealEnvironment
from tests.sim.rig import ADDRESS, GATE, OTHER, Virtual, bus, household, table

DAILY_FREEZE = 0x05060101
MIDNIGHT = datetime.fromisoformat("2026-10-14T00:00:00+08:00")
ONE, TWO = (encode(Read(address, ENERGY_TOTAL).to_frame()) for address in (ADDRESS, OTHER))


def test_a_daily_freeze_is_the_register_of_midnight_whenever_it_is_asked_for():
    estate = table([household(load="constant", mean_power_w=13000)])
    virtual = Virtual(estate, start=datetime.fromisoformat("2026-10-13T23:59:00+08:00"))
    virtual.run_s(90)
    answers = set()
    for _ in range(40):
        virtual.run_s(0.123)
        answers.add(virtual.read(DAILY_FREEZE))
    assert answers == {virtual.household().meter.register.shown_wh(int(MIDNIGHT.timestamp()) * 1000)}


def test_a_gate_meter_fills_what_its_fields_cannot_say_and_goes_on_counting():
    dwellings = [household(f"1-{n:04d}", f"{n:012d}", load="constant", mean_power_w=9000) for n in range(1, 21)]
    gate = {"id": "gate-1", "meter": GATE, "bus": "bus-1", "feeds": "all", "prefix": "1-"}
    virtual = Virtual(table(dwellings, gates=[gate]))
    assert virtual.read(POWER_TOTAL, GATE) == (None,)
    assert virtual.read(POWER_BLOCK, GATE) == (None,) * 4
    assert virtual.read(CURRENT_BLOCK, GATE) == (None,) * 3
    virtual.run_s(60)
    assert virtual.read(ENERGY_TOTAL, GATE)[0] >= 3000
    assert virtual.read(POWER_TOTAL, dwellings[0]["meter"]) == (9_000_000,)


@pytest.mark.parametrize("preamble", [0, 1, 4])
def test_ideal_time_counts_the_waking_bytes_that_were_sent(preamble):
    virtual = Virtual(table([household()], [bus(baud=9600)]))
    for _ in range(5):
        virtual.send(encode(Read(ADDRESS, ENERGY_TOTAL).to_frame(), preamble), wait_s=0.2)
    counted_s = virtual.world.buses["bus-1"].counters.ideal_s
    assert counted_s == pytest.approx(5 * ((16 + preamble + 24) * 11 / 9600 + 0.020))


def test_answers_to_requests_sent_in_one_go_destroy_each_other_and_count_as_none():
    virtual = Virtual(table([household(), household("1-0102", OTHER)]))
    assert FrameDecoder().feed(virtual.send(ONE + TWO)) == []
    counters = virtual.world.buses["bus-1"].counters
    assert (counters.requests, counters.answers, counters.collisions, counters.ideal_s) == (2, 0, 1, 0.0)
    assert len(FrameDecoder().feed(virtual.send(ONE))) == 1


def test_an_answer_that_was_cut_short_does_not_count():
    virtual = Virtual(table([household()], [bus(baud=1200)]))
    port = virtual.ports["bus-1"]
    port.feed(ONE)
    virtual.run_s(20 * 11 / 1200 + 0.020 + 0.1)
    port.feed(ONE)
    virtual.run_s(3)
    counters = virtual.world.buses["bus-1"].counters
    assert (counters.answers, counters.collisions, counters.ideal_s) == (0, 1, 0.0)


def test_a_sound_frame_with_an_address_that_is_no_number_is_passed_over():
    wire = bytearray(ONE)
    wire[5:11] = bytes.fromhex("BCDEF0FFA1AF")
    wire[-2] = sum(wire[4:-2]) & 0xFF
    virtual = Virtual(table([household()]))
    assert virtual.send(bytes(wire)) == b""
    assert virtual.world.buses["bus-1"].counters.unanswered == 1
    assert len(FrameDecoder().feed(virtual.send(ONE))) == 1


def test_a_gate_meter_counts_the_losses_of_its_lines_too():
    dwellings = [household(f"1-{n:04d}", f"{n:012d}", load="constant", mean_power_w=3600) for n in (1, 2)]
    gate = {"id": "gate-1", "meter": GATE, "bus": "bus-1", "feeds": "all", "prefix": "1-", "loss_permille": 50}
    virtual = Virtual(table(dwellings, gates=[gate]))
    virtual.run_s(1000)
    source = virtual.world.gates["gate-1"].meter.register.source
    at_ms = virtual.world.origin_ms + 1_000_000
    assert source.energy(at_ms) == 2 * 3_600_000 * 1_000_000 * 105 // 100
    assert source.power_mw(at_ms) == 7_560_000


def test_the_loop_admits_how_late_it_was():
    env = RealEnvironment()
    try:
        env.call_at(0.0, lambda: time.sleep(0.05))
        env.call_at(0.001, env.stop)
        env.serve()
        assert env.lag.summary_ms()["max_ms"] >= 49
    finally:
        env.close()
