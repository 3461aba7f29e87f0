"""The auditor on a truth that is written by hand: what excuses, what concerns whom, and what lies on two sides."""

import json

import pytest

from sim.auditor import View, audit, read_truth
from sim.auditor.view_file import Alarm, Charge, Reading, RelayState
from sim.export import _on_the_way

START_S = 1_793_289_600  # 2026-10-30 00:00 +08:00
HOUR_S, HOUR_MS = 3600, 3_600_000
WH = 3_600_000_000
HOURS = 240
ONE, TWO, MAIN = "000000000001", "000000000002", "000000000009"


def estate():
    version = {
        "valid_from_s": 0, "kind": "single", "tier_period": "none", "tier_start": [1, 1],
        "seasons": [{"months": list(range(1, 13)), "limits_wh": [], "prices_nf_per_wh": ["50000000"] * 4,
                     "steps_nf_per_wh": [], "windows": [[], [], []]}],
    }  # fmt: skip
    return {
        "what": "estate", "format": 2, "holidays": [], "from_s": START_S, "until_s": START_S + HOURS * HOUR_S,
        "time_zone": "Asia/Shanghai", "versions": [version],
    }  # fmt: skip


def meter(address, name, power_w=1000, **more):
    energy = [[0, 0], [HOURS * HOUR_MS, power_w * HOURS * WH]]
    line = {"what": "meter", "meter": address, "bus": "b", "start_wh": 0, "energy": energy, "lags_wh": [[0, 0]]}
    return line | {"household": name, "tier_used_wh": 0, "relay": [], "contacts": []} | more


def label(kind, group, from_h, until_h, **more):
    found = {
        "what": "label", "id": f"{kind}/x/1", "kind": kind, "class": group, "household": "one", "meter": ONE,
        "gate": "g", "bus": "b", "start_s": START_S + from_h * HOUR_S, "alarm": None, "alarm_within_s": 86_400,
        "also": [],
        "end_s": None if until_h is None else START_S + until_h * HOUR_S, "lost_wh": 0, "sizes": {},
    }  # fmt: skip
    return found | more


def findings(tmp_path, view, *labels, **of_one):
    main = {"household": None, "gate": "g", "members": [ONE, TWO]}
    lines = [estate(), meter(ONE, "one", **of_one), meter(TWO, "two", 500), meter(MAIN, None, 1500) | main, *labels]
    path = tmp_path / "truth.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return [(finding.what, finding.why) for finding in audit(read_truth(path), view)]


def readings(skip=()):
    powers = {ONE: 1000, TWO: 500, MAIN: 1500}
    return [
        Reading(address, START_S + hour * HOUR_S, powers[address] * hour)
        for hour in range(0, HOURS, 24)
        for address in powers
        if (address, hour) not in skip
    ]


GAP = [(ONE, 24), (ONE, 48)]


@pytest.mark.parametrize(
    ("cause", "excused"),
    [
        (label("power_cut", "benign", 24, 60), True),
        (label("maintenance", "benign", 24, 60), True),
        (label("silent", "communication", 24, 60, alarm="silent", alarm_within_s=10**6), True),
        (label("bit_errors", "communication", 24, 60, meter=None, household=None, gate=None), True),
        (label("swapped_line", "communication", 24, 60, meter=None, household=None, gate=None, bus="c"), False),
        (label("power_cut", "benign", 24, 60, household=None, meter=MAIN), True),
        (label("power_cut", "benign", 24, 60, household=None, meter="000000000008", gate="h"), False),
        (label("duplicate_address", "communication", 24, 60, meter=TWO, household="two", sizes={"with": "one"}), True),
        (label("duplicate_address", "communication", 24, 60, meter=TWO, household="two", sizes={"with": "x"}), False),
        (label("holiday", "benign", 24, 60), False),
        (label("preamble", "communication", 24, 60), False),
        (label("noise_bytes", "communication", 24, 60), False),
        (label("partial_writes", "communication", 24, 60), False),
        (label("silent", "communication", 24, 40, alarm="silent", alarm_within_s=10**6), False),
    ],
)  # fmt: skip
def test_a_gap_is_excused_by_what_stood_in_the_way(tmp_path, cause, excused):
    found = findings(tmp_path, View(readings(GAP), every_s=86_400), cause)
    assert [what for what, _ in found] == ([] if excused else ["missing reading"])


def alarms(*given):
    return View(alarms=[Alarm(name, place, who, START_S + hour * HOUR_S) for name, place, who, hour in given])


THEFT = label("bypass", "theft", 10, 60, alarm="balance", also=["suspect"], alarm_within_s=48 * HOUR_S)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ([("balance", "gate", "g", 40)], []),
        ([("balance", "gate", "g", 40), ("suspect", "meter", ONE, 50)], []),
        ([("balance", "gate", "g", 40), ("suspect", "meter", TWO, 50)], ["false alarm"]),
        ([("balance", "gate", "g", 40), ("drop", "meter", ONE, 50)], ["false alarm"]),
        ([("balance", "gate", "g", 40), ("balance", "gate", "h", 50)], ["false alarm"]),
        ([("balance", "gate", "g", 40), ("balance", "bus", "b", 50)], ["false alarm"]),
        ([("balance", "gate", "g", 9), ("balance", "gate", "g", 40)], ["false alarm"]),
        ([("balance", "gate", "g", 40), ("balance", "gate", "g", 80)], []),
        ([("balance", "gate", "g", 40), ("balance", "gate", "g", 85)], ["false alarm"]),
        ([("balance", "gate", "g", 59)], ["late alarm"]),
        ([("suspect", "meter", ONE, 50)], ["missed alarm"]),
        ([], ["missed alarm"]),
    ],
)
def test_alarms_are_judged_by_class_place_and_time(tmp_path, given, what):
    assert [found for found, _ in findings(tmp_path, alarms(*given), THEFT)] == what


def test_trouble_that_was_over_in_time_deserves_no_alarm(tmp_path):
    assert (
        findings(tmp_path, View(), label("bypass", "theft", 10, 57, alarm="balance", alarm_within_s=48 * HOUR_S)) == []
    )
    after = label("bypass", "theft", HOURS - 40, None, alarm="balance", alarm_within_s=48 * HOUR_S)
    assert findings(tmp_path, View(), after) == []


def test_what_is_benign_excuses_no_alarm_even_of_its_own_name(tmp_path):
    benign = label("holiday", "benign", 10, 60, also=["drop"])
    assert [what for what, _ in findings(tmp_path, alarms(("drop", "meter", ONE, 20)), benign)] == ["false alarm"]


def test_a_state_is_right_as_it_was_shown_or_as_the_contacts_stood(tmp_path):
    moved = {"relay": [[10 * HOUR_MS, "open", "trip"]], "contacts": []}
    for state in ("open", "closed"):
        view = View(relays=[RelayState(ONE, START_S + 12 * HOUR_S, state)])
        assert findings(tmp_path, view, **moved) == [], "welded contacts: both can be defended"
    pressed = {"relay": [[10 * HOUR_MS, "open", "trip"]], "contacts": [[10 * HOUR_MS, "open"]]}
    view = View(relays=[RelayState(ONE, START_S + 12 * HOUR_S, "closed")])
    assert [what for what, _ in findings(tmp_path, view, **pressed)] == ["relay state"]
    false = View(
        relays=[RelayState(ONE, START_S + 12 * HOUR_S, "open")], until_s=START_S + 13 * HOUR_S, charged_until_s=START_S
    )
    assert findings(tmp_path, false, label("false_tripped", "meter", 10, 20)) == []
    assert [what for what, _ in findings(tmp_path, false, label("silent", "communication", 10, 20))] == ["relay state"]


def test_a_state_may_be_a_tolerance_early_or_late(tmp_path):
    moved = {"relay": [[10 * HOUR_MS, "open", "trip"]], "contacts": [[10 * HOUR_MS, "open"]]}
    for seconds, right in ((-59, True), (-61, False), (30, True)):
        view = View(relays=[RelayState(ONE, START_S + 10 * HOUR_S + seconds, "open")])
        assert (findings(tmp_path, view, **moved) == []) is right
    for seconds, right in ((50, True), (70, False)):
        closed = RelayState(ONE, START_S + 10 * HOUR_S + seconds, "closed")
        opened = RelayState(ONE, START_S + 11 * HOUR_S, "open")
        assert (findings(tmp_path, View(relays=[closed, opened]), **moved) == []) is right


def charging(charges):
    """Postings of which only the joins and sums are judged: nothing has to be charged between equal moments."""
    return View(charges=charges, charged_from_s=START_S, charged_until_s=START_S)


def test_postings_join_over_a_step_of_the_register(tmp_path):
    jumped = {"lags_wh": [[0, 0], [24 * HOUR_MS + 30_000, -70_000]]}
    before = Charge(ONE, START_S + 24 * HOUR_S, 0, 24_000, 1200)
    after = Charge(ONE, START_S + 48 * HOUR_S, 94_000, 118_000, 1200)
    assert findings(tmp_path, charging([before, after]), **jumped) == []
    hole = Charge(ONE, START_S + 48 * HOUR_S, 95_000, 118_000, 1150)
    (found,) = findings(tmp_path, charging([before, hole]), **jumped)
    assert "begins at 95000 Wh, so 1000 Wh before it were never charged" in found[1]
    again = Charge(ONE, START_S + 48 * HOUR_S, 93_990, 118_000, 1200)
    found = findings(tmp_path, charging([before, again]), **jumped)
    assert "the meter never showed 93990" in found[-1][1]
    blind = Charge(ONE, START_S + 48 * HOUR_S, 24_000, 118_000, 4700)
    (found,) = findings(tmp_path, charging([before, blind]), **jumped)
    assert "94000 Wh were charged by the registers where 24000 Wh flowed" in found[1]


@pytest.mark.parametrize("kind", ["noise_bytes", "partial_writes"])
def test_what_spoils_the_bursts_of_modbus_excuses_its_gaps(tmp_path, kind):
    cause = label(kind, "communication", 24, 60)
    assert findings(tmp_path, View(readings(GAP), every_s=86_400), cause, protocol="modbus") == []
    (found,) = findings(tmp_path, View(readings(GAP), every_s=86_400), cause, protocol="dlt645-2007")
    assert found[0] == "missing reading"


def test_what_flows_while_nothing_can_be_read_is_due_with_the_next_reading(tmp_path):
    charge = Charge(ONE, START_S + 100 * HOUR_S, 20_000, 100_000, 4000)
    span = {"charged_from_s": START_S, "charged_until_s": START_S + 200 * HOUR_S}
    other = Charge(TWO, START_S + 200 * HOUR_S, 0, 100_000, 5000)
    silent = (label("silent", "communication", 0, 20), label("silent", "communication", 100, None))
    assert findings(tmp_path, View(charges=[charge, other], **span), *silent) == []
    over = (silent[0], label("silent", "communication", 100, 190))
    (found,) = findings(tmp_path, View(charges=[charge, other], **span), *over)
    assert "99980 Wh until" in found[1]


def test_postings_that_overlap_are_found(tmp_path):
    before = Charge(ONE, START_S + 24 * HOUR_S, 0, 24_000, 1200)
    again = Charge(ONE, START_S + 48 * HOUR_S, 23_000, 48_000, 1250)
    (found,) = findings(tmp_path, charging([before, again]))
    assert "begins at 23000 Wh, 1000 Wh of which are charged already" in found[1]


def test_a_register_that_rolls_over_is_charged_through(tmp_path):
    over = {"start_wh": 999_990_000}
    charge = Charge(ONE, START_S + 24 * HOUR_S, 999_990_000, 14_000, 1200)
    assert findings(tmp_path, charging([charge]), **over) == []


def test_the_second_of_two_equal_errors_is_found_too(tmp_path):
    steps = [
        Charge(ONE, START_S + hour * HOUR_S, (hour - 24) * 1000, hour * 1000, 1200 + (5 if hour in (48, 96) else 0))
        for hour in range(24, HOURS, 24)
    ]
    found = findings(tmp_path, charging(steps))
    assert [why.split(",")[0].split(": ", 1)[1] for _, why in found] == ["off by 5 fen"] * 2


def test_a_reading_may_be_a_tolerance_early_or_late(tmp_path):
    for seconds, right in ((59, True), (-59, True), (130, False), (-130, False)):
        view = View([Reading(ONE, START_S + 10 * HOUR_S + seconds, 10_000)])
        assert (findings(tmp_path, view) == []) is right


def test_points_on_the_way_are_left_out():
    assert _on_the_way((0, 0), (5, 50), (10, 100))
    assert not _on_the_way((0, 0), (5, 51), (10, 100))
