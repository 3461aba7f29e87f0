"""What the breaker looks at: cuts and households of the whole database, candidates of past days, payments under way."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, func, select

from server.domain.breaker import HISTORY_DAYS, system_trips_max
from server.store.direct import Query
from server.store.estates import upsert
from server.store.partial import IS_OPEN
from server.store.schema import callback_inbox, candidate_day, estate, payment_order, relay_desired

ASKED = '%"asked": true}'  # how the order job marks what it was told instead of sent
IDS_AT_ONCE = 10_000


_TRIPS = Query(
    lambda _: select(func.count()).where(
        relay_desired.c.action == "trip", relay_desired.c.decided_at > bindparam("since_s")
    )
)
_CONFIGURED = Query(lambda _: select(estate.c.trips_per_hour_max).where(estate.c.trips_per_hour_max.is_not(None)))


def system_limit(connection: Connection, since_s: int, homes: int) -> tuple[int, int]:
    """Cuts wanted over all estates after world time `since_s`, and how many there may be with so many households."""
    most = system_trips_max(homes, [row[0] for row in _CONFIGURED.rows(connection)])
    return int(_TRIPS.value(connection, since_s=since_s)), most


def history(connection: Connection, estate_id: str, before_day: str) -> list[int]:
    """The most candidates of each of the last 14 days before `before_day` that are known."""
    query = (
        select(candidate_day.c.candidates)
        .where(candidate_day.c.estate_id == estate_id, candidate_day.c.day < before_day)
        .order_by(candidate_day.c.day.desc())
        .limit(HISTORY_DAYS)
    )
    return list(connection.execute(query).scalars())


def note_candidates(connection: Connection, estate_id: str, day: str, candidates: int) -> None:
    """Keep the most candidates of a day."""
    query = select(candidate_day.c.candidates).where(
        candidate_day.c.estate_id == estate_id, candidate_day.c.day == day
    )  # fmt: skip
    known = connection.execute(query).scalar()
    if known is None or known < candidates:
        values: dict[str, object] = {"estate_id": estate_id, "day": day, "candidates": candidates}
        upsert(connection, candidate_day, ("estate_id", "day"), values)


def payments_under_way(connection: Connection, estate_id: str, account_ids: Sequence[str], since_ms: int) -> int:
    """How many of these accounts opened an order after machine time `since_ms` that is not booked."""
    found: set[str] = set()
    for start in range(0, len(account_ids), IDS_AT_ONCE):
        query = select(payment_order.c.account_id).where(
            payment_order.c.estate_id == estate_id,
            IS_OPEN,
            payment_order.c.created_ms > since_ms,
            payment_order.c.account_id.in_(account_ids[start : start + IDS_AT_ONCE]),
        )
        found.update(connection.execute(query).scalars())
    return len(found)


def news_of_payments(connection: Connection, estate_id: str, since_ms: int) -> tuple[int, int]:
    """Since machine time `since_ms`: messages of providers that were asked for, and that came by themselves."""
    query = select(func.count()).where(
        callback_inbox.c.estate_id == estate_id, callback_inbox.c.received_ms > since_ms
    )  # fmt: skip
    asked = int(connection.execute(query.where(callback_inbox.c.body.like(ASKED))).scalar_one())
    return asked, int(connection.execute(query).scalar_one()) - asked
