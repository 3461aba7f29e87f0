"""The courses of an estate's meters, from the lines that were charged: for comparing what tariffs cost."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select, tuple_

from server.domain.comparison import Course
from server.domain.registers import Registers, rates_from
from server.domain.verification import Installed
from server.domain.voiding import VOID
from server.store.acceptance import exchanges
from server.store.account_lines import lines_of_accounts
from server.store.readings import KNOWN, rates_of
from server.store.schema import account, batch, line, reading
from server.store.verification import ended_installations, household_meters

ACCOUNTS_AT_ONCE = 200
_Key = tuple[str, int]


class Lineages:
    """Which installation follows which, and the ratio of each."""

    def __init__(self, connection: Connection, estate_id: str) -> None:
        ended = [one for one, _ in ended_installations(connection, estate_id)]
        installed: list[Installed] = [*household_meters(connection, estate_id), *ended]
        self._ratios = {(one.meter_id, one.install_no): one.ratio for one in installed}
        self._before: dict[_Key, _Key] = {
            (row["new_meter_id"], row["new_install_no"]): (row["old_meter_id"], row["old_install_no"])
            for row in exchanges(connection, estate_id)
        }

    def course(self, meter_id: str, install_no: int, account_id: str) -> Course:
        """An empty course of an installation."""
        root = (meter_id, install_no)
        while (older := self._before.get(root)) is not None:
            root = older
        return Course(f"{root[0]}/{root[1]} {account_id}", account_id, self._ratios.get((meter_id, install_no), 1))


def accounts_on(connection: Connection, estate_id: str, tariff_id: str) -> list[str]:
    """Households on a tariff, by account."""
    query = select(account.c.account_id).where(
        account.c.estate_id == estate_id, account.c.tariff_id == tariff_id, account.c.kind == "household"
    )
    return list(connection.execute(query.order_by(account.c.account_id)).scalars())


def accounts_charged(connection: Connection, estate_id: str, tariff_id: str, from_s: int, until_s: int) -> list[str]:
    """Accounts with a charge on a tariff in a span, by account."""
    query = (
        select(line.c.account_id)
        .where(
            line.c.estate_id == estate_id,
            line.c.tariff_id == tariff_id,
            line.c.event_to > from_s,
            line.c.event_from < until_s,
        )
        .distinct()
    )
    return sorted(connection.execute(query).scalars())


def charged_until(connection: Connection, estate_id: str) -> int | None:
    """The end of the last charge."""
    query = select(func.max(line.c.event_to)).where(line.c.estate_id == estate_id)
    return connection.execute(query).scalar_one_or_none()


def courses(
    connection: Connection,
    estate_id: str,
    lineages: Lineages,
    account_ids: Sequence[str],
    span: tuple[int, int],
    *,
    instants: Sequence[int] | None = None,
    tariff_id: str | None = None,
    until_batch: int | None = None,
) -> list[Course]:
    """The courses of these accounts in a span of world time, those that follow each other in order.

    instants: keep only the lines there and the outermost ones; tariff_id: only lines on this tariff; until_batch: only
    lines that were booked by then.
    """
    own = [
        *lines_of_accounts(estate_id, account_ids), line.c.meter_id.is_not(None),
        line.c.event_to > span[0], line.c.event_from < span[1],
    ]  # fmt: skip
    if tariff_id is not None:
        own.append(line.c.tariff_id == tariff_id)
    if until_batch is not None:
        own.append(line.c.batch_seq <= until_batch)
    few = instants is not None and not _taken_back(connection, own)
    kept = [*own, _crossing(connection, own, instants or ())] if few else own
    standing: dict[tuple[str, str, int], list[Any]] = {}
    for row in _lines(connection, kept):
        lines = standing.setdefault((row[0], row[1], row[2]), [])
        if row[-1] != VOID:
            lines.append(row)
        elif lines:
            lines.pop()  # charges are taken back from the newest on
    found = [_course(lineages, lines) for lines in standing.values() if lines]
    return sorted(found, key=lambda course: (course.key, course.points[0].at))


def _course(lineages: Lineages, lines: Sequence[Any]) -> Course:
    course = lineages.course(lines[0][1], lines[0][2], lines[0][0])
    course.tier_period = (lines[0][17] or 0, lines[0][18] or 0)
    for row in lines:
        course.add(Registers(row[3], row[5], rates_of(row[9:13]) or rates_from(row[7])))
        course.add(Registers(row[4], row[6], rates_of(row[13:17]) or rates_from(row[8])))
    return course


def _taken_back(connection: Connection, own: Sequence[Any]) -> bool:
    """Whether any of these lines takes another back; then all of them are needed."""
    same = and_(batch.c.estate_id == line.c.estate_id, batch.c.batch_seq == line.c.batch_seq)
    query = select(line.c.account_id).join(batch, same).where(*own, batch.c.kind == VOID).limit(1)
    return connection.execute(query).first() is not None


def _crossing(connection: Connection, own: Sequence[Any], instants: Sequence[int]) -> Any:
    outermost = select(
        line.c.account_id, func.min(line.c.account_version), func.max(line.c.account_version)
    ).where(*own).group_by(line.c.account_id, line.c.meter_id, line.c.install_no)  # fmt: skip
    ends = {(row[0], version) for row in connection.execute(outermost) for version in row[1:]}
    at = [and_(line.c.event_from < one, line.c.event_to >= one) for one in instants]
    return or_(*at, tuple_(line.c.account_id, line.c.account_version).in_(sorted(ends)))


def _lines(connection: Connection, kept: Sequence[Any]) -> Iterator[Any]:
    """Lines with what their meters' rate registers read at both ends, by account in the order of booking."""
    begin, end = reading.alias("begin"), reading.alias("finish")

    def at(one: Any, instant: Any) -> Any:
        own = (one.c.estate_id == line.c.estate_id, one.c.meter_id == line.c.meter_id, one.c.read_at == instant)
        return and_(*own, one.c.verdict.in_(KNOWN))

    columns = (
        line.c.account_id, line.c.meter_id, line.c.install_no, line.c.event_from, line.c.event_to, line.c.from_wh,
        line.c.to_wh, line.c.from_rates_wh, line.c.to_rates_wh,
        *(begin.c[f"rate{number}_wh"] for number in range(1, 5)),
        *(end.c[f"rate{number}_wh"] for number in range(1, 5)), line.c.tier_period_start, line.c.tier_from_wh,
        batch.c.kind,
    )  # fmt: skip
    query = (
        select(*columns)
        .select_from(line)
        .join(batch, and_(batch.c.estate_id == line.c.estate_id, batch.c.batch_seq == line.c.batch_seq))
        .outerjoin(begin, at(begin, line.c.event_from))
        .outerjoin(end, at(end, line.c.event_to))
        .where(*kept)
        .order_by(line.c.account_id, line.c.account_version)
    )
    yield from connection.execute(query)


def chunks(account_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """The accounts in handy portions."""
    for start in range(0, len(account_ids), ACCOUNTS_AT_ONCE):
        yield account_ids[start : start + ACCOUNTS_AT_ONCE]


def rooms_of(connection: Connection, estate_id: str, account_ids: Sequence[str]) -> Mapping[str, str]:
    """The room of each account that has one."""
    query = select(account.c.account_id, account.c.room_id).where(
        account.c.estate_id == estate_id, account.c.account_id.in_(account_ids)
    )
    return {row[0]: row[1] or "" for row in connection.execute(query)}
