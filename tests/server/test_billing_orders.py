"""Tariffs that the kernel has no row for, charged and verified: tier prices by rate in either order, and the quota."""

from datetime import datetime

from sqlalchemy import Engine

from server.store.writer import Writer
from tests.server.books import HOUR, agrees, balance, charge, read, reading, report, rows
from tests.server.estates import BY_RATES, SINGLE, START_S, household, meter_id, plant
from tests.server.test_billing import charges
from tests.server.test_ledger import tamper

SHANGHAI = {
    "id": "shanghai", "valid_from": "2012-07-01", "prices": {"peak": "0.617", "valley": "0.307"},
    "tier_prices": [{"peak": "0.677", "valley": "0.337"}, {"peak": "0.977", "valley": "0.487"}],
    "tier_limits_wh": [3_120_000, 4_800_000], "tier_period": "year", "order_rule": "chronological",
}  # fmt: skip
MIDNIGHT_NOV = int(datetime.fromisoformat("2026-11-01T00:00:00+08:00").timestamp()) - START_S
DAY = 24 * HOUR


def shanghai(writer: Writer, rule: str) -> None:
    own = household(1, tariff_id="shanghai", start_rates_wh=(0, 0, 0, 0), opening_fen=1_000_000)
    plant(writer, [own], tariffs=(SINGLE, BY_RATES, SHANGHAI | {"order_rule": rule}))


def use(writer: Writer, at: int, peak: int, valley: int) -> None:
    read(writer, reading(1, at, 1_000_000 + peak + valley, (0, peak, 0, valley)))
    assert charge(writer, at).wide >= 1


def charged(engine: Engine) -> list[object]:
    return [line["charge_nf"] for line in charges(engine)]


def test_chronological_intervals_cross_the_limit_one_by_one(engine: Engine, writer: Writer) -> None:
    shanghai(writer, "chronological")
    use(writer, 7 * DAY, 0, 1_400_000)
    use(writer, 18 * DAY, 2_100_000, 1_400_000)
    assert sum(charged(engine)) == 174_830_000_000_000  # SH-T-02: all that is over the limit is peak
    assert balance(engine, "H0001")[0] == 1_000_000 - 174_830
    agrees(engine)


def test_proportional_shares_hold_over_the_settlement_period(engine: Engine, writer: Writer) -> None:
    shanghai(writer, "proportional")
    use(writer, 7 * DAY, 0, 1_400_000)
    use(writer, 18 * DAY, 2_100_000, 1_400_000)
    assert sum(charged(engine)) == 174_374_000_000_000  # SH-T-01, though the valley came first
    (cursor,) = rows(engine, "meter_cursor")
    assert cursor["order_rates_wh"] == "0,2100000,0,1400000"
    agrees(engine)


def test_verify_names_the_line_whose_edited_rates_are_more_than_its_counter(engine: Engine, writer: Writer) -> None:
    """The rule in proportion knows no such energies; it is a difference like any other, not the end of `verify`."""
    shanghai(writer, "proportional")
    for day in (1, 2, 3):
        use(writer, day * DAY, 0, day * 2_000)
    tamper(engine, "line", "UPDATE line SET to_rates_wh = '0,0,1,2000' WHERE to_rates_wh = '0,0,0,2000'")
    found = report(engine).mismatches
    batch = min(line["batch_seq"] for line in charges(engine))
    assert {one.subject for one in found} >= {f"meter {meter_id(1)}, batch {batch} line 1"}
    assert any("do not fit these rates" in one.detail for one in found)


def test_the_next_settlement_period_begins_with_shares_of_its_own(engine: Engine, writer: Writer) -> None:
    shanghai(writer, "proportional")
    read(writer, reading(1, MIDNIGHT_NOV, 4_000_000, (0, 2_000_000, 0, 1_000_000)))
    use(writer, MIDNIGHT_NOV + DAY, 2_060_000, 1_080_000)
    use(writer, MIDNIGHT_NOV + 2 * DAY, 2_120_000, 1_080_000)
    assert sum(charged(engine)[1:]) == 10_244_000_000_000  # SH-T-04: 120 kWh peak and 80 valley after 3000
    (cursor,) = rows(engine, "meter_cursor")
    assert (cursor["order_start"], cursor["order_rates_wh"]) == (START_S + MIDNIGHT_NOV, "0,120000,0,80000")
    agrees(engine)


def test_a_free_quota_is_charged_by_the_kernel_and_comes_back_each_month(engine: Engine, writer: Writer) -> None:
    low = SINGLE["versions"][0] | {"free_quota_wh": 15_000}  # type: ignore[index, operator]
    plant(writer, [household(1, opening_fen=100_000)], tariffs=({**SINGLE, "versions": [low]}, BY_RATES))
    read(writer, reading(1, HOUR, 1_010_000))
    assert charge(writer, HOUR).wide == 0
    read(writer, reading(1, MIDNIGHT_NOV, 1_020_000))
    charge(writer, MIDNIGHT_NOV)
    read(writer, reading(1, MIDNIGHT_NOV + 4 * HOUR, 1_036_000))
    charge(writer, MIDNIGHT_NOV + 4 * HOUR)
    assert charged(engine) == [0, 5_000 * 58_886_875, 1_000 * 58_886_875]
    agrees(engine)


def test_a_season_and_a_version_are_crossed_at_the_readings_taken_on_them(engine: Engine, writer: Writer) -> None:
    first = SINGLE["versions"][0]  # type: ignore[index]
    seasons = [
        {"months": [5, 6, 7, 8, 9, 10], "tier_limits_wh": [260_000, 600_000]},
        {"months": [11, 12, 1, 2, 3, 4], "tier_limits_wh": [200_000, 400_000]},
    ]
    yearly = {key: value for key, value in first.items() if key != "tier_limits_wh"} | {  # type: ignore[attr-defined]
        "seasons": seasons, "tier_period": "year",
    }  # fmt: skip
    later = yearly | {"valid_from": "2026-11-02", "price": "1.00"}
    plant(writer, [household(1, opening_fen=100_000)], tariffs=({**SINGLE, "versions": [yearly, later]}, BY_RATES))
    read(
        writer, reading(1, MIDNIGHT_NOV, 1_250_000), reading(1, MIDNIGHT_NOV + DAY, 1_260_000),
        reading(1, MIDNIGHT_NOV + 2 * DAY, 1_270_000),
    )  # fmt: skip
    done = charge(writer, MIDNIGHT_NOV + 2 * DAY)
    assert [(line["from_wh"], line["to_wh"]) for line in charges(engine)] == [
        (1_000_000, 1_250_000), (1_250_000, 1_260_000), (1_260_000, 1_270_000),
    ]  # fmt: skip
    price, step = 58_886_875, 5_000_000
    assert charged(engine) == [250_000 * price, 10_000 * (price + step), 10_000 * (10**8 + step)]
    assert done.estimated == 0
    agrees(engine)
