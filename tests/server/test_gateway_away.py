"""A message gateway that is away: a case tells of it while it lasts, and ends by itself."""

import json

import httpx
import pytest

from server.store import schema
from tests.server.books import rows
from tests.server.estates import at
from tests.server.test_gateway import Gateway
from tests.server.test_jobs_notices import Channel, Desk

DOWN = httpx.ConnectError("down")
WHY = "no answer from the gateway (ConnectError)"


@pytest.fixture
def desk(engine, writer):
    return Desk(engine, writer)


def cases(desk):
    return [
        (row["status"], json.loads(row["evidence"]), row["resolution"])
        for row in rows(desk.engine, "anomaly_case")
        if row["kind"] == "message_gateway"
    ]


def fail(desk, job, times):
    for _ in range(times):
        job.run_once()
        desk.clock.move(61_000)


def test_one_failure_is_no_news_and_the_second_opens_a_case_which_the_next_success_ends(desk):
    for _ in range(3):
        desk.enqueue()
    gateway = Gateway(0, DOWN)
    job = desk.job(gateway.sender)
    fail(desk, job, 1)
    assert cases(desk) == []
    fail(desk, job, 1)
    assert cases(desk) == [("open", {"since": at().world_s, "reason": WHY}, "")]
    gateway.status, gateway.said = 503, b"busy"
    fail(desk, job, 1)
    busy = "the gateway answered 503: busy"
    assert cases(desk) == [("open", {"since": at().world_s, "reason": busy}, "")]
    gateway.status = 202
    fail(desk, job, 1)
    [(status, _, resolution)] = cases(desk)
    assert (status, resolution) == ("closed", "the message gateway takes messages again")


def test_a_gateway_that_refuses_a_message_is_not_away(desk):
    desk.enqueue()
    job = desk.job(Gateway(422, b"no such number").sender)
    fail(desk, job, 4)
    assert cases(desk) == []


def test_what_the_process_before_told_is_ended_by_the_first_success_or_without_a_gateway(desk):
    for now, why in (
        (Gateway().sender, "takes messages again"),
        (None, "no message gateway is set up any more"),
        (Channel(), "no message gateway is set up any more"),
    ):
        desk.enqueue()
        fail(desk, desk.job(Gateway(0, DOWN).sender), 2)
        assert cases(desk)[-1][0] == "open"
        desk.job(now).run_once()
        [last] = [resolution for status, _, resolution in cases(desk) if why in resolution][-1:]
        assert [status for status, _, _ in cases(desk)] == ["closed"] * len(cases(desk)), last
        desk.execute(schema.notice.update().values(status="delivered"))
        desk.execute(schema.anomaly_case.delete())


def test_a_case_that_somebody_closed_comes_back_while_the_gateway_is_away(desk):
    desk.enqueue()
    job = desk.job(Gateway(0, DOWN).sender)
    fail(desk, job, 2)
    desk.execute(schema.anomaly_case.update().values(status="closed"))
    fail(desk, job, 1)
    assert sorted(status for status, _, _ in cases(desk)) == ["closed", "open"]
