"""The rarer commands at the meter, passwords and their lock-out, paging and active reports."""

from datetime import datetime, timedelta

import pytest

from core.dlt645.commands import Password, Read, RelayAction, Write
from core.dlt645.frame import Frame
from core.dlt645.identifiers import COMMAND_OPEN, ENERGY_TOTAL, RELAY_OPEN, STATUS_WORD_3, TRIP_DELAY, encode_value
from sim.meters import acts
from tests.sim.rig import ADDRESS, OTHER, Virtual, bus, household, table

KW = {"load": "constant", "mean_power_w": 1000, "resident": {"button": "never"}}
ANY = "A" * 12
EVERYBODY = "9" * 12
WHO = bytes.fromhex("0200000078563412")


@pytest.fixture
def estate():
    return Virtual(table([household(**KW), household("1-0102", OTHER, **KW)], [bus(wire="none")]))


@pytest.fixture
def alone():
    return Virtual(table([household(**KW)], [bus(wire="none")]))


def said(estate, control, data=b"", address=ADDRESS):
    return [
        (reply.address, reply.control, reply.data) for reply in estate.ask(Frame(address, control, data), wait_s=0.1)
    ]


def reply(estate, control, data=b"", address=ADDRESS):
    ((_, got, payload),) = said(estate, control, data, address)
    return got, payload


def write(estate, di, row, password=None):
    (answer,) = estate.ask(Write(ADDRESS, di, encode_value(di, row), password or Password()).to_frame(), wait_s=0.1)
    return answer.control, answer.data


def test_a_new_address_needs_the_key_and_is_answered_from_the_new_one(alone):
    new = bytes.fromhex("563412000000")
    assert said(alone, 0x15, new, ANY) == []
    acts.press_program_key(alone.household().meter, True)
    for data, address in (
        (new[:5], ANY),
        (b"\x99" * 6, ANY),
        (b"\xaa" * 6, ANY),
        (new, ADDRESS),
        (new, "AA2600010101"),
    ):
        assert said(alone, 0x15, data, address) == []
    assert said(alone, 0x15, new, ANY) == [("000000123456", 0x95, b"")]
    assert said(alone, 0x11, bytes(4), ADDRESS) == []
    assert said(alone, 0x13, b"", "000000123456") == [("000000123456", 0x93, new)]
    assert alone.read(0x04000401, "000000123456") == ("000000123456",)
    assert alone.read(0x04000402, "000000123456") == (ADDRESS,), "the number on the plate stays"


def test_a_new_address_can_be_written_as_a_parameter(alone):
    data = bytes.fromhex("01040004") + WHO + bytes.fromhex("563412000000")
    assert said(alone, 0x14, data) == [("000000123456", 0x94, b"")]
    assert alone.read(ENERGY_TOTAL, "000000123456")


def test_a_new_rate_is_answered_at_the_old_one_and_then_holds():
    estate = Virtual(table([household(**KW)], [bus(baud=9600)]))
    assert reply(estate, 0x17, b"\x08") == (0x97, b"\x08")
    before = estate.world.buses["bus-1"].counters.ideal_s
    assert estate.ask(Read(ADDRESS, ENERGY_TOTAL).to_frame())
    spent_s = estate.world.buses["bus-1"].counters.ideal_s - before
    assert spent_s == pytest.approx((20 + 24) * 11 / 2400 + 0.020)
    assert estate.world.buses["bus-1"].config.baud == 2400


def test_a_meter_at_another_rate_than_its_line_is_deaf(estate):
    assert reply(estate, 0x17, b"\x08") == (0x97, b"\x08")
    assert said(estate, 0x11, bytes(4)) == []
    assert len(said(estate, 0x11, bytes(4), OTHER)) == 1
    assert [a for a, _, _ in said(estate, 0x13, b"", ANY)] == [OTHER]


@pytest.mark.parametrize("word", ["00", "01", "80", "0c", "ff", "32"])
def test_a_word_that_is_no_rate_is_refused(estate, word):
    assert reply(estate, 0x17, bytes.fromhex(word)) == (0xD7, b"\x08")
    assert len(said(estate, 0x11, bytes(4))) == 1


@pytest.mark.parametrize(("control", "length"), [(0x13, 1), (0x15, 5), (0x16, 3), (0x17, 2), (0x19, 7), (0x1D, 2)])
def test_a_wrong_length_is_met_with_silence(alone, control, length):
    assert said(alone, control, bytes(length), ANY if control == 0x15 else ADDRESS) == []


def test_the_terminal_gives_out_one_of_three(estate):
    for output in (b"\x00", b"\x01", b"\x02"):
        assert reply(estate, 0x1D, output) == (0x9D, output)
    assert reply(estate, 0x1D, b"\x03") == (0xDD, b"\x02")
    assert said(estate, 0x1D, b"\x01", EVERYBODY) == []
    assert [h.meter.notes.terminal for h in estate.world.households.values()] == [1, 1]


def test_a_changed_password_replaces_the_old_one(estate):
    data = bytes.fromhex("030c0004 02000000 02563412")
    assert reply(estate, 0x18, data) == (0x98, bytes.fromhex("02563412"))
    assert write(estate, TRIP_DELAY, [5], Password(2, "000000")) == (0xD4, b"\x04")
    assert write(estate, TRIP_DELAY, [5], Password(2, "123456")) == (0x94, b"")
    assert write(estate, TRIP_DELAY, [6], Password(1, "000000")) == (0x94, b""), "other levels keep theirs"


@pytest.mark.parametrize(
    "data",
    ["030c0004 02111111 02563412", "040c0004 02000000 02563412", "030c0004 03000000 02563412",
     "030c0004 02000000 0256341a", "0b0c0004 02000000 0a563412"],
    ids=["wrong", "another identifier", "old level is lower", "no digits", "no such level"],
)  # fmt: skip
def test_a_password_is_not_changed_by_who_may_not(estate, data):
    assert reply(estate, 0x18, bytes.fromhex(data)) == (0xD8, b"\x04")
    assert write(estate, TRIP_DELAY, [5]) == (0x94, b"")


def test_five_wrong_passwords_lock_the_meter_until_its_next_day(estate):
    for _ in range(4):
        assert write(estate, TRIP_DELAY, [5], Password(2, "111111")) == (0xD4, b"\x04")
    assert write(estate, TRIP_DELAY, [5]) == (0x94, b"")
    assert estate.switch(RelayAction.TRIP, code="111111").data == b"\x04"
    assert write(estate, TRIP_DELAY, [7]) == (0xD4, b"\x04"), "locked"
    assert estate.switch(RelayAction.TRIP).data == b"\x04"
    assert reply(estate, 0x18, bytes.fromhex("030c0004 02000000 02563412")) == (0xD8, b"\x04")
    for control, data in ((0x19, WHO), (0x1A, WHO), (0x1B, WHO + b"\xff" * 4)):
        assert reply(estate, control, data) == (control | 0xC0, b"\x04")
    assert len(said(estate, 0x11, bytes(4))) == 1, "reading goes on"
    assert estate.read(TRIP_DELAY) == (5,)
    estate.run_s(14 * 3600 + 54 * 60)
    assert write(estate, TRIP_DELAY, [7]) == (0xD4, b"\x04")
    estate.run_s(60)
    assert write(estate, TRIP_DELAY, [7]) == (0x94, b""), "the next day"


def test_wrong_passwords_of_two_days_do_not_add_up(estate):
    for _ in range(4):
        write(estate, TRIP_DELAY, [5], Password(2, "111111"))
    estate.run_s(86400)
    assert write(estate, TRIP_DELAY, [5], Password(2, "111111")) == (0xD4, b"\x04")
    assert write(estate, TRIP_DELAY, [5]) == (0x94, b"")


def test_clearing_a_meter_sets_registers_to_zero_and_keeps_what_they_were(alone):
    alone.run_s(40 * 86400)
    alone.ask(Frame(ADDRESS, 0x16, b"\x99" * 4), wait_s=0.1)
    before = alone.read_long(ENERGY_TOTAL)
    at = alone.civil()
    assert reply(alone, 0x1A, WHO) == (0x9A, b"")
    assert alone.read(0x0001FF00) == (0,) * 5
    record = alone.read_long(0x03300101)
    assert len(record) == 106
    assert record[:6] == bytes.fromhex(f"{at:%y%m%d%H%M%S}")[::-1]
    assert record[6:14] == WHO[4:] + before
    for di in (0x05060001, 0x05010001):
        assert reply(alone, 0x11, di.to_bytes(4, "little")) == (0xD1, b"\x02")
    assert alone.read(0x00010001) == (0,)
    alone.run_s(3600)
    assert alone.read(ENERGY_TOTAL)[0] == pytest.approx(1000, abs=20)
    assert alone.household().meter.register.total_wh(alone.world.now_ms) > 900_000, "the truth goes on"


def test_a_trip_with_auto_restore_closes_after_its_five_minutes(estate):
    def order(parameter, action=0x1D):
        deadline = bytes.fromhex(f"{estate.civil() + timedelta(minutes=5):%y%m%d%H%M%S}")[::-1]
        return reply(estate, 0x1C, WHO + bytes([action, parameter]) + deadline)

    assert order(0) == (0xDC, b"\x01")
    assert order(2) == (0x9C, b"")
    assert estate.read(STATUS_WORD_3) == (COMMAND_OPEN | RELAY_OPEN,)
    assert order(2, 0x1E) == (0xDC, b"\x01"), "it is open already"
    estate.run_s(580)
    assert estate.read(STATUS_WORD_3) == (COMMAND_OPEN | RELAY_OPEN,)
    estate.run_s(30)
    assert estate.read(STATUS_WORD_3) == (0,)
    assert estate.household().meter.relay.events[-1].cause == "auto-restore"


def test_a_plain_trip_after_an_auto_restore_stays_open(estate):
    deadline = bytes.fromhex(f"{estate.civil() + timedelta(minutes=5):%y%m%d%H%M%S}")[::-1]
    assert reply(estate, 0x1C, WHO + b"\x1d\x01" + deadline) == (0x9C, b"")
    estate.switch(RelayAction.TRIP)
    estate.run_s(3600)
    assert estate.read(STATUS_WORD_3) == (COMMAND_OPEN | RELAY_OPEN,)


def test_a_write_of_more_than_fifty_bytes_is_dropped(estate):
    table_of = bytes.fromhex("01000104") + WHO
    assert reply(estate, 0x14, table_of + bytes.fromhex("010000") * 12) == (0x94, b"")
    assert said(estate, 0x14, table_of + bytes.fromhex("010000") * 13) == []


@pytest.mark.parametrize(
    ("di", "value", "err"),
    [("01020004", "15", 0x10), ("03020004", "15", 0x20), ("04020004", "64", 0x40), ("01020004", "0a", 0x01),
     ("01050004", "0000", 0x02), ("03040004", "00", 0x01), ("04009999", "00", 0x02), ("010b0004", "2930", 0x01),
     ("03120004", "6023", 0x01), ("010c0004", "00563412", None)],
    ids=["zones", "slots", "rates", "no digits", "read only", "length", "unknown", "settlement", "time", "password"],
)  # fmt: skip
def test_what_cannot_be_written_is_refused_with_its_own_reason(estate, di, value, err):
    data = bytes.fromhex(di) + WHO + bytes.fromhex(value)
    assert reply(estate, 0x14, data) == ((0x94, b"") if err is None else (0xD4, bytes([err])))


def test_passwords_cannot_be_read(estate):
    assert reply(estate, 0x11, bytes.fromhex("030c0004")) == (0xD1, b"\x02")


def test_long_answers_come_in_parts_that_must_be_asked_for_in_order_of_their_number(estate):
    di = bytes.fromhex("01083003")
    control, first = reply(estate, 0x11, di)
    assert (control, len(first)) == (0xB1, 200)
    parts = []
    for sequence in range(1, 6):
        control, data = reply(estate, 0x12, di + bytes([sequence]))
        assert data[:4] == di
        assert data[-1] == sequence
        parts.append(data[4:-1])
        assert (control == 0x92) == (sequence == 5)
    assert [len(part) for part in parts] == [195, 195, 195, 195, 1026 - 196 - 4 * 195]
    assert reply(estate, 0x12, di + b"\x02") == (0xB2, di + parts[1] + b"\x02"), "a lost part may be asked for again"
    for wrong in (di + b"\x00", di + b"\x06", bytes.fromhex("0208300301")):
        assert reply(estate, 0x12, wrong) == (0xD2, b"\x02")
    assert said(estate, 0x12, di) == []
    reply(estate, 0x11, bytes(4))
    assert reply(estate, 0x12, di + b"\x01") == (0xD2, b"\x02"), "another question ends it"


def test_a_pending_event_is_reported_by_the_follow_bit_of_a_complete_answer(estate):
    meter, energy = estate.household().meter, bytes.fromhex("00000100")
    acts.open_cover(meter, estate.world.now_ms)
    assert reply(estate, 0x11, energy)[0] == 0x91, "reporting is off as made"
    assert write(estate, 0x04001101, [0b100]) == (0x94, b"")
    estate.read_long(0x04001501)
    acts.open_cover(meter, estate.world.now_ms, terminal=True)
    acts.close_cover(meter, estate.world.now_ms)
    acts.open_cover(meter, estate.world.now_ms)
    control, data = reply(estate, 0x11, energy)
    assert (control, len(data)) == (0xB1, 8)
    control, data = reply(estate, 0x12, energy + b"\x01")
    assert control == 0x92
    assert data == bytes.fromhex("01150004") + (1 << 10 | 1 << 11).to_bytes(12, "little") + b"\x01\x01" + b"\x01"
    assert reply(estate, 0x11, energy)[0] == 0x91, "told once"


def test_only_events_of_the_mode_word_are_reported(estate):
    write(estate, 0x04001101, [0b100])
    write(estate, 0x04001104, [1 << 14])
    estate.read_long(0x04001501)
    acts.open_cover(estate.household().meter, estate.world.now_ms)
    assert reply(estate, 0x11, bytes.fromhex("00000100"))[0] == 0x91
    estate.switch(RelayAction.TRIP)
    assert estate.read_long(0x04001501) == (1 << 14).to_bytes(12, "little") + b"\x01"


def test_security_without_a_module_is_refused_with_its_own_word(estate):
    assert reply(estate, 0x03, bytes.fromhex("ff000007") + bytes(28)) == (0xC3, b"\x01\x00")
    assert said(estate, 0x03, bytes(5)) == []


def test_the_meter_knows_when_it_was_made_and_what_it_is(estate):
    assert estate.read(0x04000404) == ("220V",)
    assert estate.read(0x04000406) == ("60A",)
    assert estate.read(0x04000409) == (1200,)
    assert estate.read(0x04000402) == (ADDRESS,)


def test_a_deadline_is_judged_by_a_drifting_clock():
    estate = Virtual(table([household(clock_drift_ms_per_day=3_600_000, **KW)], [bus(wire="none")]))
    estate.run_s(86400)
    assert estate.switch(RelayAction.TRIP, lifetime_s=3590).data == b"\x04"
    assert estate.switch(RelayAction.TRIP, lifetime_s=3660).control == 0x9C


def test_a_broadcast_is_obeyed_and_never_answered(estate):
    when = estate.civil() + timedelta(seconds=100)
    wire = bytes.fromhex(f"{when:%y%m%d%H%M%S}")[::-1]
    assert said(estate, 0x08, wire, EVERYBODY) == []
    assert {h.meter.clock_offset_s for h in estate.world.households.values()} == {100}
    assert said(estate, 0x08, wire) == [], "nor to one meter, as made"
    assert datetime.fromisoformat("2026-10-13T09:06:00") < estate.read(0x0400010C)[0]
