"""Reads and writes of debt plans and of their instalments."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, func, select, tuple_

from server.domain.debt_plans import DebtPlan
from server.domain.ledger import ledger_account
from server.store.schema import account, debt_instalment, debt_plan

DUES_AT_ONCE = 400  # two parameters each
DIGITS_MAX = 18  # of a number of a plan


def plan_of(row: RowMapping) -> DebtPlan:
    """The plan of a row."""
    ledgers = tuple(row["ledgers"].split(","))
    return DebtPlan(row["instalment_fen"], row["every"], row["day"], row["begin_day"], ledgers)


def _plans(estate_id: str) -> Any:
    last = (
        select(func.max(debt_instalment.c.due_day))
        .where(debt_instalment.c.estate_id == debt_plan.c.estate_id, debt_instalment.c.plan_no == debt_plan.c.plan_no)
        .correlate(debt_plan)
        .scalar_subquery()
    )
    same = and_(account.c.estate_id == debt_plan.c.estate_id, account.c.account_id == debt_plan.c.account_id)
    return (
        select(debt_plan, last.label("last_day"), account.c.room_id, account.c.status)
        .join(account, same)
        .where(debt_plan.c.estate_id == estate_id)
    )


def running(connection: Connection, estate_id: str) -> Sequence[RowMapping]:
    """Plans that are not ended, with the last day that was taken, by room."""
    query = _plans(estate_id).where(debt_plan.c.ended_at.is_(None))
    return connection.execute(query.order_by(account.c.room_id, debt_plan.c.plan_no)).mappings().all()


def running_of(connection: Connection, estate_id: str, account_id: str) -> RowMapping | None:
    """The running plan of a household."""
    query = _plans(estate_id).where(debt_plan.c.ended_at.is_(None), debt_plan.c.account_id == account_id)
    return connection.execute(query).mappings().one_or_none()


def add_plan(connection: Connection, estate_id: str, account_id: str, plan: DebtPlan, **values: Any) -> int:
    """Keep a plan; its number."""
    query = select(func.coalesce(func.max(debt_plan.c.plan_no), 0)).where(debt_plan.c.estate_id == estate_id)
    number = int(connection.execute(query).scalar_one()) + 1
    connection.execute(
        debt_plan.insert().values(
            estate_id=estate_id, plan_no=number, account_id=account_id, instalment_fen=plan.instalment_fen,
            every=plan.every, day=plan.day, begin_day=plan.begin_day, ledgers=",".join(plan.ledgers), **values,
        )
    )  # fmt: skip
    return number


def end_plan(connection: Connection, estate_id: str, plan_no: int, ended_at: int, ended_by: str) -> None:
    """Say that a plan is over."""
    where = (debt_plan.c.estate_id == estate_id, debt_plan.c.plan_no == plan_no)
    connection.execute(debt_plan.update().where(*where).values(ended_at=ended_at, ended_by=ended_by))


def add_instalment(connection: Connection, parts: Mapping[str, int], **values: Any) -> None:
    """Keep what an instalment took, by ledger."""
    connection.execute(debt_instalment.insert().values(parts=json.dumps(dict(parts), sort_keys=True), **values))


def instalments_of(connection: Connection, estate_id: str, account_id: str, *, limit: int) -> Sequence[RowMapping]:
    """What the instalments of a household took, newest first."""
    query = select(debt_instalment).where(
        debt_instalment.c.estate_id == estate_id, debt_instalment.c.account_id == account_id
    )
    order = (debt_instalment.c.due_day.desc(), debt_instalment.c.plan_no.desc())
    return connection.execute(query.order_by(*order).limit(limit)).mappings().all()


def batches_wanted(connection: Connection, estate_id: str, keys: Sequence[str]) -> dict[str, dict[str, int]]:
    """What instalments must have booked, of those whose batches have these keys: amounts by account, by key."""
    own, found = debt_instalment.c, {}
    query = select(debt_instalment).where(own.estate_id == estate_id, own.taken_fen > 0)
    named = [key.split(":") for key in keys]
    parts = [one for one in named if len(one) == 3 and one[1].isdecimal() and len(one[1]) <= DIGITS_MAX]
    dues = [(int(number), day) for _, number, day in parts]
    for start in range(0, len(dues), DUES_AT_ONCE):
        some = query.where(tuple_(own.plan_no, own.due_day).in_(dues[start : start + DUES_AT_ONCE]))
        for row in connection.execute(some).mappings():
            home = row["account_id"]
            amounts = {ledger_account(home, ledger): fen for ledger, fen in json.loads(row["parts"]).items()}
            found[f"instalment:{row['plan_no']}:{row['due_day']}"] = {home: -row["taken_fen"], **amounts}
    return found
