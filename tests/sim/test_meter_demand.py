"""Maximum demand against a slow search of every window, and demand now."""

from datetime import datetime, timedelta

import pytest

from core.dlt645.commands import Password, RelayAction, Write
from core.dlt645.frame import Frame
from core.dlt645.identifiers import encode_value
from tests.sim.rig import ADDRESS, GATE, OTHER, Virtual, bus, household, table

FAMILY = {"load": "family", "resident": {"button": "never"}}
TWO_RATES = {
    "id": "t",
    "kind": "tou",
    "prices": {"peak": "0.6", "valley": "0.3"},
    "periods": [{"from": "08:20", "to": "21:50", "rate": "peak"}, {"from": "21:50", "to": "08:20", "rate": "valley"}],
}


@pytest.fixture
def estate():
    gate = {"id": "gate-1", "meter": GATE, "bus": "bus-1", "prefix": "1-"}
    dwellings = [household(**FAMILY), household("1-0102", OTHER, **FAMILY)]
    return Virtual(table(dwellings, [bus(wire="none")], [gate], TWO_RATES))


def write(estate, di, row, address=ADDRESS):
    (reply,) = estate.ask(Write(address, di, encode_value(di, row), Password()).to_frame())
    assert reply.control == 0x94, reply


def slow_maximum(estate, from_ms, until_ms, slip_min, rate, address=ADDRESS):
    """Power (mW, cut to 0.1 W) and civil end of the first highest window of 15 minutes, one by one."""
    meter = next(m for m in estate.world.meters() if m.address == address)
    calendar, energy = estate.world.calendar, meter.register.source.energy
    best, when = 0, None
    slip_ms = slip_min * 60_000
    for end_ms in range(-(-from_ms // slip_ms) * slip_ms + 900_000, until_ms + 1, slip_ms):
        minutes = range(end_ms - 900_000, end_ms, 60_000)
        if rate and any(calendar.rate_at(minute) != rate for minute in minutes):
            continue
        flowed = energy(end_ms) - energy(end_ms - 900_000)
        if flowed > best:
            best, when = flowed, calendar.civil(end_ms).replace(tzinfo=None)
    return best // 900_000 // 100 * 100, when


@pytest.mark.parametrize("slip_min", [15, 5, 1])
@pytest.mark.parametrize("address", [ADDRESS, GATE])
def test_maximum_demand_is_the_highest_window_of_all_and_of_each_rate(estate, slip_min, address):
    write(estate, 0x04000104, [slip_min], address)
    for hours in (5, 40, 31):
        estate.run_s(hours * 3600 + 700)
        now_ms = estate.world.now_ms
        row = estate.read(0x0101FF00, address)
        for rate in (0, 2, 4):
            expected = slow_maximum(estate, estate.world.origin_ms, now_ms, slip_min, rate, address)
            assert row[2 * rate : 2 * rate + 2] == expected, (hours, rate)
        assert row[2:4] == row[6:8] == (0, None), "rates that never counted"
        assert estate.read(0x01010200, address) == row[4:6]


def test_a_trip_in_the_middle_of_a_period_is_seen_by_sliding_windows(estate):
    write(estate, 0x04000104, [1])
    estate.run_s(6 * 3600 + 400)
    estate.switch(RelayAction.TRIP)
    estate.run_s(7200)
    estate.switch(RelayAction.CLOSE)
    estate.run_s(2000)
    expected = slow_maximum(estate, estate.world.origin_ms, estate.world.now_ms, 1, 0)
    assert estate.read(0x01010000) == expected


def test_demand_of_the_last_settlement_period_stays_when_a_new_one_begins(estate):
    begins = estate.world.origin_ms
    estate.run_s((datetime.fromisoformat("2026-11-01T10:00:00+08:00").timestamp() * 1000 - begins) / 1000)
    turn_ms = int(datetime.fromisoformat("2026-11-01T00:00:00+08:00").timestamp()) * 1000
    assert estate.read(0x01010001) == slow_maximum(estate, begins, turn_ms, 15, 0)
    assert estate.read(0x01010000) == slow_maximum(estate, turn_ms, estate.world.now_ms, 15, 0)
    assert estate.read(0x01010002) == (0, None)


def test_clearing_demand_begins_anew_and_keeps_what_was_in_the_record(estate):
    estate.run_s(26 * 3600)
    before = estate.read_long(0x01010000)
    (reply,) = estate.ask(Frame(ADDRESS, 0x19, bytes.fromhex("0200000078563412")))
    assert (reply.control, reply.data) == (0x99, b"")
    cleared_ms = estate.world.now_ms - 3000
    assert estate.read(0x01010000) == (0, None)
    record = estate.read_long(0x03300201)
    assert len(record) == 202
    assert record[6:10] == bytes.fromhex("78563412")
    assert record[10:18] == before
    assert record[18:58] == bytes(40), "reverse and the quadrants"
    assert record[58:] == b"\xff" * 144, "phases"
    estate.run_s(7200)
    assert estate.read(0x01010000) == slow_maximum(estate, cleared_ms, estate.world.now_ms, 15, 0)


def test_reverse_and_reactive_demand_is_none(estate):
    estate.run_s(26 * 3600)
    assert estate.read(0x0102FF00) == (0, None) * 5
    assert estate.read(0x01050000) == (0, None)
    assert estate.read(0x01090000) == estate.read(0x01010000)


def test_demand_now_is_the_last_whole_window(estate):
    estate.run_s(3600)
    meter = estate.household().meter
    end_ms = estate.world.now_ms // 900_000 * 900_000
    flowed = meter.register.source.energy(end_ms) - meter.register.source.energy(end_ms - 900_000)
    assert estate.read(0x02800004) == (flowed // 900_000 // 100 * 100,)


def test_the_period_can_be_written(estate):
    write(estate, 0x04000103, [60])
    write(estate, 0x04000104, [60])
    estate.run_s(3 * 3600)
    power, when = estate.read(0x01010000)
    energy = estate.household().meter.register.source.energy
    end_ms = int((when - timedelta(hours=8) - datetime(1970, 1, 1)).total_seconds()) * 1000  # noqa: DTZ001
    assert when.minute == 0
    assert power == (energy(end_ms) - energy(end_ms - 3_600_000)) // 3_600_000 // 100 * 100


def test_a_question_about_the_past_is_not_answered_with_later_windows(estate):
    estate.switch(RelayAction.TRIP)
    estate.run_s(15 * 3600 + 1800)
    estate.switch(RelayAction.CLOSE)
    estate.run_s(3600)
    assert estate.read(0x01010000)[0] > 0
    assert estate.read(0x05060901)[:2] == (0, None), "frozen at midnight, when nothing had flowed"
    assert estate.read(0x01010000)[0] > 0


def test_a_window_across_two_periods_may_be_the_highest():
    estate = Virtual(table([household(load="constant", mean_power_w=3000)], [bus(wire="none")]))
    write(estate, 0x04000104, [1])
    meter, origin_ms = estate.household().meter, estate.world.origin_ms
    meter.trip(origin_ms)
    meter.close(origin_ms + 17 * 60_000 + 30_000)  # 09:22:30
    meter.trip(origin_ms + 32 * 60_000 + 30_000)  # 09:37:30
    estate.run_s(7200)
    power, when = estate.read(0x01010000)
    assert (power, when) == (2_900_000, datetime.fromisoformat("2026-10-13T09:37"))
