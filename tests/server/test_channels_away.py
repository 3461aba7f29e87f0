"""A channel that is away: messages wait for it and cost no attempt, and the staff is told of what reached nobody."""

import pytest

from server.flows import notices as flows
from server.jobs.notices import AWAY_MS_MAX
from server.notify.sender import Dispatch
from server.store.engine import reader
from server.store.statistics import UNDELIVERED_MS, queue
from tests.server.estates import ESTATE, account_id, at
from tests.server.test_jobs_notices import Channel, Desk

AWAY = Dispatch(sent=False, delivered=False, failure="down", away=True)


@pytest.fixture
def desk(engine, writer):
    return Desk(engine, writer)


def test_a_channel_that_is_away_costs_no_attempt_and_is_asked_now_and_then(desk):
    desk.enqueue()
    channel = Channel(*[AWAY] * 5)
    job = desk.job(channel)
    counts = []
    for pause_ms in (0, 59_000, 1_000, 59_000, 1_000, 60_000, 60_000, 60_000):
        desk.clock.move(pause_ms)
        job.run_once()
        counts.append(len(channel.sent))
    assert counts == [1, 1, 2, 2, 3, 4, 5, 6]
    row = desk.row()
    assert (row["status"], row["attempts"], row["failure"]) == ("sent", 1, "down")


def test_what_brings_a_channel_down_holds_up_no_other_notice(desk):
    for kind in ("alarm1", "alarm2", "topup"):
        desk.enqueue(kind=kind)
    first = min(desk.rows(), key=lambda row: (row["created_ms"], row["notice_id"]))["kind"]

    class Falls(Channel):
        def send(self, outgoing):
            super().send(outgoing)
            return AWAY if outgoing.kind == first else Dispatch(sent=True, delivered=False)

    channel = Falls()
    job = desk.job(channel)
    job.run_once()
    assert [one.kind for one in channel.sent] == [first]  # the others wait for the channel
    job.run_once()
    assert len(channel.sent) == 1
    desk.clock.move(5_000)
    job.run_once()
    assert len(channel.sent) == 3
    assert sorted(row["status"] for row in desk.rows()) == ["queued", "sent", "sent"]


def test_a_warning_of_yesterday_is_not_sent_when_the_channel_comes_back(desk):
    desk.enqueue()
    channel = Channel(AWAY, AWAY)
    job = desk.job(channel)
    job.run_once()
    desk.clock.move(AWAY_MS_MAX + 1)
    job.run_once()
    row = desk.row()
    assert (row["status"], row["failure"], len(channel.sent)) == ("failed", "down", 2)


def test_what_a_channel_will_never_take_is_not_tried_again(desk):
    desk.enqueue(number=2)
    channel = Channel(Dispatch(sent=False, delivered=False, failure="no phone", final=True))
    desk.job(channel).run_once()
    assert (desk.row()["status"], desk.row()["attempts"]) == ("failed", 1)


def test_a_receipt_that_overtakes_a_lost_answer_stands(desk):
    desk.enqueue()

    class Overtaken(Channel):
        def send(self, outgoing):
            desk.writer.run(lambda unit: flows.mark_delivered(unit, ESTATE, outgoing.notice_id, at(5)))
            return AWAY

    desk.job(Overtaken()).run_once()
    assert desk.row()["status"] == "delivered"


def test_the_staff_is_told_of_what_arrived_by_no_channel_within_a_week(desk):
    desk.enqueue()
    desk.enqueue(number=2)
    job = desk.job(Channel(*[Dispatch(sent=False, delivered=False, failure="no phone", final=True)] * 2))

    def told(later_ms=0):
        with reader(desk.engine) as connection:
            return queue(connection, ESTATE, at().machine_ms + later_ms).undelivered

    assert told() == 0
    job.run_once()
    assert told() == 2
    desk.writer.run(lambda unit: flows.mark_shown(unit, ESTATE, account_id(1), at(5)))
    assert (told(), told(UNDELIVERED_MS - 1), told(UNDELIVERED_MS)) == (1, 1, 0)
