"""Delivery of notices: three attempts, nothing lost, nothing delivered without a receipt of the gateway."""

import json
import threading

import pytest

from server.clock import Clock, Now
from server.flows import notices as flows
from server.jobs.notices import ATTEMPTS_MAX, RECEIPT_WAIT_MS, NoticeJob
from server.notify.sandbox import SandboxGateway, SandboxSender, receipt_signature, verify_receipt
from server.notify.sender import Dispatch, Outgoing
from server.store import schema
from tests.server.books import rows
from tests.server.estates import ESTATE, account_id, at, household, plant

WAIT_S = 20.0
PHONE = "13800000001"


class StandingClock(Clock):
    """Stands still until it is moved."""

    def __init__(self):
        super().__init__()
        self.instant = at()

    def now(self):
        return self.instant

    def move(self, machine_ms):
        self.instant = Now(self.instant.world_s, self.instant.machine_ms + machine_ms)


class Channel:
    """A channel that answers as it is told, and remembers."""

    channel = "sandbox"

    def __init__(self, *answers):
        self.sent, self._answers = [], list(answers)

    def send(self, outgoing):
        self.sent.append(outgoing)
        answer = self._answers.pop(0) if self._answers else Dispatch(sent=True, delivered=False)
        if isinstance(answer, Exception):
            raise answer
        return answer


REFUSED = Dispatch(sent=False, delivered=False, failure="busy")


class Desk:
    """A job with one household's notices."""

    def __init__(self, engine, writer):
        self.engine, self.writer, self.clock = engine, writer, StandingClock()
        plant(writer, [household(1, phone=PHONE, opening_fen=900), household(2, opening_fen=900)])

    def enqueue(self, number=1, kind="alarm1", **arguments):
        self.writer.run(
            lambda unit: flows.enqueue(unit, ESTATE, account_id(number), kind, {"balance_fen": 900, **arguments}, at())
        )

    def job(self, channel, render=lambda kind, arguments, language: f"{language}:{kind}:{arguments['balance_fen']}"):
        senders = {} if channel is None else {channel.channel: channel}
        return NoticeJob(self.engine, self.writer, self.clock, ESTATE, senders=senders, render=render)

    def execute(self, statement):
        self.writer.run(lambda unit: unit.connection.execute(statement))

    def set_account(self, **values):
        self.execute(schema.account.update().where(schema.account.c.account_id == account_id(1)).values(**values))

    def rows(self, channel=""):
        """The notices of a channel, or all that are for a telephone."""
        found = rows(self.engine, "notice")
        return [row for row in found if (row["channel"] == channel if channel else row["channel"] != "page")]

    def row(self):
        [row] = self.rows()
        return row


@pytest.fixture
def desk(engine, writer):
    return Desk(engine, writer)


def test_a_queued_notice_is_worded_and_handed_over_once(desk):
    desk.enqueue()
    channel = Channel()
    job = desk.job(channel)
    job.run_once()
    job.run_once()
    [sent] = channel.sent
    own = (ESTATE, desk.row()["notice_id"], account_id(1), "alarm1", PHONE, "zh_CN:alarm1:900")
    assert sent == Outgoing(*own, language="zh_CN", event_at=at().world_s)


def test_handed_over_is_not_delivered(desk):
    desk.enqueue()
    desk.job(Channel()).run_once()
    row = desk.row()
    assert (row["status"], row["attempts"], row["delivered_at"]) == ("sent", 1, None)


def test_the_row_says_sent_before_the_channel_has_it(desk):
    desk.enqueue()
    seen = []

    class Looking(Channel):
        def send(self, outgoing):
            seen.append(desk.row()["status"])
            return super().send(outgoing)

    desk.job(Looking()).run_once()
    assert seen == ["sent"]


def test_what_no_sender_carries_has_failed_at_once_and_is_never_delivered(desk):
    desk.enqueue()
    desk.job(None).run_once()
    row = desk.row()
    assert (row["status"], row["attempts"], row["delivered_at"]) == ("failed", 1, None)
    assert (row["channel"], row["failure"]) == ("message", "no message gateway is set up")


def test_the_page_channel_is_never_dispatched(desk):
    desk.enqueue()
    channel = Channel()
    desk.job(channel).run_once()
    [page] = desk.rows("page")
    assert (page["status"], page["attempts"]) == ("queued", 0)


def test_a_refused_notice_is_tried_three_times_with_growing_pauses(desk):
    desk.enqueue()
    channel = Channel(REFUSED, REFUSED, REFUSED)
    job = desk.job(channel)
    counts = []
    for pause_ms in (0, 4_000, 2_000, 50_000, 20_000, 600_000):
        desk.clock.move(pause_ms)
        job.run_once()
        counts.append(len(channel.sent))
    assert counts == [1, 1, 2, 2, 3, 3]
    row = desk.row()
    assert (row["status"], row["attempts"], row["failure"]) == ("failed", ATTEMPTS_MAX, "busy")


def test_a_second_attempt_may_succeed(desk):
    desk.enqueue()
    channel = Channel(REFUSED)
    job = desk.job(channel)
    job.run_once()
    assert desk.row()["status"] == "queued"
    desk.clock.move(5_000)
    job.run_once()
    assert (desk.row()["status"], desk.row()["attempts"]) == ("sent", 2)


def test_a_notice_without_a_receipt_is_sent_again_three_times_in_all(desk):
    desk.enqueue()
    channel = Channel()
    job = desk.job(channel)
    for _ in range(5):
        job.run_once()
        desk.clock.move(RECEIPT_WAIT_MS + 1)
        job.run_once()
    assert len(channel.sent) == ATTEMPTS_MAX
    row = desk.row()
    assert (row["status"], row["attempts"], row["failure"]) == ("failed", ATTEMPTS_MAX, "no receipt came")


def test_a_late_receipt_still_delivers(desk):
    desk.enqueue()
    job = desk.job(Channel(REFUSED, REFUSED, REFUSED))
    for _ in range(3):
        job.run_once()
        desk.clock.move(60_000)
    notice_id = desk.row()["notice_id"]
    assert desk.row()["status"] == "failed"
    desk.writer.run(lambda unit: flows.mark_delivered(unit, ESTATE, notice_id, at(5)))
    assert (desk.row()["status"], desk.row()["delivered_at"]) == ("delivered", at(5).world_s)


def test_a_notice_that_cannot_be_worded_holds_up_no_other(desk):
    desk.enqueue(kind="alarm1")
    desk.enqueue(kind="alarm2")
    channel = Channel()

    def render(kind, arguments, language):
        if kind == "alarm1":
            raise KeyError("word")
        return kind

    desk.job(channel, render).run_once()
    assert [one.kind for one in channel.sent] == ["alarm2"]
    states = {row["kind"]: (row["status"], row["failure"]) for row in desk.rows()}
    assert states == {"alarm1": ("queued", "KeyError: 'word'"), "alarm2": ("sent", "")}


def test_a_channel_that_raises_counts_as_a_refusal(desk):
    desk.enqueue()
    desk.job(Channel(OSError("line down"))).run_once()
    assert (desk.row()["status"], desk.row()["failure"]) == ("queued", "OSError: line down")


def test_what_a_gateway_had_that_is_not_there_any_more_fails_in_the_end(desk):
    desk.enqueue()
    desk.execute(schema.notice.update().where(schema.notice.c.channel == "message").values(channel="gateway"))
    job = desk.job(Channel())
    for _ in range(4):
        job.run_once()
        desk.clock.move(60_000)
    assert (desk.row()["status"], desk.row()["failure"]) == ("failed", "no sender for the channel gateway")


class Receipts:
    """Takes receipts and lets a test wait for them."""

    def __init__(self):
        self.taken, self._changed = [], threading.Condition()

    def __call__(self, notice_id, signature):
        with self._changed:
            self.taken.append((notice_id, signature))
            self._changed.notify_all()

    def wait_for(self, count):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.taken) >= count, WAIT_S), self.taken


@pytest.fixture
def receipts():
    return Receipts()


@pytest.fixture
def open_gateway(receipts):
    made = []

    def make(on_receipt=receipts, **options):
        made.append(SandboxGateway(on_receipt, **options))
        return made[-1]

    yield make
    for gateway in made:
        gateway.close()


def outgoing(notice_id="n1", phone=PHONE):
    return Outgoing(ESTATE, notice_id, account_id(1), "alarm1", phone, "text")


def test_the_gateway_answers_each_message_with_a_signed_receipt(open_gateway, receipts):
    gateway = open_gateway(secret=b"secret", delay_s=0.01)
    sender = SandboxSender(gateway)
    for notice_id in ("n1", "n2", "n3"):
        assert sender.send(outgoing(notice_id)).sent
    receipts.wait_for(3)
    assert [notice_id for notice_id, _ in receipts.taken] == ["n1", "n2", "n3"]
    assert all(sender.is_genuine(*receipt) for receipt in receipts.taken)
    assert all(verify_receipt(b"secret", *receipt) for receipt in receipts.taken)
    assert list(gateway.messages) == [(PHONE, "text")] * 3


def test_no_receipt_comes_before_its_delay(open_gateway, receipts):
    SandboxSender(open_gateway(delay_s=600.0)).send(outgoing())
    threading.Event().wait(0.1)
    assert receipts.taken == []


@pytest.mark.parametrize(
    ("notice_id", "signature"),
    [
        ("n2", receipt_signature(b"secret", "n1")),
        ("n1", receipt_signature(b"other", "n1")),
        ("n1", ""),
        ("n1", "接"),
        ("n1", receipt_signature(b"secret", "n1")[:-1]),
    ],
)
def test_a_receipt_that_the_gateway_did_not_sign_is_no_receipt(notice_id, signature):
    assert not verify_receipt(b"secret", notice_id, signature)


def test_two_gateways_do_not_share_a_secret(open_gateway):
    assert open_gateway().secret != open_gateway().secret


def test_a_household_without_a_phone_cannot_be_reached(open_gateway):
    done = SandboxSender(open_gateway()).send(outgoing(phone=""))
    assert (done.sent, done.delivered) == (False, False)
    assert "phone" in done.failure


def test_a_full_gateway_refuses_instead_of_waiting(open_gateway):
    sender = SandboxSender(open_gateway(delay_s=600.0, waiting_max=2))
    assert [sender.send(outgoing(f"n{number}")).sent for number in range(3)] == [True, True, False]


def test_a_closed_gateway_takes_nothing_and_leaves_no_thread(open_gateway):
    gateway = open_gateway(delay_s=600.0)
    sender = SandboxSender(gateway)
    sender.send(outgoing())
    gateway.close()
    assert not sender.send(outgoing("n2")).sent
    assert not [thread for thread in threading.enumerate() if thread.name == "sandbox-gateway"]


def test_a_receipt_that_cannot_be_taken_stops_no_other(open_gateway, caplog):
    later = Receipts()

    def take(notice_id, signature):
        if notice_id == "n1":
            raise OSError("database away")
        later(notice_id, signature)

    sender = SandboxSender(open_gateway(take, delay_s=0.01))
    sender.send(outgoing("n1"))
    sender.send(outgoing("n2"))
    later.wait_for(1)
    assert "n1" in caplog.text


def test_a_warning_is_delivered_by_its_receipt_from_end_to_end(desk, open_gateway):
    desk.set_account(balance_fen=-900)
    desk.enqueue(kind="cut_warning")
    done = threading.Event()

    def take(notice_id, signature):
        if sender.is_genuine(notice_id, signature):
            desk.writer.run(lambda unit: flows.mark_delivered(unit, ESTATE, notice_id, at(7)))
            done.set()

    sender = SandboxSender(open_gateway(take, delay_s=0.01))
    desk.job(sender).run_once()
    assert done.wait(WAIT_S)
    assert (desk.row()["status"], desk.row()["delivered_at"]) == ("delivered", at(7).world_s)


def test_the_arguments_stay_integers(desk):
    desk.enqueue(kind="topup", amount_fen=5000)
    assert json.loads(desk.row()["arguments"]) == {"amount_fen": 5000, "balance_fen": 900}
