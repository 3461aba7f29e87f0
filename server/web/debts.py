"""What a household is told about its debts before it pays: how much of an amount would go to them, and why."""

from dataclasses import dataclass

from sqlalchemy import Connection

from server.domain.recovery import RecoveryRule, Standing, recovered
from server.store import recovery as kept


@dataclass(frozen=True, slots=True)
class DebtShare:
    """The rule in force for a household that owes something under it."""

    rule: RecoveryRule
    standing: Standing

    @property
    def owed_fen(self) -> int:
        """What is owed in the ledgers of the rule."""
        return sum(self.standing.debts.get(ledger, 0) for ledger in self.rule.ledgers)

    @property
    def owing(self) -> tuple[str, ...]:
        """The ledgers in which something is owed, in the order of the rule."""
        return tuple(ledger for ledger in self.rule.ledgers if self.standing.debts.get(ledger))

    @property
    def percent(self) -> str:
        """The share: 20, 12.5."""
        whole, tenth = divmod(self.rule.permille, 10)
        return f"{whole}.{tenth}" if tenth else str(whole)

    def of(self, amount_fen: int) -> int:
        """Fen of a top-up that would go to debts."""
        return sum(recovered(self.rule, self.standing, amount_fen).values())


def debts_of(conn: Connection, estate_id: str, account_id: str, now_s: int) -> DebtShare | None:
    """What holds for a household now; None where nothing would go to debts."""
    rule = kept.rule_at(conn, estate_id, now_s)
    if not rule.permille:
        return None
    found = DebtShare(rule, kept.standing_of(conn, estate_id, account_id))
    return found if found.owed_fen else None
