"""Faults do what they say, from when they say, and leave labels that match what the bus showed."""

from datetime import datetime

import pytest

from core.dlt645.commands import Read, RelayAction
from core.dlt645.identifiers import COMMAND_OPEN, ENERGY_BLOCK, ENERGY_TOTAL, RELAY_OPEN, STATUS_WORD_3
from sim.faults import StillRunning, WrongPlace
from sim.truth import household_truth
from tests.sim.rig import ADDRESS, GATE, START, Virtual, household, table

KW = {"load": "constant", "mean_power_w": 1000, "resident": {"button": "never"}}
AT = {"at": "2026-10-13T10:05"}


def estate(**fault):
    gate = {"id": "g", "meter": GATE, "bus": "bus-1", "households": ["1-0101"]}
    return Virtual(table([household(start_register_wh=100_000, **KW, **fault)], gates=[gate]))


def test_silent_meter_counts_on_and_is_back_after_its_end():
    virtual = estate(fault={"kind": "silent", "until": "2026-10-13T12:05", **AT})
    assert virtual.read(ENERGY_TOTAL) == (100_000,)
    virtual.run_s(3600)
    assert virtual.ask(Read(ADDRESS, ENERGY_TOTAL).to_frame()) == []
    assert virtual.labels()[0]["end_s"] is None
    virtual.run_s(7200)
    assert virtual.read(ENERGY_TOTAL) == (103_000,)
    assert virtual.labels() == [
        {
            "id": "silent/1-0101/1",
            "kind": "silent",
            "class": "communication",
            "severity": "medium",
            "household": "1-0101",
            "meter": ADDRESS,
            "gate": "g",
            "bus": "bus-1",
            "start_s": START.timestamp() + 3600,
            "end_s": START.timestamp() + 10800,
            "began_before": False,
            "lost_wh": 0,
            "alarm": "silent",
            "also": ["poor_link"],
            "alarm_within_s": 86400,
            "sizes": {},
        }
    ]


def test_stuck_relay_shows_open_while_energy_flows():
    virtual = estate(fault="relay_stuck_closed", **AT)
    virtual.run_s(3600)
    virtual.switch(RelayAction.TRIP)
    opened_ms = virtual.household().meter.relay.events[0].at_ms
    virtual.run_s(7200)
    assert virtual.read(STATUS_WORD_3) == (RELAY_OPEN | COMMAND_OPEN,)
    assert virtual.read(ENERGY_TOTAL) == (103_000,)
    truth = household_truth(virtual.household(), virtual.world.now_ms)
    assert (truth["relay"], truth["relay_shown"]) == ("closed", "open")
    flowed_wh = (virtual.world.now_ms - opened_ms) // 3600
    assert virtual.labels()[0]["lost_wh"] == pytest.approx(flowed_wh, abs=1)


def test_contacts_that_come_loose_follow_what_is_shown():
    virtual = estate(fault={"kind": "relay_stuck_closed", "until": "2026-10-13T11:05", **AT})
    virtual.run_s(3600)
    virtual.switch(RelayAction.TRIP)
    virtual.run_s(7200)
    assert virtual.household().supply.on is False
    assert virtual.labels()[0]["lost_wh"] == pytest.approx(1000, abs=2)


def test_register_falls_back_and_counts_on_from_there():
    virtual = estate(fault={"kind": "register_backwards", "drop_wh": 50_000, **AT})
    virtual.run_s(3590)
    assert virtual.read(ENERGY_TOTAL) == (100_990,)
    virtual.run_s(3600)
    total, *rates = virtual.read(ENERGY_BLOCK)
    assert total == 51_990
    assert sum(rates) == total
    truth = household_truth(virtual.household(), virtual.world.now_ms)
    assert truth["true_energy_wh"] == pytest.approx(2000, abs=2)
    assert virtual.labels()[0]["lost_wh"] == 50_000


def test_register_never_falls_below_zero():
    virtual = estate()
    virtual.fault("register_backwards", drop_wh=500_000)
    assert virtual.read(ENERGY_TOTAL) == (0,)


def test_tap_is_seen_by_the_gate_meter_only():
    virtual = estate(fault={"kind": "unmetered_tap", "tap_power_w": 500, **AT})
    virtual.run_s(3600 * 3)
    assert virtual.read(ENERGY_TOTAL) == (103_000,)
    assert virtual.read(ENERGY_TOTAL, GATE) == (4000,)
    assert virtual.labels()[0]["lost_wh"] == 1000
    virtual.world.faults.clear("household", "1-0101", virtual.world.now_ms)
    virtual.run_s(3600)
    assert virtual.labels()[0]["lost_wh"] == pytest.approx(1000, abs=2)


def test_a_fault_that_runs_is_not_started_twice():
    virtual = estate(fault="unmetered_tap", **AT)
    virtual.run_s(3700)
    with pytest.raises(StillRunning, match="unmetered_tap/1-0101/1 still runs there"):
        virtual.fault("unmetered_tap", tap_power_w=99)
    assert len(virtual.labels()) == 1


@pytest.mark.parametrize(
    ("until", "again", "refused"), [("+2h", "+1h", True), (None, "+9h", True), ("+2h", "+2h", False)]
)
def test_a_kind_is_planned_once_at_a_time_for_a_place(until, again, refused):
    one = {"kind": "silent", "household": "1-0101", "at": "+0s"} | ({"until": until} if until else {})
    two = {"kind": "silent", "meter": ADDRESS, "at": again}
    estate = table([household(**KW)]) | {"fault": [one, two]}
    if refused:
        with pytest.raises(WrongPlace, match="silent of household 1-0101: planned twice for one time"):
            Virtual(estate)
    else:
        virtual = Virtual(estate)
        virtual.run_s(3 * 3600)
        assert [label["id"] for label in virtual.labels()] == ["silent/1-0101/1", "silent/1-0101/2"]


def is_dark(virtual):
    return virtual.ask(Read(ADDRESS, ENERGY_TOTAL).to_frame()) == []


@pytest.mark.parametrize("other", [{"where": "bus", "name": "bus-1"}, {"where": "gate", "name": "g"}])
def test_power_is_back_with_the_last_of_the_cuts(other):
    virtual = estate()
    now_ms = virtual.world.now_ms
    virtual.fault("power_cut", until_ms=now_ms + 600_000)
    virtual.fault("power_cut", until_ms=now_ms + 100_000, **other)
    virtual.run_s(200)
    assert is_dark(virtual)
    virtual.run_s(500)
    assert not is_dark(virtual)
    assert int.from_bytes(virtual.read_long(0x03110000)[:3], "little") == 1, "one cut for the meter"


def test_maintenance_within_a_cut_ends_only_its_own_darkness():
    virtual = estate()
    now_ms = virtual.world.now_ms
    virtual.fault("power_cut", until_ms=now_ms + 600_000)
    virtual.fault("maintenance", until_ms=now_ms + 300_000, dark_min=1)
    virtual.run_s(400)
    assert is_dark(virtual)
    virtual.run_s(300)
    assert not is_dark(virtual)


def test_a_register_that_steps_back_at_the_end_is_excused_by_its_label():
    virtual = estate()
    for kind, alarm in (("register_jump", "register_backwards"), ("register_backwards", "register_jump")):
        virtual.fault(kind)
        assert alarm in virtual.labels()[-1]["also"]
        virtual.world.faults.clear("household", "1-0101", virtual.world.now_ms)


def test_fault_without_a_time_is_there_from_the_beginning():
    virtual = Virtual(table([household(fault="silent")]), start=datetime.fromisoformat("2026-10-13T09:05:00+08:00"))
    virtual.run_s(1)
    assert virtual.ask(Read(ADDRESS, ENERGY_TOTAL).to_frame()) == []
