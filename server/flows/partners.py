"""Top-ups that third parties have taken, under keys of their own: the same key and body get the same answer.

Those that wait at the same time are taken in by one run, which decides each of them alone and writes all of them
together.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.domain.payments import COUNTER_MIN_FEN
from server.errors import Conflict, EstateError, Refused
from server.flows.answers import Answer, answer_before, answer_row
from server.flows.crediting import Credit, Money, credit_all, new_order, rounds
from server.store import payments as kept
from server.store.bulk import Bundle
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

THIRD_PARTY = "third_party"


@dataclass(frozen=True, slots=True)
class PartnerTopup:
    """Money for the household of an account or a room, under the party's own key and transaction number."""

    client_id: str
    idem_key: str
    body_sha256: str
    account_id: str | None
    room_id: str | None
    amount_fen: int
    transaction_id: str
    now: "Now"

    @property
    def provider(self) -> str:
        """Under which name the money is kept."""
        return f"client:{self.client_id}"


def accept_topup(unit: Unit, estate_id: str, wish: PartnerTopup) -> Answer:
    """Credit one of them. The answer: result, transaction_id, amount_fen, batch_seq, balance_fen.

    Conflict for the key with another body, or a transaction that came under another key; Refused for an amount out
    of range. Money for a household that does not exist goes to suspense.
    """
    (answer,) = accept_topups([unit], estate_id, [wish])
    if isinstance(answer, EstateError):
        raise answer
    return answer


def accept_topups(units: Sequence[Unit], estate_id: str, wishes: Sequence[PartnerTopup]) -> list[Answer | EstateError]:
    """`accept_topup` for several units; an answer that is an error means that nothing was written for that unit."""
    answers: dict[int, Answer | EstateError] = {}
    names = [
        (("key", wish.client_id, wish.idem_key), ("transaction", wish.client_id, wish.transaction_id))
        for wish in wishes
    ]
    for places in rounds(names):
        found = _accept([units[place] for place in places], estate_id, [wishes[place] for place in places])
        answers.update(zip(places, found, strict=True))
    return [answers[place] for place in range(len(wishes))]


def _accept(units: Sequence[Unit], estate_id: str, wishes: Sequence[PartnerTopup]) -> list[Answer | EstateError]:
    """One round."""
    connection = units[0].connection
    before = kept.before_topups(
        connection,
        estate_id,
        keys=[(wish.client_id, wish.idem_key) for wish in wishes],
        transactions=[(wish.provider, wish.transaction_id) for wish in wishes],
        account_ids=[wish.account_id for wish in wishes if wish.account_id is not None],
        room_ids=[wish.room_id for wish in wishes if wish.account_id is None and wish.room_id is not None],
    )
    answers: dict[int, Answer | EstateError] = {}
    taken: dict[int, Credit] = {}
    promised_fen: Counter[str] = Counter()  # by household, of those of this round
    for place, (unit, wish) in enumerate(zip(units, wishes, strict=True)):
        found = _decided(unit, estate_id, wish, before, promised_fen)
        if isinstance(found, Credit):
            taken[place] = found
            promised_fen[found.account_id] += wish.amount_fen
        else:
            answers[place] = found
    if taken:
        answers |= _credited(units, estate_id, wishes, taken)
    return [answers[place] for place in range(len(wishes))]


def _decided(
    unit: Unit, estate_id: str, wish: PartnerTopup, before: kept.Before, promised_fen: Mapping[str, int]
) -> Answer | EstateError | Credit:
    """The answer that is known without booking, or what is to be credited."""
    row = before.answer(wish.client_id, wish.idem_key)
    known = answer_before(unit, estate_id, row, wish.body_sha256, wish.now)
    if known is not None:
        return known
    if before.is_booked(wish.provider, wish.transaction_id):
        name = wish.transaction_id
        return Conflict(f"transaction {name!r} was booked under another Idempotency-Key; nothing was credited")
    account_id = before.home(wish.account_id, wish.room_id)
    balance_fen = 0 if account_id is None else before.homes[account_id]["balance_fen"] + promised_fen.get(account_id, 0)
    problem = before.limits.problem(wish.amount_fen, balance_fen, minimum_fen=COUNTER_MIN_FEN)
    if problem:
        return Refused(f"{problem}; nothing was credited")
    provider, now = wish.provider, wish.now
    if account_id is None:
        money = Money(provider, wish.transaction_id, wish.amount_fen, None, provider, now.machine_ms)
        return Credit(money, now, None, f"no household {wish.account_id or wish.room_id}")
    order = new_order(estate_id, account_id, wish.amount_fen, provider, THIRD_PARTY, provider, now)
    money = Money(provider, wish.transaction_id, wish.amount_fen, str(order["order_no"]), provider, now.machine_ms)
    return Credit(money, now, before.homes[account_id], new_order=order)


def _credited(
    units: Sequence[Unit], estate_id: str, wishes: Sequence[PartnerTopup], taken: dict[int, Credit]
) -> dict[int, Answer | EstateError]:
    """Book what is to be credited, and keep the answers."""
    posted = credit_all([units[place] for place in taken], estate_id, list(taken.values()), Bundle())
    answers: dict[int, Answer | EstateError] = {}
    rows = []
    for (place, credit), one in zip(taken.items(), posted, strict=True):
        if isinstance(one, EstateError):
            answers[place] = one
            continue
        wish = wishes[place]
        answer: Answer = {
            "result": "suspense" if credit.home is None else "credited",
            "transaction_id": wish.transaction_id,
            "amount_fen": wish.amount_fen,
            "batch_seq": one.batch_seq,
            "balance_fen": None if credit.home is None else one.balance_fen,
        }
        answers[place] = answer
        rows.append(answer_row(estate_id, wish.client_id, wish.idem_key, wish.body_sha256, answer, wish.now))
    bundle = Bundle()
    kept.keep_answers(bundle, rows)
    bundle.send(units[0].connection)
    return answers
