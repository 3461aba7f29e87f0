"""Load records: which, how many, what they hold, and their frame of A0 A0, length, sum and E5."""

from datetime import datetime, timedelta

import pytest

from core.dlt645.commands import Password, Write
from core.dlt645.frame import Frame
from core.dlt645.identifiers import encode_value
from tests.sim.rig import ADDRESS, Virtual, bus, household, table

FAMILY = {"load": "family", "resident": {"button": "never"}}
EARLIEST, SINCE, LATEST = 0x06000000, 0x06000001, 0x06000002
SIZES = (17, 24, 8, 16, 16, 6)


def number(wire):
    return int(wire[::-1].hex())


def records(wire):
    """Split into (time, [class bytes]) by the lengths alone, checking the envelope."""
    found = []
    while wire:
        assert wire[:2] == b"\xa0\xa0"
        length = wire[2]
        body, total, end = wire[3 : 3 + length], wire[3 + length], wire[4 + length]
        assert end == 0xE5
        assert total == sum(wire[: 3 + length]) % 256
        minute, hour, day, month, year = (int(f"{byte:02x}") for byte in body[:5])
        classes, rest = [], body[5:]
        for size in SIZES:
            size = 0 if rest[:1] == b"\xaa" else size
            assert rest[size] == 0xAA
            classes.append(rest[:size])
            rest = rest[size + 1 :]
        assert rest == b""
        found.append((datetime(2000 + year, month, day, hour, minute), classes))  # noqa: DTZ001
        wire = wire[5 + length :]
    return found


@pytest.fixture(scope="module")
def estate():
    estate = Virtual(table([household(**FAMILY)], [bus(wire="none")]))
    estate.run_s(86400 * 3)
    return estate


def asked(estate, di, request):
    return records(estate.read_long(di, request=request))


def write(estate, di, row):
    (reply,) = estate.ask(Write(ADDRESS, di, encode_value(di, row), Password()).to_frame())
    assert reply.control == 0x94, reply


def ms(civil):
    return int((civil - timedelta(hours=8) - datetime(1970, 1, 1)).total_seconds()) * 1000  # noqa: DTZ001


def test_the_latest_records_hold_the_registers_of_their_minute(estate):
    found = asked(estate, LATEST, b"\x04")
    last = estate.civil().replace(minute=estate.civil().minute // 15 * 15, second=0)
    assert [when for when, _ in found] == [last - timedelta(minutes=15 * n) for n in (3, 2, 1, 0)]
    register = estate.household().meter.register
    for when, classes in found:
        at_ms = ms(when)
        power = (register.source.energy(at_ms) - register.source.energy(at_ms - 1000)) // 1000 // 100
        assert number(classes[3][:4]) * 10 == register.shown_total_wh(at_ms)
        assert number(classes[1][:3]) == number(classes[1][3:6]) == power
        assert classes[1][6:12] == b"\xff" * 6, "phases that the meter lacks"
        assert 2160 <= number(classes[0][:2]) <= 2240
        assert number(classes[0][15:]) == 5000
        demand = (register.source.energy(at_ms) - register.source.energy(at_ms - 900_000)) // 900_000 // 100
        assert number(classes[5][:3]) == demand
        assert classes[2][:2] == bytes.fromhex("0010")


def test_records_from_a_time_on_and_the_earliest(estate):
    found = asked(estate, SINCE, bytes.fromhex("03 01 22 14 10 26"))
    assert [when.isoformat() for when, _ in found] == [
        "2026-10-14T22:15:00",
        "2026-10-14T22:30:00",
        "2026-10-14T22:45:00",
    ]
    ((first, _),) = asked(estate, EARLIEST, b"")
    assert first == datetime.fromisoformat("2026-10-13T09:15")


def test_ninety_nine_records_come_in_many_frames(estate):
    found = asked(estate, LATEST, b"\x99")
    assert len(found) == 99
    assert found[-1][0] - found[0][0] == timedelta(minutes=15 * 98)


def test_one_class_alone(estate):
    ((_, classes),) = asked(estate, 0x06020002, b"\x01")
    assert [len(one) for one in classes] == [0, 24, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("di", "request_", "control", "data"),
    [
        (LATEST, "00", 0xD1, "01"),
        (LATEST, "0a", 0xD1, "01"),
        (LATEST, "010109141026", 0xD1, "01"),
        (SINCE, "01", 0xD1, "01"),
        (SINCE, "01000032011026"[:12], 0xD1, "01"),
        (SINCE, "010022141027", 0xD1, "02"),
        (0x06070002, "01", 0xD1, "02"),
        (0x06000003, "01", 0xD1, "02"),
        (0x00010000, "01", 0xD1, "02"),
    ],
)
def test_what_is_not_there_or_not_asked_properly_is_refused(estate, di, request_, control, data):
    (reply,) = estate.ask(Frame(ADDRESS, 0x11, di.to_bytes(4, "little") + bytes.fromhex(request_)))
    assert (reply.control, reply.data) == (control, bytes.fromhex(data))


@pytest.mark.parametrize("length", [1, 3, 6, 9, 11])
def test_a_read_of_another_length_is_met_with_silence(estate, length):
    assert estate.ask(Frame(ADDRESS, 0x11, bytes(length))) == []


def test_intervals_modes_and_the_start_can_be_written():
    estate = Virtual(table([household(**FAMILY)], [bus(wire="none")]))
    write(estate, 0x04000901, [0b001011])
    write(estate, 0x04000A02, [5])
    write(estate, 0x04000A03, [1])
    write(estate, 0x04000A05, [60])
    write(estate, 0x04000A01, ["10-13 10:00"])
    estate.run_s(3 * 3600)
    ((first, at_ten),) = asked(estate, EARLIEST, b"\x01")
    assert first == datetime.fromisoformat("2026-10-13T10:00")
    assert [len(one) for one in at_ten] == [17, 24, 0, 16, 0, 0]
    found = asked(estate, SINCE, bytes.fromhex("05 04 11 13 10 26"))
    assert [when.minute for when, _ in found] == [4, 5, 6, 7, 8]
    assert [[len(one) for one in classes][:4] for _, classes in found[:2]] == [[0, 24, 0, 0], [17, 24, 0, 0]]


def test_records_older_than_forty_days_are_gone():
    estate = Virtual(table([household(load="constant", mean_power_w=500)], [bus(wire="none")]))
    estate.run_s(50 * 86400)
    ((first, _),) = asked(estate, EARLIEST, b"\x01")
    age = estate.civil() - first
    assert timedelta(days=39, hours=23) < age <= timedelta(days=40)
