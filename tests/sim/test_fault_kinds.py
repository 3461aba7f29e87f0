"""Every kind of fault: not there before, there meanwhile, gone afterwards, and labelled as the bus showed it."""

import pytest

from core.dlt645.identifiers import ENERGY_TOTAL
from sim.faults import BENIGN, KINDS, WrongPlace
from sim.truth import household_truth
from tests.sim.fault_cases import CASES, answers, estate
from tests.sim.rig import ADDRESS, GATE, OTHER, Virtual, household, table

CLASSES = {"theft", "meter", "communication", "benign"}


def test_every_kind_has_a_case():
    assert set(CASES) == set(KINDS)


@pytest.mark.parametrize("kind", CASES)
def test_the_bus_shows_what_the_label_says(kind):
    case = CASES[kind]
    v = estate(case.phases)
    assert not case.symptom(v), "not there before"
    began_s = v.world.now_ms / 1000
    assert v.fault(kind, case.where, case.name, **case.sizes) is not None
    assert case.symptom(v), "there meanwhile"
    label = v.labels()[0]
    (label,) = v.labels()
    assert (label["kind"], label["start_s"]) == (kind, began_s)
    v.world.faults.clear(case.where, case.name, v.world.now_ms)
    ended_s = began_s if KINDS[kind].instant else v.world.now_ms / 1000
    v.run_s(5)
    v.ports["bus-1"].take()
    if case.gone and kind not in ("magnet", "cover_then_theft"):
        assert not case.symptom(v), "gone afterwards"
    (label,) = v.labels()
    assert label["end_s"] == ended_s
    assert label["class"] in CLASSES
    assert (label["alarm"] is None) or label["class"] != BENIGN


@pytest.mark.parametrize("kind", [kind for kind, case in CASES.items() if case.loses])
def test_the_loss_on_the_label_is_the_main_meter_less_the_others(kind):
    case = CASES[kind]
    v = estate(case.phases)
    v.fault(kind, case.where, case.name, **case.sizes)
    before = [v.read(ENERGY_TOTAL, a)[0] for a in (ADDRESS, OTHER, GATE)]
    v.run_s(50 * 3600)
    mine, other, gate = [v.read(ENERGY_TOTAL, a)[0] - b for a, b in zip((ADDRESS, OTHER, GATE), before, strict=True)]
    lost_wh = v.labels()[0]["lost_wh"]
    assert lost_wh > 0
    assert gate - mine - other == pytest.approx(lost_wh, abs=40)
    v.world.faults.clear(case.where, case.name, v.world.now_ms)
    ended_wh = v.labels()[0]["lost_wh"]
    v.run_s(50 * 3600)
    assert v.labels()[0]["lost_wh"] == ended_wh, "nothing is lost after the end"


def test_what_flowed_is_what_was_counted_and_what_was_hidden_to_the_last_unit():
    v = estate()
    for kind in ("class_error_drift", "fdi2", "fdi5", "evening_tap"):
        v.fault(kind)
        v.run_s(30 * 3600 + 17)
    v.world.faults.clear("household", "1-0101", v.world.now_ms)
    v.run_s(3600)
    home, now_ms = v.household(), v.world.now_ms
    lost = sum(active.fault.lost_mwms(active.until_ms) for active in v.world.faults.faults)
    assert home.supply.energy(now_ms) - home.meter.register.source.energy(now_ms) == lost
    truth = household_truth(home, now_ms)
    assert abs(truth["drawn_wh"] - truth["true_energy_wh"] - truth["hidden_wh"]) <= 1


def test_one_seed_gives_one_theft_and_another_seed_another():
    found = []
    for _ in range(2):
        v = estate()
        v.fault("fdi1")
        v.run_s(24 * 3600)
        found.append(v.labels()[0]["lost_wh"])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("kind", "where", "name", "sizes", "said"),
    [
        ("phase_lost", "household", "1-0101", {}, "three-phase"),
        ("reversed_ct", "household", "1-0101", {"phase": 2}, "only phase 1"),
        ("colluding", "household", "1-0101", {"with": "1-0101"}, "another household"),
        ("colluding", "household", "1-0101", {"with": "nobody"}, "another household"),
        ("bypass", "gate", "g", {}, "cannot be at a gate"),
        ("silent", "bus", "bus-1", {}, "cannot be at a bus"),
        ("wrong_line", "household", "1-0101", {"baud": 9600}, "those of the line"),
        ("wrong_line", "household", "1-0101", {"baud": 9601}, "baud must be one of"),
        ("fdi1", "household", "1-0101", {"least_permille": 900}, "above"),
        ("fdi4", "household", "1-0101", {"least_h": 20}, "above"),
    ],
)
def test_a_fault_that_cannot_be_there_is_refused(kind, where, name, sizes, said):
    v = estate()
    with pytest.raises(WrongPlace, match=said):
        v.fault(kind, where, name, **sizes)
    assert v.labels() == []


def test_two_faults_of_one_meter_end_one_by_one():
    v = estate()
    v.fault("bypass", metered_permille=500, until_ms=v.world.now_ms + 3_600_000)
    v.fault("register_stuck", until_ms=v.world.now_ms + 2 * 3_600_000)
    v.run_s(3600 * 4)
    assert [label["lost_wh"] for label in v.labels()] == [500, 1500]
    assert household_truth(v.household(), v.world.now_ms)["true_energy_wh"] == 2000


def test_a_fault_that_was_cleared_is_not_ended_again_by_its_schedule():
    v = estate()
    v.fault("bypass", until_ms=v.world.now_ms + 7_200_000)
    v.run_s(3600)
    v.world.faults.clear("household", "1-0101", v.world.now_ms)
    ended_s = v.world.now_ms / 1000
    v.run_s(7200)
    assert v.labels()[0]["end_s"] == ended_s


@pytest.mark.parametrize(
    ("kind", "sizes"), [("cover_then_theft", {"theft_after_h": 2}), ("tenant_change", {"empty_h": 2})]
)
def test_what_was_to_come_does_not_come_after_the_end(kind, sizes):
    v = estate()
    v.fault(kind, **sizes)
    v.run_s(3600)
    v.world.faults.clear("household", "1-0101", v.world.now_ms)
    v.run_s(2 * 3600)
    before = v.read(ENERGY_TOTAL)[0]
    v.run_s(3600)
    assert v.read(ENERGY_TOTAL)[0] - before in (1000, 1010)


def test_quirks_of_one_meter_add_up():
    v = estate()
    for kind, sizes in (("intermittent", {"answer_permille": 0}), ("partial_writes", {}), ("late_answer", {})):
        v.fault(kind, **sizes)
    assert answers(v) == []
    v.world.faults.clear("household", "1-0101", v.world.now_ms)
    v.fault("preamble", count=0)
    v.fault("noise_bytes", most_bytes=3)
    v.fault("partial_writes")
    assert len(answers(v)) == 1
    v.world.faults.clear("household", "1-0101", v.world.now_ms)
    assert not v.world.buses["bus-1"].odd, "nothing is left of them"


def test_no_balance_can_be_drawn_without_a_main_meter():
    v = Virtual(table([household()]))
    v.fault("bypass")
    label = v.labels()[0]
    assert (label["gate"], label["alarm"], label["alarm_within_s"]) == (None, None, None)
