"""Checking the lives of accounts: events and bookings tell the same, and one person booked alone no more than one may.

What a person may book alone on an account within a day is a dated rule; it is worked out again from the events, as it
was when each of them was booked; beyond it the second person's agreement is kept. What was booked before the first such
rule is held to the limit that its event names.
"""

from collections.abc import Iterable, Mapping

from server.domain.accounts import LIMITED, LIMITED_S, Told, needs_second_person, telling_problems
from server.domain.verification import Findings
from server.domain.verification_orders import Agreements, agreed_key
from server.domain.verification_rules import RuleBooks

KEPT_S = 8 * LIMITED_S  # a clock that is set back by less than a week misses nothing


class LifeBooks:
    """Takes the batches in booking order, some at a time with their events."""

    def __init__(self, found: Findings, rules: RuleBooks, agreed: Agreements) -> None:
        """By `rules` bookings are told, and one person books alone, when they were booked."""
        self.found, self._rules, self._agreed = found, rules, agreed
        self._events: dict[int, list[Told]] = {}
        self._alone: dict[tuple[str, str], list[tuple[int, int]]] = {}  # (world time, fen) by account and person

    def expect(self, events: Iterable[Told]) -> None:
        """The events of the batches that come by next."""
        for event in events:
            self._events.setdefault(event.batch_seq, []).append(event)

    def batches(self) -> Iterable[int]:
        """The batches of events that have not come by."""
        return self._events.keys()

    def take(self, batch_seq: int, kind: str, amounts: Mapping[str, int]) -> None:
        """One batch that is no charge."""
        events = self._events.pop(batch_seq, [])
        for problem in telling_problems(kind, amounts, events):
            self.found.note(5, f"batch {batch_seq}", problem)
        if not events and self._rules.is_told(kind, batch_seq):
            self.found.note(5, f"batch {batch_seq}", f"is of the kind {kind}, but no account's life tells of it")
        self._judge(events)

    def pass_by(self, batch_seq: int) -> None:
        """One batch whose lines are archived."""
        self._judge(self._events.pop(batch_seq, []))

    def _judge(self, events: Iterable[Told]) -> None:
        for one in events:
            if one.act in LIMITED:
                self._limit(one, self._rules.alone_fen(one.batch_seq))

    def _limit(self, one: Told, limit_fen: int | None) -> None:
        """Whether one event kept to the limit of its moment, with what its person booked alone in the day before."""
        before = self._alone.setdefault((one.account_id, one.actor), [])
        day_fen = sum(fen for at, fen in before if at > one.world_at - LIMITED_S) + abs(one.amount_fen)
        subject = f"account {one.account_id}, event {one.event_no}"
        if limit_fen is not None:
            self.found.expect(5, subject, "what one person could book alone", one.limit_fen, limit_fen)
            if one.approved_by is not None and not self._is_agreed(one):
                self.found.note(5, subject, f"{one.approved_by} never agreed to it")
            if one.approved_by is None and needs_second_person(day_fen, limit_fen):
                detail = f"{one.actor} booked {day_fen} fen alone within a day, {limit_fen} fen were allowed"
                self.found.note(5, subject, detail)
        if one.approved_by is None:
            before.append((one.world_at, abs(one.amount_fen)))
            before[:] = [(at, fen) for at, fen in before if at > one.world_at - KEPT_S]

    def _is_agreed(self, one: Told) -> bool:
        """Whether the second person agreed to this booking; each agreement is good for one."""
        key = agreed_key(
            one.created_ms, one.actor, one.approved_by, one.account_id, one.act, one.ledger, one.amount_fen
        )  # fmt: skip
        left = self._agreed.get(key, 0)
        self._agreed[key] = left - 1
        return left > 0

    def miss(self) -> None:
        """What is left of the events that were expected has no batch."""
        for batch_seq in self._events:
            self.found.note(5, f"batch {batch_seq}", "is told in the life of an account but does not exist")
        self._events.clear()
