"""Meters behind a roof: reverse registers by rate, signed power, combined energy, reverse demand."""

import pytest

from core.dlt645.commands import Password, Write
from core.dlt645.identifiers import CURRENT_A, ENERGY_TOTAL, POWER_TOTAL, encode_value
from sim.loads.load import MWMS_PER_WH
from tests.sim.rig import ADDRESS, START, Virtual, bus, household, table

TWO_RATES = {
    "id": "t",
    "kind": "tou",
    "prices": {"peak": "0.6", "valley": "0.3"},
    "periods": [{"from": "11:00", "to": "14:00", "rate": "peak"}, {"from": "14:00", "to": "11:00", "rate": "valley"}],
}


@pytest.fixture(scope="module")
def estate():
    dwelling = household(load="family", solar_w=6000, resident={"button": "never"})
    estate = Virtual(table([dwelling], [bus(wire="none")], tariff=TWO_RATES), start=START.replace(month=6))
    estate.run_s(3 * 86400 + 4 * 3600)
    return estate


def slow_reverse(estate, at_ms):
    """Reverse registers by walking minute after minute, apart from the meter's own way."""
    calendar, origin_ms = estate.world.calendar, estate.world.origin_ms
    supply, rows, steps = estate.household().supply, [0] * 5, 0
    for minute_ms in [*range(origin_ms + 60_000, at_ms, 60_000), at_ms]:
        now = supply.given_back(minute_ms) // MWMS_PER_WH // 10
        rows[calendar.rate_at(minute_ms - 1)] += (now - steps) * 10
        rows[0], steps = now * 10, now
    return tuple(rows)


def test_reverse_registers_count_what_the_roof_gives_back_by_rate(estate):
    shown = estate.read(0x0002FF00)
    expected = slow_reverse(estate, estate.world.now_ms - 3000)
    assert shown[0] > 10_000
    assert shown[2]
    assert shown[4]
    assert all(abs(one - other) <= 10 for one, other in zip(shown, expected, strict=True))
    assert sum(shown[1:]) == shown[0]
    assert abs(estate.read(0x00020200)[0] - shown[2]) <= 20


def test_the_past_can_be_asked_for_again(estate):
    estate.read(0x0002FF00)
    for back in (1, 2, 3):
        (midnight,) = estate.read(0x05060000 | back)
        frozen = estate.read(0x05060200 | back)
        expected = slow_reverse(estate, estate.world.calendar.civil_ms(midnight))
        assert all(abs(one - other) <= 10 for one, other in zip(frozen, expected, strict=True))
    assert estate.read_long(0x05040201) != bytes(4)


def test_combined_energy_follows_its_word(estate):
    def written(word):
        di = 0x04000601
        (reply,) = estate.ask(Write(ADDRESS, di, encode_value(di, [word]), Password()).to_frame(), wait_s=0.01)
        assert reply.control == 0x94
        at_ms = estate.world.now_ms
        forward, back = estate.household().meter.register.shown_total_wh(at_ms), slow_reverse(estate, at_ms)[0]
        wire = estate.read_long(0x00000000)
        value = int((wire[:3] + bytes([wire[3] & 0x7F]))[::-1].hex()) * 10
        return (-value if wire[3] & 0x80 else value), forward, back

    value, forward, back = written(0b0101)
    assert abs(value - (forward + back)) <= 20
    value, forward, back = written(0b1001)
    assert abs(value - (forward - back)) <= 20
    value, forward, back = written(0b1000)
    assert abs(value + back) <= 20
    assert value < 0


def test_power_and_current_turn_negative_while_the_roof_gives_back(estate):
    seen = set()
    for _ in range(24):
        before = estate.household().supply.given_back(estate.world.now_ms)
        (power,), (current,) = estate.read(POWER_TOTAL), estate.read(CURRENT_A)
        gives = estate.household().supply.given_back(estate.world.now_ms) > before
        if gives:
            assert power <= 0 >= current
        else:
            assert power >= 0 <= current
        if power < -100_000:
            assert estate.read(0x04000501)[0] >> 4 & 1
            assert estate.read(0x04000502) == (1,)
        seen.add(power < -100_000)
        estate.run_s(3600 - 12)
    assert seen == {True, False}


def test_reverse_demand_is_the_highest_window_of_what_was_given_back(estate):
    power, when = estate.read(0x01020000)
    supply = estate.household().supply
    first = -(-estate.world.origin_ms // 900_000) * 900_000
    ends = range(first + 900_000, estate.world.now_ms + 1, 900_000)
    best = max((supply.given_back(end) - supply.given_back(end - 900_000), -end) for end in ends)
    assert power == best[0] // 900_000 // 100 * 100 > 0
    assert when == estate.world.calendar.civil(-best[1]).replace(tzinfo=None)
    assert estate.read(0x010A0000) == (power, when)


def test_a_meter_without_a_roof_gives_nothing_back():
    estate = Virtual(table([household(load="family")], [bus(wire="none")]))
    estate.run_s(86400)
    assert estate.read(0x0002FF00) == (0,) * 5
    assert estate.read(0x0000FF00) == estate.read(0x0001FF00)
    assert estate.read(ENERGY_TOTAL)[0] > 0
