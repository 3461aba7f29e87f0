"""What a year's energy costs by another tariff: exact, by the kernel and by hand, against what was really charged."""

import pytest

from core.tariff import tariff_from_dict
from server.domain.comparison import Course, cost, extended, takes_each_line
from server.domain.registers import Registers
from server.flows import voiding
from server.flows.comparison import compare
from server.store.engine import reader
from tests.server.books import HOUR, charge, read, reading, rows
from tests.server.estates import BY_RATES, ESTATE, SINGLE, START_S, at, household, meter_id, plant
from tests.server.test_billing import MIDNIGHT_NOV
from tests.server.test_billing_orders import SHANGHAI
from tests.server.test_exchanges import NEW, change_ratio, new_reading
from tests.server.test_exchanges import replace as replace_meter

DAY = 24 * HOUR
SPAN = (START_S, START_S + 40 * DAY)
TARIFFS = {
    "single": SINGLE,
    "tou": BY_RATES,
    "shanghai": SHANGHAI,
    "proportional": SHANGHAI | {"id": "proportional", "order_rule": "proportional"},
    "yearly": {
        "id": "yearly", "valid_from": "2021-01-01", "price": "0.5", "tier_steps": ["0.1"], "tier_limits_wh": [150_000],
        "tier_period": "year",
    },
    "quota": {
        "id": "quota", "valid_from": "2021-01-01", "price": "0.5", "tier_steps": ["0.1"], "tier_limits_wh": [90_000],
        "tier_period": "month", "free_quota_wh": 10_000,
    },
}  # fmt: skip


def home(number, tariff_id):
    rates = {} if tariff_id in ("single", "yearly", "quota") else {"start_rates_wh": (0, 0, 0, 0)}
    return household(number, tariff_id=tariff_id, opening_fen=1_000_000, max_power_w=100_000, **rates)


def live(writer, days=22, number=1):
    """Readings at odd hours, each charged: a step over each midnight and month, and one reading on the boundary."""
    for day in range(1, days):
        use = day * 9_310 + day % 3 * 70
        rates = (day * 10, day * 5_000, day * 1_300 + day % 3 * 70, day * 3_000)
        read(writer, reading(number, day * DAY + 5 * HOUR, 1_000_000 + use, rates))
        charge(writer, day * DAY + 5 * HOUR)
    writer.run(lambda unit: None)


def compared(engine, old, new, span=SPAN, **more):
    with reader(engine) as connection:
        pair = (tariff_from_dict(old), tariff_from_dict(new))
        return list(compare(connection, ESTATE, ["H0001", "H0002"], pair, span, **more))


def booked(engine):
    return sum(row["charge_nf"] for row in rows(engine, "line"))


@pytest.mark.parametrize("name", TARIFFS)
def test_the_tariff_that_held_costs_what_was_booked(engine, writer, name):
    plant(writer, [home(1, name)], tariffs=tuple(TARIFFS.values()))
    live(writer)
    for by_hand in (False, True):
        [one] = compared(engine, TARIFFS[name], TARIFFS[name], by_hand=by_hand)
        assert one.old_nf == one.new_nf == booked(engine)
    assert one.energy_wh == 21 * 9_310 + 21 % 3 * 70


@pytest.mark.parametrize("name", TARIFFS)
def test_another_tariff_costs_what_it_would_have_booked(engine, writer, name):
    plant(writer, [home(1, "single"), home(2, name)], tariffs=tuple(TARIFFS.values()))
    live(writer)
    live(writer, number=2)
    for by_hand in (False, True):
        found = compared(engine, SINGLE, TARIFFS[name], by_hand=by_hand, known_only=True)
        own = [row["charge_nf"] for row in rows(engine, "line") if row["account_id"] == "H0002" and row["meter_id"]]
        first = int(name in ("tou", "shanghai", "proportional"))  # its rates were not known when it was installed
        assert {one.account_id: one.new_nf for one in found} == {"H0001": sum(own[first:]), "H0002": sum(own)}


def test_a_span_within_counts_the_tiers_from_their_own_begin(engine, writer):
    plant(writer, [home(1, "single")])
    live(writer)
    middle = START_S + 12 * DAY
    parts = [compared(engine, SINGLE, TARIFFS["yearly"], span)[0] for span in ((START_S, middle), (middle, SPAN[1]))]
    [whole] = compared(engine, SINGLE, TARIFFS["yearly"])
    assert sum(one.new_nf for one in parts) == whole.new_nf
    assert sum(one.old_nf for one in parts) == whole.old_nf
    assert sum(one.energy_wh for one in parts) == whole.energy_wh


def test_meters_and_ratios_follow_each_other(engine, writer):
    plant(writer, [home(1, "single")])
    read(writer, reading(1, DAY, 1_150_000))
    charge(writer, DAY)
    replace_meter(writer, 2 * DAY, 1_160_000)
    read(writer, new_reading(3 * DAY, 30_120))
    charge(writer, 3 * DAY)
    writer.run(lambda unit: None)
    [one] = compared(engine, SINGLE, TARIFFS["yearly"])
    assert one.old_nf == booked(engine)
    assert one.new_nf == 190_000 * 50_000_000 + 40_000 * 10_000_000
    assert NEW in {row["meter_id"] for row in rows(engine, "line")}


def test_a_ratio_counts(engine, writer):
    plant(writer, [home(1, "single")])
    read(writer, reading(1, DAY, 1_010_000))
    charge(writer, DAY)
    change_ratio(writer, DAY, 30)
    read(writer, reading(1, 3 * DAY, 1_012_340))
    charge(writer, 3 * DAY)
    [one] = compared(engine, SINGLE, SINGLE)
    assert (one.energy_wh, one.old_nf) == (80_200, booked(engine))


def test_rates_that_were_never_read_cannot_be_priced(engine, writer):
    plant(writer, [home(1, "single")])
    read(writer, reading(1, DAY, 1_010_000))
    charge(writer, DAY)
    [one] = compared(engine, SINGLE, BY_RATES)
    assert (one.new_nf, one.old_nf) == (None, booked(engine))


def test_a_version_extends_before_its_begin_and_no_further_than_the_span():
    later = SINGLE["versions"][0] | {"valid_from": "2026-11-01", "price": "1"}
    tariff = tariff_from_dict({**SINGLE, "versions": [SINGLE["versions"][0], later]})
    found = extended(tariff, START_S, START_S + MIDNIGHT_NOV)
    assert [version.rate_prices_nf_per_wh[0] for version in found.versions] == [58_886_875]
    found = extended(tariff, START_S, START_S + MIDNIGHT_NOV + 1)
    assert [version.rate_prices_nf_per_wh[0] for version in found.versions] == [58_886_875, 100_000_000]
    assert not takes_each_line(found)


def test_a_course_is_cut_between_the_points_that_know_the_rates():
    course = Course("k", "a", 1)
    t = START_S
    for moment, total, rates in (
        (t, 0, (0, 0, 0, 0)),
        (t + 10, 60, None),
        (t + 20, 100, (0, 40, 0, 60)),
        (t + 20, 100, None),
    ):
        course.add(Registers(moment, total, rates))
    assert course.at(t + 10, by_rates=False) == Registers(t + 10, 60, None)
    assert course.at(t + 10, by_rates=True) == Registers(t + 10, 50, (0, 20, 0, 30))
    assert course.at(t + 15, by_rates=False).total_wh == 80
    costs, unknown = cost([course], tariff_from_dict(BY_RATES), t, t + 20)
    assert (costs, unknown) == ({"a": 40 * 90_000_000 + 60 * 30_000_000}, set())


def test_a_charge_that_was_taken_back_is_not_counted(engine, writer):
    plant(writer, [home(1, "single")])
    steps = [(1, 9_000), (2, 90_000), (3, 27_000)]
    for day, use in steps[:2]:
        read(writer, reading(1, day * DAY, 1_000_000 + use))
        charge(writer, day * DAY)
    wrong = {"actor": "olga", "reason": "a wrong digit", "now": at(4 * DAY)}
    writer.run(lambda unit: voiding.take_back(unit, ESTATE, meter_id(1), START_S + 2 * DAY, **wrong))
    read(writer, reading(1, 3 * DAY, 1_000_000 + steps[2][1]))
    charge(writer, 3 * DAY)
    assert any(row["charge_nf"] < 0 for row in rows(engine, "line"))
    [one] = compared(engine, SINGLE, TARIFFS["yearly"])
    assert (one.energy_wh, one.old_nf, one.new_nf) == (27_000, booked(engine), 27_000 * 50_000_000)


def test_the_counter_of_tiers_goes_on_from_where_it_stood():
    begin = START_S - 12 * DAY - 9 * HOUR - 300  # the first of October
    points = [Registers(START_S, 0, None), Registers(START_S + DAY, 100_000, None)]
    for stood, beyond_wh in (((begin, 150_000), 50_000), ((0, 150_000), 0), ((0, 0), 0)):
        course = Course("k", "a", 1, list(points), stood)
        for by_hand in (False, True):
            costs, _ = cost([course], tariff_from_dict(SINGLE), START_S, START_S + DAY, by_hand=by_hand)
            assert costs["a"] == 100_000 * 58_886_875 + beyond_wh * 5_000_000
