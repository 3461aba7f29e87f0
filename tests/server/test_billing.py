"""Charging: once, exactly, split where the tariff changes, and together with what follows from it."""

import gc
from datetime import datetime
from random import Random

import pytest
from sqlalchemy import Engine, update

from core import EVENT_ALARM1, EVENT_ALARM2, EVENT_TRIP
from server.errors import Conflict
from server.flows import billing
from server.flows.billing import charge_due, collection_paused
from server.flows.money_rules import rules_kept
from server.flows.uncharged import uncharged
from server.store import schema
from server.store.billing import due_meters, load_due
from server.store.engine import begin_writing, reader
from server.store.schema import account
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, balance, charge, read, reading, rows, top_up
from tests.server.estates import BY_RATES, ESTATE, SINGLE, START_S, account_id, at, household, meter_id, plant

PRICE = 58_886_875  # nanofen per Wh of the single tariff's first tier
MIDNIGHT_NOV = int(datetime.fromisoformat("2026-11-01T00:00:00+08:00").timestamp()) - START_S


def charges(engine: Engine) -> list[dict[str, object]]:
    """The charge lines in order."""
    lines = [row for row in rows(engine, "line") if row["meter_id"] is not None]
    return sorted(lines, key=lambda row: (row["batch_seq"], row["line_no"]))  # type: ignore[no-any-return]


def test_one_batch_with_a_line_an_account_and_one_line_of_revenue(engine: Engine, writer: Writer) -> None:
    plant(writer, 3)
    read(writer, reading(1, HOUR, 1_002_000), reading(2, HOUR, 1_000_010), reading(3, HOUR, 1_000_000))
    done = charge(writer, HOUR)
    assert (done.accounts, done.meters, done.charged_fen) == (2, 3, 118 + 1)
    assert balance(engine, "H0001") == (5000 - 118, 2000 * PRICE - 118 * 10**9)
    assert balance(engine, "revenue") == (119, 0)
    batch = rows(engine, "batch")[-1]
    assert (batch["kind"], batch["lines"], batch["turnover_fen"]) == ("charge", 3, 119)
    agrees(engine)


def test_nothing_is_charged_before_its_cycle_or_twice(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, opening_fen=100_000)])
    read(writer, reading(1, HOUR - 1, 1_002_000))
    assert charge(writer, HOUR - 1).meters == 0
    assert charge(writer, HOUR).meters == 1
    assert charge(writer, 2 * HOUR).meters == 0
    assert agrees(engine).charges == 1


@pytest.mark.parametrize("seed", range(6))
def test_who_is_due_is_the_same_for_the_tick_and_for_the_charge(engine: Engine, writer: Writer, seed: int) -> None:
    luck = Random(seed)
    openings = [luck.choice((-500, 0, 100_000, 6000, 6001)) for _ in range(12)]
    plant(writer, [household(number + 1, opening_fen=fen) for number, fen in enumerate(openings)])
    read(writer, *(reading(n, luck.choice((60, HOUR // 2, HOUR)), 1_000_100) for n in range(1, 12)))
    charge(writer, HOUR)
    read(writer, *(reading(n, HOUR + luck.choice((60, HOUR // 2)), 1_000_200) for n in range(2, 13)))
    with begin_writing(engine) as connection, connection.begin():
        for number in range(1, 13):
            status, level = luck.choice(("normal", "normal", "paused")), luck.choice((0, 0, 0, 2))
            own = account.c.account_id == account_id(number)
            connection.execute(update(account).where(own).values(status=status, level=level))
    for world_s in (HOUR, HOUR + HOUR // 2, 2 * HOUR, 3 * HOUR):
        with reader(engine) as connection:
            charged = load_due(connection, ESTATE, at(world_s).world_s, HOUR, 100).rows()
            ticked = due_meters(connection, ESTATE, at(world_s).world_s, HOUR)
        found = [(one.meter_id, one.tariff_id, one.start_at, one.end_at) for one in charged]
        assert [(one.meter_id, one.tariff_id, one.start_at, one.end_at) for one in ticked] == found
    assert 0 < len(found) < 12


def test_near_an_alarm_every_reading_is_charged_at_once(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, opening_fen=6000), household(2, opening_fen=6001)])
    read(writer, reading(1, 60, 1_000_100), reading(2, 60, 1_000_100))
    assert charge(writer, 60).meters == 1
    assert charges(engine)[0]["account_id"] == "H0001"


def test_tiers_are_crossed_inside_a_step_and_start_again_each_month(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, opening_fen=100_000)])
    hour = 40 * HOUR
    read(writer, reading(1, hour, 1_000_000 + 450_000))
    charge(writer, hour)
    exact = 450_000 * PRICE + 250_000 * 5_000_000 + 50_000 * 25_000_000
    assert charges(engine)[0]["charge_nf"] == exact
    frozen = reading(1, MIDNIGHT_NOV, 1_460_000)
    read(writer, frozen)
    charge(writer, MIDNIGHT_NOV)
    read(writer, reading(1, MIDNIGHT_NOV + HOUR, 1_461_000))
    charge(writer, MIDNIGHT_NOV + HOUR)
    lines = charges(engine)
    assert [line["charge_nf"] for line in lines[1:]] == [10_000 * (PRICE + 30_000_000), 1000 * PRICE]
    assert [line["tier_from_wh"] for line in lines] == [0, 450_000, 0]
    assert agrees(engine).estimated == 0


def test_a_step_over_a_boundary_is_split_at_the_reading_on_it(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, opening_fen=100_000)])
    read(writer, reading(1, MIDNIGHT_NOV, 1_300_000), reading(1, MIDNIGHT_NOV + HOUR, 1_300_500))
    done = charge(writer, MIDNIGHT_NOV + HOUR)
    assert [(line["from_wh"], line["to_wh"]) for line in charges(engine)] == [
        (1_000_000, 1_300_000),
        (1_300_000, 1_300_500),
    ]
    assert (done.accounts, done.estimated) == (1, 0)
    agrees(engine)


def test_without_that_reading_it_is_split_by_time_and_marked(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, opening_fen=100_000)])
    read(writer, reading(1, MIDNIGHT_NOV - HOUR, 1_300_000))
    charge(writer, MIDNIGHT_NOV - HOUR)
    read(writer, reading(1, MIDNIGHT_NOV + 2 * HOUR, 1_301_000))
    done = charge(writer, MIDNIGHT_NOV + 2 * HOUR)
    assert [(line["from_wh"], line["to_wh"]) for line in charges(engine)[1:]] == [
        (1_300_000, 1_300_333),
        (1_300_333, 1_301_000),
    ]
    assert done.estimated == 1
    assert "split by time" in str(rows(engine, "batch")[-1]["memo"])
    assert agrees(engine).estimated == 1


def test_a_price_change_splits_the_charge(engine: Engine, writer: Writer) -> None:
    later = {**SINGLE["versions"][0], "valid_from": "2026-10-13T10:05:00+08:00", "price": "1.00"}  # type: ignore[index]
    two = {**SINGLE, "versions": [SINGLE["versions"][0], later]}  # type: ignore[index]
    plant(writer, [household(1)], tariffs=(two, BY_RATES))
    read(writer, reading(1, 2 * HOUR, 1_002_000))
    charge(writer, 2 * HOUR)
    assert [line["charge_nf"] for line in charges(engine)] == [1000 * PRICE, 1000 * 10**8]
    agrees(engine)


def test_four_rates_are_priced_by_their_registers(engine: Engine, writer: Writer) -> None:
    start = (1000, 2000, 3000, 4000)
    plant(writer, [household(1, tariff_id="tou", start_rates_wh=start), household(2)])
    read(writer, reading(1, HOUR, 1_001_000, (1100, 2200, 3300, 4400)), reading(2, HOUR, 1_001_000))
    charge(writer, HOUR)
    line = next(row for row in charges(engine) if row["account_id"] == "H0001")
    assert line["charge_nf"] == (100 * 12 + 200 * 9 + 300 * 6 + 400 * 3) * 10**7
    assert (line["from_rates_wh"], line["to_rates_wh"]) == ("1000,2000,3000,4000", "1100,2200,3300,4400")
    agrees(engine)


CHANGES = {**SINGLE, "versions": [SINGLE["versions"][0], BY_RATES["versions"][0] | {"valid_from": "2026-11-01"}]}


def waits(engine: Engine, world_s: int) -> list[tuple[str, int, str, int]]:
    with reader(engine) as connection:
        found = uncharged(connection, ESTATE, START_S + world_s)
    return [(one.meter_id, one.since - START_S, one.reason, one.at - START_S) for one in found]


def on_tariff(writer: Writer, tariff_id: str) -> None:
    """Charge the household by another tariff from now on."""

    def change(unit):  # type: ignore[no-untyped-def]
        with rules_kept(unit, ESTATE, "test", at()):
            unit.connection.execute(
                update(account).where(account.c.account_id == account_id(1)).values(tariff_id=tariff_id)
            )

    writer.run(change)


@pytest.mark.parametrize("by", ["freeze", "one price"])
def test_a_change_to_rates_that_nobody_read_says_why_it_waits_and_two_ways_end_it(
    engine: Engine, writer: Writer, by: str
) -> None:
    plant(writer, [household(1, tariff_id="changes")], tariffs=({**CHANGES, "id": "changes"}, {**SINGLE, "id": "flat"}))
    before, after = MIDNIGHT_NOV - HOUR, MIDNIGHT_NOV + HOUR
    read(writer, reading(1, before, 1_010_000))
    charge(writer, before)
    assert waits(engine, before) == []
    read(writer, reading(1, after, 1_011_000, (100, 200, 1_010_000, 700)))
    assert charge(writer, after).held == (meter_id(1),)
    assert waits(engine, after) == [(meter_id(1), before, "no_rates_before", MIDNIGHT_NOV)]
    if by == "freeze":
        read(writer, reading(1, MIDNIGHT_NOV, 1_010_500, (100, 200, 1_009_500, 700)))
    else:
        on_tariff(writer, "flat")
    assert charge(writer, after).held == ()
    on_tariff(writer, "changes")
    read(writer, reading(1, after + HOUR, 1_012_000, (100, 200, 1_011_000, 700)))
    assert charge(writer, after + HOUR).held == ()
    assert waits(engine, after + HOUR) == []
    agrees(engine)


def test_rates_that_were_not_read_hold_the_meter_and_lose_nothing(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, tariff_id="tou", start_rates_wh=(0, 0, 0, 0))])
    read(writer, reading(1, HOUR, 1_001_000))
    assert charge(writer, HOUR).held == (meter_id(1),)
    assert waits(engine, HOUR) == [(meter_id(1), 0, "no_rates_read", HOUR)]
    read(writer, reading(1, 2 * HOUR, 1_002_000, (0, 2000, 0, 0)))
    assert charge(writer, 2 * HOUR).charged_fen == 180
    agrees(engine)


def test_rates_that_come_after_the_total_of_their_time_free_the_meter_that_waits_for_them(
    engine: Engine, writer: Writer
) -> None:
    plant(writer, [household(1, tariff_id="tou", start_rates_wh=(0, 0, 0, 0))])
    read(writer, reading(1, HOUR, 1_001_000))
    assert charge(writer, HOUR).held == (meter_id(1),)
    assert read(writer, reading(1, HOUR, 1_001_000, (0, 1000, 0, 0))) == ["duplicate"]
    assert charge(writer, HOUR).charged_fen == 90
    assert waits(engine, HOUR) == []
    assert read(writer, reading(1, HOUR, 1_001_000, (1000, 0, 0, 0))) == ["duplicate"]  # what is charged stays
    agrees(engine)


def test_a_total_that_was_charged_alone_gets_no_rates_afterwards(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1)])
    read(writer, reading(1, HOUR, 1_001_000))
    charge(writer, HOUR)
    read(writer, reading(1, HOUR, 1_001_000, (0, 1000, 0, 0)))
    assert [row["rate1_wh"] for row in rows(engine, "reading")] == [None]
    agrees(engine)


def test_through_the_end_of_the_register(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, start_wh=999_987_650)])
    read(writer, reading(1, 2 * HOUR, 3_210))
    charge(writer, 2 * HOUR)
    assert charges(engine)[0]["charge_nf"] == 15_560 * PRICE
    agrees(engine)


def test_a_ratio_multiplies_and_a_large_balance_goes_the_wide_way(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, ratio=1000)])
    top_up(writer, 1, 5 * 10**12, "rich")
    read(writer, reading(1, HOUR, 1_002_000))
    done = charge(writer, HOUR)
    assert done.wide == 1
    assert charges(engine)[0]["charge_nf"] == 2_000_000 * PRICE + 1_800_000 * 5_000_000 + 1_600_000 * 25_000_000
    agrees(engine)


def test_levels_cross_once_downwards_and_again_after_a_top_up(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, opening_fen=3050)])
    seen = []
    for hour, total_wh in ((1, 1_001_000), (2, 1_001_010), (3, 1_010_000), (4, 1_020_000), (5, 1_030_000)):
        read(writer, reading(1, 3 * hour * HOUR, 1_000_000 + (total_wh - 1_000_000) * 2))
        seen.append([crossing.event for crossing in charge(writer, 3 * hour * HOUR).crossings])
    assert seen == [[EVENT_ALARM1], [], [], [EVENT_ALARM2], [EVENT_TRIP]]
    assert rows(engine, "notice") != []
    assert top_up(writer, 1, 10_000, "lift").level == 0
    agrees(engine)


def test_a_level_that_changes_without_energy_is_told_once(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, opening_fen=5000)])
    writer.run(lambda unit: unit.connection.execute(schema.account.update().values(alarm1_fen=9000)) and None)
    seen = []
    for hour in (1, 2):
        read(writer, reading(1, hour * HOUR, 1_000_000))
        seen.append(len(charge(writer, hour * HOUR).crossings))
    assert seen == [1, 0]


def test_two_meters_of_one_account_are_charged_one_after_the_other(engine: Engine, writer: Writer) -> None:
    plant(writer, 2)
    writer.run(lambda unit: unit.connection.execute(schema.meter.update().values(account_id="H0001")) and None)
    read(writer, reading(1, HOUR, 1_001_000), reading(2, HOUR, 1_003_000))
    assert charge(writer, HOUR).accounts == 1
    assert balance(engine, "H0001") == (5000 - 236, 4000 * PRICE - 236 * 10**9)
    agrees(engine)


def test_invariant_08_a_charge_commits_with_cursor_and_notices_or_not_at_all(
    engine: Engine, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(writer, [household(1, opening_fen=3050)])
    read(writer, reading(1, HOUR, 1_002_000))
    before = {name: rows(engine, name) for name in ("account", "batch", "line", "meter_cursor", "notice")}

    def fail(*_: object) -> None:
        raise RuntimeError("the notice cannot be written")

    monkeypatch.setattr(billing, "on_balances", fail)
    with pytest.raises(RuntimeError, match="notice"):
        charge(writer, HOUR)
    assert {name: rows(engine, name) for name in before} == before
    monkeypatch.undo()
    assert len(charge(writer, HOUR).crossings) == 1
    after = {name: rows(engine, name) for name in before}
    assert all(after[name] != before[name] for name in before)


def test_invariant_08_a_cursor_that_moved_meanwhile_refuses_the_batch(
    engine: Engine, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(writer, 2)
    read(writer, reading(1, HOUR, 1_002_000), reading(2, HOUR, 1_002_000))
    load = billing.load_due

    def steal(connection, *rest):  # type: ignore[no-untyped-def]
        found = load(connection, *rest)
        connection.execute(
            schema.meter_cursor.update().where(schema.meter_cursor.c.meter_id == meter_id(2)).values(seq=7)
        )
        return found

    monkeypatch.setattr(billing, "load_due", steal)
    with pytest.raises(Conflict, match="somebody else"):
        charge(writer, HOUR)
    assert charges(engine) == []
    agrees(engine)


def test_invariant_16_no_energy_is_charged_that_the_meter_cannot_have_counted(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1)])
    read(writer, reading(1, HOUR, 1_015_860))
    assert charge(writer, HOUR).meters == 0, "15.84 kW for an hour and one step of 10 Wh is 15.85 kWh"
    read(writer, reading(1, HOUR + 60, 1_015_850))
    assert charge(writer, HOUR + 60).meters == 1
    assert min(int(str(row["charge_nf"])) for row in charges(engine)) >= 0
    agrees(engine)


def test_invariant_18_money_reaches_the_database_as_integers_only(sqlite_engine: Engine) -> None:
    writer = Writer(sqlite_engine)
    try:
        plant(writer)
        for column in ("balance_fen", "residue_nf"):
            update = schema.account.update().values({column: 1.5})
            with pytest.raises(Exception, match="cannot store REAL value in INTEGER column"):
                writer.run(lambda unit, update=update: unit.connection.execute(update))  # type: ignore[misc]
    finally:
        writer.stop()


def test_the_limit_takes_those_who_wait_longest(engine: Engine, writer: Writer) -> None:
    plant(writer, 3)
    read(writer, *(reading(n, HOUR, 1_001_000) for n in (1, 2, 3)))
    seen = [writer.run(lambda unit: charge_due(unit, ESTATE, at(HOUR), limit=2)).meters for _ in range(3)]
    assert seen == [2, 1, 0]
    agrees(engine)


def test_no_garbage_is_collected_within_a_batch_and_again_after_it() -> None:
    with collection_paused():
        assert not gc.isenabled()
        with collection_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(Conflict), collection_paused():
        raise Conflict("no")
    assert gc.isenabled()
