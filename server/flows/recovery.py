"""The share of each top-up that goes to a household's debts: dated rules, and its booking within the top-up's unit.

What is booked is never more than what the household was shown before it paid, unless something else was booked
meanwhile. The top-up itself stays whole: the share is a batch of its own that moves money between ledgers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from server.domain.ledger import Entry, ledger_account, payload_sha256
from server.domain.recovery import RETURN, RecoveryRule, Standing, key_of_share, memo_of_floor, recovered
from server.errors import Refused
from server.flows.ledger import post_entries
from server.store import audit
from server.store import ledger as journal
from server.store import recovery as kept
from server.store.bulk import Bundle
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

KIND = "recovery"
NOTHING_MOVED = payload_sha256(KIND)


def set_rule(unit: Unit, estate_id: str, rule: RecoveryRule, *, actor: str, now: "Now") -> int:
    """Let a rule hold from its begin on; its number. Refused for one that cannot be followed or began in the past."""
    rule.check()
    if rule.valid_from < now.world_s:
        raise Refused("a rule begins now or later; what was booked under another one stays as it is")
    number = kept.add_rule(unit.connection, estate_id, rule, actor, now.machine_ms)
    detail = f"{rule.permille} permille to {', '.join(rule.ledgers)} by {rule.split} from {rule.valid_from}"
    audit.record(unit.connection, estate_id, actor, "recovery.ruled", str(number), now, detail)
    return number


def undo(unit: Unit, estate_id: str, account_id: str, payment_id: str, *, actor: str, now: "Now") -> int:
    """Take back what of a payment went to debts, ledger by ledger, before the payment itself goes back; the fen.

    The batch has the lines of the one that moved it, with the other sign. Refused where those are archived.
    """
    booked = journal.batch_of_key(unit.connection, estate_id, key_of_share(payment_id))
    if booked is None or booked["payload_sha256"] == NOTHING_MOVED:
        return 0
    lines = journal.lines_of_batch(unit.connection, estate_id, booked["batch_seq"])
    if not lines:
        raise Refused("the lines of this sale are archived; give the money back by a refund")
    entries = [Entry(line.account_id, -line.amount_fen) for line in lines]
    post_entries(
        unit, estate_id, RETURN, account_id, entries, f"{RETURN}:{payment_id}", now.world_s, actor, "", now
    )  # fmt: skip
    return entries[0].amount_fen


@dataclass(frozen=True, slots=True)
class Due:
    """The rule in force, and the second alarm of a household with debts before its top-up."""

    rule: RecoveryRule
    alarm2_fen: int


def before_topups(connection: Connection, estate_id: str, account_ids: Sequence[str], now: "Now") -> dict[str, Due]:
    """Households of whose top-ups, which are about to be booked, a share goes to debts."""
    rule = kept.rule_at(connection, estate_id, now.world_s)
    if not rule.permille:
        return {}
    standings = {name: kept.standing_of(connection, estate_id, name) for name in account_ids}
    return {
        name: Due(rule, own.alarm2_fen)
        for name, own in standings.items()
        if any(own.debts.get(ledger) for ledger in rule.ledgers)
    }


def on_topup(
    unit: Unit, estate_id: str, account_id: str, payment_id: str, amount_fen: int, due: Due, *, actor: str, now: "Now"
) -> tuple[int, int]:
    """Move the share of a top-up that has just been booked; the fen that moved, and the balance after them."""
    after = kept.standing_of(unit.connection, estate_id, account_id)
    alarm2_fen = max(due.alarm2_fen, after.alarm2_fen)  # limits may have moved with this very top-up
    before_fen = after.balance_fen - amount_fen
    standing = Standing(before_fen, after.close_allowed_fen, alarm2_fen, after.debts)
    parts, key = recovered(due.rule, standing, amount_fen), key_of_share(payment_id)
    memo = memo_of_floor(standing.floor_fen)
    if not parts:
        _tell_nothing(unit, estate_id, key, memo, actor, now)
        return 0, after.balance_fen
    moved_fen = sum(parts.values())
    entries = [Entry(account_id, -moved_fen)]
    entries += [Entry(ledger_account(account_id, ledger), fen) for ledger, fen in parts.items()]
    posted = post_entries(unit, estate_id, KIND, account_id, entries, key, now.world_s, actor, memo, now)
    return moved_fen, posted.balance_fen


def _tell_nothing(unit: Unit, estate_id: str, key: str, memo: str, actor: str, now: "Now") -> None:
    """Put into the chain that a household with debts kept all of its top-up, and why."""
    seq, bundle = journal.next_batch_seq(unit.connection, estate_id), Bundle()
    header = (seq, KIND, now.world_s, now.machine_ms, key, NOTHING_MOVED, 0, 0, actor, memo)
    journal.append(bundle, estate_id, [(header, [])])
    bundle.send(unit.connection)
