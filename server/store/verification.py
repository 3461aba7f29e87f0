"""The reads of `verify` beside the journal itself (which `verification_windows` streams)."""

from collections.abc import Iterator, Sequence, Set
from itertools import islice

import numpy as np
from sqlalchemy import (
    Connection,
    Select,
    Table,
    Text,
    and_,
    case,
    cast,
    func,
    null,
    or_,
    select,
    tuple_,
)

from core.reading import Verdict
from server.domain.ledger import SYSTEM_ACCOUNTS
from server.domain.registers import Registers
from server.domain.verification import Carried, Ended, Installed, RatesBeside
from server.domain.verification_bookings import PaymentRow
from server.domain.verification_meters import Cursors, Exchanged, Installations
from server.domain.verification_splits import Seen
from server.domain.voiding import VOID
from server.store._links import take_by_pair
from server.store.columns import Int64
from server.store.readings import ACCEPTED, KNOWN, rates_of, registers_query
from server.store.rows import Rows, Words, named_rows, rows_within
from server.store.schema import (
    account,
    account_event,
    batch,
    exchange,
    line,
    meter,
    meter_cursor,
    payment,
    reading,
    reading_act,
    seal,
)

KEYS_AT_ONCE = 400  # two parameters each
SHOWING_MAX = 50  # readings of one register among which a charge may have ended
STRAYS_MAX = 100  # rows of one kind that belong nowhere; more of them say no more
_ONCE = (*KNOWN, Verdict.REVOKED.value, Verdict.VOIDED.value)  # a reading is voided also where no charge ended at it


def beyond(connection: Connection, estate_id: str, table: Table, batch_seq: int) -> list[int]:
    """Numbers above `batch_seq`, and those that no batch ever has, by which rows of a table name their batch."""
    own = table.c.batch_seq
    found: list[int] = []
    for outside in (own > batch_seq, own <= 0):  # one by one, since each is a range of the key
        query = select(own).where(table.c.estate_id == estate_id, outside).distinct()
        found += connection.execute(query.order_by(own).limit(STRAYS_MAX)).scalars()
    return sorted(found)


def accounts(connection: Connection, estate_id: str) -> tuple[list[str], Words]:
    """All accounts: their ids, and int64 columns of balance, residue and version."""
    columns = (account.c.account_id, account.c.balance_fen, account.c.residue_nf, account.c.version)
    query = select(*columns).where(account.c.estate_id == estate_id).order_by(account.c.account_id)
    return named_rows(connection, query, Rows("tqqq"))


def rates_besides(
    connection: Connection, estate_id: str, explained: Set[tuple[int, int]] = frozenset()
) -> Iterator[RatesBeside]:
    """Charges by rates that do not end at the rate registers of the reading at their end.

    Readings of the total alone have none; lines that are `explained` (batch, number) end there all the same. Ends that
    were estimated have nothing to compare with; a line that mirrors a charge ends where that charge began.
    """
    one, two, three, four = (cast(reading.c[f"rate{number}_wh"], Text) for number in range(1, 5))
    read = one + "," + two + "," + three + "," + four
    at_end = and_(
        reading.c.estate_id == line.c.estate_id,
        reading.c.read_at == line.c.event_to,
        reading.c.meter_id == line.c.meter_id,
        reading.c.verdict.in_(ACCEPTED),
    )
    query = (
        select(line.c.meter_id, line.c.batch_seq, line.c.line_no, line.c.to_rates_wh, read)
        .select_from(line)
        .join(reading, at_end)
        .where(
            line.c.estate_id == estate_id,
            line.c.to_rates_wh.is_not(None),
            or_(line.c.to_rates_wh != read, read.is_(None)),
            line.c.batch_seq.not_in(_mirrors(estate_id)),
        )
        .order_by(line.c.meter_id, line.c.batch_seq, line.c.line_no)  # no index leads there: planned for all lines
    )
    found = (RatesBeside(*row) for row in connection.execute(query))
    wrong = (one for one in found if one.read_wh is not None or (one.batch_seq, one.line_no) not in explained)
    yield from islice(wrong, STRAYS_MAX)


def mirrors(connection: Connection, estate_id: str) -> set[int]:
    """Numbers of the batches that take charges back."""
    return set(connection.execute(_mirrors(estate_id)).scalars())


def _mirrors(estate_id: str) -> "Select[int]":
    return select(batch.c.batch_seq).where(batch.c.estate_id == estate_id, batch.c.kind == VOID)


def missing_accounts(connection: Connection, estate_id: str) -> list[str]:
    """Accounts that every estate or one of its meters needs, and that do not exist."""
    own = select(account.c.account_id).where(account.c.estate_id == estate_id)
    system = set(SYSTEM_ACCOUNTS) - set(
        connection.execute(own.where(account.c.account_id.in_(SYSTEM_ACCOUNTS))).scalars()
    )
    query = select(meter.c.account_id).where(
        meter.c.estate_id == estate_id, meter.c.account_id.is_not(None), ~own.where(
            account.c.account_id == meter.c.account_id
        ).exists(),
    )  # fmt: skip
    return sorted(system | set(connection.execute(query.limit(STRAYS_MAX)).scalars()))


def household_meters(connection: Connection, estate_id: str) -> Installations:
    """All charged meters as they are installed now, with what an exchange carried over to them."""
    columns = (
        meter.c.meter_id, meter.c.install_no, meter.c.ratio, meter.c.max_power_w, meter.c.start_wh,
        meter.c.installed_at, *(meter.c[f"start_rate{number}_wh"] for number in range(1, 5)),
        meter.c.account_id,
    )  # fmt: skip
    query = select(*columns).where(meter.c.estate_id == estate_id, meter.c.kind == "household")
    rows = Rows("tqqqqqqqqqt")
    meter_ids, words = named_rows(connection, query.order_by(meter.c.meter_id), rows)
    households = [name.decode("utf-8", "replace") for name in rows.names(len(columns) - 1)]
    return Installations(meter_ids, words, _carried(connection, estate_id), households)


def ended_installations(connection: Connection, estate_id: str) -> list[tuple[Installed, Ended]]:
    """Installations that an exchange ended, oldest first."""
    old = exchange.c
    columns = (
        old.old_meter_id, old.old_install_no, old.old_ratio, old.old_max_power_w, old.old_start_wh,
        old.old_installed_at, old["at"], old.final_wh, old.final_rates_wh,
    )  # fmt: skip
    query = select(*columns).where(old.estate_id == estate_id).order_by(old["at"], old.created_ms)
    carried = _carried(connection, estate_id)
    begun = {
        (meter_id, install_no): rates_wh
        for meter_id, install_no, rates_wh in connection.execute(
            select(old.new_meter_id, old.new_install_no, old.start_rates_wh).where(old.estate_id == estate_id)
        )
    }
    return [
        (
            Installed(row[0], row[1], row[2], row[3], row[4], row[5], carried.get(row[:2]), begun.get(row[:2])),
            Ended(row[6], row[7], row[8]),
        )
        for row in map(tuple, connection.execute(query))
    ]


def exchanged(connection: Connection, estate_id: str) -> list[Exchanged]:
    """Which installation follows which."""
    own = exchange.c
    columns = (own.old_meter_id, own.old_install_no, own.new_meter_id, own.new_install_no, own.kind)
    query = select(*columns).where(own.estate_id == estate_id).order_by(own["at"], own.created_ms)
    return [Exchanged((row[0], row[1]), (row[2], row[3]), row[4] == "move") for row in connection.execute(query)]


def households_fed(connection: Connection, estate_id: str) -> dict[tuple[str, int], str]:
    """The household that an installation fed until it ended or was left; of the others `household_meters` tells."""
    told, old = account_event.c, exchange.c
    left = select(told.meter_id, told.account_id).where(
        told.estate_id == estate_id, told.act == "moved_out", told.meter_id.is_not(None)
    )
    former = {row[0]: row[1] for row in connection.execute(left.order_by(told.world_at, told.created_ms))}
    now = select(meter.c.meter_id, meter.c.install_no).where(
        meter.c.estate_id == estate_id, meter.c.kind == "household", meter.c.account_id.is_(None)
    )
    found = {(row[0], row[1]): former.get(row[0]) for row in connection.execute(now)}
    ended = select(old.old_meter_id, old.old_install_no, old.account_id).where(old.estate_id == estate_id)
    found |= {(row[0], row[1]): row[2] for row in connection.execute(ended)}
    return {key: account_id for key, account_id in found.items() if account_id is not None}


def ratios(connection: Connection, estate_id: str) -> dict[tuple[str, int], int]:
    """The ratio of every installation of every meter, by meter and number."""
    now = select(meter.c.meter_id, meter.c.install_no, meter.c.ratio).where(meter.c.estate_id == estate_id)
    old = select(exchange.c.old_meter_id, exchange.c.old_install_no, exchange.c.old_ratio).where(
        exchange.c.estate_id == estate_id
    )
    return {(row[0], row[1]): row[2] for query in (old, now) for row in connection.execute(query)}


def _carried(connection: Connection, estate_id: str) -> dict[tuple[str, int], Carried]:
    new = exchange.c
    columns = (
        new.new_meter_id, new.new_install_no, new.tier_period_start, new.tier_period_wh, new.order_start,
        new.order_rates_wh,
    )  # fmt: skip
    query = select(*columns).where(new.estate_id == estate_id)
    return {(row[0], row[1]): Carried(*row[2:]) for row in connection.execute(query)}


def judged_by_people(connection: Connection, estate_id: str) -> tuple[dict[str, list[int]], dict[str, dict[int, int]]]:
    """When the readings of each meter were taken that a person answers for, and registers that were taken back later.

    The first are those that were released and those that were taken back after they had been charged; the second are
    the latter, by meter and instant. Each of them has its act.
    """
    same = and_(
        reading.c.estate_id == reading_act.c.estate_id,
        reading.c.read_at == reading_act.c.read_at,
        reading.c.meter_id == reading_act.c.meter_id,
        reading.c.verdict == reading_act.c.verdict_after,
    )
    query = (
        select(reading.c.meter_id, reading.c.read_at, reading.c.verdict, reading.c.total_wh)
        .select_from(reading_act)
        .join(reading, same)
        .where(
            reading_act.c.estate_id == estate_id,
            reading_act.c.verdict_after.in_((Verdict.RELEASED.value, Verdict.REVOKED.value)),
        )
    )
    released: dict[str, list[int]] = {}
    revoked: dict[str, dict[int, int]] = {}
    for meter_id, read_at, verdict, total_wh in connection.execute(query):
        released.setdefault(meter_id, []).append(read_at)
        if verdict == Verdict.REVOKED.value:
            revoked.setdefault(meter_id, {})[read_at] = total_wh
    return released, revoked


def registers_at(
    connection: Connection, estate_id: str, keys: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], Seen]:
    """The readings of exactly (meter, instant) that count or did once; some may have come after what was charged."""
    rates = [reading.c[f"rate{number}_wh"] for number in range(1, 5)]
    query = select(reading.c.meter_id, reading.c.read_at, reading.c.total_wh, reading.c.verdict, *rates)
    found = {}
    for start in range(0, len(keys), KEYS_AT_ONCE):
        wanted = [(at, meter_id) for meter_id, at in keys[start : start + KEYS_AT_ONCE]]
        own = query.where(
            reading.c.estate_id == estate_id,
            tuple_(reading.c.read_at, reading.c.meter_id).in_(wanted),
            reading.c.verdict.in_(_ONCE),
        )
        for row in connection.execute(own):
            found[row[0], row[1]] = Seen(row[2], rates_of(row[4:8]), row[3] not in ACCEPTED)
    return found


def without_rates(connection: Connection, estate_id: str, instants: Sequence[int]) -> set[tuple[str, int]]:
    """The meters, each with the instant, whose accepted reading at one of these instants is of the total alone."""
    absent = or_(*(reading.c[f"rate{number}_wh"].is_(None) for number in range(1, 5)))
    query = registers_query(connection, estate_id, instants).where(absent)
    return {(row[0], row[1]) for row in connection.execute(query)}


def first_showing(connection: Connection, estate_id: str, meter_id: str, after: int, total_wh: int) -> Registers | None:
    """The first reading of a meter after an instant that shows this total and counts, or did once."""
    return next(iter(showing(connection, estate_id, meter_id, after, total_wh, most=1)), None)


def showing(
    connection: Connection, estate_id: str, meter_id: str, after: int, total_wh: int, *, most: int = SHOWING_MAX
) -> list[Registers]:  # fmt: skip
    """The first readings of a meter after an instant that show this total and count, or did once."""
    query = select(reading.c.read_at, *(reading.c[f"rate{number}_wh"] for number in range(1, 5))).where(
        reading.c.estate_id == estate_id, reading.c.meter_id == meter_id, reading.c.read_at > after,
        reading.c.total_wh == total_wh,
        reading.c.verdict.in_(_ONCE),
    )  # fmt: skip
    rows = connection.execute(query.order_by(reading.c.read_at).limit(most))
    return [Registers(row[0], total_wh, rates_of(row[1:5])) for row in rows]


def cursors(connection: Connection, estate_id: str) -> Cursors:
    """Each meter's cursor with the accepted register at its instant.

    Registers are read by instants and found by meters: a join would look at every reading there is.
    """
    own, rows = meter_cursor.c, Rows("tqqqqqq")
    columns = (
        own.meter_id, own.install_no, own.read_at, own.total_wh, own.tier_period_start, own.tier_period_wh,
        null().cast(Int64),
    )  # fmt: skip
    query = select(*columns).where(own.estate_id == estate_id)
    names, words = named_rows(connection, query, rows)
    instants = np.unique(words[1]).tolist()
    if instants:
        read = rows_within(connection, registers_query(connection, estate_id, instants), Rows("tqq", rows, 0))
        take_by_pair(np.arange(len(names)), words[1], words[5], *read[:3])
    return Cursors(names, words)


def unheaded_ms(connection: Connection, estate_id: str, after: int, gap_max_ms: int) -> int:
    """For how long batches after number `after` were sealed; of a pause only `gap_max_ms` counts."""
    own = seal.c
    since = (own.sealed_ms - func.lag(own.sealed_ms).over(order_by=own.batch_seq)).label("since")
    gaps = select(since).where(own.estate_id == estate_id, own.batch_seq > after).subquery()
    counted = case((gaps.c.since > gap_max_ms, gap_max_ms), (gaps.c.since > 0, gaps.c.since), else_=0)
    return int(connection.execute(select(func.sum(counted))).scalar_one() or 0)


def payments(connection: Connection, estate_id: str, after: int, last: int) -> list[PaymentRow]:
    """The payments of batches after number `after` up to `last`, in the order of these."""
    own = payment.c
    query = select(*(own[name] for name in PaymentRow._fields)).where(
        own.estate_id == estate_id, own.batch_seq > after, own.batch_seq <= last
    )
    return [PaymentRow(*row) for row in connection.execute(query.order_by(own.batch_seq, own.payment_id))]


def repeated_keys(connection: Connection, estate_id: str) -> list[str]:
    """Idempotency keys with more than one batch."""
    query = select(batch.c.idem_key).where(batch.c.estate_id == estate_id).group_by(batch.c.idem_key)
    return list(connection.execute(query.having(func.count() > 1)).scalars())


def judged_since(connection: Connection, estate_id: str) -> bool:
    """Whether people judged readings since this connection's transaction began, which lanes of SQLite see already."""
    query = select(func.count()).select_from(reading_act).where(reading_act.c.estate_id == estate_id)
    with connection.engine.connect() as other:
        return bool(other.execute(query).scalar_one() != connection.execute(query).scalar_one())
