"""Clocks of meters: small drifts are corrected by one broadcast a day, inside the meters' limits, never in doubt."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from core.dlt645.commands import BROADCAST_TIME
from server.collect.clocks import ClockMender
from server.collect.readout import MeterState, Readout
from server.collect.work import MeterPlan
from sim.meters.clock import set_clock
from tests.server.collect.fake_bus import ChangingOrders, FakeMeter, FakePort, World, bench_test, running
from tests.server.collect.virtual_line import VirtualLine, VirtualTime, drive, meters_of, virtual_estate

ZONE = ZoneInfo("Asia/Shanghai")
TEN = datetime(2026, 10, 14, 10, 20, tzinfo=ZONE)


class Bus:
    """Simulated meters whose clocks run off, a line in virtual time, and leave to set clocks."""

    def __init__(self, offsets_s, at=TEN):
        self.virtual = virtual_estate(meters_of(len(offsets_s)))
        at_ms = int(at.timestamp() * 1000)
        for n, offset_s in enumerate(offsets_s, 1):
            meter = self.virtual.household(f"2026{n:08d}").meter
            set_clock(meter, at_ms, meter.civil(at_ms) + timedelta(seconds=offset_s))
        self.time = VirtualTime(at.timestamp())
        self.line = VirtualLine(self.virtual, self.time)
        self.readout = Readout(self.line, self.time.clocks())
        self.states = [MeterState(MeterPlan(f"2026{n:08d}")) for n in range(1, len(offsets_s) + 1)]
        self.leave, self.asked_leave = True, 0
        self.mender = ClockMender(self.line, self.time.clocks(), "bus-1", self.may_set)

    async def may_set(self):
        self.asked_leave += 1
        return self.leave

    def look(self):
        """Read all clocks and mend; the offsets that were read, and the meters to look at again."""
        offsets, told = [], []
        for state in self.states:
            offsets.append(drive(self.readout.clock_offset(state, 2, sane_s=1000)))
            self.mender.note(state.meter_id, offsets[-1])
        told = drive(self.mender.mend())
        return offsets, told

    @property
    def broadcasts(self):
        return sum(frame.control == BROADCAST_TIME for frame in self.line.asked)


def test_a_small_drift_is_corrected_and_looked_at_again():
    bus = Bus([0, 90, -200])
    offsets, told = bus.look()
    assert [round(one, -1) for one in offsets] == [0, 90, -200]
    assert told == [bus.states[1].meter_id, bus.states[2].meter_id]
    assert bus.broadcasts == 1
    offsets, told = bus.look()
    assert max(map(abs, offsets)) <= 2
    assert told == []


def test_a_drift_within_half_a_minute_is_left_alone():
    bus = Bus([0, 25, -25])
    assert bus.look()[1] == []
    assert bus.broadcasts == bus.asked_leave == 0


def test_a_clock_beyond_five_minutes_is_not_what_a_broadcast_can_mend():
    bus = Bus([0, 400])
    assert bus.look()[1] == []
    assert bus.broadcasts == 0


@pytest.mark.parametrize(("hour", "minute"), [(0, 20), (23, 30), (23, 56), (10, 3), (10, 55), (0, 0)])
def test_nothing_is_sent_near_midnight_or_a_settlement_hour(hour, minute):
    bus = Bus([0, 90], at=TEN.replace(hour=hour, minute=minute))
    assert bus.look()[1] == []
    assert bus.broadcasts == 0


def test_once_a_day_is_enough():
    bus = Bus([0, 90])
    bus.look()
    bus.mender.note(bus.states[1].meter_id, 80)
    assert drive(bus.mender.mend()) == []
    bus.time.now_s += timedelta(days=1).total_seconds()
    bus.mender.note(bus.states[1].meter_id, 80)
    assert drive(bus.mender.mend()) == [bus.states[1].meter_id]


def test_without_leave_nothing_is_sent():
    bus = Bus([0, 90])
    bus.leave = False
    assert bus.look()[1] == []
    assert (bus.broadcasts, bus.asked_leave) == (0, 1)


def test_clocks_that_are_all_off_by_the_same_put_ours_in_doubt():
    bus = Bus([120, 121, 119, 125])
    assert bus.look()[1] == []
    assert (bus.broadcasts, bus.asked_leave) == (0, 0)
    apart = Bus([120, -60, 200, 90])
    assert len(apart.look()[1]) == 4


@bench_test
async def test_the_poller_tells_a_drifting_bus_the_time_and_looks_again():
    world, orders = World(), ChangingOrders()
    world.began -= 20 * 60  # 09:25
    meters = [FakeMeter(f"20260000000{n}", world) for n in (1, 2)]
    meters[1].clock_offset_s = 120
    port = FakePort(meters)
    seen = []

    def take(frame):
        if frame.control == BROADCAST_TIME:
            seen.append(frame)
            meters[1].clock_offset_s = 0

    port.before_write = take
    async with running(port, world, orders=orders) as bench:
        await bench.until(lambda: seen and mended(bench, meters[1].address))
    assert orders.clock_leaves == ["bus-1"]
    assert len(seen) == 1


def mended(bench, meter_id):
    """Whether the clock was read again and is right."""
    return any(one.clock_offset_s == 0 and one.meter_id == meter_id for one in bench.sink.states)
