"""Reads and appends of the dated rules that money goes by (`server.domain.money_rules`)."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, func, select

from server.domain.money_rules import ACTS_TOLD, Rule, Standing
from server.store.bulk import insert_rows
from server.store.rows import Rows, rows_within
from server.store.schema import account, estate, money_rule, tariff

RULES_AT_ONCE = 200  # the accounts of one may be many


def rules(connection: Connection, estate_id: str) -> Iterator[Rule]:
    """All rules of an estate in order."""
    own, last = money_rule.c, 0
    query = select(*(own[name] for name in Rule._fields)).where(own.estate_id == estate_id).order_by(own.rule_no)
    while found := connection.execute(query.where(own.rule_no > last).limit(RULES_AT_ONCE)).all():
        yield from (Rule(*row) for row in found)
        last = found[-1][0]


def newest_no(connection: Connection, estate_id: str) -> int:
    """The number of the newest rule; 0 where there is none."""
    query = select(func.max(money_rule.c.rule_no)).where(money_rule.c.estate_id == estate_id)
    return connection.execute(query).scalar_one() or 0


def add(connection: Connection, estate_id: str, kept: Sequence[Rule]) -> None:
    """Append rules."""
    insert_rows(connection, money_rule, ("estate_id", *Rule._fields), [(estate_id, *rule) for rule in kept])


def standing(connection: Connection, estate_id: str) -> Standing:
    """What the rows of estate, tariffs and accounts say now; nothing for an estate that is not there yet."""
    own, priced, rows = account.c, tariff.c, Rows("tt")
    accounts = select(own.account_id, own.tariff_id).where(own.estate_id == estate_id, own.tariff_id.is_not(None))
    numbers = rows_within(connection, accounts, rows)[1].tolist()
    names, tariffs = ([text.decode("utf-8", "replace") for text in rows.names(place)] for place in (0, 1))
    definitions = select(priced.tariff_id, priced.definition).where(priced.estate_id == estate_id)
    query = select(estate.c.adjust_alone_fen).where(estate.c.estate_id == estate_id)
    alone_fen = connection.execute(query).scalar_one_or_none()
    return Standing(
        dict(zip(names, map(tariffs.__getitem__, numbers), strict=True)),
        {row[0]: row[1] for row in connection.execute(definitions)},
        alone_fen,
        {} if alone_fen is None else dict(ACTS_TOLD),
    )
