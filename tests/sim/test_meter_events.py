"""Events: counts, minutes, the last ten records with their times and registers, in 03, 10..1C, 1D and 1E."""

from collections import defaultdict
from datetime import datetime

import pytest
from dlt645.config.event_record_types import EVENT_RECORD_TYPES

from core.dlt645.commands import Password, RelayAction, Write
from core.dlt645.frame import Frame
from core.dlt645.identifiers import encode_value
from sim.meters import acts, events
from tests.sim.rig import ADDRESS, Virtual, bus, household, table

KW = {"load": "constant", "mean_power_w": 2000, "resident": {"button": "never"}}
OPERATOR = "12345678"


def virtual(**keys):
    return Virtual(table([household(start_register_wh=1_000_000, **KW, **keys)], [bus(wire="none")]))


def digits(wire):
    """BCD, low byte first, as text with the highest digit first."""
    return wire[::-1].hex()


def moment(civil):
    return bytes.fromhex(f"{civil:%y%m%d%H%M%S}")[::-1]


def energy(wire):
    return int(digits(wire)) * 10


class Stage:
    def __init__(self, **keys):
        self.estate = virtual(**keys)
        self.meter = self.estate.household().meter

    def pass_s(self, seconds):
        self.estate.run_s(seconds)

    @property
    def now_ms(self):
        return self.estate.world.now_ms

    @property
    def clock(self):
        return self.meter.civil(self.now_ms)

    def read(self, di):
        return self.estate.read_long(di)

    def refused(self, frame):
        (reply,) = self.estate.ask(frame)
        return reply.control, reply.data

    def write(self, di, data):
        (reply,) = self.estate.ask(Write(ADDRESS, di, data, Password(), OPERATOR).to_frame(), wait_s=0.001)
        assert reply.control == 0x94, reply


@pytest.fixture
def stage():
    return Stage()


def test_power_failures_are_counted_with_their_minutes_and_keep_begin_and_end(stage):
    spans = []
    for minutes in (3, 10, 90):
        stage.pass_s(1000)
        began = stage.clock
        acts.fail_power(stage.meter, stage.now_ms)
        assert stage.estate.ask(Frame(ADDRESS, 0x11, bytes(4)), wait_s=0.001) == []
        stage.pass_s(minutes * 60 + 20)
        acts.return_power(stage.meter, stage.now_ms)
        spans.append(moment(began) + moment(stage.clock))
    assert stage.read(0x03110000) == bytes.fromhex("030000")
    assert [stage.read(0x03110000 | back) for back in (1, 2, 3)] == spans[::-1]
    assert stage.read(0x03110004) == bytes(12)


def test_nothing_flows_without_mains_and_a_trip_stays_a_trip(stage):
    stage.pass_s(3600)
    before = stage.meter.register.steps_wh(stage.now_ms)
    acts.fail_power(stage.meter, stage.now_ms)
    stage.pass_s(7200)
    assert stage.meter.register.steps_wh(stage.now_ms) == before
    acts.return_power(stage.meter, stage.now_ms)
    stage.pass_s(3600)
    assert stage.meter.register.steps_wh(stage.now_ms) == before + 2000
    stage.estate.switch(RelayAction.TRIP)
    acts.fail_power(stage.meter, stage.now_ms)
    acts.return_power(stage.meter, stage.now_ms)
    assert not stage.estate.household().supply.on


def test_the_status_words_show_what_goes_on(stage):
    words = [stage.estate.read(0x04000500 | n)[0] for n in range(1, 8)]
    assert words == [2, 0, 0, 0, 0, 0, 0], "interval demand, nothing wrong"
    acts.open_cover(stage.meter, stage.now_ms)
    acts.set_voltage(stage.meter, 1, 1250, stage.now_ms)
    assert stage.estate.read(0x040005FF)[3:] == (1 << 2, 0, 0, 1 << 9)
    acts.close_cover(stage.meter, stage.now_ms)
    acts.open_cover(stage.meter, stage.now_ms, terminal=True)
    acts.set_voltage(stage.meter, 1, 700, stage.now_ms)
    assert stage.estate.read(0x040005FF)[3:] == (1 << 1, 0, 0, 1 << 10)
    acts.press_program_key(stage.meter, True)
    assert stage.estate.read(0x04000503) == (1 << 3,)


def test_a_cover_record_holds_the_registers_before_and_after(stage):
    stage.pass_s(3600)
    began, before = stage.clock, stage.meter.register.shown_total_wh(stage.now_ms)
    acts.open_cover(stage.meter, stage.now_ms)
    running = stage.read(0x03300D01)
    assert running[:12] == moment(began) + bytes(6)
    assert running[36:] == b"\xff" * 24, "not closed yet"
    stage.pass_s(1800)
    acts.close_cover(stage.meter, stage.now_ms)
    ended, after = stage.clock, stage.meter.register.shown_total_wh(stage.now_ms)
    stage.pass_s(3600)
    record = stage.read(0x03300D01)
    assert len(record) == 60
    assert record[:12] == moment(began) + moment(ended)
    assert (energy(record[12:16]), energy(record[36:40])) == (before, after)
    assert after > before
    assert record[16:36] == record[40:] == bytes(20)
    assert stage.read(0x03300D00) == bytes.fromhex("010000")


@pytest.mark.parametrize(
    ("permille", "group"), [(1201, 0x03), (1200, None), (780, None), (779, 0x02), (600, 0x02), (599, 0x01)]
)
def test_voltage_events_begin_at_their_limits(stage, permille, group):
    acts.set_voltage(stage.meter, 1, permille, stage.now_ms)
    counts = {di2: stage.read(0x03000100 | di2 << 16 | 1)[:6] != bytes(6) for di2 in (1, 2, 3, 4)}
    assert {di2 for di2, seen in counts.items() if seen} == ({group} if group else set())


def test_without_current_a_lost_voltage_is_a_broken_phase(stage):
    stage.estate.switch(RelayAction.TRIP)
    acts.set_voltage(stage.meter, 1, 100, stage.now_ms)
    assert stage.read(0x03040000) == bytes.fromhex("010000000000") + bytes(12)


def test_an_overvoltage_record_has_131_bytes_and_what_flowed_meanwhile(stage):
    stage.pass_s(500)
    began_ms, began = stage.now_ms, stage.clock
    acts.set_voltage(stage.meter, 1, 1250, stage.now_ms)
    voltage, current = stage.estate.read(0x02010100)[0], stage.estate.read(0x02020100)[0]
    stage.pass_s(1800)
    acts.set_voltage(stage.meter, 1, 1000, stage.now_ms)
    ended, ended_ms = stage.clock, stage.now_ms
    record = stage.read(0x03030101)
    assert len(record) == 131
    assert record[:12] == moment(began) + moment(ended)
    wh = energy(record[12:16])
    assert wh == 2000 * (ended_ms - began_ms) // 3_600_000 // 10 * 10
    assert energy(record[28:32]) == wh, "phase A carries it all"
    assert 270_000 <= voltage <= 280_000
    assert int(digits(record[44:46])) * 100 == voltage, "as it was then"
    assert abs(int(digits(record[46:49])) - current) < 300
    assert record[73:86] == record[102:115] == b"\xff" * 13, "phases that the meter lacks"
    assert int(digits(record[115:119])) == int(digits(record[119:123])) == pytest.approx(wh * 100_000 / voltage, abs=2)
    assert stage.read(0x03030000) == bytes.fromhex("010000300000") + bytes(12)


def test_extended_records_can_be_asked_for_field_by_field_and_whole(stage):
    stage.pass_s(3600)
    began, before = stage.clock, stage.meter.register.shown_total_wh(stage.now_ms)
    acts.set_voltage(stage.meter, 1, 700, stage.now_ms)
    stage.pass_s(1800)
    acts.set_voltage(stage.meter, 1, 1000, stage.now_ms)
    ended = stage.clock
    assert digits(stage.read(0x11010001)) == "000001"
    assert digits(stage.read(0x11010002)) == "000030"
    assert stage.read(0x11010101) == moment(began)
    assert energy(stage.read(0x11010201)) == before
    assert stage.read(0x11012501) == moment(ended)
    assert energy(stage.read(0x11012601)) == before + 1000
    whole = stage.read(0x1101FF01)
    assert len(whole) == 195
    assert whole == b"".join(stage.read(0x11010001 | item << 8) for item in range(1, 0x36))
    assert stage.read(0x11000101) == moment(began), "the last of any phase"
    assert len(stage.read(0x1901FF01)) == 179, "over-current has no ampere-hours"


def test_only_the_last_ten_records_are_kept_and_all_are_counted(stage):
    began = []
    for _ in range(12):
        stage.pass_s(100)
        began.append(moment(stage.clock))
        acts.place_magnet(stage.meter, stage.now_ms)
        stage.pass_s(10)
        acts.remove_magnet(stage.meter, stage.now_ms)
    assert stage.read(0x03350000)[:3] == bytes.fromhex("120000")
    assert [stage.read(0x03350000 | back)[:6] for back in range(1, 11)] == began[:1:-1]
    assert stage.refused(Frame(ADDRESS, 0x11, bytes.fromhex("0B003503"))) == (0xD1, b"\x02")


def test_writes_of_one_minute_make_one_programming_record(stage):
    stage.pass_s(600)
    at = stage.clock
    for di in (0x04001001, 0x04001002, 0x04001001):
        stage.write(di, bytes(4))
    record = stage.read(0x03300001)
    assert len(record) == 50
    assert record[:10] == moment(at) + bytes.fromhex(OPERATOR)[::-1]
    assert record[10:] == bytes.fromhex("01100004 02100004") + b"\xff" * 32
    stage.pass_s(60)
    stage.write(0x04001401, bytes(2))
    assert stage.read(0x03300000)[:3] == bytes.fromhex("020000")
    assert stage.read(0x03300002) == record


def test_setting_the_clock_is_recorded_with_both_times(stage):
    stage.pass_s(600)
    before = stage.clock
    stage.write(0x0400010C, encode_value(0x0400010C, [datetime.fromisoformat("2026-12-24T18:00:00")]))
    assert stage.read(0x03300401) == bytes.fromhex(OPERATOR)[::-1] + moment(before) + bytes.fromhex("000018241226")


def test_written_tables_leave_what_stood_there_before(stage):
    stage.write(0x04010001, bytes.fromhex("030000 020008 040022"))
    record = stage.read(0x03300501)
    assert len(record) == 10 + 2 * 8 * 42
    assert record[10:52] == bytes.fromhex("030000") + b"\xff" * 39
    stage.write(0x04010001, bytes.fromhex("030000"))
    assert stage.read(0x03300501)[10:19] == bytes.fromhex("030000 020008 040022")
    stage.write(0x04000B01, bytes.fromhex("0620"))
    assert stage.read(0x03300C01)[6:] == bytes.fromhex(OPERATOR)[::-1] + bytes.fromhex("0001 9999 9999")
    stage.write(0x04030001, bytes.fromhex("01012701"))
    assert len(stage.read(0x03300801)) == 10 + 254 * 4


def test_trips_and_closings_are_recorded_with_operator_and_registers(stage):
    stage.pass_s(3600)
    tripped, register = stage.clock, stage.meter.register.shown_total_wh(stage.now_ms)
    data = bytes.fromhex("02000000") + bytes.fromhex(OPERATOR)[::-1] + b"\x1a\x00" + moment(stage.clock)
    (reply,) = stage.estate.ask(Frame(ADDRESS, 0x1C, data))
    assert reply.control == 0x9C
    assert digits(stage.read(0x1D000001)) == "000001"
    record = stage.read(0x1D00FF01)
    assert len(record) == 34
    assert record[:10] == moment(tripped) + bytes.fromhex(OPERATOR)[::-1]
    assert energy(record[10:14]) == register
    assert record[14:] == bytes(20)
    assert record == b"".join(stage.read(0x1D000001 | item << 8) for item in range(1, 9))
    stage.estate.switch(RelayAction.ALLOW_CLOSE)
    assert digits(stage.read(0x1E000001)) == "000000"
    assert stage.read(0x1E00FF01) == bytes(10) + b"\xff" * 24
    stage.meter.press_button(stage.now_ms)
    assert stage.read(0x1E00FF01)[:10] == moment(stage.clock)[:0] + stage.read(0x1E000101) + bytes(4)
    assert digits(stage.read(0x1E000001)) == "000001"


def test_events_are_cleared_all_or_by_kind_and_that_leaves_its_own_record(stage):
    for terminal in (False, True):
        acts.open_cover(stage.meter, stage.now_ms, terminal=terminal)
        acts.close_cover(stage.meter, stage.now_ms, terminal=terminal)
    acts.set_voltage(stage.meter, 1, 1300, stage.now_ms)
    head = bytes.fromhex("02000000") + bytes.fromhex(OPERATOR)[::-1]
    at = stage.clock
    assert stage.refused(Frame(ADDRESS, 0x1B, head + bytes.fromhex("FF0D3003"))) == (0x9B, b"")
    assert stage.read(0x03300D00) == bytes(3)
    assert stage.read(0x03300E00)[:3] == b"\x01\x00\x00"
    assert stage.read(0x03300301) == moment(at) + bytes.fromhex(OPERATOR)[::-1] + bytes.fromhex("FF0D3003")
    assert stage.refused(Frame(ADDRESS, 0x1B, head + bytes.fromhex("000D3003"))) == (0xDB, b"\x02")
    assert stage.refused(Frame(ADDRESS, 0x1B, head + b"\xff" * 4)) == (0x9B, b"")
    assert stage.read(0x03300E00) == stage.read(0x03030000)[:3] == bytes(3)
    assert stage.read(0x03300300)[:3] == b"\x02\x00\x00"


@pytest.mark.parametrize(("di", "length"), [(0x03300201, 202), (0x03300101, 106), (0x03300301, 14), (0x03090001, 78)])
def test_records_that_never_happened_are_empty(di, length):
    record = Stage(phases=3).read(di)
    assert len(record) == length
    assert record[:6] == bytes(6)
    assert record[-4:] == b"\xff" * 4


def test_voltage_quality_knows_the_extremes_of_the_month(stage):
    stage.pass_s(10 * 86400)
    watched, within, _, _, _, highest, _, lowest, _ = stage.estate.read(0x03100000)
    assert watched == 10 * 1440
    assert within == 10_000
    voltages = set()
    for _ in range(50):
        stage.pass_s(61)
        voltages.add(stage.estate.read(0x02010100)[0])
    assert lowest <= min(voltages) < max(voltages) <= highest
    assert (lowest, highest) == (216_000, 223_900)


def test_blank_notes_stay_blank(stage):
    other = virtual().household().meter
    acts.open_cover(stage.meter, stage.now_ms)
    assert other.notes.events == {}
    assert events.log_of(other, events.METER_COVER).total == 0
    assert vars(other.notes) == {}


BYTES = {"YYMMDDhhmmss": 6, "C0C1C2C3": 4, "YYMMDDhhmm": 5, "MMDDhhmm": 4, "YYMMDDNN": 4, "hhmmNN": 3, "DDhh": 2}


def test_every_record_has_the_length_of_a_foreign_table():
    """PyPI dlt645 lists all of group 03; how many slots a slot table has differs between meters."""
    owed = defaultdict(int)
    for row in EVENT_RECORD_TYPES:
        for written in row["DataFormat"].split(","):
            owed[int(row["Di"], 16)] += BYTES.get(written) or (len(written.replace(".", "")) + 1) // 2
    stage = Stage(phases=3)
    checked = {di: len(stage.read(di)) for di in owed if di >> 8 != 0x033005 or not di & 0xFF}
    assert {f"{di:08X}": (got, owed[di]) for di, got in checked.items() if got != owed[di]} == {}
    assert len(checked) > 550
