"""What each bus needs of its cycle, from the rows of the estate."""

from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import Connection, select

from server.domain.budget import Budget, Cycles, Wire, budget_of, wire_of
from server.store.direct import Row
from server.store.estates import get_estate, list_buses
from server.store.schema import meter


def cycles_of(site: Row) -> Cycles:
    """The reading cycles of an estate's row."""
    return Cycles(
        site["reading_cycle_s"],
        site["status_cycle_s"],
        site["variables_cycle_s"],
        site["clock_cycle_s"],
        bool(site["daily_freeze"]),
    )


def budgets_of(
    connection: Connection, estate_id: str, *, factor: int = 1, replies_ms: Mapping[str, float | None] | None = None
) -> list[Budget]:
    """The budget of every bus, in the order of the buses; `factor` as in `budget_of`.

    `replies_ms`: what the meters of a bus were measured to take, instead of what is usual.
    """
    measured = replies_ms or {}
    cycles = cycles_of(get_estate(connection, estate_id))
    hung: dict[str, list[tuple[str, str]]] = {}
    query = select(meter.c.bus_id, meter.c.protocol, meter.c.kind).where(meter.c.estate_id == estate_id)
    for bus_id, protocol, kind in connection.execute(query):
        hung.setdefault(bus_id, []).append((protocol, kind))
    return [
        budget_of(
            row["bus_id"],
            _wire(row, measured.get(row["bus_id"])),
            cycles,
            hung.get(row["bus_id"], ()),
            factor=factor,
        )
        for row in list_buses(connection, estate_id)
    ]


def _wire(row: Row, reply_ms: float | None) -> Wire:
    wire = wire_of(row["baud"], row["parity"], row["stop_bits"], row["reply_delay_max_ms"], row["frame_gap_ms"])
    return wire if reply_ms is None else replace(wire, reply_ms=round(reply_ms))
