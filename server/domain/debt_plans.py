"""Plans by which a household pays its debts: a fixed instalment each week or month, out of its electricity balance.

An instalment is due on a local day. It takes no more than is owed, and leaves the electricity account above the amount
at which power may come back and at or above its second alarm, as a share of a top-up does: a plan never costs anybody
the power. What it could not take is told, and not added to the next one. Days on which nobody looked are caught up, so
that each is taken once. Debts are paid in the order of the plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from server.domain.recovery import DEBT_LEDGERS, IN_ORDER, PERMILLE, RecoveryRule, Standing, recovered
from server.errors import Refused

WEEK, MONTH = "week", "month"
EVERY = (WEEK, MONTH)
DAYS_OF = {WEEK: 7, MONTH: 28}  # every month has a 28th
INSTALMENT_MAX_FEN = 1_000_000
INSTALMENT = "instalment"  # the kind of its batches and of its notices
MISSED = "instalment_missed"


@dataclass(frozen=True, slots=True)
class DebtPlan:
    """`instalment_fen` on each `day` (1 Monday to 7 of a week, 1 to 28 of a month) from `begin_day` on, local days."""

    instalment_fen: int
    every: str
    day: int
    begin_day: str
    ledgers: tuple[str, ...]

    def check(self) -> None:
        """Refused unless the plan can be followed."""
        if not 0 < self.instalment_fen <= INSTALMENT_MAX_FEN:
            raise Refused(f"an instalment is 1 to {INSTALMENT_MAX_FEN} fen, not {self.instalment_fen}")
        if self.every not in EVERY:
            raise Refused(f"instalments are paid each {' or '.join(EVERY)}, not each {self.every!r}")
        if not 1 <= self.day <= DAYS_OF[self.every]:
            raise Refused(f"the day of a {self.every} is 1 to {DAYS_OF[self.every]}, not {self.day}")
        if not self.ledgers or len(set(self.ledgers)) != len(self.ledgers) or not set(self.ledgers) <= {*DEBT_LEDGERS}:
            raise Refused(f"name each ledger of debts once, of {', '.join(DEBT_LEDGERS)}")


def next_due(plan: DebtPlan, after_day: str) -> str:
    """The first day on which an instalment is due after a day ("": of all); never before the plan begins."""
    at = date.fromisoformat(plan.begin_day)
    if after_day >= plan.begin_day:
        at = date.fromisoformat(after_day) + timedelta(1)
    while (at.isoweekday() if plan.every == WEEK else at.day) != plan.day:
        at += timedelta(1)
    return at.isoformat()


def days_due(plan: DebtPlan, after_day: str, today: str) -> list[str]:
    """The days on which instalments became due after a day, up to today."""
    found: list[str] = []
    day = next_due(plan, after_day)
    while day <= today:
        found.append(day)
        day = next_due(plan, day)
    return found


def instalment(plan: DebtPlan, standing: Standing) -> Mapping[str, int]:
    """Fen that go to each ledger on a day that is due; nothing where the balance has no room for it."""
    room_fen = max(0, standing.balance_fen - standing.floor_fen)
    amount_fen = min(plan.instalment_fen, room_fen)
    before = Standing(
        standing.balance_fen - amount_fen, standing.close_allowed_fen, standing.alarm2_fen, standing.debts
    )
    return recovered(RecoveryRule(0, PERMILLE, plan.ledgers, IN_ORDER), before, amount_fen)
