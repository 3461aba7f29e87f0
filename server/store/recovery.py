"""Reads and appends of the share of top-ups that goes to debts: the rule in force, what is owed, what was recovered."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, case, func, select

from server.domain.accounts import LEFT
from server.domain.ledger import ledger_account
from server.domain.recovery import DEBT_LEDGERS, RETURN, TOLD_FORM, KeptRule, RecoveryRule, Standing, key_of_share
from server.store import ledger as journal
from server.store.direct import Query
from server.store.schema import account, recovery_rule

_RULE = Query(
    lambda _: (
        select(recovery_rule)
        .where(recovery_rule.c.estate_id == bindparam("estate_id"), recovery_rule.c.valid_from <= bindparam("at_s"))
        .order_by(recovery_rule.c.valid_from.desc(), recovery_rule.c.rule_no.desc())
        .limit(1)
    )
)


def rule_at(connection: Connection, estate_id: str, at_s: int) -> RecoveryRule:
    """The rule in force at an instant; nothing is recovered where none has begun."""
    for row in _RULE.ask(connection, estate_id=estate_id, at_s=at_s):
        return _rule(row)
    return RecoveryRule()


def _rule(row: Mapping[str, Any] | RowMapping) -> RecoveryRule:
    return RecoveryRule(row["valid_from"], row["permille"], tuple(row["ledgers"].split(",")), row["split"])


def kept_rules(connection: Connection, estate_id: str) -> list[KeptRule]:
    """All rules, the newest first, as they were set."""
    return [KeptRule(_rule(row), row["created_ms"], row["form"]) for row in rules(connection, estate_id)]


def rules(connection: Connection, estate_id: str) -> Sequence[RowMapping]:
    """All rules, the newest first."""
    query = select(recovery_rule).where(recovery_rule.c.estate_id == estate_id)
    return connection.execute(query.order_by(recovery_rule.c.rule_no.desc())).mappings().all()


def add_rule(connection: Connection, estate_id: str, rule: RecoveryRule, actor: str, created_ms: int) -> int:
    """Keep a rule; returns its number."""
    query = select(func.coalesce(func.max(recovery_rule.c.rule_no), 0)).where(recovery_rule.c.estate_id == estate_id)
    number = int(connection.execute(query).scalar_one()) + 1
    connection.execute(
        recovery_rule.insert().values(
            estate_id=estate_id, rule_no=number, valid_from=rule.valid_from, permille=rule.permille,
            ledgers=",".join(rule.ledgers), split=rule.split, actor=actor, created_ms=created_ms, form=TOLD_FORM,
        )
    )  # fmt: skip
    return number


def standing_of(connection: Connection, estate_id: str, account_id: str) -> Standing:
    """Where a household's electricity account stands, and its debts; who has left has no power to keep money for."""
    names = {ledger_account(account_id, ledger): ledger for ledger in DEBT_LEDGERS}
    found = journal.accounts_by_id(connection, estate_id, [account_id, *names])
    home = found[account_id]
    debts = {ledger: -found[name]["balance_fen"] for name, ledger in names.items() if name in found}
    owed = {ledger: fen for ledger, fen in debts.items() if fen > 0}
    close_fen, alarm2_fen = (-1, 0) if home["status"] == LEFT else (home["close_allowed_fen"], home["alarm2_fen"])
    return Standing(home["balance_fen"], close_fen, alarm2_fen, owed)


def recovered_of(connection: Connection, estate_id: str, payment_id: str) -> dict[str, int]:
    """What of a payment went to debts, by ledger."""
    booked = journal.batch_of_key(connection, estate_id, key_of_share(payment_id))
    if booked is None:
        return {}
    lines = journal.lines_of_batch(connection, estate_id, booked["batch_seq"])
    return {line.account_id.rpartition(":")[2]: line.amount_fen for line in lines if line.amount_fen > 0}


def is_undone(connection: Connection, estate_id: str, payment_id: str) -> bool:
    """Whether what of a payment went to debts came back, since the sale was reversed."""
    return journal.batch_of_key(connection, estate_id, f"{RETURN}:{payment_id}") is not None


def balance_after_recovery(connection: Connection, estate_id: str, payment_id: str) -> int | None:
    """The electricity balance after a payment's share went to debts; None where none did, or its lines are archived."""
    booked = journal.batch_of_key(connection, estate_id, key_of_share(payment_id))
    lines = [] if booked is None else journal.lines_of_batch(connection, estate_id, booked["batch_seq"])
    return lines[0].balance_after_fen if lines else None


def debtors(connection: Connection, estate_id: str, *, limit: int) -> Sequence[RowMapping]:
    """Accounts with debts in ledgers beside electricity, the highest sum first; fen by ledger, and the room now.

    Each account by itself: who has moved out owes no less, and who lives there now owes nothing for it.
    """
    sums = [
        func.sum(case((account.c.kind == ledger, -account.c.balance_fen), else_=0)).label(ledger)
        for ledger in DEBT_LEDGERS
    ]
    owed = func.sum(-account.c.balance_fen)
    home = account.alias("home")
    colon = 1
    name = func.substr(account.c.account_id, 1, func.length(account.c.account_id) - func.length(account.c.kind) - colon)
    query = (
        select(home.c.account_id, home.c.room_id, owed.label("owed_fen"), *sums)
        .join(home, (home.c.estate_id == account.c.estate_id) & (home.c.account_id == name))
        .where(account.c.estate_id == estate_id, account.c.kind.in_(DEBT_LEDGERS), account.c.balance_fen < 0)
        .group_by(home.c.account_id, home.c.room_id)
        .order_by(owed.desc(), home.c.account_id)
        .limit(limit)
    )
    return connection.execute(query).mappings().all()
