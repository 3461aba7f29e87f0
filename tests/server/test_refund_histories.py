"""Random histories of refunds: lost answers, killed jobs, messages in any order, people who decide.

The bank really moves money, once a number, and knows what it moved; in the end our books say the same, or a case says
that they do not.
"""

import contextlib
import random

import pytest

from server.clock import Now
from server.domain.ledger import REFUNDS
from server.errors import Conflict, Refused
from server.flows import payments, refunds
from server.jobs.refunds import RefundJob
from server.pay.provider import ProviderUnavailable, RefundEvent, RefundState
from server.store.writer import Writer
from tests.server.books import agrees, rows
from tests.server.estates import ESTATE, account_id, plant
from tests.server.test_jobs_orders import Payer, StandingClock

PAID_FEN = 5000
QUICK, CAMPAIGN, LONG = 25, 1000, 2_000


class Killed(Exception):
    """The server dies here."""


class Bank(Payer):
    """Moves money once a number, as chance has it; what it says may be lost on the way, or the server with it."""

    def __init__(self, chance):
        super().__init__()
        self.chance, self.ledger = chance, {}

    def _lose(self):
        fate = self.chance.randrange(10)
        if fate < 2:
            raise ProviderUnavailable("the answer was lost")
        if fate < 3:
            raise Killed

    async def refund(self, paid, refund_no, amount_fen, *, total_fen, reason, notify_url=""):
        order_no = paid.order_no
        if self.chance.randrange(10) < 2:
            raise ProviderUnavailable("the question was lost")
        if refund_no not in self.ledger:
            given_fen = sum(one[2] for one in self.ledger.values() if one[1] == order_no and one[3] != "failed")
            fate = self.chance.choice(["done", "done", "pending", "failed", "refused"])
            if fate == "refused" or given_fen + amount_fen > total_fen:
                self._lose()
                raise Refused("no money")
            self.ledger[refund_no] = (refund_no, order_no, amount_fen, fate)
        self._lose()
        return RefundState(self.ledger[refund_no][3])

    async def query_refund(self, paid, refund_no, amount_fen):
        self._settle(refund_no)
        self._lose()
        return RefundState(self.ledger[refund_no][3]) if refund_no in self.ledger else None

    def _settle(self, refund_no):
        if refund_no in self.ledger and self.ledger[refund_no][3] == "pending":
            fate = self.chance.choice(["pending", "done", "done", "failed"])
            self.ledger[refund_no] = (*self.ledger[refund_no][:3], fate)

    def tells(self, refund_no):
        """A message about a refund, as a callback would bring it."""
        self._settle(refund_no)
        number, order_no, amount_fen, state = self.ledger[refund_no]
        event_id = f"rf{self.chance.randrange(4)}-{number}"
        return RefundEvent(self.name, event_id, number, order_no, amount_fen, RefundState(state))

    def moved_fen(self):
        return sum(fen for _, _, fen, state in self.ledger.values() if state == "done")


class Life:
    """One household whose payments go back and forth."""

    def __init__(self, writer, engine, seed):
        self.writer, self.engine, self.chance = writer, engine, random.Random(seed)
        self.clock, self.bank = StandingClock(), Bank(self.chance)
        plant(writer, 1)
        self.paid_fen = 0
        self.job = self.new_job()

    def new_job(self):
        return RefundJob(self.engine, self.writer, self.clock, ESTATE, providers={"sandbox": self.bank})

    def run(self, flow, *args, **more):
        return self.writer.run(lambda unit: flow(unit, ESTATE, *args, now=self.clock.now(), **more))

    def pay(self, number):
        order_no = self.run(
            payments.create_order, account_id(1), PAID_FEN, "sandbox", "online", "anna"
        ).order_no  # fmt: skip
        event = self.bank.pays(order_no, PAID_FEN, transaction_id=f"t{number}", event_id=f"e{number}")
        self.run(payments.record_callback, event, "{}")
        self.paid_fen += PAID_FEN

    def step(self):
        """One thing happens."""
        kind = self.chance.choice(["order", "order", "job", "job", "job", "tell", "tell", "wait", "repeat"])
        if kind in ("order", "repeat"):
            self._order(kind == "repeat")
        elif kind == "job":
            self.look()
        elif kind == "tell" and self.bank.ledger:
            self.run(refunds.record_callback, self.bank.tells(self.chance.choice(list(self.bank.ledger))), "{}")
        elif kind == "wait":
            self.wait(self.chance.choice([1, 60, 3600]))

    def _order(self, repeat):
        paid = self.chance.choice(rows(self.engine, "payment"))
        key = f"key-{self.chance.randrange(3)}" if repeat else f"key-{self.chance.random()}"
        with contextlib.suppress(Refused, Conflict):
            self.run(
                refunds.order_refund, paid["payment_id"], self.chance.randint(1, PAID_FEN), key=key, reason="moved",
                actor="zhou",
            )  # fmt: skip

    def look(self):
        """The job runs, and may be killed in the middle; then another one begins."""
        self.job.run_once()
        self.job = self.new_job()

    def wait(self, seconds):
        now = self.clock.instant
        self.clock.instant = Now(now.world_s + seconds, now.machine_ms + seconds * 1000)

    def come_to_rest(self):
        """Let everything be answered in the end."""
        for _ in range(200):
            if not any(row["status"] in ("reserved", "asked") for row in rows(self.engine, "refund")):
                return
            self.wait(3600)
            self.look()
        raise AssertionError("a refund is never decided")

    def judge(self, seed):
        known = {row["account_id"]: row["balance_fen"] for row in rows(self.engine, "account")}
        refunded_fen = sum(row["amount_fen"] for row in rows(self.engine, "refund") if row["status"] == "refunded")
        assert refunded_fen == self.bank.moved_fen(), f"seed {seed}"
        assert known.get(REFUNDS, 0) == 0, f"seed {seed}"
        assert known[account_id(1)] == 5000 + self.paid_fen - refunded_fen, f"seed {seed}"
        assert known["provider:sandbox"] == refunded_fen - self.paid_fen, f"seed {seed}"
        assert known[account_id(1)] >= 0
        assert {row["kind"] for row in rows(self.engine, "anomaly_case")} <= {"refund_open"}, f"seed {seed}"


def live(writer, engine, seed, steps):
    """`steps` things happen to one household; the books must agree with the bank in the end."""
    life = Life(writer, engine, seed)
    for number in range(max(2, steps // 10)):
        life.pay(number)
        for _ in range(10):
            life.step()
    life.come_to_rest()
    life.judge(seed)
    agrees(engine)
    states = {row["status"] for row in rows(engine, "refund")}
    return life.bank.moved_fen(), states


def test_short_histories_of_refunds_end_as_the_bank_has_it(engine, writer):
    moved_fen, states = live(writer, engine, 645, QUICK * 4)
    assert moved_fen > 0
    assert states == {"refunded", "released"}


def test_a_job_that_takes_silence_for_a_refusal_is_seen(sqlite_engine, monkeypatch):
    ask = RefundJob._ask

    def hasty(job, provider, row):
        try:
            return ask(job, provider, row)
        except ProviderUnavailable as error:
            raise Refused(str(error)) from error

    monkeypatch.setattr(RefundJob, "_ask", hasty)
    writer = Writer(sqlite_engine)
    with pytest.raises(AssertionError, match="seed 645"):
        live(writer, sqlite_engine, 645, QUICK * 4)
    writer.stop()


@pytest.mark.ci
def test_a_thousand_steps_of_refunds_end_as_the_bank_has_it(engine, writer):
    moved_fen, _ = live(writer, engine, random.SystemRandom().randrange(2**32), CAMPAIGN)
    assert moved_fen > 0


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_twenty_thousand_steps_of_refunds_end_as_the_bank_has_it(engine, writer, part):
    moved_fen, _ = live(writer, engine, random.SystemRandom().randrange(2**32), LONG)
    assert moved_fen > 0
