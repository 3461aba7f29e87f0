"""Reads and writes of readings: the raw judged history, the live row of each meter, and registers by day."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, and_, bindparam, func, select

from core.reading import ADVANCING, HELD, RULES_VERSION, TRUE, Verdict
from server.domain.readings import ANSWERED_NOW, MeterReading, Rates
from server.store.among import among
from server.store.bulk import insert_rows, update_rows
from server.store.direct import Query
from server.store.schema import meter, meter_cursor, meter_live, reading, register_day

ACCEPTED = tuple(verdict.value for verdict in ADVANCING)
KNOWN = tuple(verdict.value for verdict in TRUE)
HELD_VERDICTS = tuple(verdict.value for verdict in HELD)
_READING = (
    "estate_id", "read_at", "meter_id", "install_no", "received_ms", "total_wh", "rate1_wh", "rate2_wh", "rate3_wh",
    "rate4_wh", "reverse_wh", "source", "verdict", "reason", "raw_hex", "rules",
)  # fmt: skip
_LEARNED = ("usual_w", "usual_from", "pending_wh", "pending_at")


@dataclass(slots=True)
class LiveState:
    """The last accepted registers of a meter, or those at installation; changed while a batch is judged.

    `usual_w` is the highest mean power that the meter has shown since `usual_from`; `pending_wh` a step forward that
    was read at `pending_at` and is held until another reading confirms it.
    """

    install_no: int
    max_power_w: int
    installed_at: int
    start_wh: int
    total_wh: int
    rates_wh: Rates | None
    at: int
    received_ms: int | None
    previous_wh: int | None
    previous_ms: int | None
    usual_w: int | None = None
    usual_from: int | None = None
    pending_wh: int | None = None
    pending_at: int | None = None
    changed: bool = False


def _same(left: Any, right: Any) -> Any:
    return and_(left.c.estate_id == right.c.estate_id, left.c.meter_id == right.c.meter_id)


_STATES = Query(
    lambda among: select(
        meter.c.meter_id, meter.c.install_no, meter.c.max_power_w, meter.c.installed_at, meter.c.start_wh,
        meter_live.c.total_wh, meter_live.c.reading_at, meter_live.c.reading_ms, meter_live.c.previous_wh,
        meter_live.c.previous_ms, *(meter_live.c[name] for name in _LEARNED),
        *(reading.c[f"rate{number}_wh"] for number in range(1, 5)),
        *(meter.c[f"start_rate{number}_wh"] for number in range(1, 5)),
    )
    .join(meter_live, _same(meter, meter_live))
    .outerjoin(reading, and_(_same(meter, reading), reading.c.read_at == meter_live.c.reading_at))
    .where(meter.c.estate_id == bindparam("estate_id"), among(meter.c.meter_id, "meter_ids"))
)  # fmt: skip


def live_states(connection: Connection, estate_id: str, meter_ids: Sequence[str]) -> dict[str, LiveState]:
    """The states that readings of these meters are judged against; unknown meters are absent."""
    found = _STATES.rows(connection, estate_id=estate_id, meter_ids=meter_ids)
    return {row[0]: _state(row) for row in found}


def _state(row: Any) -> LiveState:
    install_no, max_power_w, installed_at, start_wh = row[1:5]
    state = LiveState(install_no, max_power_w, installed_at, start_wh, row[5], None, row[6], row[7], row[8], row[9])
    state.usual_w, state.usual_from, state.pending_wh, state.pending_at = row[10:14]
    state.rates_wh = rates_of(row[14:18])
    if row[6] is None:
        state.total_wh, state.at, state.rates_wh = start_wh, installed_at, rates_of(row[18:22])
    return state


def rates_of(values: Sequence[int | None]) -> Rates | None:
    """Four registers, or None when any is absent."""
    sharp, peak, flat, valley = values
    if sharp is None or peak is None or flat is None or valley is None:
        return None
    return sharp, peak, flat, valley


_STORED = Query(
    lambda among: select(reading.c.read_at, reading.c.meter_id, reading.c.total_wh).where(
        reading.c.estate_id == bindparam("estate_id"),
        among(reading.c.read_at, "instants"),
        among(reading.c.meter_id, "meter_ids"),
    )
)


def stored(connection: Connection, estate_id: str, keys: Sequence[tuple[int, str]]) -> dict[tuple[int, str], int]:
    """The total registers already kept for (read_at, meter_id)."""
    wanted = set(keys)
    instants, meter_ids = sorted({at for at, _ in wanted}), sorted({meter_id for _, meter_id in wanted})
    found = _STORED.rows(connection, estate_id=estate_id, instants=instants, meter_ids=meter_ids)
    return {(row[0], row[1]): row[2] for row in found if (row[0], row[1]) in wanted}


def insert_readings(
    connection: Connection, estate_id: str, judged: Sequence[tuple[MeterReading, int, Verdict, str]]
) -> None:
    """Keep readings with install_no, verdict and reason; one that is there already stays as it is."""
    rows = [
        (
            estate_id, item.read_at, item.meter_id, install_no, item.received_ms, item.total_wh,
            *(item.rates_wh or (None,) * 4), item.reverse_wh, item.source, verdict.value, reason, item.raw_hex,
            RULES_VERSION,
        )
        for item, install_no, verdict, reason in judged
    ]  # fmt: skip
    insert_rows(connection, reading, _READING, rows, "ON CONFLICT DO NOTHING")


RATES_LATER = "its rates came with another answer of that time"


def add_rates(connection: Connection, estate_id: str, item: MeterReading) -> bool:
    """Give a true reading that was kept without rates those of `item`; False where it has some, or is charged."""
    cursor = meter_cursor.c
    charged = select(cursor.meter_id).where(
        cursor.estate_id == estate_id, cursor.meter_id == item.meter_id, cursor.read_at >= item.read_at
    )
    done = connection.execute(
        reading.update()
        .where(
            reading.c.estate_id == estate_id, reading.c.read_at == item.read_at, reading.c.meter_id == item.meter_id,
            reading.c.total_wh == item.total_wh, reading.c.verdict.in_(KNOWN), reading.c.rate1_wh.is_(None),
            ~charged.exists(),
        )
        .values(reason=RATES_LATER, **{f"rate{number}_wh": wh for number, wh in enumerate(item.rates_wh or (), 1)})
    )  # fmt: skip
    return bool(done.rowcount)


def save_live(connection: Connection, estate_id: str, states: dict[str, LiveState]) -> None:
    """Write back the states that changed."""
    rows = [
        (
            state.total_wh if state.received_ms else None, state.at if state.received_ms else None, state.received_ms,
            state.previous_wh, state.previous_ms, *(getattr(state, name) for name in _LEARNED), estate_id, meter_id,
        )
        for meter_id, state in states.items()
        if state.changed
    ]  # fmt: skip
    setting = ("total_wh", "reading_at", "reading_ms", "previous_wh", "previous_ms", *_LEARNED)
    update_rows(connection, meter_live, setting, ("estate_id", "meter_id"), rows)


def note_contact(connection: Connection, estate_id: str, contacts: dict[str, tuple[int, int]]) -> None:
    """Meters that answered: world and machine time of the newest answer; failures start again at 0."""
    rows = [(at, ms, 0, estate_id, meter_id) for meter_id, (at, ms) in contacts.items()]
    update_rows(connection, meter_live, ("contact_at", "contact_ms", "failures"), ("estate_id", "meter_id"), rows)


def contacts_until(connection: Connection, estate_id: str, until_s: int, at: int, ms: int) -> None:
    """Meters whose newest answer is stamped after world time `until_s` have answered at `at` (machine time `ms`)."""
    connection.execute(
        meter_live.update()
        .where(meter_live.c.estate_id == estate_id, meter_live.c.contact_at > until_s)
        .values(contact_at=at, contact_ms=ms)
    )


def save_days(
    connection: Connection, estate_id: str, days: dict[tuple[str, str], tuple[int, int, int]], *, source: str = "live"
) -> None:
    """Registers by (meter, local day): first, last and when; a later reading of the day moves the last."""
    rows = [(estate_id, meter_id, day, *values, source) for (meter_id, day), values in days.items()]
    columns = ("estate_id", "meter_id", "day", "first_wh", "total_wh", "read_at", "source")
    insert_rows(
        connection,
        register_day,
        columns,
        rows,
        "ON CONFLICT (estate_id, meter_id, day) DO UPDATE SET total_wh = excluded.total_wh, "
        "read_at = excluded.read_at, source = excluded.source WHERE excluded.read_at >= register_day.read_at",
    )


def registers_query(connection: Connection, estate_id: str, instants: Sequence[int]) -> "Select[Any]":
    """Meter, instant and register of the accepted readings at some instants."""
    return select(reading.c.meter_id, reading.c.read_at, reading.c.total_wh).where(
        reading.c.estate_id == estate_id,
        among(connection, reading.c.read_at, instants),
        reading.c.verdict.in_(ACCEPTED),
    )


def accepted_at(
    connection: Connection, estate_id: str, keys: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], tuple[int, Rates | None]]:
    """True registers of exactly (meter_id, instant): the freezes that split a charge."""
    columns = [reading.c[f"rate{number}_wh"] for number in range(1, 5)]
    query = select(reading.c.meter_id, reading.c.read_at, reading.c.total_wh, *columns).where(
        reading.c.estate_id == estate_id,
        reading.c.read_at.in_({at for _, at in keys}),
        reading.c.verdict.in_(KNOWN),
    )
    wanted = set(keys)
    return {
        (row[0], row[1]): (row[2], rates_of(row[3:7]))
        for row in connection.execute(query)
        if (row[0], row[1]) in wanted
    }


_TRUE = select(reading.c.read_at, reading.c.total_wh).where(
    reading.c.estate_id == bindparam("estate_id"),
    reading.c.meter_id == bindparam("meter_id"),
    reading.c.verdict.in_(KNOWN),
)
_BEFORE = (
    _TRUE.where(reading.c.read_at.between(bindparam("since"), bindparam("at") - 1))
    .order_by(reading.c.read_at.desc())
    .limit(1)
)
_AFTER = _TRUE.where(reading.c.read_at > bindparam("at")).order_by(reading.c.read_at).limit(1)


def neighbours(
    connection: Connection, estate_id: str, meter_id: str, at: int, *, since: int
) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """The true registers (read_at, Wh) of a meter just before and just after `at`, not before `since`."""
    asked: dict[str, object] = {"estate_id": estate_id, "meter_id": meter_id, "at": at}
    before = connection.execute(_BEFORE, {**asked, "since": since}).first()
    after = connection.execute(_AFTER, asked).first()
    return (None if before is None else (before[0], before[1])), (None if after is None else (after[0], after[1]))


OVERTAKEN_S = 20 * 86_400  # so far back is looked for readings that came after the accepted one
OVERTAKEN_MAX = 2000
_REGISTERS = select(
    reading.c.meter_id, reading.c.read_at, reading.c.received_ms, reading.c.total_wh,
    *(reading.c[f"rate{number}_wh"] for number in range(1, 5)),
)  # fmt: skip


def overtaken(connection: Connection, estate_id: str, meter_id: str, state: LiveState) -> list[MeterReading]:
    """The newest live readings of a meter that are stamped before its accepted one and show more, oldest first."""
    query = _REGISTERS.where(
        reading.c.estate_id == estate_id,
        reading.c.meter_id == meter_id,
        reading.c.read_at.between(max(state.installed_at, state.at - OVERTAKEN_S), state.at),
        reading.c.install_no == state.install_no,
        reading.c.verdict == Verdict.LATE.value,
        reading.c.source.in_(ANSWERED_NOW),
        reading.c.total_wh > state.total_wh,
    ).order_by(reading.c.read_at.desc())
    return [_registers(row) for row in connection.execute(query.limit(OVERTAKEN_MAX))][::-1]


def true_before(connection: Connection, estate_id: str, meter_id: str, at: int, *, since: int) -> MeterReading | None:
    """The last true registers of a meter before `at`, not before `since`."""
    query = _REGISTERS.where(
        reading.c.estate_id == estate_id,
        reading.c.meter_id == meter_id,
        reading.c.read_at.between(since, at - 1),
        reading.c.verdict.in_(KNOWN),
    ).order_by(reading.c.read_at.desc())
    row = connection.execute(query.limit(1)).first()
    return None if row is None else _registers(row)


def newest_accepted(connection: Connection, estate_id: str, meter_id: str, until: int) -> list[MeterReading]:
    """The two newest accepted registers of a meter that are not stamped after `until`, the newest first."""
    query = _REGISTERS.where(
        reading.c.estate_id == estate_id,
        reading.c.meter_id == meter_id,
        reading.c.read_at <= until,
        reading.c.verdict.in_(ACCEPTED),
    ).order_by(reading.c.read_at.desc())
    return [_registers(row) for row in connection.execute(query.limit(2))]


def stamped_after(connection: Connection, estate_id: str, at: int, most: int) -> list[tuple[str, int]]:
    """(meter, instant) of readings that count and are stamped after `at`, the newest first, `most` of them."""
    query = select(reading.c.meter_id, reading.c.read_at).where(
        reading.c.estate_id == estate_id, reading.c.read_at > at, reading.c.verdict.in_(KNOWN)
    )
    return [(row[0], row[1]) for row in connection.execute(query.order_by(reading.c.read_at.desc()).limit(most))]


def newest_contact_ms(connection: Connection, estate_id: str) -> int | None:
    """Machine time at which a meter of the estate last answered; None where none ever did."""
    query = select(func.max(meter_live.c.contact_ms)).where(meter_live.c.estate_id == estate_id)
    return connection.execute(query).scalar()


def _registers(row: Any) -> MeterReading:
    meter_id, read_at, received_ms, total_wh, *rates_wh = row
    return MeterReading(meter_id, read_at, received_ms, total_wh, rates_of(rates_wh))


def readings_of_meter(
    connection: Connection, estate_id: str, meter_id: str, *, limit: int = 200
) -> Sequence[RowMapping]:
    """The newest readings of a meter, held ones included, newest first."""
    query = select(reading).where(reading.c.estate_id == estate_id, reading.c.meter_id == meter_id)
    return connection.execute(query.order_by(reading.c.read_at.desc()).limit(limit)).mappings().all()


def save_variables(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Rows of (voltage_mv, current_ma, power_mw, at, estate_id, meter_id)."""
    setting = ("voltage_mv", "current_ma", "power_mw", "variables_at")
    update_rows(connection, meter_live, setting, ("estate_id", "meter_id"), rows)


def count_failures(connection: Connection, estate_id: str, counts: dict[str, int]) -> None:
    """Add to the failures in a row of each meter."""
    for meter_id, count in counts.items():
        where = (meter_live.c.estate_id == estate_id, meter_live.c.meter_id == meter_id)
        connection.execute(meter_live.update().where(*where).values(failures=meter_live.c.failures + count))


def newest_of_source(connection: Connection, estate_id: str, meter_id: str, source: str) -> RowMapping | None:
    """The newest reading of a meter that came in this way and counts."""
    query = select(reading).where(
        reading.c.estate_id == estate_id, reading.c.meter_id == meter_id, reading.c.source == source,
        reading.c.verdict.in_(ACCEPTED),
    )  # fmt: skip
    return connection.execute(query.order_by(reading.c.read_at.desc()).limit(1)).mappings().one_or_none()
