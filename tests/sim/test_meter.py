"""The simulated meter on the wire: what it answers, what it passes over, and how its relay behaves."""

from datetime import datetime, timedelta

import pytest

from core.dlt645.commands import BroadcastTime, Password, Read, ReadAddress, ReadFollow, RelayAction, Write
from core.dlt645.frame import Frame, encode
from core.dlt645.identifiers import (
    CLOSE_ALLOWED_AMOUNT,
    COMMAND_OPEN,
    CURRENT_BLOCK,
    DATE,
    DATE_TIME,
    ENERGY_BLOCK,
    ENERGY_TOTAL,
    KEEP_POWER,
    POWER_BLOCK,
    POWER_TOTAL,
    PRE_TRIP_ALARM,
    RELAY_OPEN,
    REVERSE_TOTAL,
    STATUS_BLOCK,
    STATUS_WORD_3,
    TIME,
    TRIP_DELAY,
    VOLTAGE_A,
    VOLTAGE_BLOCK,
    encode_value,
)
from sim.meters.dlt645 import answer
from tests.sim.rig import ADDRESS, GATE, OTHER, Virtual, bus, household, table

KW = {"load": "constant", "mean_power_w": 1000}


@pytest.fixture
def estate():
    never = {"button": "never"}
    gate = {"id": "gate-1", "meter": GATE, "bus": "bus-1", "prefix": "1-", "loss_permille": 100}
    return Virtual(
        table(
            [household(start_register_wh=12340, resident=never, **KW), household("1-0102", OTHER, **KW)],
            gates=[gate],
        )
    )


def test_energy_counts_in_steps_of_10_wh_and_rates_add_up(estate):
    assert estate.read(ENERGY_TOTAL) == (12340,)
    estate.run_s(3600 * 2 + 60)
    total, *rates = estate.read(ENERGY_BLOCK)
    assert total == 14350  # 2010 Wh at 1 kW after 2 h 1 min, cut to 10 Wh
    assert sum(rates) == total
    assert estate.read(REVERSE_TOTAL) == (0,)


def test_register_rolls_over_at_999999_99_kwh():
    estate = Virtual(table([household(start_register_wh=999_999_990, **KW)]))
    assert estate.read(ENERGY_TOTAL) == (999_999_990,)
    estate.run_s(36)
    assert estate.read(ENERGY_TOTAL) == (0,)
    assert estate.household().meter.register.steps_wh(estate.world.now_ms) == 10**9


def test_power_current_and_voltage_belong_together(estate):
    (power_mw,) = estate.read(POWER_TOTAL)
    voltages, currents = estate.read(VOLTAGE_BLOCK), estate.read(CURRENT_BLOCK)
    assert power_mw == 1_000_000
    assert 216_000 <= voltages[0] <= 224_000
    assert voltages[1:] == currents[1:] == (None, None)
    assert abs(currents[0] * voltages[0] // 1000 - power_mw) < 1000
    assert estate.read(POWER_BLOCK)[:2] == (power_mw, power_mw)
    assert estate.read(VOLTAGE_A) == voltages[:1]


def test_clock_shows_civil_time_of_the_estate(estate):
    assert estate.read(DATE) == (datetime.fromisoformat("2026-10-13"),)
    (seconds,) = estate.read(TIME)
    assert seconds == pytest.approx(9 * 3600 + 300 + 3, abs=4)


def test_gate_meter_reads_the_sum_of_its_households_with_losses(estate):
    estate.run_s(3600)
    assert estate.read(ENERGY_TOTAL, GATE) == (2200,)
    reply = estate.switch(RelayAction.TRIP, GATE)
    assert (reply.control, reply.data) == (0xDC, b"\x01")


@pytest.mark.parametrize(
    "frame",
    [
        Frame("202600010199", 0x11, b"\x00\x00\x01\x00"),
        Frame(ADDRESS, 0x91, b"\x00\x00\x01\x00" + bytes(4)),
        Frame(ADDRESS, 0xD1, b"\x02"),
        Frame("9" * 12, 0x11, b"\x00\x00\x01\x00"),
        Frame("AAAAAA010101", 0x14, bytes(16)),
        Frame("A" * 12, 0x1C, bytes(16)),
        Frame(ADDRESS, 0x11, b"\x00\x00"),
        Frame(ADDRESS, 0x13, b"\x00"),
        Frame("AA2600010101", 0x1D, b"\x00"),
        Frame("20AA00010101", 0x11, b"\x00\x00\x01\x00"),
    ],
    ids=[
        "foreign address",
        "an answer of another meter",
        "an abnormal answer",
        "read by broadcast",
        "write by wildcard",
        "trip by wildcard",
        "identifier too short",
        "read address with data",
        "unknown command by wildcard",
        "wildcard below digits",
    ],
)
def test_silence(estate, frame):
    assert estate.ask(frame) == []


def test_meter_itself_passes_over_what_another_meter_says(estate):
    heard = Frame(ADDRESS, 0x91, b"\x00\x00\x01\x00" + bytes(4))
    assert answer(estate.household().meter, heard, estate.world.now_ms) is None


def test_bad_checksum_is_met_with_silence_and_the_next_frame_is_heard(estate):
    wire = encode(Read(ADDRESS, ENERGY_TOTAL).to_frame())
    assert estate.send(wire[:-2] + bytes([wire[-2] ^ 1]) + wire[-1:]) == b""
    assert estate.read(ENERGY_TOTAL) == (12340,)


def test_wildcard_and_shortened_address_answer_with_the_real_one():
    estate = Virtual(table([household()], [bus(), bus("bus-2")]))
    for pattern in ("A" * 12, "AAAAAAAAAA01", "AA2600010101", ADDRESS):
        (reply,) = estate.ask(ReadAddress(pattern).to_frame())
        assert reply.address == ADDRESS
        assert reply.data == bytes.fromhex(ADDRESS)[::-1]
    (reply,) = estate.ask(Read("AAAAAAAA0101", ENERGY_TOTAL).to_frame())
    assert reply.address == ADDRESS
    assert estate.ask(ReadAddress("AAAAAAAA0102").to_frame()) == []


def test_all_meters_answer_a_wildcard_at_once_and_garble_each_other(estate):
    alone = [estate.send(encode(ReadAddress(address).to_frame())) for address in (ADDRESS, OTHER, GATE)]
    low = bytes(one & other & gate for one, other, gate in zip(*alone, strict=True))
    assert len(set(alone)) == 3
    assert estate.send(encode(ReadAddress().to_frame())) == low


def test_refusals_carry_the_err_byte(estate):
    (unknown,) = estate.ask(Read(ADDRESS, 0x00019900).to_frame())
    assert (unknown.control, unknown.data) == (0xD1, b"\x02")
    (follow,) = estate.ask(ReadFollow(ADDRESS, ENERGY_TOTAL, 1).to_frame())
    assert (follow.control, follow.data) == (0xD2, b"\x02")
    (command,) = estate.ask(Frame(ADDRESS, 0x1E, b"\x00"))
    assert (command.control, command.data) == (0xDE, b"\x02")
    (short,) = estate.ask(Frame(ADDRESS, 0x1C, bytes(15)))
    assert (short.control, short.data) == (0xDC, b"\x01")


@pytest.mark.parametrize("level", [0, 2])
def test_write_and_read_back_a_limit(estate, level):
    data = encode_value(CLOSE_ALLOWED_AMOUNT, [12345])
    (reply,) = estate.ask(Write(ADDRESS, CLOSE_ALLOWED_AMOUNT, data, Password(level)).to_frame())
    assert (reply.control, reply.data) == (0x94, b"")
    assert estate.read(CLOSE_ALLOWED_AMOUNT) == (12345,)


def test_wrong_password_or_level_writes_nothing(estate):
    data = encode_value(TRIP_DELAY, [5])
    for password in (Password(2, "123456"), Password(4, "000000")):
        (reply,) = estate.ask(Write(ADDRESS, TRIP_DELAY, data, password).to_frame())
        assert (reply.control, reply.data) == (0xD4, b"\x04")
    assert estate.read(TRIP_DELAY) == (0,)


def test_writing_nonsense_is_refused(estate):
    for di, data in ((CLOSE_ALLOWED_AMOUNT, b"\x0a\0\0\0"), (TRIP_DELAY, b"\x01"), (ENERGY_TOTAL, bytes(4))):
        (reply,) = estate.ask(Write(ADDRESS, di, data, Password()).to_frame())
        assert reply.control == 0xD4
    assert estate.read(CLOSE_ALLOWED_AMOUNT) == (0,)


def test_trip_opens_stops_energy_and_shows_both_bits(estate):
    estate.run_s(3600)
    assert estate.switch(RelayAction.TRIP).control == 0x9C
    assert estate.read(STATUS_WORD_3) == (RELAY_OPEN | COMMAND_OPEN,)
    before = estate.read(ENERGY_TOTAL)
    estate.run_s(7200)
    assert estate.read(ENERGY_TOTAL) == before
    assert estate.read(POWER_TOTAL) == (0,)
    assert estate.read(STATUS_BLOCK)[2] == RELAY_OPEN | COMMAND_OPEN


def test_allow_close_clears_the_command_at_once_and_the_contacts_wait_for_the_button(estate):
    estate.switch(RelayAction.TRIP)
    assert estate.switch(RelayAction.ALLOW_CLOSE).control == 0x9C
    assert estate.read(STATUS_WORD_3) == (RELAY_OPEN,)
    assert estate.household().meter.press_button(estate.world.now_ms)
    assert estate.read(STATUS_WORD_3) == (0,)


def test_button_does_nothing_while_the_command_is_open(estate):
    estate.switch(RelayAction.TRIP)
    assert not estate.household().meter.press_button(estate.world.now_ms)
    assert estate.read(STATUS_WORD_3) == (RELAY_OPEN | COMMAND_OPEN,)


def test_direct_close_needs_no_button(estate):
    estate.switch(RelayAction.TRIP)
    assert estate.switch(RelayAction.CLOSE).control == 0x9C
    assert estate.read(STATUS_WORD_3) == (0,)


def test_resident_presses_after_the_stated_delay_and_only_then():
    resident = {"button": "prompt", "button_delay_s": [100, 100]}
    estate = Virtual(table([household(resident=resident, **KW)]))
    estate.switch(RelayAction.TRIP)
    estate.run_s(1000)
    assert estate.household().meter.relay.pressed_ms == []
    estate.switch(RelayAction.ALLOW_CLOSE)
    estate.run_s(90)
    assert estate.read(STATUS_WORD_3) == (RELAY_OPEN,)
    estate.run_s(20)
    assert estate.read(STATUS_WORD_3) == (0,)
    assert [event.cause for event in estate.household().meter.relay.events] == ["trip", "button"]


def test_resident_may_count_machine_seconds_in_a_fast_world():
    resident = {"button": "prompt", "button_delay_s": 5, "clock": "machine"}
    estate = Virtual(table([household(resident=resident, **KW)]), factor=100)
    estate.switch(RelayAction.TRIP, lifetime_s=6000)
    estate.switch(RelayAction.ALLOW_CLOSE, lifetime_s=6000)
    pressed = estate.household().meter.relay.pressed_ms
    estate.run_s(1.9)
    assert pressed == []
    estate.run_s(0.2)
    assert len(pressed) == 1


def test_resident_who_finds_power_revoked_does_not_press():
    resident = {"button": "prompt", "button_delay_s": 100}
    estate = Virtual(table([household(resident=resident, **KW)]))
    for action in (RelayAction.TRIP, RelayAction.ALLOW_CLOSE, RelayAction.TRIP):
        estate.switch(action)
    estate.run_s(1000)
    assert estate.household().meter.relay.pressed_ms == []
    assert estate.read(STATUS_WORD_3) == (RELAY_OPEN | COMMAND_OPEN,)


def test_deadline_is_the_last_second_on_the_meters_own_clock(estate):
    now = estate.civil().replace(microsecond=0)
    late = estate.switch(RelayAction.TRIP, deadline=now - timedelta(seconds=1))
    assert (late.control, late.data) == (0xDC, b"\x04")
    assert estate.read(STATUS_WORD_3) == (0,)
    deadline = estate.civil() + timedelta(seconds=1)
    assert estate.switch(RelayAction.TRIP, deadline=deadline).control == 0x9C


def test_deadline_second_itself_still_counts(estate):
    assert estate.civil().microsecond == 0
    assert estate.switch(RelayAction.TRIP, deadline=estate.civil()).control == 0x9C, "57 ms after the second began"


def test_deadline_follows_a_meter_clock_that_is_wrong(estate):
    meter = estate.household().meter
    meter.set_clock(estate.world.now_ms, estate.civil() + timedelta(hours=1))
    assert estate.switch(RelayAction.TRIP, lifetime_s=600).data == b"\x04"
    assert estate.switch(RelayAction.TRIP, lifetime_s=4200).control == 0x9C


@pytest.mark.parametrize("deadline", ["000000000000", "312502302699", "0a0000010126"])
def test_impossible_deadline_is_refused(estate, deadline):
    data = bytes.fromhex("0200000000000000") + b"\x1a\x00" + bytes.fromhex(deadline)
    (reply,) = estate.ask(Frame(ADDRESS, 0x1C, data))
    assert (reply.control, reply.data) == (0xDC, b"\x04")


def test_wrong_relay_password_is_err_04(estate):
    reply = estate.switch(RelayAction.TRIP, code="654321")
    assert (reply.control, reply.data) == (0xDC, b"\x04")
    assert estate.read(STATUS_WORD_3) == (0,)


def test_password_travels_low_byte_first():
    estate = Virtual(table([household(password="123456", **KW)]))
    assert estate.switch(RelayAction.TRIP, code="563412").data == b"\x04"
    assert estate.switch(RelayAction.TRIP, code="123456").control == 0x9C


def test_keep_power_refuses_trips_until_it_is_cancelled(estate):
    assert estate.switch(RelayAction.KEEP_POWER).control == 0x9C
    refused = estate.switch(RelayAction.TRIP)
    assert (refused.control, refused.data) == (0xDC, b"\x01")
    assert estate.read(STATUS_WORD_3) == (KEEP_POWER,)
    estate.switch(RelayAction.CANCEL_KEEP_POWER)
    assert estate.switch(RelayAction.TRIP).control == 0x9C


def test_keep_power_on_a_tripped_meter_only_permits_the_button(estate):
    estate.switch(RelayAction.TRIP)
    estate.switch(RelayAction.KEEP_POWER)
    assert estate.read(STATUS_WORD_3) == (KEEP_POWER | RELAY_OPEN,)
    assert estate.household().meter.press_button(estate.world.now_ms)


def test_trip_delay_sets_the_command_first_and_the_contacts_later(estate):
    delay = Write(ADDRESS, TRIP_DELAY, encode_value(TRIP_DELAY, [5]), Password())
    estate.ask(delay.to_frame())
    estate.switch(RelayAction.TRIP)
    assert estate.read(STATUS_WORD_3) == (COMMAND_OPEN,)
    estate.run_s(200)
    estate.switch(RelayAction.TRIP)
    estate.run_s(200)
    assert estate.read(STATUS_WORD_3) == (COMMAND_OPEN,), "a second trip restarts the delay"
    estate.run_s(120)
    assert estate.read(STATUS_WORD_3) == (COMMAND_OPEN | RELAY_OPEN,)


def test_allow_close_cancels_a_trip_that_still_waits():
    estate = Virtual(table([household(trip_delay_min=5, **KW)]))
    estate.switch(RelayAction.TRIP)
    estate.switch(RelayAction.ALLOW_CLOSE)
    estate.run_s(1000)
    assert estate.read(STATUS_WORD_3) == (0,)
    assert estate.household().meter.relay.events == []


def test_alarm_bit(estate):
    estate.switch(RelayAction.ALARM_ON)
    assert estate.read(STATUS_WORD_3) == (PRE_TRIP_ALARM,)
    estate.switch(RelayAction.ALARM_OFF)
    assert estate.read(STATUS_WORD_3) == (0,)


def test_broadcast_time_moves_every_clock_once_a_day_within_five_minutes(estate):
    meter, other = estate.household().meter, estate.household(OTHER).meter
    far = estate.civil() + timedelta(minutes=6)
    assert estate.ask(BroadcastTime(far).to_frame()) == []
    assert meter.clock_offset_s == 0
    near = (estate.civil() + timedelta(minutes=4)).replace(microsecond=0)
    assert estate.ask(BroadcastTime(near).to_frame()) == []
    assert meter.clock_offset_s == other.clock_offset_s == pytest.approx(240, abs=2)
    assert estate.ask(BroadcastTime(estate.civil().replace(microsecond=0)).to_frame()) == []
    assert meter.clock_offset_s == pytest.approx(240, abs=2), "once a day"


def test_broadcast_time_is_ignored_around_midnight():
    estate = Virtual(table([household()]), start=datetime.fromisoformat("2026-10-13T23:57:00+08:00"))
    estate.ask(BroadcastTime(estate.civil() + timedelta(minutes=1)).to_frame())
    assert estate.household().meter.clock_offset_s == 0


def test_clock_can_be_written(estate):
    when = datetime.fromisoformat("2027-02-28T23:59:30")
    (reply,) = estate.ask(Write(ADDRESS, DATE_TIME, encode_value(DATE_TIME, [when]), Password()).to_frame())
    assert reply.control == 0x94
    assert estate.read(DATE) == (datetime.fromisoformat("2027-02-28"),)
    (seconds,) = estate.read(TIME)
    assert seconds == pytest.approx(86370 + 5, abs=6)


def test_daily_freeze_holds_the_registers_of_midnight(estate):
    (missing,) = estate.ask(Read(ADDRESS, 0x05060101).to_frame())
    assert missing.data == b"\x02"
    estate.run_s(86400)
    (midnight,) = estate.read(0x05060001)
    total, *rates = estate.read(0x05060101)
    assert midnight == datetime.fromisoformat("2026-10-14")
    assert total == 12340 + 14910  # 14 h 55 min at 1 kW, cut to 10 Wh
    assert sum(rates) == total
