"""Seasons with prices, tiers and registers of their own: what billing charges, beside the slow oracle.

Six-hourly energies of the four registers are charged as billing does it, through the kernel and by hand, from readings
that are any instants so long as those on the boundaries are among them; the oracle walks hour by hour in fractions.
"""

import tomllib
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import accumulate, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.tariff import Prices, Season, Tariff, TariffVersion, next_boundary_s, tariff_from_dict, tariff_to_dict
from core.tariff_terms import REGISTERS, TariffError
from server.domain.billing import Due, plan_steps
from server.domain.comparison import Course, cost
from server.domain.registers import Registers
from server.domain.tariff_calendar import TariffCalendar
from server.domain.tariff_drafts import cap_of, check_cap
from tests import oracle
from tests.oracle import NF_PER_YUAN

ZONE = ZoneInfo("Asia/Shanghai")
SIX_HOURS = timedelta(hours=6)
PRICE = st.integers(1, 200_000_000)
FOUR = st.tuples(PRICE, PRICE, PRICE, PRICE)
STEP = st.integers(0, 50_000_000)


@st.composite
def tariffs(draw):
    """A tariff whose year is cut into one to three seasons, each with its own prices and number of tiers."""
    cuts = draw(st.lists(st.integers(1, 12), min_size=1, max_size=3, unique=True))
    cuts.sort()
    spans = [range(a, b) for a, b in pairwise([*cuts, cuts[0] + 12])]
    seasons = []
    for span in spans:
        steps = tuple(draw(st.lists(STEP, max_size=3)))
        limits = draw(st.lists(st.integers(1, 40_000), min_size=len(steps), max_size=len(steps), unique=True))
        months = tuple((month - 1) % 12 + 1 for month in span)
        seasons.append(Season(months, tuple(sorted(limits)), Prices(draw(FOUR), steps)))
    period = draw(st.sampled_from(["month", "year"])) if any(one.tier_limits_wh for one in seasons) else "none"
    day = draw(st.integers(1, 28))
    start = f"{draw(st.integers(1, 12)):02d}{day:02d}" if period == "year" else day
    first = seasons[0].prices
    version = TariffVersion(
        0, "tou", first.rate_prices_nf_per_wh, first.tier_steps_nf_per_wh, tuple(seasons), period, start
    )
    return Tariff("drawn", "drawn", "Asia/Shanghai", (version,))


@st.composite
def uses(draw):
    """A first midnight and the energies of six-hour steps, in Wh by register."""
    begin = datetime(2026, 1, 1, tzinfo=ZONE) + timedelta(days=draw(st.integers(0, 364)))
    wh = st.tuples(*[st.integers(0, 900)] * 4)
    return begin, draw(st.lists(wh, min_size=8, max_size=240))


def expected_nf(tariff, begin, energies):
    """What the oracle says."""
    (version,) = tariff.versions
    terms = [
        oracle.SeasonTerms(
            frozenset(one.months),
            oracle.Tariff.of(one.prices.rate_prices_nf_per_wh, one.prices.tier_steps_nf_per_wh, one.tier_limits_wh),
        )
        for one in version.seasons
    ]

    def restarts(day):
        if version.tier_period == "year":
            return f"{day:%m%d}" == version.tier_period_start
        return version.tier_period == "month" and day.day == version.tier_period_start

    hours = [
        (begin + number * SIX_HOURS, [Fraction(wh, oracle.WH_PER_KWH) for wh in energy])
        for number, energy in enumerate(energies)
    ]
    return oracle.charge_year_yuan(terms, restarts, hours) * NF_PER_YUAN


def readings(begin, energies):
    """Registers at the begin and after every step."""
    start_s = int(begin.timestamp())
    counted = accumulate(energies, lambda was, more: tuple(map(sum, zip(was, more, strict=True))), initial=(0,) * 4)
    step_s = int(SIX_HOURS.total_seconds())
    return [Registers(start_s + number * step_s, sum(rates), rates) for number, rates in enumerate(counted)]


def charged_nf(tariff, points, *, by_hand=False):
    course = Course("M", "A", 1, list(points))
    found, unknown = cost([course], tariff, points[0].at, points[-1].at, by_hand=by_hand)
    assert not unknown
    return found.get("A", 0)


def on_boundaries(tariff, points):
    """Which readings stand on a boundary, and the first and last."""
    at_s, found = points[0].at, {points[0].at, points[-1].at}
    while (at_s := next_boundary_s(tariff, at_s) or 2**62) < points[-1].at:
        found.add(at_s)
    return found


@settings(max_examples=40)
@given(tariffs(), uses(), st.randoms(use_true_random=False))
def test_billing_charges_seasons_as_the_oracle_does_whatever_the_readings(tariff, use, chance):
    begin, energies = use
    points = readings(begin, energies)
    needed = on_boundaries(tariff, points)
    exact = expected_nf(tariff, begin, energies)
    chosen = [one for one in points if one.at in needed or chance.random() < 0.2]
    assert charged_nf(tariff, points) == exact
    assert charged_nf(tariff, chosen) == exact
    assert charged_nf(tariff, chosen, by_hand=True) == exact


@settings(max_examples=60)
@given(tariffs())
def test_a_season_is_read_back_as_it_was_written(tariff):
    assert tariff_from_dict(tariff_to_dict(tariff)) == tariff


WET = """
id = "wet"
valid_from = "2026-01-01"
prices = { flat = "0.5224", valley = "0.2535" }
tier_steps = ["0.1"]
tier_period = "month"
seasons = [
  { months = [11, 12, 1, 2, 3, 4, 5], tier_limits_wh = [180_000] },
  { months = [6, 7, 8, 9, 10], prices = { flat = "0.5224", valley = "0.175" }, tier_limits_wh = [180_000] },
]
"""


def wet(**more):
    return tariff_from_dict(tomllib.loads(WET) | more)


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp())


def test_the_last_watt_hour_of_may_is_dry_and_the_first_of_june_wet():
    june = at("2026-06-01")
    points = [
        Registers(june - 60, 0, (0, 0, 0, 0)),
        Registers(june, 1, (0, 0, 0, 1)),
        Registers(june + 60, 2, (0, 0, 0, 2)),
    ]
    assert charged_nf(wet(), points) == 25_350_000 + 17_500_000
    assert [TariffCalendar(wet()).terms_at(june + second).season.months[0] for second in (-1, 0)] == [11, 6]


@pytest.mark.parametrize("over_wh", [-1, 0, 1])
def test_a_limit_of_a_season_is_inclusive_to_the_watt_hour(over_wh):
    june = at("2026-06-01")
    used = 180_000 + over_wh
    points = [Registers(june, 0, (0, 0, 0, 0)), Registers(june + 3600, used, (0, 0, 0, used))]
    assert charged_nf(wet(), points) == used * 17_500_000 + max(0, over_wh) * 10_000_000


def test_without_a_reading_on_the_boundary_the_energy_is_kept_and_its_split_is_marked():
    june = at("2026-06-01")
    start, end = Registers(june - 3600, 0, (0, 0, 0, 0)), Registers(june + 3600, 2_000, (0, 0, 0, 2_000))
    due = Due("M", "A", "wet", 1, 1, 1, start, end, 0, 0)
    steps = plan_steps(due, TariffCalendar(wet()), lambda _meter, _at: None)
    assert [(one.moved_wh, one.estimated) for one in steps] == [((0, 0, 0, 1_000), True), ((0, 0, 0, 1_000), False)]
    frozen = Registers(june, 1_700, (0, 0, 0, 1_700))
    steps = plan_steps(due, TariffCalendar(wet()), lambda _meter, _at: frozen)
    assert [(one.moved_wh, one.estimated) for one in steps] == [((0, 0, 0, 1_700), False), ((0, 0, 0, 300), False)]


def test_registers_that_were_not_read_are_never_invented():
    june = at("2026-06-01")
    due = Due("M", "A", "wet", 1, 1, 1, Registers(june - 60, 0, None), Registers(june + 60, 50, None), 0, 0)
    assert plan_steps(due, TariffCalendar(wet()), lambda _meter, _at: None) is None


def test_a_deep_valley_is_counted_by_the_register_that_is_named_for_it():
    registers = ["deep", "peak", "flat", "valley"]
    prices = {"deep": "0.1", "peak": "0.9", "flat": "0.5", "valley": "0.3"}
    deep = wet(
        registers=registers, prices=prices, seasons=[{"months": list(range(1, 13)), "tier_limits_wh": [180_000]}]
    )
    (version,) = deep.versions
    assert version.rate_prices_nf_per_wh == (10_000_000, 90_000_000, 50_000_000, 30_000_000)
    assert version.registers == (5, 2, 3, 4)
    assert tariff_from_dict(tariff_to_dict(deep)) == deep
    point = Registers(at("2026-06-01"), 0, (0, 0, 0, 0))
    assert charged_nf(deep, [point, Registers(point.at + 60, 7, (7, 0, 0, 0))]) == 70_000_000


def version(**more):
    return TariffVersion(0, "tou", (1, 1, 1, 1), **more)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"registers": (1, 2, 2, 4)}, "each once"),
        ({"registers": (1, 2, 3, 6)}, "each once"),
        ({"seasons": (Season((1,)), Season(tuple(range(2, 13)), prices=Prices((-1, 1, 1, 1))))}, "cannot be negative"),
        ({"seasons": (Season((1,)), Season(tuple(range(2, 13)), prices=Prices((2**31, 1, 1, 1))))}, "21.47 yuan"),
    ],
)
def test_a_version_that_no_document_says_is_held_to_the_same_rules(changes, why):
    with pytest.raises(TariffError, match=why):
        Tariff("t", "t", "Asia/Shanghai", (version(**changes),))


def test_the_price_cap_holds_in_every_season():
    with pytest.raises(TariffError, match=r"0\.6224 yuan/kWh \(tier 2, flat\) is over"):
        check_cap(wet(), wet().versions, cap_of("0.62"))
    dear = wet(prices={"flat": "0.1"}).versions
    with pytest.raises(TariffError, match=r"0\.6224 yuan/kWh"):
        check_cap(wet(), dear, cap_of("0.62"))


SEASON = {"months": list(range(1, 13)), "tier_limits_wh": [180_000]}
DAY = [{"from": "00:00", "to": "24:00", "rate": "flat"}]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"prices": {"flat": "0.5", "deep": "0.1"}}, "deep is counted by no register: T1 to T4 count sharp, peak"),
        ({"registers": ["deep", "peak", "flat"]}, "name what T1, T2, T3 and T4 count"),
        ({"registers": ["deep", "peak", "peak", "valley"]}, "T4 count, each another of sharp"),
        ({"registers": ["deep", "peak", "flat", "night"]}, "each another of sharp, peak, flat, valley, deep"),
        ({"seasons": [SEASON | {"registers": ["deep", "peak", "flat", "valley"]}]}, "of its own without prices"),
        ({"seasons": [SEASON | {"price": "0.4", "levies": "0.1"}]}, "season 1: unknown key 'levies'"),
        ({"seasons": [SEASON | {"price": "0.4"}], "tier_steps": None, "tier_prices": ["0.6"]}, "as tier_prices"),
        ({"seasons": [SEASON | {"tier_steps": ["0.1", "0.1"]}]}, "1 tier limits for 2 tier steps"),
        ({"seasons": [SEASON | {"price": "-0.4"}]}, "prices cannot be negative"),
        ({"seasons": [SEASON | {"price": "21.5"}]}, "can be charged exactly"),
        ({"periods": [{"from": "00:00", "to": "24:00", "rate": "deep"}]}, "'deep', which no register counts"),
        ({"weekend_periods": DAY}, "windows of weekend without those of a workday"),
        ({"periods": DAY, "holiday_periods": [{"from": "00:00", "to": "23:00", "rate": "flat"}]}, "holiday: the"),
        ({"periods": [{"from": "00:00", "to": "24:00", "rate": "night"}]}, "use sharp, peak, flat, valley, deep"),
        (
            {"seasons": [SEASON | {"months": [1, 2], "periods": DAY}, SEASON | {"months": list(range(3, 13))}]},
            "lists no periods while another does",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_season_is_said(changes, why):
    table = tomllib.loads(WET) | {"seasons": [SEASON]} | changes
    with pytest.raises(TariffError, match=why):
        tariff_from_dict({key: value for key, value in table.items() if value is not None})


def test_registers_are_the_usual_four_unless_said():
    assert wet().versions[0].registers == REGISTERS
