"""A meter's own clock: drift, setting, broadcasts with their guards, and what all that does to freezes."""

from datetime import datetime, timedelta

import pytest

from core.dlt645.commands import BroadcastTime, Password, Read, Write
from core.dlt645.identifiers import DATE_TIME, encode_value
from sim.meters import clock
from tests.sim.rig import ADDRESS, Virtual, bus, household, table

KW = {"load": "constant", "mean_power_w": 1000, "resident": {"button": "never"}}
NO_WIRE = bus(wire="none")


def virtual(start="2026-10-13T09:05:00", **keys):
    return Virtual(table([household(**KW, **keys)], [NO_WIRE]), start=datetime.fromisoformat(start + "+08:00"))


def shown(estate):
    return estate.household().meter.civil(estate.world.now_ms)


def ahead_s(estate):
    return (shown(estate) - estate.civil()).total_seconds()


def set_to(estate, civil):
    (reply,) = estate.ask(
        Write(ADDRESS, DATE_TIME, encode_value(DATE_TIME, [civil]), Password()).to_frame(), wait_s=0.001
    )
    assert reply.control == 0x94


def broadcast(estate, civil):
    assert estate.ask(BroadcastTime(civil.replace(microsecond=0)).to_frame(), wait_s=0.001) == []


@pytest.mark.parametrize("drift_ms", [-500, 500, 86_400])
def test_a_clock_drifts_by_so_many_milliseconds_a_day(drift_ms):
    estate = virtual(clock_drift_ms_per_day=drift_ms)
    estate.run_s(40 * 86400)
    assert estate.household().meter.clock_offset_ms(estate.world.now_ms) == 40 * drift_ms
    assert ahead_s(estate) == pytest.approx(40 * drift_ms / 1000, abs=1)


def test_a_fast_clock_freezes_before_true_midnight():
    estate = virtual(clock_drift_ms_per_day=3_600_000)
    estate.run_s(86400)
    assert estate.read(0x05060001) == (datetime.fromisoformat("2026-10-14"),)
    # 14 h 55 min on its own clock are 14.32 h: it gains an hour a day
    assert estate.read(0x05060101)[0] == int(895 / 60 * 24 / 25 * 100) * 10


def test_setting_the_clock_keeps_the_drift_and_the_freezes_of_before():
    estate = virtual(clock_drift_ms_per_day=86_400)
    estate.run_s(3 * 86400)
    before = [estate.read_long(0x05060100 | back) for back in (1, 2, 3)]
    set_to(estate, estate.civil() + timedelta(hours=2))
    assert [estate.read_long(0x05060100 | back) for back in (1, 2, 3)] == before
    estate.run_s(86400)
    assert ahead_s(estate) == pytest.approx(7200 + 86, abs=1)
    midnight = estate.world.origin_ms + int((3 * 86400 + (14 * 3600 + 55 * 60 - 7200) * 86_400_000 / 86_486_400) * 1000)
    assert estate.read(0x05060101)[0] == estate.household().meter.register.shown_total_wh(midnight)


def test_a_clock_that_is_set_over_midnight_freezes_at_that_moment_and_once():
    estate = virtual("2026-10-13T22:00:00")
    estate.run_s(3600)
    set_to(estate, datetime.fromisoformat("2026-10-16T01:00:00"))
    here = estate.read(0x00010000)
    assert estate.read(0x05060001) == (datetime.fromisoformat("2026-10-16"),)
    assert estate.read(0x05060101)[0] == here[0]
    (reply,) = estate.ask(Read(ADDRESS, 0x05060002).to_frame())
    assert (reply.control, reply.data) == (0xD1, b"\x02"), "two midnights were jumped over, and one freeze made"


def test_a_clock_that_is_set_back_over_midnight_freezes_that_day_again():
    estate = virtual("2026-10-13T23:00:00")
    estate.run_s(7200)
    first = estate.read_long(0x05060101)
    set_to(estate, datetime.fromisoformat("2026-10-13T23:30:00"))
    estate.run_s(3600)
    assert estate.read(0x05060001) == estate.read(0x05060002) == (datetime.fromisoformat("2026-10-14"),)
    assert estate.read_long(0x05060102) == first
    assert estate.read(0x05060101)[0] == 2500


@pytest.mark.parametrize(("ahead", "followed"), [(300, True), (301, False), (-300, True), (-301, False)])
def test_a_broadcast_moves_the_clock_by_at_most_five_minutes(ahead, followed):
    estate = virtual()
    broadcast(estate, shown(estate) + timedelta(seconds=ahead))
    assert ahead_s(estate) == (ahead if followed else 0)


@pytest.mark.parametrize(
    ("start", "followed"),
    [
        ("2026-10-13T23:54:59", True),
        ("2026-10-13T23:55:01", False),
        ("2026-10-14T00:04:59", False),
        ("2026-10-14T00:05:00", True),
    ],
)
def test_a_broadcast_is_passed_over_around_midnight(start, followed):
    estate = virtual(start)
    broadcast(estate, shown(estate) + timedelta(seconds=60))
    assert ahead_s(estate) == (60 if followed else 0)


def test_a_broadcast_is_passed_over_around_a_settlement_instant():
    estate = virtual("2026-10-20T09:57:00")
    settlement = Write(ADDRESS, 0x04000B01, encode_value(0x04000B01, ["day 20 hour 10"]), Password())
    estate.ask(settlement.to_frame(), wait_s=0.001)
    broadcast(estate, shown(estate) + timedelta(seconds=60))
    assert ahead_s(estate) == 0
    estate.run_s(86400)
    broadcast(estate, shown(estate) + timedelta(seconds=60))
    assert ahead_s(estate) == 60, "the 21st is no settlement day"


def test_a_broadcast_is_followed_once_a_day_of_the_meters_clock():
    estate = virtual(clock_drift_ms_per_day=60_000)
    estate.run_s(4 * 86400)
    broadcast(estate, estate.civil())
    assert ahead_s(estate) == 0
    broadcast(estate, estate.civil() + timedelta(seconds=30))
    assert ahead_s(estate) == 0
    estate.run_s(86400)
    broadcast(estate, estate.civil() + timedelta(seconds=30))
    assert ahead_s(estate) == 30


def test_a_fault_may_change_the_drift_from_now_on():
    estate = virtual()
    estate.run_s(86400)
    clock.set_drift(estate.household().meter, estate.world.now_ms, 120_000)
    estate.run_s(86400)
    assert ahead_s(estate) == 120


def test_a_clock_that_is_set_to_midnight_itself_freezes_once():
    estate = virtual("2026-10-13T22:00:00")
    estate.run_s(3600)
    estate.household().meter.set_clock(estate.world.now_ms, datetime.fromisoformat("2026-10-14T00:00:00"))
    estate.run_s(60)
    assert estate.read(0x05060001) == (datetime.fromisoformat("2026-10-14"),)
    (reply,) = estate.ask(Read(ADDRESS, 0x05060002).to_frame())
    assert (reply.control, reply.data) == (0xD1, b"\x02")
