"""Reads and writes of notices; one row a notice and channel."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, and_, bindparam, case, exists, func, or_, select

from server.domain.notices import WARNINGS
from server.store.bulk import Bundle
from server.store.direct import Query
from server.store.schema import account, app_user, notice

WAITING = ("queued", "sent")
MESSAGES = ("message", "gateway", "sandbox")  # channels of what goes to a telephone

_NEW = (
    "estate_id", "status", "notice_id", "channel", "account_id", "kind", "arguments", "event_at", "created_ms",
    "not_before_at",
)  # fmt: skip
New = tuple[str, str, str, str, str, int, int, int]


def add(bundle: Bundle, estate_id: str, rows: Sequence[New]) -> None:
    """Queue notices: id, channel, account, kind, arguments, when in world and machine time, not before."""
    bundle.insert(notice, _NEW, [(estate_id, "queued", *row) for row in rows])


def queued(connection: Connection, estate_id: str, now_s: int, *, limit: int) -> Sequence[RowMapping]:
    """Notices that a channel may take at world time `now_s`, oldest first, with phone and language of the household."""
    resident = (
        select(app_user.c.account_id, func.min(app_user.c.language).label("language"))
        .where(app_user.c.estate_id == estate_id, app_user.c.role == "resident")
        .group_by(app_user.c.account_id)
        .subquery()
    )
    query = (
        select(notice, account.c.phone, account.c.room_id, resident.c.language)
        .join(
            account,
            (account.c.estate_id == notice.c.estate_id) & (account.c.account_id == notice.c.account_id),
        )
        .outerjoin(resident, resident.c.account_id == notice.c.account_id)
        .where(
            notice.c.estate_id == estate_id,
            notice.c.status == "queued",
            notice.c.channel != "page",
            notice.c.not_before_at <= now_s,
        )
        .order_by(notice.c.created_ms, notice.c.notice_id)
        .limit(limit)
    )
    return connection.execute(query).mappings().all()


def unanswered(connection: Connection, estate_id: str, before_ms: int, *, limit: int) -> Sequence[RowMapping]:
    """Notices that a channel took before `before_ms` and for which no receipt has come, oldest first."""
    query = (
        select(notice.c.notice_id, notice.c.attempts)
        .where(
            notice.c.estate_id == estate_id,
            notice.c.status == "sent",
            notice.c.channel != "page",
            notice.c.sent_ms < before_ms,
        )
        .order_by(notice.c.sent_ms, notice.c.notice_id)
        .limit(limit)
    )
    return connection.execute(query).mappings().all()


_other = notice.alias("other")
_OF_HOUSEHOLD = and_(*(_other.c[name] == notice.c[name] for name in ("estate_id", "account_id", "kind")))
_REACHED = exists().where(_OF_HOUSEHOLD, _other.c.created_ms == notice.c.created_ms, _other.c.status == "delivered")
_FOLLOWED = exists().where(_OF_HOUSEHOLD, _other.c.created_ms > notice.c.created_ms)
_OWES = and_(account.c.balance_fen <= -account.c.overdraft_fen, account.c.status == "normal")
_UNDELIVERED = (
    select(notice, account.c.room_id, account.c.holder, account.c.phone, account.c.balance_fen)
    .join(account, and_(account.c.estate_id == notice.c.estate_id, account.c.account_id == notice.c.account_id))
    .where(
        notice.c.estate_id == bindparam("estate_id"),
        notice.c.status.in_(bindparam("states", expanding=True)),
        notice.c.channel.in_(MESSAGES),
        notice.c.not_before_at <= bindparam("now_s"),
        notice.c.created_ms > bindparam("since_ms"),
        ~_REACHED,
        ~_FOLLOWED,
        or_(notice.c.kind.not_in(WARNINGS), _OWES),
    )
)


def undelivered(
    connection: Connection, estate_id: str, now_s: int, since_ms: int, *, limit: int
) -> Sequence[RowMapping]:
    """Messages that failed or wait, written after `since_ms`, that arrived by no channel: warnings first, then newest.

    Of each household the newest of a kind, with its room, holder, phone and balance; warnings only while it owes.
    """
    query = _UNDELIVERED.order_by(notice.c.kind.in_(WARNINGS).desc(), notice.c.created_ms.desc()).limit(limit)
    asked = {"estate_id": estate_id, "now_s": now_s, "since_ms": since_ms, "states": ["queued", "failed"]}
    return connection.execute(query, asked).mappings().all()


def waiting_for_morning(connection: Connection, estate_id: str, now_s: int) -> int:
    """How many households' messages are put off to a later world time than `now_s` and have arrived by no channel."""
    query = select(func.count(func.distinct(notice.c.account_id))).where(
        notice.c.estate_id == estate_id,
        notice.c.status == "queued",
        notice.c.channel.in_(MESSAGES),
        notice.c.not_before_at > now_s,
        ~_REACHED,
    )
    return int(connection.execute(query).scalar_one())


def waiting_warnings(connection: Connection, estate_id: str, now_s: int) -> tuple[int, int | None]:
    """How many households' warnings of a cut wait for their channel, and since when (world time) the first one does."""
    return _waiting(connection, estate_id, now_s, _UNDELIVERED.where(notice.c.kind.in_(WARNINGS)))


def waiting_messages(connection: Connection, estate_id: str, now_s: int) -> tuple[int, int | None]:
    """How many messages of any kind wait for their channel, and since when (world time) the first one does."""
    return _waiting(connection, estate_id, now_s, _UNDELIVERED)


def _waiting(connection: Connection, estate_id: str, now_s: int, rows: Select[Any]) -> tuple[int, int | None]:
    query = rows.subquery()
    since = case((query.c.not_before_at > query.c.event_at, query.c.not_before_at), else_=query.c.event_at)
    asked = {"estate_id": estate_id, "now_s": now_s, "since_ms": 0, "states": ["queued"]}
    found = connection.execute(select(func.count(), func.min(since)).select_from(query), asked).one()
    return found[0], found[1]


def get(connection: Connection, estate_id: str, notice_id: str) -> RowMapping | None:
    """One notice."""
    query = select(notice).where(notice.c.estate_id == estate_id, notice.c.notice_id == notice_id)
    return connection.execute(query).mappings().one_or_none()


def update(connection: Connection, estate_id: str, notice_id: str, **values: Any) -> None:
    """Change the delivery state of one notice."""
    connection.execute(
        notice.update().where(notice.c.estate_id == estate_id, notice.c.notice_id == notice_id).values(**values)
    )


def is_delivered(connection: Connection, row: RowMapping) -> bool:
    """Whether what this row says has reached its household on any channel."""
    query = select(notice.c.notice_id).where(
        *(notice.c[name] == row[name] for name in ("estate_id", "account_id", "kind", "created_ms")),
        notice.c.status == "delivered",
    )
    return connection.execute(query.limit(1)).first() is not None


def deliveries(connection: Connection, row: RowMapping) -> dict[str, int]:
    """Where what this row says has reached its household, and when (world time)."""
    query = select(notice.c.channel, notice.c.delivered_at).where(
        *(notice.c[name] == row[name] for name in ("estate_id", "account_id", "kind", "created_ms")),
        notice.c.status == "delivered",
        notice.c.delivered_at.is_not(None),
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def is_followed(connection: Connection, row: RowMapping, kinds: Sequence[str]) -> bool:
    """Whether a notice of one of these kinds was written to the same household after this one."""
    query = select(notice.c.notice_id).where(
        *(notice.c[name] == row[name] for name in ("estate_id", "account_id")),
        notice.c.created_ms > row["created_ms"],
        notice.c.kind.in_(kinds),
    )
    return connection.execute(query.limit(1)).first() is not None


def unseen_of_page(connection: Connection, estate_id: str, account_id: str) -> Sequence[str]:
    """Notices of the page channel that the household has not been shown."""
    query = select(notice.c.notice_id).where(
        notice.c.estate_id == estate_id,
        notice.c.account_id == account_id,
        notice.c.channel == "page",
        notice.c.status.in_(WAITING),
    )
    return list(connection.execute(query).scalars())


_OF_KIND = Query(
    lambda among: (
        select(notice.c.account_id, notice.c.created_ms, notice.c.event_at, notice.c.delivered_at)
        .where(
            notice.c.estate_id == bindparam("estate_id"),
            notice.c.kind == bindparam("kind"),
            among(notice.c.account_id, "account_ids"),
        )
        .order_by(notice.c.created_ms)
    )
)


def newest_deliveries(
    connection: Connection, estate_id: str, kind: str, account_ids: Sequence[str], since_ms: Mapping[str, int]
) -> dict[str, tuple[int, int | None]]:
    """When each account's newest notice of a kind was written, and first delivered (world time), None if it was not.

    Notices of before the account's `since_ms` (machine time) do not count; an account without one is absent.
    """
    newest: dict[str, int] = {}
    found: dict[str, tuple[int, int | None]] = {}
    rows = _OF_KIND.rows(connection, estate_id=estate_id, kind=kind, account_ids=account_ids)
    for name, created_ms, event_at, at in rows:
        if created_ms < since_ms.get(name, 0):
            continue
        known = found[name][1] if newest.get(name) == created_ms else None
        first = at if known is None else known if at is None else min(at, known)
        newest[name], found[name] = created_ms, (event_at, first)
    return found
