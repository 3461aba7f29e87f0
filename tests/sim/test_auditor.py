"""The auditor: a head-end that is right has no findings, and each planted error is found, alone, with its reason."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from core.dlt645.commands import RelayAction
from core.dlt645.identifiers import ENERGY_TOTAL
from sim.auditor import audit, read_truth, read_view
from sim.auditor.pricing import Pricing
from sim.auditor.view_file import Alarm, Charge, Reading, RelayState, View
from sim.export import export_lines
from sim.truth import judge_cursor
from tests.sim.rig import ADDRESS, GATE, OTHER, Virtual, household, table

TOU = {
    "kind": "tou",
    "prices": {"peak": "0.9", "flat": "0.6", "valley": "0.3"},
    "periods": [
        {"from": "00:00", "to": "07:00", "rate": "valley"},
        {"from": "07:00", "to": "19:30", "rate": "peak"},
        {"from": "19:30", "to": "24:00", "rate": "flat"},
    ],
    "tier_limits_wh": [240_000, 400_000],
    "tier_steps": ["0.05", "0.25"],
    "tier_period": "month",
}
FROM = datetime.fromisoformat("2026-10-30T00:00:00+08:00")
HOUR_S, HOURS = 3600, 72
LAST_POSTED_S = FROM.timestamp() + 66 * HOUR_S
NOTHING_DUE = {"charged_from_s": FROM.timestamp(), "charged_until_s": FROM.timestamp()}
NF_PER_FEN = 10**9
EXAMPLE = Path("examples/audit")
KW = {"load": "constant", "resident": {"button": "never"}}


def life():
    """Three days over the turn of a month, with a trip, a theft, a silence, a jump and a holiday."""
    homes = [
        household(start_register_wh=1_000_000, mean_power_w=3000, tier_used_wh=230_000, **KW),
        household("1-0102", OTHER, start_register_wh=999_950_000, mean_power_w=1700, **KW),
        household("1-0103", "202600010103", mean_power_w=900, **KW),
    ]
    gates = [{"id": "g", "meter": GATE, "bus": "bus-1", "prefix": "1-"}]
    faults = [
        {"kind": "bypass", "household": "1-0103", "at": "+10h", "metered_permille": 500},
        {"kind": "silent", "household": "1-0102", "at": "+20h", "until": "+50h"},
        {"kind": "register_jump", "household": "1-0103", "at": "+30h", "jump_wh": 70_000},
        {"kind": "holiday", "household": "1-0101", "at": "+60h"},
    ]
    v = Virtual(table(homes, gates=gates, tariff=TOU) | {"fault": faults}, start=FROM)
    readings, relays = [], []
    for hour in range(HOURS):
        if hour in (40, 44):
            v.switch(RelayAction.TRIP if hour == 40 else RelayAction.CLOSE)
            relays.append(RelayState(ADDRESS, v.world.now_ms / 1000, "open" if hour == 40 else "closed"))
        for address in (ADDRESS, OTHER, "202600010103", GATE):
            at_s = v.world.now_ms / 1000
            if not v.household(address).meter.silent if address != GATE else True:
                readings.append(Reading(address, at_s, v.read(ENERGY_TOTAL, address)[0]))
        v.env.run(until=(hour + 1) * HOUR_S)
    return v, readings, relays


def charged(v, readings, address):
    """What a right head-end posts: cumulative fen, rounded down, from one accepted reading to the next."""
    own = [reading for reading in readings if reading.meter == address][::6]
    home, now_ms = v.household(address), v.world.now_ms
    cursors = [{"register_wh": reading.register_wh, "at_s": reading.at_s} for reading in own]
    totals = [Fraction(judge_cursor(home, v.world.calendar, cursor, now_ms)["charge_nf"]) for cursor in cursors]
    fen = [int(total // NF_PER_FEN) for total in totals]
    return [
        Charge(address, after.at_s, before.register_wh, after.register_wh, fen[n + 1] - fen[n])
        for n, (before, after) in enumerate(pairwise(own))
    ]


def alarmed(v):
    """What a right head-end says: the alarm of each label, an hour after it began."""
    places = {"balance": ("gate", "gate")}
    found = []
    for label in v.labels():
        if label["alarm"] is not None:
            place, key = places.get(label["alarm"], ("meter", "meter"))
            found.append(Alarm(label["alarm"], place, label[key], label["start_s"] + HOUR_S))
    return found


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """The truth as a file, and what a head-end without fault makes of it."""
    v, readings, relays = life()
    path = tmp_path_factory.mktemp("audit") / "truth.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in export_lines(v.world)), "utf-8")
    charges = charged(v, readings, ADDRESS) + charged(v, readings, OTHER) + charged(v, readings, "202600010103")
    view = View(readings, charges, relays, alarmed(v), every_s=HOUR_S, charged_until_s=LAST_POSTED_S)
    return path, read_truth(path), view


def found(right, **changes):
    return audit(right[1], replace(right[2], **changes))


def swapped(items, place, other):
    return [other if number == place else item for number, item in enumerate(items)]


def test_a_right_head_end_has_no_findings(right):
    assert found(right) == []
    assert len(right[2].readings) > 200
    assert len(right[2].charges) == 28
    assert {alarm.alarm_class for alarm in right[2].alarms} == {"balance", "silent", "register_jump"}


def only(findings):
    (finding,) = findings
    return finding.what, finding.why


def place_of(right, address, hour):
    at_s = FROM.timestamp() + hour * HOUR_S
    return next(
        n for n, r in enumerate(right[2].readings) if r.meter == address and abs(r.at_s - at_s) < 600
    )  # fmt: skip


def test_a_stale_reading_is_found_with_its_age(right):
    readings, place = right[2].readings, place_of(right, ADDRESS, 12)
    stale = replace(readings[place], register_wh=readings[place_of(right, ADDRESS, 10)].register_wh)
    what, why = only(found(right, readings=swapped(readings, place, stale)))
    assert what == "wrong reading"
    assert "6000 Wh too little" in why
    assert "earlier" in why


def test_an_answer_of_another_meter_is_named(right):
    readings, place = right[2].readings, place_of(right, ADDRESS, 5)
    mixed = replace(readings[place], register_wh=readings[place_of(right, OTHER, 5)].register_wh)
    what, why = only(found(right, readings=swapped(readings, place, mixed)))
    assert (what, f"meter {OTHER} showed then" in why) == ("wrong reading", True)


def test_a_value_from_nowhere_and_an_unknown_meter_are_wrong(right):
    readings = right[2].readings
    nowhere = swapped(readings, place_of(right, ADDRESS, 5), Reading(ADDRESS, FROM.timestamp() + 5 * HOUR_S, 5_000_000))
    assert only(found(right, readings=nowhere))[1].endswith("the meter has never shown that")
    unknown = [*readings, Reading("000000000001", FROM.timestamp(), 0)]
    assert "no such meter" in only(found(right, readings=unknown))[1]


def test_a_gap_is_found_whole_and_a_silence_is_excused(right):
    gone = range(5, 8)
    kept = [r for n, r in enumerate(right[2].readings) if n not in [place_of(right, ADDRESS, hour) for hour in gone]]
    what, why = only(found(right, readings=kept))
    assert what == "missing reading"
    assert "3 expected" in why
    assert "2026-10-30 05:00:00 to 2026-10-30 08:00:00" in why


ANYWHERE = pytest.mark.parametrize("posting", [2, 6, 10])


@ANYWHERE
@pytest.mark.parametrize("off_fen", [-40, -2, 2, 1234])
def test_a_charge_that_is_off_is_found_with_the_amount(right, posting, off_fen):
    charges = right[2].charges
    wrong = replace(charges[posting], charge_fen=charges[posting].charge_fen + off_fen)
    what, why = only(found(right, charges=swapped(charges, posting, wrong)))
    assert what == "charge"
    assert abs(int(why.split("off by ")[1].split(" fen")[0]) - abs(off_fen)) <= 1
    assert f"too {'much' if off_fen > 0 else 'little'}" in why


@pytest.mark.parametrize(
    ("posting", "charge_fen", "reason"),
    [
        (4, 0, "it was not charged at all"),
        (4, 540, "the tier steps were left out"),
        (3, 1710, "all of it was counted at the rate peak"),
        (2, 1170, "all of it was counted at the rate flat"),
        (4, 1080, "all of it was counted in tier 3"),
        (4, 700, "of no reason that is known here (18000 Wh flowed)"),
    ],
)
def test_the_reason_of_a_wrong_charge_is_found(right, posting, charge_fen, reason):
    charges = right[2].charges
    assert [charge.charge_fen for charge in charges[:5]] == [580, 1530, 1710, 1305, 630], "as counted by hand"
    wrong = replace(charges[posting], charge_fen=charge_fen)
    findings = found(right, charges=swapped(charges, posting, wrong))
    assert only(findings)[1].endswith(f"because {reason}")


def test_tiers_that_are_not_begun_anew_are_found(right):
    posting = next(n for n, charge in enumerate(right[2].charges) if charge.at_s > FROM.timestamp() + 50 * HOUR_S)
    charge = right[2].charges[posting]
    assert charge.charge_fen == 540, "valley, first tier of the new month"
    wrong = swapped(right[2].charges, posting, replace(charge, charge_fen=630))
    assert only(found(right, charges=wrong))[1].endswith("because the tiers were not begun anew with their period")


def test_a_charge_taken_twice_over_or_posted_twice_is_told_apart(right):
    charges = right[2].charges
    doubled = replace(charges[5], charge_fen=2 * charges[5].charge_fen)
    assert "charged twice over" in only(found(right, charges=swapped(charges, 5, doubled)))[1]
    again = [*charges[:6], replace(charges[5], at_s=charges[5].at_s + 1), *charges[6:]]
    assert "was charged twice, " in found(right, charges=again)[0].why


def test_a_posting_that_is_missing_leaves_a_hole(right):
    charges = right[2].charges
    what, why = only(found(right, charges=[*charges[:5], *charges[6:]]))
    assert what == "charge"
    assert f"{charges[5].to_wh - charges[5].from_wh} Wh before it were never charged" in why


def test_exact_charges_have_to_be_exact(right):
    truth, view = right[1], right[2]
    meter, charge = truth.meters[ADDRESS], view.charges[1]
    exact = Pricing(truth).way_nf(meter, charge.from_wh, charge.to_wh)
    assert found(right, charges=[replace(charge, charge_nf=int(exact))], **NOTHING_DUE) == []
    what, why = only(found(right, charges=[replace(charge, charge_nf=int(exact) + 1)], **NOTHING_DUE))
    assert what == "charge"
    assert "off by 1e-09 fen" in why
    free = only(found(right, charges=[replace(charge, charge_nf=0)], **NOTHING_DUE))[1]
    assert "it was not charged at all" in free
    twice = only(found(right, charges=[replace(charge, charge_nf=2 * int(exact))], **NOTHING_DUE))[1]
    assert "charged twice over" in twice
    near = only(found(right, charges=[replace(charge, charge_nf=int(exact) + 7)], **NOTHING_DUE))[1]
    assert "of no reason that is known here" in near


def test_energy_that_was_never_charged_is_found_at_either_end_and_in_whole(right):
    own = [charge for charge in right[2].charges if charge.meter == ADDRESS]
    others = [charge for charge in right[2].charges if charge.meter != ADDRESS]
    assert "since 2026-10-30 00:01:00 were never charged" in only(found(right, charges=[*own[1:], *others]))[1]
    assert "until 2026-11-01 17:59:00 were never charged" in only(found(right, charges=[*own[:-1], *others]))[1]
    assert "no posting at all" in only(found(right, charges=others))[1]
    assert [finding.what for finding in found(right, charges=[])] == ["charge"] * 3


def test_a_relay_that_moved_and_is_not_spoken_of_is_found(right):
    what, why = only(found(right, relays=[]))
    assert (what, "no state at all" in why) == ("relay state", True)
    assert found(right, relays=[], from_s=FROM.timestamp() + 50 * HOUR_S) == []


def test_energy_that_never_flowed_is_found_in_a_charge(right):
    thief = "202600010103"
    readings = [r for r in right[2].readings if r.meter == thief]
    before, after = readings[29], readings[31]
    jumped = Charge(thief, after.at_s, before.register_wh, after.register_wh, 7000)
    what, why = only(found(right, charges=[jumped], **NOTHING_DUE))
    assert what == "charge"
    assert "too much" in why


def test_a_wrong_relay_state_is_found_with_since_when(right):
    wrong = [*right[2].relays, RelayState(ADDRESS, FROM.timestamp() + 42 * HOUR_S, "closed")]
    what, why = only(found(right, relays=wrong))
    assert what == "relay state"
    assert "shown open since 2026-10-31 16:00" in why
    assert "(trip)" in why


def test_a_relay_state_that_was_never_taken_back_is_stale(right):
    what, why = only(found(right, relays=right[2].relays[:1]))
    assert what == "relay state"
    assert "still open at the end" in why


def test_missed_late_and_false_alarms_are_told_apart(right):
    alarms = right[2].alarms
    without = [alarm for alarm in alarms if alarm.alarm_class != "register_jump"]
    assert only(found(right, alarms=without))[0] == "missed alarm"
    late = [replace(a, at_s=a.at_s + 25 * HOUR_S) if a.alarm_class == "register_jump" else a for a in alarms]
    what, why = only(found(right, alarms=late))
    assert what == "late alarm"
    assert "7200 s later" in why
    benign = [*alarms, Alarm("drop", "meter", ADDRESS, FROM.timestamp() + 62 * HOUR_S)]
    what, why = only(found(right, alarms=benign))
    assert what == "false alarm"
    assert "only holiday/1-0101/1, which is benign" in why
    other = [*alarms, Alarm("magnet", "meter", OTHER, FROM.timestamp() + 30 * HOUR_S)]
    assert "something else was wrong: silent/1-0102/1" in only(found(right, alarms=other))[1]
    nothing = [*alarms, Alarm("balance", "gate", "g", FROM.timestamp())]
    assert only(found(right, alarms=nothing))[1].endswith("nothing was wrong")


def test_several_errors_are_each_found_once(right):
    view = right[2]
    readings = swapped(view.readings, 4, replace(view.readings[4], register_wh=0))
    charges = swapped(view.charges, 7, replace(view.charges[7], charge_fen=0))
    findings = found(right, readings=readings, charges=charges, relays=view.relays[:1], alarms=view.alarms[1:])
    assert sorted(finding.what for finding in findings) == sorted(
        ["wrong reading", "charge", "relay state"] + (["missed alarm"] if len(findings) == 4 else [])
    )


def lines_of(view):
    yield {"what": "view", "format": 1, "every_s": view.every_s, "charged_until_s": view.charged_until_s}
    for reading in view.readings:
        yield {"what": "reading", "meter": reading.meter, "at_s": reading.at_s, "register_wh": reading.register_wh}
    for charge in view.charges:
        yield {
            "what": "charge", "meter": charge.meter, "at_s": charge.at_s, "from_wh": charge.from_wh,
            "to_wh": charge.to_wh, "charge_fen": charge.charge_fen,
        }  # fmt: skip
    for relay in view.relays:
        yield {"what": "relay", "meter": relay.meter, "at_s": relay.at_s, "state": relay.state}
    for alarm in view.alarms:
        yield {"what": "alarm", "class": alarm.alarm_class, alarm.place: alarm.name, "at_s": alarm.at_s}


def written(right, path):
    rows = list(lines_of(right[2]))
    if path.suffix == ".csv":
        with path.open("w", newline="") as out:
            writer = csv.DictWriter(out, sorted({key for row in rows for key in row}))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", ["view.jsonl", "view.csv"])
def test_a_view_may_be_json_lines_or_csv(right, tmp_path, name):
    view = read_view(written(right, tmp_path / name))
    assert view == right[2]


def command(*words):
    return subprocess.run(
        [sys.executable, "-P", "-m", "sim", "audit", *map(str, words)], capture_output=True, text=True
    )


def test_the_command_says_nothing_is_wrong_or_what_is(right, tmp_path):
    path = written(right, tmp_path / "view.jsonl")
    good = command(right[0], path)
    assert (good.returncode, good.stderr) == (0, "")
    assert "28 charges" in good.stdout
    assert "nothing is wrong" in good.stdout
    rows = path.read_text().splitlines()
    path.write_text("\n".join(rows[:40] + rows[41:]))
    bad = command(right[0], path)
    assert bad.returncode == 1
    assert "1 missing reading" in bad.stdout
    as_json = command(right[0], path, "--json")
    assert json.loads(as_json.stdout)["what"] == "missing reading"


def test_the_example_audit_passes_and_finds_what_is_changed(tmp_path):
    truth, view = tmp_path / "truth.jsonl", EXAMPLE / "view.jsonl"
    options = ["--speed", "max", "--days", "3", "--world-start", "2026-10-30T00:00:00+08:00"]
    run = [sys.executable, "-P", "-m", "sim", str(EXAMPLE / "estate.toml"), *options, "--truth-export", str(truth)]
    subprocess.run(run, check=True, capture_output=True)
    good = command(truth, view)
    assert good.returncode == 0, good.stdout + good.stderr
    kinds = {json.loads(line)["what"] for line in view.read_text("utf-8").splitlines()}
    assert kinds == {"view", "reading", "charge", "relay", "alarm"}
    changed = tmp_path / "view.jsonl"
    changed.write_text(view.read_text("utf-8").replace('"charge_fen": 1760', '"charge_fen": 1761'), "utf-8")
    bad = command(truth, changed)
    assert bad.returncode == 1, bad.stdout
    assert "off by 1 fen" in bad.stdout
