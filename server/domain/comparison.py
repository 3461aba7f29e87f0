"""What the energy of a span costs by a tariff, from what was charged in it: the registers at both ends of each line.

A course is one installation of a meter as points in time with its registers. Charges telescope, so where a tariff has
a row for the kernel the points at its boundaries are enough, and thousands of meters are charged in one pass; a tariff
without one takes every line by itself. Counters of tiers begin at their own start, before the span if need be. What
is known at no point lies on the line between its neighbours, to the nearest Wh. `by_hand` takes the other road: one
step after the other, in Python integers, without the kernel.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from core.tariff import Tariff, version_at
from core.tariff_order import charge_step, has_row
from core.tariff_terms import VALID_FROM_MIN_S
from server.domain.billing import AccountState, Charging, Due, Step, TierState, plan_steps
from server.domain.registers import NO_RATES, Registers, split_by_time, step_wh
from server.domain.tariff_calendar import TariffCalendar

Costs = dict[str, int]


@dataclass(slots=True)
class Course:
    """One installation of a meter: its points in the order of time; `key` is shared by those that follow each other."""

    key: str
    account_id: str
    ratio: int
    points: list[Registers] = field(default_factory=list)
    tier_period: tuple[int, int] = (0, 0)  # where the counter of tiers stood at the first point: (begin, Wh)
    split_down: bool = False

    def add(self, point: Registers) -> None:
        """Take a point that is not before the last one; of two at one time the one with rates counts."""
        if self.points and self.points[-1].at == point.at:
            if self.points[-1].rates_wh is None:
                self.points[-1] = point
        else:
            self.points.append(point)

    def trim(self) -> None:
        """Leave out what is before the first and after the last point that knows the rates."""
        known = [place for place, point in enumerate(self.points) if point.rates_wh is not None]
        if known:
            self.points = self.points[known[0] : known[-1] + 1]

    def at(self, at_s: int, *, by_rates: bool) -> Registers | None:
        """The registers at an instant within the course; None where the rates are asked for and not known."""
        place = bisect_left(self.points, at_s, key=lambda point: point.at)
        if place < len(self.points) and self.points[place].at == at_s:
            exact = self.points[place]
            if exact.rates_wh is not None or not by_rates:
                return exact
        before = next((one for one in reversed(self.points[:place]) if one.rates_wh or not by_rates), None)
        after = next((one for one in self.points[place:] if one.rates_wh or not by_rates), None)
        if before is None or after is None:
            return None
        return split_by_time(before, after, at_s, down=self.split_down)


def extended(tariff: Tariff, from_s: int, until_s: int) -> Tariff:
    """The tariff as it would have been with the version in force at `from_s` before that too, as far as `until_s`."""
    version, _ = version_at(tariff, from_s)
    later = tuple(one for one in tariff.versions if from_s < one.valid_from_s < until_s)
    return replace(tariff, versions=(replace(version, valid_from_s=VALID_FROM_MIN_S), *later))


def prices_rates(tariff: Tariff) -> bool:
    """Whether some version of it prices the rate registers."""
    return any(version.kind == "tou" for version in tariff.versions)


def takes_each_line(tariff: Tariff) -> bool:
    """Whether the kernel cannot charge some version of it, so that every line counts by itself."""
    return not all(has_row(version) for version in tariff.versions)


def lead_s(calendar: TariffCalendar, from_s: int) -> int:
    """Where the counters begin that hold at `from_s`."""
    terms = calendar.terms_at(from_s)
    return min(from_s, terms.tier_period_start or from_s)


def boundaries(calendar: TariffCalendar, from_s: int, until_s: int) -> list[int]:
    """Where terms change, from the begin of the counters on."""
    found = [lead_s(calendar, from_s)]
    while (end_s := calendar.terms_at(found[-1]).end_s) is not None and end_s < until_s:
        found.append(end_s)
    return found


def cost(
    courses: Sequence[Course],
    tariff: Tariff,
    from_s: int,
    until_s: int,
    *,
    by_hand: bool = False,
) -> tuple[Costs, set[str]]:
    """Exact nanofen by account for the energy of the span, and the accounts whose rates are not known."""
    calendar = TariffCalendar(tariff)
    before: list[Step] = []
    within: list[Step] = []
    unknown: set[str] = set()
    owners: dict[str, str] = {}
    each = takes_each_line(tariff)
    for course in courses:
        owners[course.key] = course.account_id
        planned = _planned(course, calendar, from_s, until_s, each=each)
        if planned is None:
            unknown.add(course.account_id)
        else:
            before += planned[0]
            within += planned[1]
    charge = _one_by_one if by_hand else _in_bulk
    costs: Costs = dict.fromkeys(owners.values(), 0)
    for key, charge_nf in charge(before, within):
        costs[owners[key]] += charge_nf
    return {name: nf for name, nf in costs.items() if name not in unknown}, unknown


def _planned(
    course: Course, calendar: TariffCalendar, from_s: int, until_s: int, *, each: bool
) -> tuple[list[Step], list[Step]] | None:
    """Steps before the span that only count, and those within it; None where rates are not known."""
    first_s, last_s = course.points[0].at, course.points[-1].at
    counted_s = lead_s(calendar, max(from_s, first_s))
    before = _steps(course, calendar, max(first_s, counted_s), min(from_s, last_s), each=each)
    within = _steps(course, calendar, max(first_s, from_s), min(until_s, last_s), each=each)
    return None if before is None or within is None else (before, within)


def _steps(course: Course, calendar: TariffCalendar, from_s: int, until_s: int, *, each: bool) -> list[Step] | None:
    if from_s >= until_s:
        return []
    by_rates = prices_rates(calendar.tariff)
    inner = [point.at for point in course.points if from_s < point.at < until_s] if each else []
    ends = [course.at(at_s, by_rates=by_rates) for at_s in (from_s, *inner, until_s)]
    steps: list[Step] = []
    for number in range(1, len(ends)):
        start, end = ends[number - 1], ends[number]
        if start is None or end is None:
            return None
        tariff_id, counted = calendar.tariff.tariff_id, course.tier_period
        due = Due(course.key, course.key, tariff_id, 1, number, course.ratio, start, end, *counted)
        planned = plan_steps(due, calendar, lambda _key, at_s: course.at(at_s, by_rates=by_rates))
        if planned is None:
            return None
        steps += planned
    return steps


def _in_bulk(before: Sequence[Step], within: Sequence[Step]) -> Iterable[tuple[str, int]]:
    """Through the kernel, all meters at once; by key of the course."""
    keys = {step.due.account_id for step in (*before, *within)}
    charging = Charging({key: AccountState(key, 0, 0, 0, 0, 0, 0, 0, 0) for key in keys})
    charging.run(before)
    done = len(charging.lines)
    charging.run(within)
    return [(line.account_id, line.charge_nf) for line in charging.lines[done:]]


def _one_by_one(before: Sequence[Step], within: Sequence[Step]) -> Iterable[tuple[str, int]]:
    """In Python integers, by the formula of the tariff alone."""
    tiers: dict[str, TierState] = {}
    found: list[tuple[str, int]] = []
    for number, step in enumerate((*before, *within)):
        tier = tiers.setdefault(step.due.meter_id, TierState(step.due.tier_period_start, step.due.tier_period_wh))
        tier.enter(step.terms)
        charge_nf = charge_step(
            step.terms.version, step.terms.season, step.moved_wh, tier.wh, settled_wh=tier.rates_wh or NO_RATES,
            ratio=step.due.ratio,
        )  # fmt: skip
        tier.count(step.moved_wh, step.due.ratio)
        if number >= len(before):
            found.append((step.due.account_id, charge_nf))
    return found


def energy_wh(course: Course, from_s: int, until_s: int) -> int:
    """Energy of the span after the ratio."""
    first, last = max(from_s, course.points[0].at), min(until_s, course.points[-1].at)
    start, end = (course.at(at_s, by_rates=False) for at_s in (first, last)) if first < last else (None, None)
    return 0 if start is None or end is None else step_wh(start.total_wh, end.total_wh) * course.ratio
