"""A tariff whose prices change with the season, from readings to bill, verification, simulation and re-rating."""

import json
from datetime import datetime

from server.cli.explain import lines_of
from server.domain.calendar import day_kind
from server.flows.bills import explain
from server.store.engine import reader
from server.web.standing import prices_of
from tests.server.books import HOUR, agrees, charge, read, reading
from tests.server.estates import ESTATE, SINGLE, at, household, plant
from tests.server.test_billing import MIDNIGHT_NOV, charges
from tests.server.test_tariff_drafts import save, simulate

SEASONAL = {
    "id": "tou",
    "name": "wet and dry",
    "valid_from": "2021-01-01",
    "registers": ["deep", "peak", "flat", "valley"],
    "prices": {"peak": "0.9", "flat": "0.6", "valley": "0.3", "deep": "0.2"},
    "tier_steps": ["0.05"],
    "tier_period": "month",
    "seasons": [
        {"months": [11, 12, 1, 2, 3, 4, 5], "tier_limits_wh": [600]},
        {"months": [6, 7, 8, 9, 10], "prices": {"peak": "0.8", "flat": "0.5", "valley": "0.2", "deep": "0.1"},
         "tier_steps": ["0.1"], "tier_limits_wh": [100_500]},
    ],
}  # fmt: skip
START = (100, 200, 300, 400)
MEGA = 1_000_000


def planted(engine, writer, *, freeze=True):
    home = household(1, tariff_id="tou", start_rates_wh=START, opening_fen=100_000, max_power_w=100_000)
    plant(writer, [home], tariffs=(SINGLE, SEASONAL))
    read(writer, reading(1, MIDNIGHT_NOV - HOUR, MEGA + 100_000, (100_100, 200, 300, 400)))
    if freeze:
        read(writer, reading(1, MIDNIGHT_NOV, MEGA + 101_000, (100_100, 200, 300, 1_400)))
    read(writer, reading(1, MIDNIGHT_NOV + HOUR, MEGA + 102_000, (100_600, 700, 300, 1_400)))
    charge(writer, MIDNIGHT_NOV + HOUR)


def test_a_season_begins_at_its_freeze_with_its_own_prices_tiers_and_limits(engine, writer):
    planted(engine, writer)
    october = 100_000 * 10_000_000 + 1_000 * 20_000_000 + 500 * 10_000_000  # deep and valley, 0.5 kWh over 100.5 kWh
    november = 500 * 20_000_000 + 500 * 90_000_000 + 400 * 5_000_000  # deep and peak, 0.4 kWh over 0.6 kWh
    assert [line["charge_nf"] for line in charges(engine)] == [october, november]
    agrees(engine)


def test_a_total_read_at_the_boundary_stands_and_its_rates_go_the_same_part_of_their_way(engine, writer):
    home = household(1, tariff_id="tou", start_rates_wh=START, opening_fen=100_000, max_power_w=100_000)
    plant(writer, [home], tariffs=(SINGLE, SEASONAL))
    read(writer, reading(1, MIDNIGHT_NOV - HOUR, MEGA + 100_000, (100_100, 200, 300, 400)))
    charge(writer, MIDNIGHT_NOV - HOUR)
    read(writer, reading(1, MIDNIGHT_NOV, MEGA + 100_500))  # a quarter of the energy, and half of the time
    read(writer, reading(1, MIDNIGHT_NOV + HOUR, MEGA + 102_000, (100_500, 200, 300, 2_000)))
    charge(writer, MIDNIGHT_NOV + HOUR)
    _, october, november = charges(engine)
    assert (october["to_wh"], october["to_rates_wh"]) == (MEGA + 100_500, "100200,200,300,800")
    assert (november["from_wh"], november["to_rates_wh"]) == (MEGA + 100_500, "100500,200,300,2000")
    agrees(engine)
    with reader(engine) as connection:
        assert explain(connection, ESTATE, "H0001:2026-10").differences == ()
        assert explain(connection, ESTATE, "H0001:2026-11").differences == ()


def test_the_bill_says_season_registers_and_deep_valley_in_both_languages(engine, writer):
    planted(engine, writer)
    with reader(engine) as connection:
        bill = explain(connection, ESTATE, "H0001:2026-10")
    assert bill.differences == ()
    english, chinese = ("\n".join(lines_of(bill, language, each=True)) for language in ("en", "zh"))
    for words in (
        "Season: months 6–10, with prices of their own",
        "Registers of the meter: T1 Deep valley, T2 Peak, T3 Flat, T4 Valley",
        "Deep valley: 100.00 kWh × 0.1000 yuan",
    ):
        assert words in english
    for words in (
        "季节：6–10 月，单独定价",
        "电表费率寄存器：T1 深谷, T2 峰, T3 平, T4 谷",
        "深谷：100.00 kWh × 0.1000",
    ):
        assert words in chinese


def test_without_a_freeze_the_bill_says_that_the_split_is_by_time(engine, writer):
    planted(engine, writer, freeze=False)
    with reader(engine) as connection:
        bill = explain(connection, ESTATE, "H0001:2026-10")
    assert [one.derived.end_source for one in bill.lines if one.derived] == ["split"]
    agrees(engine)


def test_a_seasonal_draft_is_simulated_month_by_month(engine, writer):
    planted(engine, writer)
    cheaper = SEASONAL | {"valid_from": "2027-01-01"}
    cheaper["seasons"] = [cheaper["seasons"][0], cheaper["seasons"][1] | {"tier_steps": ["0"]}]
    now = at(MIDNIGHT_NOV + 2 * HOUR)
    found = simulate(engine, writer, save(writer, json.dumps(cheaper), now), now)
    [home] = found["households"]
    assert int(home[3]) - int(home[4]) == 500 * 10_000_000, "the step of the wet months alone falls away"


def test_the_price_of_now_follows_the_calendar_of_the_estate():
    day = {"from": "00:00", "to": "24:00"}
    definition = json.dumps(
        SEASONAL
        | {
            "periods": [day | {"rate": "flat"}],
            "weekend_periods": [day | {"rate": "peak"}],
            "holiday_periods": [day | {"rate": "deep"}],
        }
    )

    def price(moment, own):
        at_s = int(datetime.fromisoformat(moment).timestamp())
        found = prices_of(definition, at_s, 0, lambda local: day_kind(local, own))
        return found.rate, found.price_nf_per_wh

    assert price("2026-10-13T12:00+08:00", {}) == ("flat", 50_000_000)
    assert price("2026-10-13T12:00+08:00", {"2026-10-13": "off"}) == ("deep", 10_000_000)
    assert price("2026-10-10T12:00+08:00", {}) == ("flat", 50_000_000)  # a Saturday on which people work
    assert price("2026-11-07T12:00+08:00", {}) == ("peak", 90_000_000)
    assert price("2026-10-01T12:00+08:00", {}) == ("deep", 10_000_000)
