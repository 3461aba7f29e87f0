"""Reads and writes of schemes, of the estate's own holidays and of its alerts; the rule book at one time."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, RowMapping, bindparam, func, select

from server.domain.rulebook import RuleBook, SchemeVersion
from server.domain.schemes import Limits
from server.store.account_lines import numbered, of_account_beside
from server.store.bulk import update_rows
from server.store.direct import Query
from server.store.estates import get_estate, upsert
from server.store.schema import account, alert, batch, estate, holiday, line, scheme

ALERTS_BACK_S = 86_400  # ended so lately, an alert still spreads the cuts after it
LINES_BACK_MAX = 2000  # a week has some 700 lines even when charged every quarter of an hour


def rule_book(connection: Connection, estate_id: str, now_s: int) -> RuleBook:
    """The rules of the estate as they are at `now_s`."""
    return RuleBook(
        get_estate(connection, estate_id),
        in_force(connection, estate_id, now_s),
        holidays(connection, estate_id),
        tuple((row["from_at"], row["until_at"], row["kind"]) for row in alerts(connection, estate_id, now_s)),
    )


_ESTATE: BindParameter[str] = bindparam("estate_id")
_VERSIONS = Query(
    lambda _: select(scheme).where(scheme.c.estate_id == _ESTATE).order_by(scheme.c.scheme_id, scheme.c.version)
)
_HOLIDAYS = Query(lambda _: select(holiday.c.day, holiday.c.kind).where(holiday.c.estate_id == _ESTATE))
_ALERTS = Query(
    lambda _: (
        select(alert)
        .where(alert.c.estate_id == _ESTATE, alert.c.until_at > bindparam("since"))
        .order_by(alert.c.from_at, alert.c.alert_id)
    )
)


def versions(connection: Connection, estate_id: str) -> Sequence[Mapping[str, Any]]:
    """Every version of every scheme, by scheme and number."""
    return _VERSIONS.ask(connection, estate_id=estate_id)


def in_force(connection: Connection, estate_id: str, now_s: int) -> dict[str, SchemeVersion]:
    """The version of each scheme that counts at `now_s`: the one that began last, the higher number of two."""
    found: dict[str, SchemeVersion] = {}
    for row in versions(connection, estate_id):
        known = found.get(row["scheme_id"])
        if row["valid_from"] <= now_s and (known is None or row["valid_from"] >= known.valid_from):
            found[row["scheme_id"]] = SchemeVersion(
                row["scheme_id"], row["version"], row["name"], row["valid_from"], row["definition"]
            )
    return found


def began_between(connection: Connection, estate_id: str, after_s: int, until_s: int) -> bool:
    """Whether a version began after `after_s` and not later than `until_s`."""
    query = select(func.count()).where(
        scheme.c.estate_id == estate_id, scheme.c.valid_from > after_s, scheme.c.valid_from <= until_s
    )
    return bool(connection.execute(query).scalar_one())


def add_version(connection: Connection, **values: Any) -> None:
    """Append one version of a scheme."""
    connection.execute(scheme.insert().values(**values))


def set_estate_scheme(connection: Connection, estate_id: str, scheme_id: str | None) -> None:
    """The scheme of households that name none."""
    connection.execute(estate.update().where(estate.c.estate_id == estate_id).values(scheme_id=scheme_id))


def holidays(connection: Connection, estate_id: str) -> dict[str, str]:
    """The estate's own calendar: day -> off | work."""
    return {row[0]: row[1] for row in _HOLIDAYS.rows(connection, estate_id=estate_id)}


def holiday_rows(connection: Connection, estate_id: str) -> Sequence[RowMapping]:
    """The estate's own calendar with its names, by day."""
    query = select(holiday).where(holiday.c.estate_id == estate_id).order_by(holiday.c.day)
    return connection.execute(query).mappings().all()


def set_holiday(connection: Connection, estate_id: str, day: str, kind: str, name: str) -> None:
    """Put one day into the estate's calendar."""
    values: dict[str, object] = {"estate_id": estate_id, "day": day, "kind": kind, "name": name}
    upsert(connection, holiday, ("estate_id", "day"), values)


def drop_holiday(connection: Connection, estate_id: str, day: str) -> bool:
    """Take one day out again; False when it was not there."""
    where = (holiday.c.estate_id == estate_id, holiday.c.day == day)
    return bool(connection.execute(holiday.delete().where(*where)).rowcount)


def alerts(connection: Connection, estate_id: str, now_s: int) -> Sequence[Mapping[str, Any]]:
    """Alerts that run, come, or ended within the last day, by their begin."""
    return _ALERTS.ask(connection, estate_id=estate_id, since=now_s - ALERTS_BACK_S)


def get_alert(connection: Connection, estate_id: str, alert_id: str) -> RowMapping | None:
    """One alert, or None."""
    query = select(alert).where(alert.c.estate_id == estate_id, alert.c.alert_id == alert_id)
    return connection.execute(query).mappings().one_or_none()


def add_alert(connection: Connection, **values: Any) -> None:
    """Insert one alert."""
    connection.execute(alert.insert().values(**values))


def end_alert(connection: Connection, estate_id: str, alert_id: str, until_at: int) -> None:
    """Let an alert end at `until_at`."""
    where = (alert.c.estate_id == estate_id, alert.c.alert_id == alert_id)
    connection.execute(alert.update().where(*where).values(until_at=until_at))


def household_rows(connection: Connection, estate_id: str, account_ids: Sequence[str] | None) -> Sequence[RowMapping]:
    """Household accounts that are not closed: these, or all."""
    query = select(account).where(
        account.c.estate_id == estate_id, account.c.kind == "household", account.c.status != "closed"
    )
    if account_ids is not None:
        query = query.where(account.c.account_id.in_(account_ids))
    return connection.execute(query.order_by(account.c.account_id)).mappings().all()


def save_limits(connection: Connection, estate_id: str, values: Mapping[str, tuple[int, ...]]) -> None:
    """Write limits (in the order of `Limits`) and level of households, by account."""
    rows = [(*row, estate_id, account_id) for account_id, row in values.items()]
    update_rows(connection, account, (*Limits._fields, "level"), ("estate_id", "account_id"), rows)


def update_account(connection: Connection, estate_id: str, account_id: str, **values: Any) -> None:
    """Change rules, limits or protection of one household."""
    where = (account.c.estate_id == estate_id, account.c.account_id == account_id)
    connection.execute(account.update().where(*where).values(**values))


def last_topups(connection: Connection, estate_id: str, account_ids: Sequence[str]) -> dict[str, int]:
    """The fen of the newest top-up of each of these accounts that had one."""
    newest = (
        select(line.c.account_id, func.max(line.c.account_version).label("version"))
        .select_from(line)
        .join(batch, (batch.c.estate_id == line.c.estate_id) & (batch.c.batch_seq == line.c.batch_seq))
        .join(account, of_account_beside())
        .where(account.c.estate_id == estate_id, account.c.account_id.in_(account_ids), batch.c.kind == "topup")
        .group_by(line.c.account_id)
        .subquery()
    )
    query = select(line.c.account_id, line.c.amount_fen).join(
        newest, numbered(line, estate_id, newest.c.account_id, newest.c.version)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def spent(
    connection: Connection, estate_id: str, account_ids: Sequence[str], since_s: int
) -> Mapping[str, tuple[int, int]]:
    """By account: fen charged for energy since `since_s`, and the world time from which the first of it was used."""
    query = (
        select(line.c.account_id, func.sum(-line.c.amount_fen), func.min(line.c.event_from))
        .select_from(line)
        .join(account, of_account_beside(LINES_BACK_MAX))
        .where(
            account.c.estate_id == estate_id,
            account.c.account_id.in_(account_ids),
            line.c.account_version > account.c.version - LINES_BACK_MAX,
            line.c.event_from >= since_s,
        )
        .group_by(line.c.account_id)
    )
    return {row[0]: (int(row[1]), row[2]) for row in connection.execute(query)}


def mark_settled(connection: Connection, estate_id: str, at_s: int) -> None:
    """Note that the limits of all households were worked out."""
    connection.execute(estate.update().where(estate.c.estate_id == estate_id).values(limits_at=at_s))
