"""The past of meters: freezes and load records of simulated meters against their own registers of that instant."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from core.dlt645.commands import Read
from server.collect.history import DAILY, FREEZE, LOAD_SINCE, History, Recall
from server.collect.readout import MeterState, Readout
from server.collect.work import MeterPlan
from tests.server.collect.virtual_line import VirtualLine, VirtualTime, drive, meters_of, virtual_estate

ZONE = ZoneInfo("Asia/Shanghai")
START = datetime(2026, 10, 13, 9, 5, tzinfo=ZONE)
DAY = timedelta(days=1)
ADDRESS = "202600000001"


class Past:
    """One meter of the simulator at a moment, asked about what was before."""

    def __init__(self, at=START + 3 * DAY, **keys):
        self.virtual = virtual_estate(meters_of(1, **keys))
        self.meter = self.virtual.household(ADDRESS).meter
        self.time = VirtualTime(at.timestamp())
        self.line = VirtualLine(self.virtual, self.time)
        clocks = self.time.clocks()
        self.readout = Readout(self.line, clocks)
        self.history = History(self.line, self.readout, clocks)
        self.state = MeterState(MeterPlan(ADDRESS))

    def ask(self, kind, at, records=6):
        return list(drive(self.history.recall(self.state, Recall(ADDRESS, kind, int(at.timestamp()), records), 2)))

    def shown_wh(self, at):
        return tuple(self.meter.register.shown_wh(int(at.timestamp() * 1000)))


def midnight(day):
    return datetime(2026, 10, day, tzinfo=ZONE)


@pytest.mark.parametrize("day", [14, 15, 16])
def test_a_daily_freeze_has_the_registers_of_its_midnight(day):
    past = Past()
    [found] = past.ask("daily", midnight(day))
    total, *rates = past.shown_wh(midnight(day))
    assert (found.read_at, found.total_wh, found.rates_wh) == (int(midnight(day).timestamp()), total, tuple(rates[:4]))
    assert found.source == "freeze"
    assert found.raw_hex


@pytest.mark.parametrize("back", [1, 5, 60])
def test_an_hourly_freeze_has_the_total_of_its_hour(back):
    past = Past()
    hour = START.replace(minute=0) + 3 * DAY - timedelta(hours=back)
    [found] = past.ask("hourly", hour)
    assert (found.read_at, found.total_wh, found.rates_wh) == (int(hour.timestamp()), past.shown_wh(hour)[0], None)


def test_load_records_have_the_totals_of_their_quarters():
    past = Past()
    since = START.replace(minute=15) + DAY
    found = past.ask("load", since)
    assert len(found) == 6
    for one in found:
        at = datetime.fromtimestamp(one.read_at, ZONE)
        assert at >= since
        assert one.total_wh == past.shown_wh(at)[0]
    assert sorted({one.read_at for one in found}) == [one.read_at for one in found]


def test_what_was_before_the_meter_began_is_not_invented():
    past = Past()
    assert past.ask("daily", midnight(1)) == []
    assert past.ask("hourly", START - timedelta(days=30)) == []


def test_the_last_midnight_is_found_by_itself():
    past = Past()
    found = drive(past.history.last_midnight(past.state, 2))
    assert found.read_at == int(midnight(16).timestamp())


@pytest.mark.parametrize(("offset_s", "shift_s"), [(40, 0), (-40, 0), (200, -200), (-200, 200)])
def test_a_clock_within_a_minute_is_taken_at_its_word_and_one_within_five_is_corrected(offset_s, shift_s):
    past = Past()
    past.state.clock_offset_s = offset_s
    [found] = past.ask("daily", midnight(15))
    assert found.read_at == int(midnight(15).timestamp()) + shift_s


def test_a_clock_beyond_five_minutes_tells_nothing_of_the_past():
    past = Past()
    past.state.clock_offset_s = 301
    assert past.ask("daily", midnight(15)) == []
    assert past.ask("load", START + DAY) == []
    assert past.line.asked == []


def test_nothing_is_counted_back_around_an_instant_of_freezing():
    for seconds in (-60, 60):
        past = Past(at=midnight(16) + timedelta(seconds=seconds))
        past.state.clock_offset_s = 0
        assert past.ask("daily", midnight(15)) == []
        assert past.line.asked == []


def test_a_meter_without_freezes_is_asked_once_and_then_left_alone():
    past = Past()
    past.state.clock_offset_s = 0
    past.history._line = Refusing(past.line)
    assert past.ask("daily", midnight(16)) == []
    assert past.ask("load", START + DAY) == []
    assert past.state.unsupported == {FREEZE | DAILY, LOAD_SINCE}
    asked = len(past.line.asked)
    assert past.ask("daily", midnight(15)) == past.ask("load", START + DAY) == []
    assert len(past.line.asked) == asked


class Refusing:
    """Asks for something that no meter has, in the place of what was meant."""

    def __init__(self, line):
        self._line = line
        self.is_doubtful = False

    async def ask(self, command):
        return await self._line.ask(Read(command.address, 0x0FFFFFFF))


def test_a_line_in_doubt_wants_the_past_twice_alike():
    past = Past()
    past.state.clock_offset_s = 0
    past.line.is_doubtful = True
    [found] = past.ask("daily", midnight(15))
    assert found.total_wh == past.shown_wh(midnight(15))[0]
    assert len(past.line.asked) == 4


@pytest.mark.parametrize("protocol", ["1997", "modbus"])
def test_other_protocols_have_no_past_that_we_know(protocol):
    past = Past()
    past.state = MeterState(MeterPlan(ADDRESS, protocol=protocol, model="hiking-dds238-2", unit=1))
    assert past.ask("daily", midnight(15)) == []
    assert past.line.asked == []


class Older(Past):
    """A meter of the 1997 edition, which reads itself once a month and keeps nothing else."""

    def __init__(self, at, **keys):
        super().__init__(at=at, protocol="dlt645-1997", **keys)
        self.state = MeterState(MeterPlan(ADDRESS, protocol="1997"))

    def month(self, since, until):
        wanted = Recall(ADDRESS, "month", int(since.timestamp()), until=int(until.timestamp()))
        return list(drive(self.history.recall(self.state, wanted, 2)))


FIRST = datetime(2026, 11, 1, tzinfo=ZONE)


def test_a_meter_of_1997_tells_the_register_of_its_monthly_reading():
    past = Older(FIRST + DAY)
    [found] = past.month(FIRST - DAY, FIRST + timedelta(hours=3))
    total, *rates = past.shown_wh(FIRST)
    assert (found.read_at, found.total_wh, found.rates_wh) == (int(FIRST.timestamp()), total, tuple(rates[:4]))
    assert found.source == "freeze"
    [again] = past.month(FIRST, FIRST)
    assert again.total_wh == total


def test_the_reading_before_the_last_is_told_too():
    past = Older(datetime(2026, 12, 1, 0, 10, tzinfo=ZONE))
    december = FIRST + 30 * DAY
    assert [one.read_at for one in past.month(FIRST - DAY, december)] == [
        int(FIRST.timestamp()), int(december.timestamp()),
    ]  # fmt: skip


def test_the_day_of_the_automatic_reading_is_the_meters_own():
    past = Older(FIRST + 20 * DAY)
    past.meter.own().parameters = {0x04000B01: bytes((0x06, 0x15))}  # day 15, hour 6
    at = datetime(2026, 11, 15, 6, tzinfo=ZONE)
    [found] = past.month(FIRST, FIRST + 20 * DAY)
    assert (found.read_at, found.total_wh) == (int(at.timestamp()), past.shown_wh(at)[0])


def test_a_meter_of_1997_is_not_asked_where_nothing_of_a_month_is_missing():
    past = Older(FIRST + 10 * DAY)
    past.state.clock_offset_s = 0
    assert past.month(FIRST + DAY, FIRST + 2 * DAY) == []
    assert past.month(FIRST + 3 * DAY, FIRST + 4 * DAY) == []
    assert len(past.line.asked) == 1, "its day of reading, once"
    assert past.ask("daily", FIRST) == past.ask("hourly", FIRST) == past.ask("load", FIRST) == []
    assert len(past.line.asked) == 1


def test_a_month_of_a_meter_whose_clock_is_bad_is_not_believed():
    past = Older(FIRST + DAY)
    past.state.clock_offset_s = 301
    assert past.month(FIRST - DAY, FIRST + DAY) == []


def test_a_modbus_meter_is_asked_for_nothing_of_its_past():
    past = Past()
    past.state = MeterState(MeterPlan(ADDRESS, protocol="modbus", model="chint-ddsu666", unit=1))
    assert [past.ask(kind, START) for kind in ("daily", "hourly", "load", "month")] == [[], [], [], []]
    assert past.line.asked == []
