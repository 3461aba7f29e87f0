"""Reads and writes of notices; one row a notice and channel."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, func, select

from server.store.bulk import Bundle
from server.store.direct import Query
from server.store.schema import account, app_user, notice

WAITING = ("queued", "sent")


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
