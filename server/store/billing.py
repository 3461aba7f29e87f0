"""What there is to charge, and moving the cursors of what was charged."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, bindparam, or_, select

from server.domain.accounts import NORMAL, PAUSED
from server.domain.billing import Due, DueRow, TierState
from server.domain.columns import Columns
from server.domain.due_columns import TEXT_FIELDS, DueColumns
from server.domain.local_fee import REMOTE
from server.domain.registers import rates_text
from server.errors import StorageUnavailable
from server.store.bulk import Bundle, update_rows
from server.store.direct import Query, send
from server.store.rows import Rows, statement_rows
from server.store.schema import account, meter, meter_cursor, meter_live, reading

_MOVING = (
    "read_at", "total_wh", "rate1_wh", "rate2_wh", "rate3_wh", "rate4_wh", "tier_period_start", "tier_period_wh",
    "order_start", "order_rates_wh",
)  # fmt: skip
_KEY = ("meter_id", "install_no", "seq", "estate_id")
_NO_RATES = (None, None, None, None)
_KINDS = "".join("t" if name in TEXT_FIELDS else "q" for name in DueRow._fields)


def load_due(
    connection: Connection, estate_id: str, world_s: int, cycle_s: int, limit: int, meter_ids: Sequence[str] = ()
) -> DueColumns:
    """Meters with an accepted reading after their cursor whose cycle is over or whose account is near an alarm.

    Only normal accounts are charged. Meters that are named are due whatever the cycle says, of paused accounts too, and
    no others.
    """
    if meter_ids:
        question = _NAMED.of(connection, estate_id=estate_id, meter_ids=list(meter_ids))
    else:
        question = _DUE.of(connection, estate_id=estate_id, until_s=world_s - cycle_s, most=limit)
    rows = Rows(_KINDS)
    words = statement_rows(connection, question, rows)
    if words[-1].any():
        raise StorageUnavailable(
            "a meter that is due, its cursor or its account has no number for a number; run verify"
        )
    places = {name: place for place, name in enumerate(DueRow._fields) if name in TEXT_FIELDS}
    texts = {name: [one.decode() for one in rows.names(place)] for name, place in places.items()}
    return DueColumns(words[:-1], texts)


class DueMeter(NamedTuple):
    """A meter to charge, by which tariff, from the instant of its cursor to that of its last accepted reading."""

    meter_id: str
    protocol: str
    tariff_id: str
    start_at: int
    end_at: int


def due_meters(connection: Connection, estate_id: str, world_s: int, cycle_s: int) -> list[DueMeter]:
    """All meters that `load_due` would find due, the longest waiting first; for a reader, so that no writer waits.

    Two questions, since few cycles are over at a time and few accounts near an alarm: both are cheaper than one that
    looks at all meters.
    """
    asked = {"estate_id": estate_id, "until_s": world_s - cycle_s}
    over, near = send(connection, _OVER.of(connection, **asked), _NEAR.of(connection, **asked))
    found = [DueMeter(*row) for row in (*over.rows, *near.rows)]
    return sorted(found, key=attrgetter("start_at", "meter_id"))


def _due(*columns: Any) -> "Select[Any]":
    """Meters that have something to charge, in no order."""
    cursor, live = meter_cursor.c, meter_live.c
    return (
        select(*columns)
        .select_from(meter_cursor)
        .join(meter, and_(meter.c.estate_id == cursor.estate_id, meter.c.meter_id == cursor.meter_id))
        .join(meter_live, and_(live.estate_id == cursor.estate_id, live.meter_id == cursor.meter_id))
        .join(account, and_(account.c.estate_id == meter.c.estate_id, account.c.account_id == meter.c.account_id))
        .where(
            cursor.estate_id == bindparam("estate_id"),
            cursor.install_no == meter.c.install_no,
            live.reading_at > cursor.read_at,
            account.c.tariff_id.is_not(None),
            meter.c.fee == REMOTE,
        )
    )


def _with_rates() -> "Select[Any]":
    """Due meters with all that a charge needs, the longest waiting first; rates that were read are in the reading."""
    live, taken = meter_live.c, reading.c
    same = and_(taken.estate_id == live.estate_id, taken.read_at == live.reading_at, taken.meter_id == live.meter_id)
    return _due(*_COLUMNS).join(reading, same).order_by(meter_cursor.c.read_at, meter.c.meter_id)


def _near(accounts: FromClause) -> ColumnElement[bool]:
    """Whether an account is near an alarm: it is charged at each reading, whatever the cycle says."""
    return or_(accounts.c.level > 0, accounts.c.balance_fen <= 2 * accounts.c.alarm1_fen)


_watched = account.alias("watched")
_NEAR_ONES = select(_watched.c.account_id).where(_watched.c.estate_id == bindparam("estate_id"), _near(_watched))
_IS_OVER = meter_cursor.c.read_at <= bindparam("until_s")
_IN_SERVICE = account.c.status == NORMAL
_COLUMNS = (  # in the order of DueRow

    meter.c.meter_id, meter.c.account_id, account.c.tariff_id, meter_cursor.c.install_no, meter_cursor.c.seq,
    meter.c.ratio, meter_cursor.c.read_at, meter_cursor.c.total_wh, meter_cursor.c.rate1_wh, meter_cursor.c.rate2_wh,
    meter_cursor.c.rate3_wh, meter_cursor.c.rate4_wh, meter_live.c.reading_at, meter_live.c.total_wh,
    reading.c.rate1_wh, reading.c.rate2_wh, reading.c.rate3_wh, reading.c.rate4_wh, meter_cursor.c.tier_period_start,
    meter_cursor.c.tier_period_wh, meter_cursor.c.order_start, meter_cursor.c.order_rates_wh, account.c.balance_fen,
    account.c.residue_nf, account.c.version, account.c.level, account.c.alarm1_fen, account.c.alarm2_fen,
    account.c.overdraft_fen, account.c.close_allowed_fen,
)  # fmt: skip
_DUE = Query(lambda _: _with_rates().where(or_(_IS_OVER, _near(account)), _IN_SERVICE).limit(bindparam("most")))
_CHARGED = or_(account.c.status == NORMAL, account.c.status == PAUSED)
_NAMED = Query(lambda among: _with_rates().where(among(meter.c.meter_id, "meter_ids"), _CHARGED))
_WHAT = (  # in the order of DueMeter
    meter.c.meter_id, meter.c.protocol, account.c.tariff_id, meter_cursor.c.read_at, meter_live.c.reading_at,
)  # fmt: skip
_OVER = Query(lambda _: _due(*_WHAT).where(_IS_OVER, _IN_SERVICE))
_NEAR = Query(lambda _: _due(*_WHAT).where(meter.c.account_id.in_(_NEAR_ONES), ~_IS_OVER, _IN_SERVICE))


def advance_cursors(
    bundle: Bundle, estate_id: str, moved: Sequence[Due], tiers: Mapping[str, TierState], *, otherwise: Exception
) -> None:
    """Move each cursor to the end of its charge, if nobody else did (CAS on its number), `otherwise` it is an error."""
    rows = []
    for item in moved:
        end, tier = item.end, tiers[item.meter_id]
        rates = end.rates_wh or _NO_RATES
        order_rates = None if tier.rates_wh is None else rates_text(tier.rates_wh)
        rows.append((
            end.at, end.total_wh, *rates, tier.period_start, tier.wh, tier.order_start, order_rates,
            item.meter_id, item.install_no, item.seq, estate_id,
        ))  # fmt: skip
    bundle.update(meter_cursor, _MOVING, _KEY, rows, ("seq",), otherwise=otherwise)


def advance_columns(bundle: Bundle, estate_id: str, cursors: Columns, *, otherwise: Exception) -> None:
    """The same from columns, as `PlainCharges` has them."""
    given = Columns((*cursors.columns, estate_id), cursors.rows)
    bundle.update_columns(meter_cursor, _MOVING, _KEY, given, ("seq",), otherwise=otherwise)


def store_levels(connection: Connection, estate_id: str, levels: Sequence[tuple[int, str]]) -> None:
    """Keep the alarm levels of accounts whose level changed without a line."""
    rows = [(level, estate_id, account_id) for level, account_id in levels]
    update_rows(connection, account, ("level",), ("estate_id", "account_id"), rows)
