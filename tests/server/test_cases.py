"""Cases: found from real readings, opened once, handled by people, append-only."""

import json

import pytest
from sqlalchemy import select, update

from core.dlt645.identifiers import COMMAND_OPEN, RELAY_OPEN
from server.domain.readings import ContactFailure, MeterReading, StatusRead
from server.errors import Conflict, NotFound, Refused
from server.flows import cases, relays
from server.flows.readings import note_failures, record
from server.store import schema
from server.store.engine import reader
from server.store.writer import Writer
from tests.server.estates import ESTATE, MACHINE_MS, START_S, at, household, meter_id, plant

GATE = "202699000001"
OPEN = RELAY_OPEN | COMMAND_OPEN
CYCLE_S = 900
DAY_S = 86_400


@pytest.fixture
def estate(engine, writer):
    plant(writer, 3)
    return Estate(engine, writer)


class Estate:
    """What the tests do to an estate of three households under one gate."""

    def __init__(self, engine, writer):
        self.engine, self.writer = engine, writer

    def read(self, *figures):
        """(meter, seconds after the start, register in Wh) ..."""
        rows = [MeterReading(name, START_S + s, MACHINE_MS + s * 1000, wh) for name, s, wh in figures]
        return self.writer.run(lambda unit: record(unit, ESTATE, rows, at(max(s for _, s, _ in figures))))

    def status(self, name, s, status3):
        row = StatusRead(name, START_S + s, MACHINE_MS + s * 1000, status3)
        self.writer.run(lambda unit: relays.record_status(unit, ESTATE, [row], at(s)))

    def fail(self, name, s, times=1):
        rows = [ContactFailure(name, START_S + s, MACHINE_MS + s * 1000, "no reply")] * times
        self.writer.run(lambda unit: note_failures(unit, ESTATE, rows, at(s)))

    def detect(self, s):
        return self.writer.run(lambda unit: cases.detect(unit, ESTATE, at(s)))

    def found(self, s):
        """(kind, subject) of what a look without writing finds."""
        with reader(self.engine) as connection:
            return [(one.kind, one.subject) for one in cases.find(connection, ESTATE, at(s))]

    def close(self, case_id, s, resolution="looked, it is fine"):
        self.writer.run(lambda unit: cases.close(unit, ESTATE, case_id, resolution=resolution, actor="op", now=at(s)))

    def acknowledge(self, case_id, s, actor="op"):
        self.writer.run(lambda unit: cases.acknowledge(unit, ESTATE, case_id, actor=actor, note="on my way", now=at(s)))

    def rows(self, table):
        with reader(self.engine) as connection:
            return [dict(row) for row in connection.execute(select(table)).mappings()]

    def the_case(self):
        [row] = self.rows(schema.anomaly_case)
        return row | {"evidence": json.loads(row["evidence"])}


def energy_behind_an_open_relay(estate, name):
    estate.read((name, 60, 1_000_100))
    estate.status(name, 120, OPEN)
    estate.read((name, 300, 1_000_200), (name, 600, 1_000_230))
    estate.status(name, 700, OPEN)


def test_energy_through_an_open_relay_opens_a_case_with_its_readings(estate):
    energy_behind_an_open_relay(estate, meter_id(1))
    [case_id] = estate.detect(800)
    case = estate.the_case()
    assert (case["case_id"], case["kind"], case["subject"]) == (case_id, "open_relay_energy", meter_id(1))
    assert (case["room_id"], case["status"], case["opened_at"]) == ("1-0001", "open", START_S + 800)
    assert case["evidence"]["energy_wh"] == 30
    assert case["evidence"]["readings"] == [[START_S + 300, 1_000_200], [START_S + 600, 1_000_230]]


def test_energy_that_flowed_before_the_relay_opened_is_no_anomaly(estate):
    estate.read((meter_id(1), 60, 1_000_100))
    estate.status(meter_id(1), 120, OPEN)
    estate.read((meter_id(1), 300, 1_000_200), (meter_id(1), 600, 1_000_210))
    estate.status(meter_id(1), 700, OPEN)
    assert estate.detect(800) == []


def test_energy_that_was_read_after_the_last_read_back_waits_for_the_next_one(estate):
    """The resident may have pressed the button since; only a relay that still is open makes it an anomaly."""
    estate.status(meter_id(1), 120, OPEN)
    estate.status(meter_id(1), 200, OPEN)
    estate.read((meter_id(1), 300, 1_000_200), (meter_id(1), 600, 1_000_900))
    assert estate.detect(650) == []
    estate.status(meter_id(1), 700, 0)
    assert estate.detect(800) == []


def test_a_closed_relay_may_let_energy_flow(estate):
    energy_behind_an_open_relay(estate, meter_id(1))
    estate.status(meter_id(1), 710, 0)
    assert estate.found(800) == []


@pytest.mark.parametrize("second", [OPEN, RELAY_OPEN])
def test_contacts_that_wait_for_the_button_are_open_and_let_nothing_flow(estate, second):
    """A relay that shows open and permitted, though nobody cut it: only its contacts say what is so."""
    estate.read((meter_id(1), 60, 1_000_100))
    estate.status(meter_id(1), 120, RELAY_OPEN)
    estate.read((meter_id(1), 300, 1_000_200), (meter_id(1), 600, 1_000_230))
    estate.status(meter_id(1), 700, second)
    assert estate.found(800) == ([] if second == OPEN else [("open_relay_energy", meter_id(1))])


def test_a_register_that_ran_backwards_opens_a_case(estate):
    estate.read((meter_id(2), 60, 1_000_100), (meter_id(2), 900, 999_000))
    estate.detect(1000)
    case = estate.the_case()
    assert (case["kind"], case["subject"]) == ("backwards", meter_id(2))
    assert (case["evidence"]["register_accepted_wh"], case["evidence"]["register_read_wh"]) == (1_000_100, 999_000)


def test_a_register_that_stays_at_zero_opens_a_case_and_a_placeholder_does_not(estate):
    estate.read((meter_id(2), 60, 1_000_100), (meter_id(2), 900, 0), (meter_id(3), 900, 0))
    assert estate.found(1000) == []
    estate.read((meter_id(3), 1800, 1_000_300), *((meter_id(2), s, 0) for s in (1800, 2700, 3600)))
    assert estate.found(900 + 2 * CYCLE_S) == []
    estate.detect(901 + 2 * CYCLE_S)
    case = estate.the_case()
    assert (case["kind"], case["subject"], case["evidence"]["register_read_wh"]) == ("backwards", meter_id(2), 0)
    estate.close(case["case_id"], 3600)
    assert estate.found(3700) == []


def test_a_step_back_is_found_even_when_the_next_reading_is_fine(estate):
    estate.read((meter_id(2), 60, 1_000_100), (meter_id(2), 900, 999_000), (meter_id(2), 1800, 1_000_300))
    estate.detect(1900)
    assert estate.the_case()["evidence"]["register_accepted_wh"] == 1_000_100


def test_a_rate_register_that_ran_backwards_opens_a_case(engine, writer):
    plant(writer, [household(1, tariff_id="tou", start_rates_wh=(100_000, 200_000, 300_000, 400_000))])
    estate = Estate(engine, writer)
    row = MeterReading(meter_id(1), at(60).world_s, at(60).machine_ms, 1_000_100, (100_100, 200_100, 299_900, 400_000))
    estate.writer.run(lambda unit: record(unit, ESTATE, [row], at(60)))
    estate.detect(100)
    assert "rate 3" in estate.the_case()["evidence"]["reason"]


def test_the_first_reading_of_a_meter_may_go_back_behind_its_installation(estate):
    estate.read((meter_id(2), 60, 999_000))
    estate.detect(100)
    assert estate.the_case()["evidence"]["register_accepted_wh"] == 1_000_000


def test_a_silent_meter_opens_a_case_after_three_cycles(estate):
    estate.read((meter_id(3), 0, 1_000_000))
    estate.fail(meter_id(3), 900, times=3)
    assert estate.detect(3 * CYCLE_S) == []
    estate.detect(3 * CYCLE_S + 1)
    case = estate.the_case()
    assert (case["kind"], case["severity"]) == ("silent", "medium")
    assert case["evidence"]["last_answer_at"] == START_S
    assert case["evidence"]["unanswered_items"] == 3


def test_a_silent_gate_has_no_room(estate):
    estate.fail(GATE, 900, times=3)
    estate.detect(DAY_S)
    case = estate.the_case()
    assert (case["kind"], case["subject"], case["room_id"]) == ("silent", GATE, None)


def test_a_meter_that_was_not_asked_is_not_silent(estate):
    estate.read((meter_id(3), 0, 1_000_000))
    estate.fail(meter_id(3), 900, times=2)
    assert estate.detect(DAY_S) == []


def test_a_meter_that_answered_again_is_not_silent(estate):
    estate.fail(meter_id(3), 900, times=5)
    estate.read((meter_id(3), 1000, 1_000_000))
    assert estate.detect(DAY_S) == []


def constant_power(estate, gate_wh, meters_wh, *, skew_s=60, days=1, last_cycles=()):
    """Every cycle the gate first, then its meters `skew_s` apart, all at constant power given as Wh a day.

    `last_cycles` leaves out as many cycles at the end of each meter.
    """
    cycles = days * DAY_S // CYCLE_S
    rows = [(GATE, n * CYCLE_S + 1, gate_wh * n * CYCLE_S // DAY_S // 10 * 10) for n in range(cycles + 1)]
    for number, wh in enumerate(meters_wh, 1):
        missing = last_cycles[number - 1] if last_cycles else 0
        for n in range(cycles + 1 - missing):
            late_s = n * CYCLE_S + skew_s * number
            rows.append((meter_id(number), late_s, 1_000_000 + wh * late_s // DAY_S // 10 * 10))
    estate.read(*sorted(rows, key=lambda row: row[1]))


@pytest.mark.parametrize("skew_s", [60, 250])
def test_a_gate_that_counted_more_than_its_meters_opens_a_case(estate, skew_s):
    constant_power(estate, 40_000, (10_000, 10_000, 10_000), skew_s=skew_s)
    [_] = estate.detect(DAY_S + 300)
    case = estate.the_case()
    assert (case["kind"], case["subject"], case["room_id"]) == ("gate_loss", GATE, None)
    evidence = case["evidence"]
    assert evidence["gate_wh"] - evidence["meters_wh"] == evidence["loss_wh"]
    assert 8_000 <= evidence["loss_wh"] <= 10_000
    assert [name for name, _ in evidence["meters"]] == [meter_id(n) for n in (1, 2, 3)]


@pytest.mark.parametrize("skew_s", [1, 60, 250])
@pytest.mark.parametrize("power", [3_000, 30_000, 300_000])
def test_a_gate_that_agrees_with_its_meters_never_opens_a_case(sqlite_estate, power, skew_s):
    constant_power(sqlite_estate, power * 3, (power,) * 3, skew_s=skew_s)
    for s in (2 * CYCLE_S, 5 * CYCLE_S, DAY_S // 2, DAY_S, DAY_S + 600):
        assert sqlite_estate.found(s) == []


@pytest.fixture
def sqlite_estate(sqlite_engine):
    writer = Writer(sqlite_engine)
    plant(writer, 3)
    yield Estate(sqlite_engine, writer)
    writer.stop()


def test_a_gate_is_not_judged_while_one_of_its_meters_is_silent(estate):
    constant_power(estate, 40_000, (10_000, 10_000))
    assert estate.detect(DAY_S + 300) == []


def test_the_bound_on_a_loss_is_close_although_a_meter_lags_behind(estate):
    constant_power(estate, 40_000, (10_000, 10_000, 10_000), days=2, last_cycles=(0, 0, 3))
    estate.detect(2 * DAY_S + 300)
    evidence = estate.the_case()["evidence"]
    span_s = evidence["to_at"] - evidence["from_at"]
    assert DAY_S - 5 * CYCLE_S <= span_s <= DAY_S
    true_wh = 10_000 * span_s // DAY_S
    assert true_wh - 2 * 30_000 * CYCLE_S // DAY_S - 40 <= evidence["loss_wh"] <= true_wh + 40


@pytest.mark.parametrize(("gate_wh", "found"), [(3_000, False), (4_000, True)])
def test_a_ratio_of_the_gate_counts(estate, gate_wh, found):
    estate.writer.run(
        lambda unit: (
            unit.connection.execute(update(schema.meter).where(schema.meter.c.meter_id == GATE).values(ratio=10))
            and None
        )
    )
    constant_power(estate, gate_wh, (10_000, 10_000, 10_000))
    assert (estate.detect(DAY_S + 300) != []) == found


def test_one_case_of_a_kind_and_subject_is_open_at_a_time(estate):
    energy_behind_an_open_relay(estate, meter_id(1))
    [case_id] = estate.detect(800)
    assert estate.detect(810) == []
    estate.acknowledge(case_id, 820)
    assert estate.detect(830) == []
    assert len(estate.rows(schema.anomaly_case)) == 1


def test_two_subjects_have_two_cases(estate):
    for number in (1, 2):
        energy_behind_an_open_relay(estate, meter_id(number))
    assert len(estate.detect(800)) == 2


def test_a_closed_case_comes_back_only_with_new_evidence(estate):
    energy_behind_an_open_relay(estate, meter_id(1))
    [case_id] = estate.detect(800)
    estate.close(case_id, 900)
    estate.read((meter_id(1), 950, 1_000_240))
    estate.status(meter_id(1), 960, OPEN)
    assert estate.detect(970) == []
    estate.read((meter_id(1), 1200, 1_000_300))
    estate.status(meter_id(1), 1210, OPEN)
    assert len(estate.detect(1220)) == 1


def test_a_closed_step_back_does_not_come_back_by_itself(estate):
    estate.read((meter_id(2), 60, 1_000_100), (meter_id(2), 900, 999_000))
    [case_id] = estate.detect(1000)
    estate.close(case_id, 1100)
    assert estate.detect(1200) == []
    estate.read((meter_id(2), 1800, 999_010))
    assert len(estate.detect(1900)) == 1


def test_a_closed_silence_comes_back_after_three_more_cycles(estate):
    estate.fail(meter_id(3), 900, times=3)
    [case_id] = estate.detect(3000)
    estate.close(case_id, 3100)
    assert estate.detect(3100 + 3 * CYCLE_S) == []
    assert len(estate.detect(3101 + 3 * CYCLE_S)) == 1


def test_every_step_of_a_case_is_kept_with_its_actor(estate):
    energy_behind_an_open_relay(estate, meter_id(1))
    [case_id] = estate.detect(800)
    estate.acknowledge(case_id, 820, actor="wang")
    assert estate.the_case()["owner"] == "wang"
    estate.close(case_id, 900, resolution="  bypass removed ")
    case = estate.the_case()
    assert (case["status"], case["resolution"]) == ("closed", "bypass removed")
    assert case["closed_ms"] == at(900).machine_ms
    steps = [(row["event_no"], row["verb"], row["actor"], row["note"]) for row in estate.rows(schema.case_event)]
    assert sorted(steps) == [
        (1, "opened", "system", ""),
        (2, "acknowledged", "wang", "on my way"),
        (3, "closed", "op", "bypass removed"),
    ]


def test_a_case_is_not_closed_without_a_resolution(estate):
    energy_behind_an_open_relay(estate, meter_id(1))
    [case_id] = estate.detect(800)
    with pytest.raises(Refused):
        estate.close(case_id, 900, resolution="  ")
    assert estate.the_case()["status"] == "open"


def test_a_closed_case_takes_no_more_steps(estate):
    energy_behind_an_open_relay(estate, meter_id(1))
    [case_id] = estate.detect(800)
    estate.close(case_id, 900)
    with pytest.raises(Conflict):
        estate.close(case_id, 910)
    with pytest.raises(Conflict):
        estate.acknowledge(case_id, 910)
    assert len(estate.rows(schema.case_event)) == 2


def test_a_case_of_another_estate_is_not_found(estate):
    energy_behind_an_open_relay(estate, meter_id(1))
    [case_id] = estate.detect(800)
    with pytest.raises(NotFound):
        estate.writer.run(lambda unit: cases.close(unit, "other", case_id, resolution="x", actor="op", now=at(900)))


def test_a_new_case_is_announced(estate):
    heard = []
    estate.writer.subscribe(lambda topic, key: heard.append((topic, key)))
    energy_behind_an_open_relay(estate, meter_id(1))
    [case_id] = estate.detect(800)
    assert ("case", case_id) in heard


def test_an_anomaly_never_moves_a_relay(estate):
    energy_behind_an_open_relay(estate, meter_id(1))
    before = estate.rows(schema.supply)
    estate.detect(800)
    assert estate.rows(schema.supply) == before
    assert estate.rows(schema.relay_desired) == []
