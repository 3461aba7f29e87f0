"""Reads for the rules about the condition of meters: clocks that are off, registers that stand still.

As in `server.store.anomalies`, nothing of before the last closing of a case is evidence.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, and_, case, func, or_, select

from core.reading import Verdict
from server.domain.anomalies import BACKWARDS, CLOCK, JUMP, STUCK, STUCK_DAYS, ClockSeen, HeldReading, Register, Unmoved
from server.store.estates import get_estate
from server.store.partial import IS_HELD
from server.store.schema import meter, meter_live, reading, register_day

Since = Mapping[tuple[str, str], int]
ROOM = case((meter.c.kind == "household", meter.c.room_id), else_=None)


def clocks(connection: Connection, estate_id: str, since: Since, off_max_s: int) -> list[ClockSeen]:
    """Meters whose clock was off by more than `off_max_s` when it was read last."""
    query = (
        select(meter.c.meter_id, ROOM, meter_live.c.status3_at, meter_live.c.clock_offset_s)
        .join(meter_live, and_(meter_live.c.estate_id == meter.c.estate_id, meter_live.c.meter_id == meter.c.meter_id))
        .where(
            meter.c.estate_id == estate_id,
            meter.c.bus_id != "",
            meter_live.c.status3_at.is_not(None),
            func.abs(meter_live.c.clock_offset_s) > off_max_s,
        )
    )
    seen = [ClockSeen(*row) for row in connection.execute(query)]
    return [one for one in seen if one.read_at > since.get((CLOCK, one.meter_id), 0)]


def pending(connection: Connection, estate_id: str, since: Since) -> list[HeldReading]:
    """Steps forward that wait to be confirmed or released, each with the accepted register before it."""
    query = (
        select(
            meter.c.meter_id, ROOM, func.coalesce(meter_live.c.reading_at, meter.c.installed_at),
            func.coalesce(meter_live.c.total_wh, meter.c.start_wh), meter_live.c.pending_at, meter_live.c.pending_wh,
        )
        .join(meter_live, and_(meter_live.c.estate_id == meter.c.estate_id, meter_live.c.meter_id == meter.c.meter_id))
        .where(meter.c.estate_id == estate_id, meter.c.bus_id != "", meter_live.c.pending_at.is_not(None))
    )  # fmt: skip
    return [
        HeldReading(row[0], row[1], Register(row[2], row[3]), Register(row[4], row[5]), "")
        for row in connection.execute(query)
        if row[4] > since.get((JUMP, row[0]), 0)
    ]


def zeros(connection: Connection, estate_id: str, since: Since, from_s: int) -> list[HeldReading]:
    """The first reading of zero of each meter since its accepted register, read after `from_s`."""
    accepted_at = func.coalesce(meter_live.c.reading_at, meter.c.installed_at)
    query = (
        select(
            meter.c.meter_id, ROOM, accepted_at, func.coalesce(meter_live.c.total_wh, meter.c.start_wh),
            reading.c.read_at, reading.c.total_wh, reading.c.reason,
        )
        .join(meter, and_(meter.c.estate_id == reading.c.estate_id, meter.c.meter_id == reading.c.meter_id))
        .join(meter_live, and_(meter_live.c.estate_id == meter.c.estate_id, meter_live.c.meter_id == meter.c.meter_id))
        .where(
            reading.c.estate_id == estate_id,
            reading.c.read_at > from_s,
            IS_HELD,
            reading.c.verdict == Verdict.ZERO.value,
            reading.c.read_at > accepted_at,
            reading.c.install_no == meter.c.install_no,
        )
        .order_by(reading.c.read_at.desc())
    )  # fmt: skip
    return list(
        {
            row[0]: HeldReading(row[0], row[1], Register(row[2], row[3]), Register(row[4], row[5]), row[6])
            for row in connection.execute(query)  # the oldest comes last
            if row[4] > since.get((BACKWARDS, row[0]), 0)
        }.values()
    )


def unmoved(connection: Connection, estate_id: str, since: Since, now_s: int) -> list[Unmoved]:
    """Meters whose newest registers are equal, and equal to what a day of at least two days ago ended with."""
    today = datetime.fromtimestamp(now_s, ZoneInfo(get_estate(connection, estate_id)["time_zone"])).date()
    ages = {(today - timedelta(days=age)).isoformat(): age - 1 for age in (2, STUCK_DAYS + 1)}
    same = and_(meter_live.c.estate_id == meter.c.estate_id, meter_live.c.meter_id == meter.c.meter_id)
    ended = and_(
        register_day.c.estate_id == meter.c.estate_id,
        register_day.c.meter_id == meter.c.meter_id,
        or_(*(register_day.c.day == day for day in ages)),
        register_day.c.total_wh == meter_live.c.total_wh,
    )
    query = (
        select(
            meter.c.meter_id, ROOM, register_day.c.read_at, meter_live.c.reading_at, meter_live.c.total_wh,
            register_day.c.day, meter_live.c.power_mw, meter_live.c.usual_w,
        )
        .join(meter_live, same)
        .join(register_day, ended)
        .where(
            meter.c.estate_id == estate_id,
            meter.c.bus_id != "",
            meter_live.c.total_wh == meter_live.c.previous_wh,
            register_day.c.source != "import",
        )
        .order_by(register_day.c.day.desc())
    )  # fmt: skip
    found: dict[str, Unmoved] = {}
    for row in connection.execute(query):  # the oldest day comes last
        if row[2] > since.get((STUCK, row[0]), 0):
            found[row[0]] = Unmoved(*row[:5], ages[row[5]], row[6], row[7])
    return list(found.values())
