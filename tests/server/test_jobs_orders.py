"""Open orders: asked for at growing delays, credited like a callback, closed only on the provider's word."""

from collections import Counter
from dataclasses import replace

import pytest

from server.clock import Clock, Now
from server.flows import payments
from server.jobs.orders import GIVE_UP_MS, OrderJob
from server.pay.provider import PaidEvent, ProviderUnavailable
from tests.server.books import agrees, balance, rows
from tests.server.estates import ESTATE, account_id, at, plant

MINUTE_MS = 60_000


class StandingClock(Clock):
    """Stands still until it is moved."""

    def __init__(self):
        super().__init__()
        self.instant = at()

    def now(self):
        return self.instant

    def move(self, machine_ms):
        self.instant = Now(self.instant.world_s, self.instant.machine_ms + machine_ms)


class Payer:
    """A provider that knows what a test tells it."""

    pay_origin = "http://payer.test"

    def __init__(self, name="sandbox"):
        self.name, self.asked, self.known, self.down = name, Counter(), {}, False
        self.shut, self.keeps_open = [], None

    async def query(self, order_no):
        self.asked[order_no] += 1
        if self.down:
            raise ProviderUnavailable("no answer")
        found = self.known.get(order_no)
        if isinstance(found, Exception):
            raise found
        return found

    async def close(self, order_no):
        self.shut.append(order_no)
        if isinstance(self.keeps_open, Exception):
            raise self.keeps_open
        return order_no not in self.known and not self.keeps_open

    def pays(self, order_no, amount_fen, **changes):
        event = PaidEvent(self.name, f"e-{order_no}", f"t-{order_no}", order_no, amount_fen, True, at().machine_ms)
        self.known[order_no] = replace(event, **changes)
        return self.known[order_no]


class Desk:
    """Orders of one household, and the job that looks after them."""

    def __init__(self, engine, writer):
        self.engine, self.writer, self.clock, self.payer = engine, writer, StandingClock(), Payer()
        plant(writer, 2)
        self.job = self.new_job()

    def new_job(self):
        return OrderJob(self.engine, self.writer, self.clock, ESTATE, providers={"sandbox": self.payer})

    def order(self, amount_fen=5000, number=1, provider="sandbox"):
        now = self.clock.now()
        return self.writer.run(
            lambda unit: payments.create_order(
                unit, ESTATE, account_id(number), amount_fen, provider=provider, channel="online", actor="r", now=now
            )
        ).order_no

    def after(self, machine_ms):
        self.clock.move(machine_ms)
        self.job.run_once()

    def status(self, order_no):
        return {row["order_no"]: row["status"] for row in rows(self.engine, "payment_order")}[order_no]

    def balance(self, number=1):
        return balance(self.engine, account_id(number))[0]


@pytest.fixture
def desk(engine, writer):
    return Desk(engine, writer)


def test_an_order_is_asked_for_at_growing_delays(desk):
    order_no = desk.order()
    asked = []
    for pause_ms in (0, 29_000, 1_000, 5_000, 85_000, 470_000, 10_000, 60_000):
        desk.after(pause_ms)
        asked.append(desk.payer.asked[order_no])
    assert asked == [0, 0, 1, 1, 2, 2, 3, 3]
    assert desk.status(order_no) == "created"


def test_an_answer_credits_the_order_once(desk):
    order_no = desk.order()
    desk.payer.pays(order_no, 5000)
    desk.after(30_000)
    desk.after(90_000)
    assert (desk.status(order_no), desk.balance()) == ("paid", 10_000)
    assert desk.payer.asked[order_no] == 1
    agrees(desk.engine)


def test_a_callback_after_the_answer_is_a_repeat(desk):
    order_no = desk.order()
    event = desk.payer.pays(order_no, 5000)
    desk.after(30_000)
    result = desk.writer.run(lambda unit: payments.record_callback(unit, ESTATE, event, "{}", now=desk.clock.now()))
    assert (result, desk.balance()) == ("repeat", 10_000)


def test_a_wrong_amount_in_an_answer_goes_to_suspense(desk):
    order_no = desk.order()
    desk.payer.pays(order_no, 4999)
    desk.after(30_000)
    assert desk.balance() == 5000
    assert balance(desk.engine, "suspense")[0] == 4999


@pytest.mark.parametrize("told_fen", [4999, 5000], ids=["as it was told", "contradicted"])
def test_an_order_whose_money_is_in_suspense_is_not_asked_for_for_a_day(desk, told_fen):
    """Nobody can be credited by it any more, so it is closed in its time, and the trail does not grow by the minute."""
    order_no = desk.order(5000)
    event = desk.payer.pays(order_no, 4999)
    desk.writer.run(lambda unit: payments.record_callback(unit, ESTATE, event, "{}", now=desk.clock.now()))
    desk.payer.pays(order_no, told_fen)
    for _ in range(40):
        desk.after(MINUTE_MS)
    assert desk.status(order_no) == "closed"
    assert desk.payer.asked[order_no] == 4
    trail = [row["verb"] for row in rows(desk.engine, "audit") if row["subject"] in (order_no, *ids(desk))]
    assert trail.count("payment.contradicted") <= 4
    assert trail.count("order.closed") == 1
    assert desk.payer.shut == []
    assert balance(desk.engine, "suspense")[0] == 4999
    agrees(desk.engine)


def ids(desk):
    return [row["payment_id"] for row in rows(desk.engine, "payment")]


def test_an_unpaid_order_is_closed_after_thirty_minutes(desk):
    order_no = desk.order()
    desk.after(30 * MINUTE_MS - 1)
    assert desk.status(order_no) == "created"
    desk.after(1)
    assert desk.status(order_no) == "closed"
    desk.after(60 * MINUTE_MS)
    assert desk.balance() == 5000


def test_an_order_is_closed_at_its_provider_before_it_is_closed_here(desk):
    order_no = desk.order()
    desk.after(30 * MINUTE_MS)
    assert (desk.payer.shut, desk.status(order_no)) == ([order_no], "closed")


@pytest.mark.parametrize("answer", [True, ProviderUnavailable("no answer")], ids=["paid meanwhile", "no answer"])
def test_an_order_that_its_provider_does_not_close_stays_open_and_can_be_paid(desk, answer):
    order_no = desk.order()
    desk.payer.keeps_open = answer
    desk.after(30 * MINUTE_MS)
    assert desk.status(order_no) == "created"
    desk.payer.pays(order_no, 5000)
    desk.after(5_000)
    assert (desk.status(order_no), desk.balance()) == ("paid", 10_000)


def test_a_last_minute_payment_is_asked_for_before_the_order_is_closed(desk):
    order_no = desk.order()
    for _ in range(3):
        desk.after(10 * MINUTE_MS - 1)
    desk.payer.pays(order_no, 5000)
    desk.after(3)
    assert (desk.status(order_no), desk.balance()) == ("paid", 10_000)


def test_an_order_stays_open_while_its_provider_cannot_be_asked(desk):
    order_no = desk.order()
    desk.payer.down = True
    for _ in range(5):
        desk.after(60 * MINUTE_MS)
    assert desk.status(order_no) == "created"
    desk.payer.down = False
    desk.payer.pays(order_no, 5000)
    desk.after(1)
    assert (desk.status(order_no), desk.balance()) == ("paid", 10_000)


def test_an_order_is_given_up_after_a_day_without_its_provider(desk):
    order_no = desk.order()
    desk.payer.down = True
    desk.after(GIVE_UP_MS - 1)
    assert desk.status(order_no) == "created"
    desk.after(1)
    assert desk.status(order_no) == "closed"


def test_a_provider_that_is_down_is_asked_once_a_run(desk):
    for number in (1, 2, 1, 2):
        desk.order(number=number)
    desk.payer.down = True
    desk.after(30_000)
    assert desk.payer.asked.total() == 1


def test_a_poisoned_order_holds_up_no_other(desk, caplog):
    bad, good = desk.order(), desk.order(number=2)
    desk.payer.known[bad] = RuntimeError("nonsense")
    desk.payer.pays(good, 5000)
    desk.after(30_000)
    assert (desk.status(good), desk.balance(2)) == ("paid", 10_000)
    assert bad in caplog.text


def test_an_order_that_its_provider_cannot_tell_of_holds_up_no_newer_one(desk):
    bad = desk.order()
    desk.clock.move(1)
    good = desk.order(number=2)
    desk.payer.known[bad] = ProviderUnavailable("answered nonsense")
    desk.payer.pays(good, 5000)
    desk.after(30_000)
    desk.after(5_000)
    assert (desk.status(good), desk.balance(2)) == ("paid", 10_000)
    assert desk.payer.asked[bad] == 2, "it is asked for all the same"


def test_a_restart_asks_again_and_credits_nothing_twice(desk):
    order_no = desk.order()
    desk.after(30_000)
    desk.job = desk.new_job()
    desk.payer.pays(order_no, 5000)
    desk.after(1)
    assert (desk.payer.asked[order_no], desk.balance()) == (2, 10_000)


def test_an_order_of_a_provider_that_is_gone_is_given_up_after_a_day(desk):
    order_no = desk.order(provider="former")
    desk.after(60 * MINUTE_MS)
    assert desk.status(order_no) == "created"
    desk.after(GIVE_UP_MS)
    assert desk.status(order_no) == "closed"
