"""Carrying refunds to providers: asked once, asked after under the same number, settled on their word alone."""

from collections import Counter

import pytest

from server.clock import Now
from server.domain.ledger import REFUNDS
from server.errors import Refused
from server.flows import payments, refunds
from server.jobs.refunds import RefundJob
from server.pay.provider import ProviderUnavailable, RefundState
from server.store.schema import refund
from tests.server.books import agrees, balance, rows
from tests.server.estates import ESTATE, account_id, at, plant
from tests.server.test_jobs_orders import Payer, StandingClock

PAID_FEN = 5000
DOWN = ProviderUnavailable("no answer")


class Bank(Payer):
    """A provider that gives money back as a test tells it, and remembers what it was told."""

    def __init__(self):
        super().__init__()
        self.told, self.asked_after, self.moved_fen = [], Counter(), 0
        self.answer, self.word = RefundState.DONE, None

    async def refund(self, paid, refund_no, amount_fen, *, total_fen, reason, notify_url=""):
        self.told.append((paid.order_no, refund_no, amount_fen, total_fen, reason, notify_url))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def query_refund(self, paid, refund_no, amount_fen):
        self.asked_after[refund_no] += 1
        if isinstance(self.word, Exception):
            raise self.word
        return self.word


class Desk:
    """One paid order of a household with 50 yuan from before, and the job."""

    def __init__(self, engine, writer):
        self.engine, self.writer, self.clock, self.bank = engine, writer, StandingClock(), Bank()
        plant(writer, 2)
        self.order_no = writer.run(
            lambda unit: payments.create_order(
                unit, ESTATE, account_id(1), PAID_FEN, "sandbox", "online", "anna", self.clock.now()
            )
        ).order_no
        event = self.bank.pays(self.order_no, PAID_FEN)
        writer.run(lambda unit: payments.record_callback(unit, ESTATE, event, "{}", now=self.clock.now()))
        self.job = self.new_job()

    def new_job(self, **providers):
        return RefundJob(
            self.engine, self.writer, self.clock, ESTATE, providers=providers or {"sandbox": self.bank},
            public_url="https://estate.example/",
        )  # fmt: skip

    def order(self, amount_fen=2000, key="key-0001"):
        [paid] = rows(self.engine, "payment")
        return self.writer.run(
            lambda unit: refunds.order_refund(
                unit, ESTATE, paid["payment_id"], amount_fen, key=key, reason="moved out", actor="zhou",
                now=self.clock.now(),
            )
        )  # fmt: skip

    def after(self, seconds):
        now = self.clock.instant
        self.clock.instant = Now(now.world_s + seconds, now.machine_ms + seconds * 1000)
        self.job.run_once()

    def status(self, refund_no):
        return {row["refund_no"]: row["status"] for row in rows(self.engine, "refund")}[refund_no]

    def books(self):
        known = {row["account_id"]: row["balance_fen"] for row in rows(self.engine, "account")}
        return known[account_id(1)], known.get(REFUNDS, 0), known["provider:sandbox"]


@pytest.fixture
def desk(engine, writer):
    return Desk(engine, writer)


@pytest.fixture
def quick(sqlite_engine):
    from server.store.writer import Writer

    writer = Writer(sqlite_engine)
    yield Desk(sqlite_engine, writer)
    writer.stop()


def test_a_refund_goes_to_its_provider_with_order_number_and_whole_amount(desk):
    refund_no = desk.order()
    desk.after(0)
    notify_url = "https://estate.example/callbacks/sandbox"
    assert desk.bank.told == [(desk.order_no, refund_no, 2000, PAID_FEN, "moved out", notify_url)]
    assert (desk.status(refund_no), desk.books()) == ("refunded", (8000, 0, -3000))
    desk.after(3600)
    assert (len(desk.bank.told), desk.bank.asked_after.total()) == (1, 0)
    agrees(desk.engine)


@pytest.mark.parametrize("answer", [RefundState.FAILED, Refused("no money")], ids=["failed", "refused"])
def test_a_refusal_gives_the_money_back_to_the_balance(desk, answer):
    refund_no = desk.order()
    desk.bank.answer = answer
    desk.after(0)
    assert (desk.status(refund_no), desk.books()) == ("released", (10_000, 0, -PAID_FEN))
    agrees(desk.engine)


def test_without_an_answer_it_is_asked_what_became_of_it_before_it_is_told_again(quick):
    desk, refund_no = quick, quick.order()
    desk.bank.answer = DOWN
    desk.after(0)
    assert (desk.status(refund_no), desk.books()) == ("asked", (8000, 2000, -PAID_FEN))
    desk.bank.word = RefundState.DONE
    desk.after(3600)
    assert (len(desk.bank.told), desk.bank.asked_after[refund_no]) == (1, 1)
    assert (desk.status(refund_no), desk.books()) == ("refunded", (8000, 0, -3000))


def test_a_provider_that_never_heard_of_it_is_told_again_under_the_same_number(quick):
    desk, refund_no = quick, quick.order()
    desk.bank.answer = DOWN
    desk.after(0)
    desk.bank.answer = RefundState.DONE
    desk.after(3600)
    assert [told[1] for told in desk.bank.told] == [refund_no, refund_no]
    assert desk.status(refund_no) == "refunded"


def test_a_refusal_after_an_unknown_answer_counts_only_where_nothing_is_known_there(quick):
    desk, refund_no = quick, quick.order()
    desk.bank.answer = DOWN
    desk.after(0)
    desk.bank.answer, desk.bank.word = Refused("no money"), RefundState.PENDING
    desk.after(3600)
    assert (desk.status(refund_no), len(desk.bank.told)) == ("asked", 1)
    desk.bank.word = DOWN
    desk.after(3600)
    assert desk.status(refund_no) == "asked"
    desk.bank.word = None
    desk.after(3600)
    assert desk.status(refund_no) == "released"


def test_a_server_that_dies_after_asking_asks_what_became_of_it(quick):
    desk, refund_no = quick, quick.order()
    desk.bank.answer = RuntimeError("killed here")
    desk.after(0)
    assert desk.status(refund_no) == "asked"
    desk.job, desk.bank.word = desk.new_job(), RefundState.DONE
    desk.after(3600)
    assert (len(desk.bank.told), desk.status(refund_no)) == (1, "refunded")


def test_that_it_may_have_heard_of_it_is_committed_before_the_provider_hears_of_it(quick, monkeypatch):
    desk, refund_no = quick, quick.order()
    seen = []

    async def refund(*_given, **_named):
        seen.append(desk.status(refund_no))
        return RefundState.DONE

    monkeypatch.setattr(desk.bank, "refund", refund)
    desk.after(0)
    assert seen == ["asked"]


def test_questions_come_at_growing_delays(quick):
    desk, refund_no = quick, quick.order()
    desk.bank.answer = desk.bank.word = RefundState.PENDING
    asked = []
    for pause_s in (0, 29, 31, 60, 60, 120, 120):
        desk.after(pause_s)
        asked.append(desk.bank.asked_after[refund_no])
    assert asked == [0, 0, 1, 1, 2, 2, 3]


def test_one_that_fails_holds_up_no_other(quick, caplog):
    desk, bad = quick, quick.order()
    good = desk.order(1000, "key-0002")

    async def refund(order_no, refund_no, *_given, **_named):
        if refund_no == bad:
            raise RuntimeError("nonsense")
        return RefundState.DONE

    desk.bank.refund = refund
    desk.after(0)
    assert (desk.status(bad), desk.status(good)) == ("asked", "refunded")
    assert bad in caplog.text


def looks(bank):
    """How often a provider was told of a refund or asked after one."""
    return len(bank.told) + bank.asked_after.total()


def test_a_provider_that_is_down_costs_one_look_and_holds_up_no_other(quick):
    desk, other = quick, Bank()
    other.name = "other"
    desk.job = desk.new_job(sandbox=desk.bank, other=other)
    down = [desk.order(100, f"key-000{number}") for number in range(5)]
    of_other = desk.order(200, "key-0009")
    desk.writer.run(lambda unit: unit.connection.execute(refund.update().values(provider="other").where(
        refund.c.refund_no == of_other
    )))  # fmt: skip
    desk.bank.answer = desk.bank.word = DOWN
    other.answer = RefundState.FAILED
    desk.after(0)
    assert (looks(desk.bank), desk.status(of_other)) == (1, "released")
    for _ in range(5):
        desk.after(5)
    assert looks(desk.bank) == 1, "it is left alone meanwhile"
    desk.after(5)
    assert looks(desk.bank) == 2, "and then asked for another one"
    assert sorted(map(desk.status, down)) == ["asked", "asked", "reserved", "reserved", "reserved"]
    for _ in range(30):
        desk.after(60)
    assert looks(desk.bank) in range(24, 33), "never less than once a minute"
    desk.bank.answer = desk.bank.word = RefundState.DONE
    desk.after(60)
    desk.after(3600)
    assert {desk.status(one) for one in down} == {"refunded"}


def test_a_refund_that_its_provider_cannot_tell_of_comes_after_the_others(quick):
    desk, bad = quick, quick.order()

    async def refund_told(paid, refund_no, *_given, **_named):
        if refund_no == bad:
            raise DOWN
        return RefundState.DONE

    desk.bank.refund, desk.bank.word = refund_told, None
    desk.after(0)
    desk.after(1)
    good = desk.order(1000, "key-0002")
    desk.after(60)
    assert (desk.status(bad), desk.status(good)) == ("asked", "refunded")


def test_a_provider_that_is_gone_leaves_it_to_a_person(quick):
    desk, refund_no = quick, quick.order()
    desk.job = desk.new_job(other=desk.bank)
    for _ in range(3):
        desk.after(3600)
    assert (desk.status(refund_no), desk.bank.told) == ("reserved", [])
    decide = {"refunded": True, "reason": "bank transfer", "actor": "zhou", "approved_by": "wang", "now": at()}
    desk.writer.run(lambda unit: refunds.decide_by_hand(unit, ESTATE, refund_no, **decide))
    assert balance(desk.engine, "provider:sandbox")[0] == -3000
    agrees(desk.engine)


def test_an_answer_after_somebody_decided_moves_nothing_and_becomes_a_case(quick):
    desk, refund_no = quick, quick.order()

    async def refund(*_given, **_named):
        desk.writer.run(lambda unit: refunds.settle_released(unit, ESTATE, refund_no, "by hand", desk.clock.now()))
        return RefundState.DONE

    desk.bank.refund = refund
    desk.after(0)
    assert (desk.status(refund_no), desk.books()) == ("released", (10_000, 0, -PAID_FEN))
    assert [row["kind"] for row in rows(desk.engine, "anomaly_case")] == ["refund_contradicted"]
