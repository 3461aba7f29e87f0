"""Import: the same document twice changes nothing, and what money depends on cannot change."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine, select

from server.errors import Conflict
from server.flows.estates import import_estate
from server.jobs.collecting import bus_plans
from server.store import schema
from server.store.engine import reader
from server.store.estates import get_account, get_estate, list_estates
from server.store.meters import get_meter, meters_on_bus
from server.store.writer import Writer
from tests.server.estates import ESTATE, at, document, household, meter_id, plant


def everything(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    with reader(engine) as connection:
        return {
            name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for name, table in schema.metadata.tables.items()
        }


def test_the_same_document_again_changes_nothing(engine: Engine, writer: Writer) -> None:
    plant(writer)
    before = everything(engine)
    result = writer.run(lambda unit: import_estate(unit, document(), at(3600)))
    assert everything(engine) == before
    assert (result.households, result.new_households) == (2, 0)


def test_opening_balances_are_booked_once(engine: Engine, writer: Writer) -> None:
    plant(writer)
    with reader(engine) as connection:
        assert [row["estate_id"] for row in list_estates(connection)] == [ESTATE]
        assert get_account(connection, ESTATE, "H0001")["balance_fen"] == 5000
        assert get_account(connection, ESTATE, "opening")["balance_fen"] == -10000
    changed = document([household(1, opening_fen=6000), household(2)])
    with pytest.raises(Conflict, match="opening balance of H0001"):
        writer.run(lambda unit: import_estate(unit, changed, at()))


def test_rooms_buses_and_limits_may_change_and_the_mode_stays(engine: Engine, writer: Writer) -> None:
    plant(writer)
    writer.run(lambda unit: unit.connection.execute(schema.estate.update().values(mode="armed")))
    other = document(
        [household(1, holder="new", own_rules={"alarm1": ["fixed", 9900]}), household(2, room_id="1-0777")]
    )
    moved = replace(other, estate=replace(other.estate, grace_s=7200))
    writer.run(lambda unit: import_estate(unit, moved, at()))
    with reader(engine) as connection:
        assert get_estate(connection, ESTATE)["mode"] == "armed"
        assert get_estate(connection, ESTATE)["grace_s"] == 7200
        assert get_account(connection, ESTATE, "H0001")["alarm1_fen"] == 9900
        assert get_meter(connection, ESTATE, meter_id(2)).room_id == "1-0777"
        assert len(meters_on_bus(connection, ESTATE, "bus-1")) == 3


@pytest.mark.parametrize(
    ("homes", "message"),
    [
        ([household(3, meter_id=meter_id(1))], "already feeds account H0001"),
        ([household(1, meter_id=meter_id(9))], "replacement needs"),
        ([household(3, room_id="1-0001")], "belongs to account H0001"),
        ([household(1, start_wh=5)], "start registers"),
        ([household(1, ratio=2)], "start registers, ratio"),
        ([household(3, meter_id="202699000001")], "it is a gate"),
    ],
)
def test_what_money_depends_on_is_refused(writer: Writer, homes: list[object], message: str) -> None:
    plant(writer)
    wrong = replace(document(homes), gates=())  # type: ignore[arg-type]
    with pytest.raises(Conflict, match=message):
        writer.run(lambda unit: import_estate(unit, wrong, at()))


def test_a_tariff_in_force_cannot_be_rewritten_but_followed(engine: Engine, writer: Writer) -> None:
    plant(writer)
    base = {"id": "single", "name": "x", "versions": [{"valid_from": "2021-01-01", "price": "0.5"}]}
    with pytest.raises(Conflict, match="in force"):
        writer.run(lambda unit: import_estate(unit, document(tariffs=(base,)), at()))
    from tests.server.estates import BY_RATES, SINGLE

    later = {**SINGLE, "versions": [*SINGLE["versions"], {"valid_from": "2027-01-01", "price": "0.7"}]}  # type: ignore[misc]
    writer.run(lambda unit: import_estate(unit, document(tariffs=(later, BY_RATES)), at()))


def test_the_collector_is_told_what_every_meter_speaks(engine: Engine, writer: Writer) -> None:
    homes = [household(1, protocol="modbus", model="hiking-dds238-2", unit=7), household(2, protocol="1997")]
    plant(writer, homes)

    def told() -> dict[str, tuple[str, str, int | None, bool]]:
        with reader(engine) as connection:
            [plan] = bus_plans(connection, ESTATE)
        meters = [one for one in plan.meters if one.kind == "household"]
        return {one.meter_id: (one.protocol, one.model, one.unit, one.trips_without_deadline) for one in meters}

    hiking = ("modbus", "hiking-dds238-2", 7)
    assert told() == {meter_id(1): (*hiking, False), meter_id(2): ("1997", "", None, False)}
    given = document(homes)
    buses = tuple(replace(bus, rs485=1) for bus in given.buses)
    allowed = replace(given, estate=replace(given.estate, trips_without_deadline=1), buses=buses)
    writer.run(lambda unit: import_estate(unit, allowed, at()))
    assert told()[meter_id(1)] == (*hiking, True)
    with reader(engine) as connection:
        assert bus_plans(connection, ESTATE)[0].line.rs485
