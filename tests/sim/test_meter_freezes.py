"""Freezes by minute, hour, day, month and at once, and what they hold; the register at the instant is the oracle."""

from datetime import datetime, timedelta

import pytest

from core.dlt645.commands import Password, Write
from core.dlt645.frame import Frame
from core.dlt645.identifiers import encode_value
from tests.sim.rig import ADDRESS, OTHER, START, Virtual, bus, household, table

FAMILY = {"load": "family", "resident": {"button": "never"}}
INSTANT = bytes.fromhex("99999999")


@pytest.fixture
def estate():
    return Virtual(table([household(**FAMILY), household("1-0102", OTHER, **FAMILY)], [bus(wire="none")]))


def at_ms(text):
    """World milliseconds of a civil time of the estate."""
    return int(datetime.fromisoformat(text + "+08:00").timestamp()) * 1000


def register(estate, text, address=ADDRESS):
    return estate.household(address).meter.register.shown_wh(at_ms(text))


def order(estate, data, address=ADDRESS):
    return [(reply.control, reply.data) for reply in estate.ask(Frame(address, 0x16, data), wait_s=0.5)]


def write(estate, di, row):
    (reply,) = estate.ask(Write(ADDRESS, di, encode_value(di, row), Password()).to_frame())
    assert reply.control == 0x94, reply


def refusal(estate, di):
    (reply,) = estate.ask(Frame(ADDRESS, 0x11, di.to_bytes(4, "little")))
    assert reply.control == 0xD1
    return reply.data


def test_daily_freezes_go_sixty_two_days_back(estate):
    estate.run_s(70 * 86400)
    last = estate.civil().replace(hour=0, minute=0, second=0)
    for back in (1, 2, 62):
        midnight = last - timedelta(days=back - 1)
        assert estate.read(0x05060000 | back) == (midnight,)
        assert estate.read(0x05060100 | back) == register(estate, midnight.isoformat())
    assert refusal(estate, 0x0506003F) == b"\x02"


def test_the_time_of_the_daily_freeze_can_be_written(estate):
    write(estate, 0x04001203, ["06:30"])
    estate.run_s(86400)
    assert estate.read(0x05060001) == (datetime.fromisoformat("2026-10-14T06:30"),)
    assert estate.read(0x05060101) == register(estate, "2026-10-14T06:30:00")


def test_hourly_freezes_hold_totals_at_every_full_hour(estate):
    estate.run_s(5 * 3600)
    for back, text in ((1, "2026-10-13T14:00:00"), (4, "2026-10-13T11:00:00")):
        assert estate.read(0x05040000 | back) == (datetime.fromisoformat(text),)
        assert estate.read(0x05040100 | back) == register(estate, text)[:1]
        assert estate.read_long(0x05040200 | back) == bytes(4)
    assert refusal(estate, 0x05040006) == b"\x02"
    estate.run_s(300 * 3600)
    assert estate.read(0x050400FE) == (estate.civil().replace(minute=0, second=0) - timedelta(hours=253),)


def test_hourly_freezes_by_minutes_from_a_start(estate):
    write(estate, 0x04001202, [1])
    write(estate, 0x04001201, [datetime.fromisoformat("2026-10-13T10:07")])
    assert refusal(estate, 0x05040001) == b"\x02"
    estate.run_s(3600 * 2)
    now = estate.civil().replace(second=0)
    assert estate.read(0x05040001) == (now,)
    assert estate.read(0x05040105) == register(estate, (now - timedelta(minutes=4)).isoformat())[:1]
    write(estate, 0x04001202, [25])
    assert estate.read(0x05040001) == (datetime.fromisoformat("2026-10-13T10:57"),)


@pytest.mark.parametrize(
    ("wire", "first", "second"),
    [
        ("15999999", "2026-11-30T12:15", "2026-11-30T11:15"),
        ("30069999", "2026-11-30T06:30", "2026-11-29T06:30"),
        ("00221599", "2026-11-15T22:00", "2026-10-15T22:00"),
        ("59232811", "2026-11-28T23:59", None),
    ],
    ids=["hourly", "daily", "monthly", "yearly"],
)
def test_timed_freezes_follow_the_pattern_from_the_moment_it_was_given(estate, wire, first, second):
    assert order(estate, bytes.fromhex(wire)) == [(0x96, b"")]
    assert refusal(estate, 0x05000001) == b"\x02", "nothing has been frozen yet"
    estate.run_s((datetime.fromisoformat("2026-11-30T12:30:00+08:00") - START).total_seconds())
    assert estate.read(0x05000001) == (datetime.fromisoformat(first),)
    assert estate.read(0x05000101) == register(estate, first + ":00")
    if second is None:
        assert refusal(estate, 0x05000002) == b"\x02"
    else:
        assert estate.read(0x05000002) == (datetime.fromisoformat(second),)


def test_a_new_pattern_leaves_the_freezes_of_the_old_one(estate):
    order(estate, bytes.fromhex("15999999"))
    estate.run_s(3600)
    order(estate, bytes.fromhex("30999999"))
    estate.run_s(3600)
    found = [estate.read(0x05000000 | back)[0].strftime("%H:%M") for back in (1, 2)]
    assert found == ["10:30", "09:15"]
    assert refusal(estate, 0x05000003) == b"\x02"


@pytest.mark.parametrize("wire", ["60999999", "00249999", "00002999", "00993199", "99991299", "99009999", "0a999999"])
def test_impossible_freeze_times_are_refused(estate, wire):
    assert order(estate, bytes.fromhex(wire)) == [(0xD6, b"\x01")]


def test_a_freeze_of_the_wrong_length_is_met_with_silence(estate):
    assert order(estate, b"\x99" * 3) == []


def test_a_broadcast_freezes_every_meter_at_once_and_nobody_answers(estate):
    estate.run_s(1000)
    moments = []
    for _ in range(4):
        moments.append(estate.world.now_ms)
        assert order(estate, INSTANT, "9" * 12) == []
        estate.run_s(1800)
    for address in (ADDRESS, OTHER):
        meter = estate.household(address).meter
        for back in (1, 2, 3):
            frozen = meter.register.shown_wh(moments[-back])
            assert estate.read(0x05010100 | back, address) == frozen
        assert frozen != meter.register.shown_wh(estate.world.now_ms)
    assert refusal(estate, 0x05010004) == b"\x02"


def test_a_whole_freeze_is_its_contents_between_separators(estate):
    order(estate, INSTANT)
    alone = [estate.read_long(0x05010001 | content << 8) for content in (0, *range(1, 11), 0x10)]
    assert [len(one) for one in alone] == [5] + [20] * 8 + [40, 40, 24]
    assert estate.read_long(0x0501FF01) == b"".join(one + b"\xaa" for one in alone)


def test_what_the_mode_word_does_not_select_is_empty_in_a_whole_freeze_and_refused_alone(estate):
    write(estate, 0x04000903, [0x01])
    order(estate, INSTANT)
    assert refusal(estate, 0x05010201) == b"\x02"
    time, forward = estate.read_long(0x05010001), estate.read_long(0x05010101)
    assert estate.read_long(0x0501FF01) == time + b"\xaa" + forward + b"\xaa" * 11


def test_frozen_demand_is_the_maximum_up_to_the_freeze(estate):
    estate.run_s(86400 * 2)
    before = estate.read_long(0x0101FF00)
    order(estate, INSTANT)
    assert estate.read_long(0x05010901) == before


def test_switching_tables_freezes_once(estate):
    write(estate, 0x04000106, [datetime.fromisoformat("2026-10-13T12:00")])
    assert refusal(estate, 0x05020001) == b"\x02"
    estate.run_s(4 * 3600)
    assert estate.read(0x05020001) == (datetime.fromisoformat("2026-10-13T12:00"),)
    assert estate.read(0x05020101) == register(estate, "2026-10-13T12:00:00")
    assert refusal(estate, 0x05020002) == b"\x02"


def test_registers_of_settlement_days_are_those_of_the_first_of_the_month_as_made(estate):
    estate.run_s(86400 * 60)
    assert estate.read(0x0001FF01) == register(estate, "2026-12-01T00:00:00")
    assert estate.read(0x00010002) == register(estate, "2026-11-01T00:00:00")[:1]
    assert estate.read(0x00010003) == (0,)
    (block,) = [estate.read(0x000100FF)]
    assert block[1:3] == estate.read(0x00010001) + estate.read(0x00010002)
    assert len(block) == 13


def test_settlement_days_can_be_written(estate):
    write(estate, 0x04000B01, ["day 20 hour 06"])
    write(estate, 0x04000B02, ["day 05 hour 00"])
    estate.run_s(86400 * 40)
    assert estate.read(0x0001FF01) == register(estate, "2026-11-20T06:00:00")
    assert estate.read(0x0001FF02) == register(estate, "2026-11-05T00:00:00")
