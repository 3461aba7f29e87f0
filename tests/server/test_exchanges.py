"""Exchanges of meters and ratios: the bill goes on, and no energy is lost or charged twice."""

from collections.abc import Sequence

import pytest
from sqlalchemy import Engine

from core.reading import Verdict
from server.domain.estate_document import BusEntry
from server.errors import Conflict, Refused
from server.flows import exchanges
from server.flows.estates import import_estate
from server.flows.exchanges import Exchanged, NewMeter
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, balance, charge, read, reading, rows
from tests.server.estates import BY_RATES, ESTATE, SINGLE, START_S, at, document, household, meter_id, plant

NEW = "202600009999"


def replace(writer: Writer, world_s: int, final_wh: int, new: NewMeter | None = None, **more: object) -> Exchanged:
    """Replace the meter of household 1."""
    fresh = new or NewMeter(NEW, 120)
    return writer.run(
        lambda unit: exchanges.replace_meter(
            unit, ESTATE, meter_id(1), fresh, final_wh=final_wh, actor="olga", reason="worn out",
            now=at(world_s), **more,  # type: ignore[arg-type]
        )
    )  # fmt: skip


def change_ratio(writer: Writer, world_s: int, ratio: int, **more: object) -> Exchanged:
    """Change the ratio of household 1."""
    return writer.run(
        lambda unit: exchanges.change_ratio(
            unit, ESTATE, meter_id(1), ratio, actor="olga", reason="new transformers", now=at(world_s),
            **more,  # type: ignore[arg-type]
        )
    )  # fmt: skip


def new_reading(world_s: int, total_wh: int) -> object:
    """A reading of the new meter."""
    value = reading(1, world_s, total_wh)
    object.__setattr__(value, "meter_id", NEW)
    return value


def charged_wh(engine: Engine) -> int:
    """Energy of all charges, before the ratio."""
    return sum(int(str(row["to_wh"])) - int(str(row["from_wh"])) for row in rows(engine, "line") if row["meter_id"])


def test_the_published_replacement_charges_both_parts_once(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, start_wh=8_700_000, opening_fen=100_000)])
    read(writer, reading(1, HOUR, 8_705_000))
    done = replace(writer, 6 * HOUR, 8_765_430, NewMeter(NEW, 120))
    assert (done.final_wh, done.start_wh, done.install_no) == (8_765_430, 120, 1)
    assert read(writer, new_reading(8 * HOUR, 21_500)) == [Verdict.ACCEPTED]  # type: ignore[arg-type]
    charge(writer, 10 * HOUR)
    assert charged_wh(engine) == 86_810
    agrees(engine)


def test_the_tier_counter_goes_on(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, opening_fen=100_000)])
    read(writer, reading(1, 20 * HOUR, 1_190_000))
    replace(writer, 24 * HOUR, 1_190_000, NewMeter(NEW, 0))
    read(writer, new_reading(30 * HOUR, 20_000))  # type: ignore[arg-type]
    charge(writer, 40 * HOUR)
    last = next(row for row in rows(engine, "line") if row["meter_id"] == NEW)
    assert last["tier_from_wh"] == 190_000
    first_tier_nf, second_tier_nf = 58_886_875 * 10_000, (58_886_875 + 5_000_000) * 10_000
    assert last["charge_nf"] == first_tier_nf + second_tier_nf
    agrees(engine)


def test_the_old_meter_leaves_its_bus_and_its_account(engine: Engine, writer: Writer) -> None:
    plant(writer)
    replace(writer, HOUR, 1_000_100)
    found = {row["meter_id"]: row for row in rows(engine, "meter")}
    assert (found[meter_id(1)]["account_id"], found[meter_id(1)]["bus_id"]) == (None, "")
    assert (found[NEW]["account_id"], found[NEW]["bus_id"], found[NEW]["gate_id"]) == (
        "H0001", "bus-1", "202699000001",
    )  # fmt: skip
    [kept] = rows(engine, "exchange")
    assert (kept["kind"], kept["reason"], kept["actor"]) == ("replacement", "worn out", "olga")
    assert [row["subject"] for row in rows(engine, "audit") if row["verb"] == "meter.replacement"] == [meter_id(1)]


def test_the_same_address_begins_anew(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1)])
    read(writer, reading(1, HOUR, 1_000_500))
    done = replace(writer, 2 * HOUR, 1_000_600, NewMeter(meter_id(1), 0))
    assert done.install_no == 2
    assert read(writer, reading(1, 3 * HOUR, 700)) == [Verdict.ACCEPTED]
    charge(writer, 5 * HOUR)
    assert charged_wh(engine) == 600 + 700
    agrees(engine)


def test_a_retired_meter_may_come_back_elsewhere(engine: Engine, writer: Writer) -> None:
    plant(writer)
    replace(writer, HOUR, 1_000_100)
    writer.run(
        lambda unit: exchanges.replace_meter(
            unit, ESTATE, meter_id(2), NewMeter(meter_id(1), 1_000_100), final_wh=1_000_000, actor="olga",
            reason="from stock", now=at(2 * HOUR),
        )
    )  # fmt: skip
    assert read(writer, reading(1, 3 * HOUR, 1_000_400)) == [Verdict.ACCEPTED]
    charge(writer, 5 * HOUR)
    used: dict[object, int] = {}
    for row in rows(engine, "line"):
        if row["meter_id"] == meter_id(1):
            used[row["account_id"]] = used.get(row["account_id"], 0) + int(str(row["to_wh"])) - int(str(row["from_wh"]))
    assert used == {"H0001": 100, "H0002": 300}
    agrees(engine)


@pytest.mark.parametrize(("final_wh", "says"), [(900_000, "backwards"), (9_000_000, "jump")])
def test_a_final_register_must_follow_from_the_readings(
    engine: Engine, writer: Writer, final_wh: int, says: str
) -> None:
    plant(writer)
    with pytest.raises(Refused, match=says):
        replace(writer, HOUR, final_wh)
    assert rows(engine, "exchange") == []
    assert rows(engine, "reading") == []


def test_an_address_in_use_a_gate_and_a_missing_reason_are_refused(writer: Writer) -> None:
    plant(writer)
    with pytest.raises(Conflict, match="installed already"):
        replace(writer, HOUR, 1_000_000, NewMeter(meter_id(2), 0))
    with pytest.raises(Refused, match="feeds no household"):
        writer.run(
            lambda unit: exchanges.change_ratio(
                unit, ESTATE, "202699000001", 10, actor="olga", reason="x", now=at(HOUR)
            )
        )
    with pytest.raises(Refused, match="say why"):
        writer.run(
            lambda unit: exchanges.change_ratio(unit, ESTATE, meter_id(1), 10, actor="olga", reason="", now=at(HOUR))
        )
    with pytest.raises(Refused, match="future"):
        replace(writer, HOUR, 1_000_000, at=START_S + 2 * HOUR)


def test_a_tariff_by_rates_wants_the_final_rates(engine: Engine, writer: Writer) -> None:
    start = (100_000, 200_000, 300_000, 400_000)
    plant(writer, [household(1, tariff_id="tou", start_rates_wh=start)], tariffs=(SINGLE, BY_RATES))
    fresh = NewMeter(NEW, 0, (0, 0, 0, 0))
    with pytest.raises(Refused, match="each rate"):
        replace(writer, HOUR, 1_000_100, fresh)
    assert rows(engine, "exchange") == []
    replace(writer, HOUR, 1_000_100, fresh, final_rates_wh=(100_000, 200_100, 300_000, 400_000))
    agrees(engine)


def test_a_ratio_counts_from_its_base_on(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, opening_fen=100_000)])
    read(writer, reading(1, HOUR, 1_010_000))
    change_ratio(writer, 2 * HOUR, 30)
    read(writer, reading(1, 3 * HOUR, 1_012_340))
    charge(writer, 5 * HOUR)
    expected_nf = 58_886_875 * 10_000 + 58_886_875 * 2_340 * 30
    assert sum(int(str(row["charge_nf"])) for row in rows(engine, "line") if row["meter_id"]) == expected_nf
    agrees(engine)


def test_a_ratio_may_have_a_base_of_its_own(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, opening_fen=100_000)])
    change_ratio(writer, 2 * HOUR, 30, base_wh=1_000_500)
    read(writer, reading(1, 3 * HOUR, 1_000_600))
    charge(writer, 5 * HOUR)
    assert sum(int(str(row["charge_nf"])) for row in rows(engine, "line") if row["meter_id"]) == 58_886_875 * 3_500
    agrees(engine)
    with pytest.raises(Refused, match="another one"):
        change_ratio(writer, 6 * HOUR, 30)


def test_the_file_of_before_the_exchange_of_a_ratio_still_imports(engine: Engine, writer: Writer) -> None:
    planned = plant(writer, [household(1)])
    change_ratio(writer, 2 * HOUR, 30)
    writer.run(lambda unit: import_estate(unit, planned, at(3 * HOUR)))
    assert [row["ratio"] for row in rows(engine, "meter") if row["meter_id"] == meter_id(1)] == [30]
    other = document([household(1, start_wh=5)])
    with pytest.raises(Conflict, match="was installed at"):
        writer.run(lambda unit: import_estate(unit, other, at(3 * HOUR)))


def test_verify_finds_an_exchange_that_lost_energy(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1)])
    read(writer, reading(1, HOUR, 1_000_500))
    replace(writer, 2 * HOUR, 1_000_600)
    with engine.connect() as connection, connection.begin():
        for sql in _without_triggers(engine, "exchange"):
            connection.exec_driver_sql(sql)
        connection.exec_driver_sql("UPDATE exchange SET final_wh = 1000900")
    from tests.server.books import report

    assert [one.invariant for one in report(engine).mismatches if "final register" in one.detail] == [3]


def _without_triggers(engine: Engine, table: str) -> Sequence[str]:
    if engine.dialect.name == "postgresql":
        return [f"DROP TRIGGER {table}_append_only ON {table}"]
    return [f"DROP TRIGGER {table}_no_UPDATE"]


def test_buses_stay_as_they_are(engine: Engine, writer: Writer) -> None:
    plant(writer)
    replace(writer, HOUR, 1_000_000)
    assert [row["bus_id"] for row in rows(engine, "bus")] == [BusEntry("bus-1", "x").bus_id]
    assert balance(engine, "H0001")[0] == 5000
