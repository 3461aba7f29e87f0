"""Readings that a head-end holds, main meters by their address, and fen beside exact nanofen."""

import pytest

from sim.auditor import View
from sim.auditor.view_file import Alarm, Charge, Reading
from tests.sim.test_auditor_edges import GAP, HOUR_S, HOURS, MAIN, ONE, START_S, TWO, findings, label, readings

EVERY = {"from_s": START_S, "until_s": START_S + HOURS * HOUR_S, "every_s": 24 * HOUR_S}
WH_PER_FEN = 20


def held(address, *hours):
    return [Reading(address, START_S + hour * HOUR_S, 77_777_770) for hour in hours]


def charges(until_h=HOURS, **powers_w):
    """A posting a day of each dwelling."""
    return [
        Charge(address, START_S + hour * HOUR_S, power_w * (hour - 24), power_w * hour, power_w * 24 // WH_PER_FEN)
        for address, power_w in ((ONE, 1000), (TWO, 500))
        for hour in range(24, (until_h if address == ONE else HOURS) + 1, 24)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cause", "right"),
    [
        (label("register_jump", "meter", 20, 60), True),
        (label("bit_errors", "communication", 20, 60, meter=None, household=None, gate=None), True),
        (label("register_jump", "meter", 60, None), False),
        (label("holiday", "benign", 20, 60), False),
        (label("bypass", "theft", 20, 60), False),
        (label("register_jump", "meter", 20, 60, meter=TWO), False),
    ],
)
def test_a_reading_may_be_held_only_where_something_was_wrong_and_then_it_is_no_gap(tmp_path, cause, right):
    view = View(readings=readings(GAP), held=held(ONE, 24, 48), charges=charges(), **EVERY)
    found = findings(tmp_path, view, cause)
    assert [what for what, _ in found] == ([] if right else ["wrong hold"] * 2)


@pytest.mark.parametrize(("decided", "due"), [(False, False), (True, True)])
def test_energy_is_not_due_while_what_shows_it_is_held_at_the_end(tmp_path, decided, due):
    cause = label("register_jump", "meter", 130, None)
    believed = [r for r in readings() if decided or r.meter != ONE or r.at_s < START_S + 144 * HOUR_S]
    stopped = View(readings=believed, held=held(ONE, 144, 168, 192, 216), charges=charges(120), **EVERY)
    found = findings(tmp_path, stopped, cause)
    assert [what for what, why in found if "were never charged" in why] == ["charge"] * due
    earlier = View(readings=believed, held=held(ONE, 144, 168, 192, 216), charges=charges(96), **EVERY)
    assert [what for what, why in findings(tmp_path, earlier, cause) if "were never charged" in why] == ["charge"]


@pytest.mark.parametrize(("name", "right"), [("g", True), (MAIN, True), ("h", False), (ONE, False)])
def test_a_main_meter_goes_by_its_id_or_by_its_address(tmp_path, name, right):
    theft = label("bypass", "theft", 20, None, alarm="balance", alarm_within_s=10**7, gate="g")
    alarm = Alarm("balance", "gate", name, START_S + 100 * HOUR_S)
    found = findings(tmp_path, View(alarms=[alarm]), theft)
    assert [what for what, _ in found] == ([] if right else ["false alarm"])


@pytest.mark.parametrize(("extra_fen", "wrong"), [(0, 0), (1, 1)])
def test_fen_beside_exact_nanofen_still_add_up(tmp_path, extra_fen, wrong):
    posted = [
        Charge(c.meter, c.at_s, c.from_wh, c.to_wh, c.charge_fen + extra_fen * (n == 2), c.charge_fen * 10**9)
        for n, c in enumerate(charges())
    ]
    found = findings(tmp_path, View(charges=posted, from_s=START_S))
    assert len(found) == wrong
    assert all("off by 1 fen, too much" in why for _, why in found)
