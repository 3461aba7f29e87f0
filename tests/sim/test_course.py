"""Courses of energy under laws: exact against a slow sum, whatever is asked first, and never backwards."""

from datetime import datetime

import numpy as np
import pytest

from sim.loads.course import Course
from sim.loads.laws import (
    Cap,
    DailyBlock,
    DrawnShare,
    Drift,
    EveryOtherDay,
    Less,
    Level,
    Months,
    Plus,
    Roof,
    Share,
    Window,
    between,
)
from tests.sim.fault_cases import estate
from tests.sim.rig import ADDRESS

OFFSET_MS = 8 * 3_600_000
SLOT_MS, DAY_MS = 900_000, 86_400_000
ORIGIN_MS = int(datetime.fromisoformat("2026-10-30T22:37:11+08:00").timestamp() * 1000)
KEY = bytes(range(16))
LAWS = [
    Share(300_000),
    Share(1_500_000),
    Cap(700_000),
    Less(400_000),
    Window(Share(250_000), 18 * 60, 60),
    Window(Plus(1_200_000), 600, 660),
    Months(Share(0), (11,)),
    EveryOtherDay(Share(0), 0),
    DailyBlock(KEY, 4, 18),
    DrawnShare(KEY, 200, 800),
    DrawnShare(KEY, 200, 800, mean_mw=450_000),
    Drift(-20_000, (ORIGIN_MS + OFFSET_MS) // SLOT_MS),
    Roof(900_000),
    Level(10_000),
]


class Load:
    """Another power in every quarter-hour, drawn like a hash."""

    def power(self, slot):
        return slot * 7919 % 1_300_001

    def energy(self, at_ms):
        total, at = 0, ORIGIN_MS
        while at < at_ms:
            end = min((at // SLOT_MS + 1) * SLOT_MS, at_ms)
            total += self.power(at // SLOT_MS) * (end - at)
            at = end
        return total

    def power_mw(self, at_ms):
        return self.power(at_ms // SLOT_MS)


class Cached(Load):
    def __init__(self):
        self.known = {}

    def energy(self, at_ms):
        if at_ms not in self.known:
            self.known[at_ms] = super().energy(at_ms)
        return self.known[at_ms]


def slowly(load, history, at_ms):
    """The sum over all pieces of quarter-hours; a stretch of plain shares is one piece."""
    total = 0
    ends = [*(start for start, _ in history[1:]), at_ms]
    for (start, laws), stop in zip(history, ends, strict=False):
        stop, at = min(stop, at_ms), start
        while at < stop:
            end = stop if all(law.steady for law in laws) else min((at // SLOT_MS + 1) * SLOT_MS, stop)
            energy = load.energy(end) - load.energy(at)
            for law in laws:
                energy = law.passes((at + OFFSET_MS) // SLOT_MS, energy, end - at)
            total += energy
            at = end
    return total


@pytest.mark.parametrize("seed", range(6))
def test_a_course_is_the_slow_sum_in_any_order_of_questions(seed):
    rng = np.random.default_rng(seed)
    load = Cached()
    course, history, laws = Course(load, ORIGIN_MS, OFFSET_MS), [(ORIGIN_MS, ())], ()
    at_ms, probes = ORIGIN_MS, []
    for _ in range(8):
        at_ms += int(rng.integers(1, 2 * DAY_MS))
        law = LAWS[int(rng.integers(len(LAWS)))]
        if law in laws:
            course.drop(at_ms, law)
            laws = tuple(other for other in laws if other is not law)
        elif rng.random() < 0.2:
            course.cut(at_ms)
        else:
            course.add(at_ms, law)
            laws = (*laws, law)
        history.append((at_ms, laws))
        probes += [at_ms - 1, at_ms, at_ms // SLOT_MS * SLOT_MS, course._stretches[-1].at_ms]
    at_ms += 3 * DAY_MS
    probes += [int(rng.integers(ORIGIN_MS, at_ms)) for _ in range(20)] + [at_ms - at_ms % DAY_MS - OFFSET_MS, at_ms]
    rng.shuffle(probes)
    for probe in probes:
        assert course.energy(int(probe)) == slowly(load, history, int(probe))
    found = {law for _, laws in history for law in laws}
    assert load.energy(at_ms) - course.energy(at_ms) == sum(course.lost(law, at_ms) for law in found)
    assert course.energy(ORIGIN_MS - 5) == 0


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_what_passes_never_falls_and_is_found_again(law):
    load = Cached()
    course = Course(load, ORIGIN_MS, OFFSET_MS)
    course.add(ORIGIN_MS + 1000, law)
    end_ms = ORIGIN_MS + DAY_MS
    marks = [course.energy(at_ms) for at_ms in range(ORIGIN_MS, end_ms, 977_773)]
    assert marks == sorted(marks)
    wanted = course.energy(end_ms) // 2
    reached_ms = course.reached_ms(wanted, end_ms)
    assert course.energy(reached_ms) >= wanted > course.energy(reached_ms - 1) or wanted == 0
    assert course.reached_ms(course.energy(end_ms) + 1, end_ms) is None


def test_contacts_that_move_within_a_quarter_hour_do_not_mix_two_powers():
    """A law that takes 400 W off may not take what was off: 1000 W for five minutes are 50 Wh, not 0."""
    v = estate()
    v.run_s(600)
    v.fault("fdi3", least_permille=400, most_permille=400)
    start = v.household().meter.register.source.energy(v.world.now_ms)
    v.run_s(300)
    v.household().meter.trip(v.world.now_ms)
    before = v.household().meter.register.source.energy(v.world.now_ms)
    v.run_s(500)
    after = v.household().meter.register.source.energy(v.world.now_ms)
    assert (before - start) // 3_600_000_000 == 50
    assert after == before, "nothing flows, nothing is taken back"


def test_a_changed_load_cuts_the_metering_too():
    v = estate()
    v.run_s(600)
    v.fault("fdi3", least_permille=400, most_permille=400)
    v.run_s(100)
    v.fault("vacancy", power_w=100)
    before = v.household(ADDRESS).meter.register.source.energy(v.world.now_ms)
    v.run_s(190)
    assert v.household(ADDRESS).meter.register.source.energy(v.world.now_ms) == before


def test_power_is_shown_as_it_is_measured_and_laws_of_the_register_do_not_touch_it():
    load = Cached()
    course = Course(load, ORIGIN_MS, OFFSET_MS)
    course.add(ORIGIN_MS, Share(500_000))
    course.add(ORIGIN_MS, Share(0, of_register=True))
    assert course.power_mw(ORIGIN_MS + 5) == load.power_mw(ORIGIN_MS) // 2
    assert course.energy(ORIGIN_MS + DAY_MS) == 0


def test_draws_lie_within_their_bounds_and_differ():
    drawn = [between(KEY, number, 3, 9) for number in range(-200, 200)]
    assert set(drawn) == set(range(3, 10))
    assert drawn != [between(KEY[::-1], number, 3, 9) for number in range(-200, 200)]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_a_day_at_once_is_the_day_asked_bit_by_bit(law):
    load = Cached()
    course, other = (Course(load, ORIGIN_MS, OFFSET_MS) for _ in range(2))
    begins_ms = ORIGIN_MS + 2 * DAY_MS + 12_345
    for one in (course, other):
        one.add(begins_ms, law)
    midnight_ms = (begins_ms + OFFSET_MS) // DAY_MS * DAY_MS - OFFSET_MS
    days = [midnight_ms + number * DAY_MS for number in range(-3, 5)]
    came = {first: [load.energy(first + slot * SLOT_MS) for slot in range(97)] for first in days}
    found = [course.day(first, came[first]) for first in days]
    assert [one is None for one in found] == [True, True, False, True, False, False, False, False]
    for first, at_once in zip(days, found, strict=True):
        if at_once is not None:
            assert at_once == [other.energy(first + slot * SLOT_MS) for slot in range(97)]
    assert course.energy(days[-1] + DAY_MS + 4567) == other.energy(days[-1] + DAY_MS + 4567)
    course.drop(days[-1] + DAY_MS + 5_000_000, law)
    assert course.energy(days[-1] + 777) == other.energy(days[-1] + 777)
