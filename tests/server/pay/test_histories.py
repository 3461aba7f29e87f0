"""Random histories of messages, good and bad, in any order: the books agree with a dict that knows only the rules."""

import random

import pytest

from server.domain.ledger import SUSPENSE
from server.errors import CallbackRejected
from server.flows import payments
from server.pay.provider import PaidEvent
from tests.server.books import agrees, rows
from tests.server.estates import ESTATE, account_id, at, plant
from tests.server.pay.sides import SIDES

AMOUNT_FEN = 5000
QUICK, CAMPAIGN, LONG = 40, 5000, 10_000


class Model:
    """What must be in the books: the first genuine paid message of each transaction decides."""

    def __init__(self):
        self.credited, self.suspense, self.decided = 0, 0, set()

    def hear(self, transaction, known, amount_fen, paid):
        if not paid or transaction in self.decided:
            return
        self.decided.add(transaction)
        if known and amount_fen == AMOUNT_FEN and not self.credited:
            self.credited = amount_fen
        else:
            self.suspense += amount_fen


class Teller:
    """Draws one message after another for one order, with what the model is to make of it."""

    def __init__(self, chance, side, order_no, number, bad):
        self.chance, self.side, self.order_no, self.number = chance, side, order_no, number
        self.bad, self.sent = bad, []

    def draw(self):
        kind = self.chance.choice(["paid", "paid", "again", "unpaid", "amount", "order", "second", "bad", "bad"])
        if kind == "again" and self.sent:
            return self.chance.choice(self.sent)
        if kind == "bad":
            return (*self.chance.choice(self._bad()), None)
        message = self._genuine(kind)
        self.sent.append(message)
        return message

    def _bad(self):
        """Bad messages about this order, or about one of the last ten, since signing some thirty takes long."""
        if self.side.name not in self.bad or not self.chance.randrange(10):
            args = (self.order_no, AMOUNT_FEN, self.side.paid_states[0], f"t{self.number}")
            self.bad[self.side.name] = [tuple(message) for _, *message in self.side.refused_messages(*args)]
        return self.bad[self.side.name]

    def _genuine(self, kind):
        paid = kind != "unpaid"
        states = self.side.paid_states if paid else self.side.unpaid_states
        order_no = "f" * 32 if kind == "order" else self.order_no
        amount_fen = AMOUNT_FEN + self.chance.randint(1, 9) if kind == "amount" else AMOUNT_FEN
        transaction = f"t{self.number}{'x' if kind in ('second', 'order') else ''}"
        event = f"e{self.number}-{self.chance.randint(0, 3)}"
        made = self.side.message(order_no, amount_fen, self.chance.choice(states), transaction, event)
        return (*made, (transaction, kind != "order", amount_fen, paid))


def live(writer, engine, seed, histories):
    """Plays the histories; the books must agree after each."""
    chance, sides = random.Random(seed), [side(lambda: at().machine_ms // 1000) for side in SIDES]
    plant(writer, 2)
    start = {row["account_id"]: row["balance_fen"] for row in rows(engine, "account")}
    credited = suspense = taken = 0
    bad = {}
    for number in range(histories):
        side = chance.choice(sides)
        order_no = writer.run(
            lambda unit, name=side.name: payments.create_order(
                unit, ESTATE, account_id(1), AMOUNT_FEN, name, "online", "r", at()
            )
        ).order_no
        model, teller = Model(), Teller(chance, side, order_no, number, bad)
        for _ in range(chance.randint(1, 8)):
            headers, body, truth = teller.draw()
            try:
                event = side.provider.verify_callback(headers, body, now_ms=at().machine_ms)
            except CallbackRejected:
                assert truth is None, f"seed {seed}, history {number}: a genuine message was refused"
                continue
            assert truth is not None, f"seed {seed}, history {number}: a bad message was taken"
            assert isinstance(event, PaidEvent)
            writer.run(lambda unit, e=event, b=body: payments.record_callback(unit, ESTATE, e, b.decode(), now=at()))
            model.hear(*truth)
            taken += 1
        credited, suspense = credited + model.credited, suspense + model.suspense
        if number % 50 == 0 or number == histories - 1:
            now = {row["account_id"]: row["balance_fen"] for row in rows(engine, "account")}
            found = (now[account_id(1)] - start[account_id(1)], now.get(SUSPENSE, 0) - start.get(SUSPENSE, 0))
            assert found == (credited, suspense), f"seed {seed}, up to history {number}"
    agrees(engine)
    return credited // AMOUNT_FEN, suspense, taken


def test_short_histories_agree_with_the_rules(engine, writer):
    credited, suspense, taken = live(writer, engine, 645, QUICK)
    assert credited > QUICK // 4
    assert suspense > 0
    assert taken > QUICK


@pytest.mark.ci
def test_five_thousand_histories_agree_with_the_rules(engine, writer):
    credited, suspense, _ = live(writer, engine, random.SystemRandom().randrange(2**32), CAMPAIGN)
    assert credited > CAMPAIGN // 4
    assert suspense > 0


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_a_hundred_thousand_histories_agree_with_the_rules(engine, writer, part):
    credited, suspense, _ = live(writer, engine, random.SystemRandom().randrange(2**32), LONG)
    assert credited > LONG // 4
    assert suspense > 0
