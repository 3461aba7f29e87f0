"""The message gateway away, or none set up: pages and health say what waits and why, and list whom to tell by hand."""

import json
from dataclasses import replace

import pytest

from server.flows import message_gateway, notices
from server.store import schema
from server.web.health import _gateway_said
from server.web.notice_words import channel_word
from tests.server.web.conftest import ESTATE, WORLD_S

HOUR_S = 3600
AWAY = "no answer from the gateway (ConnectError)"


def warn(web, name="A1", kind="cut_warning", not_before_at=0, balance_fen=-5):
    of = schema.account.c
    web.execute(schema.account.update().where(of.account_id == name).values(balance_fen=balance_fen, overdraft_fen=0))
    web.state.writer.run(
        lambda unit: notices.enqueue(
            unit, ESTATE, name, kind, {"balance_fen": balance_fen, "earliest_at": 0, "pay_fen": 1000}, web.clock.at,
            not_before_at,
        )
    )  # fmt: skip


def take(web, channel, status, failure=""):
    """All messages as the job left them."""
    of = schema.notice.c
    web.execute(
        schema.notice.update().where(of.channel == "message").values(channel=channel, status=status, failure=failure)
    )


def tell_away(web):
    web.state.writer.run(lambda unit: message_gateway.tell_away(unit, ESTATE, AWAY, WORLD_S, web.clock.at))


def page(web, path, language="en", role="operator"):
    client = web.signed_in(role)
    client.cookies.set("estate645_language", language)
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.mark.parametrize(
    ("language", "title", "held", "link"),
    [
        ("en", "2 warnings wait since 10:05, because the message gateway takes nothing", "is cut off", "by hand"),
        ("zh_CN", "自 10:05 起有 2 条停电预警在等待，因为短信网关不收消息", "不会停电", "人工通知"),
    ],
)  # fmt: skip
def test_today_says_how_many_warnings_wait_since_when_and_why(web, language, title, held, link):
    web.clock.move(HOUR_S)
    warn(web, "A1")
    web.clock.move(HOUR_S)
    warn(web, "A2", "final_notice")
    take(web, "gateway", "queued")
    assert title not in page(web, "/today", language)
    tell_away(web)
    text = page(web, "/today", language)
    for words in (title, held, link, 'href="/notices"'):
        assert words in text
    case = next(row["case_id"] for row in web.rows(schema.anomaly_case.select()))
    for words in ("ConnectError", "estate645 doctor"):
        assert words in page(web, f"/cases/{case}", language)
    web.state.writer.run(lambda unit: message_gateway.tell_back(unit, ESTATE, message_gateway.BACK, web.clock.at))
    assert title not in page(web, "/today", language)


def test_what_is_not_due_not_owed_or_told_otherwise_does_not_wait(web):
    web.clock.move(HOUR_S)
    warn(web, "A1", not_before_at=web.clock.at.world_s + HOUR_S)
    warn(web, "A2")
    take(web, "gateway", "queued")
    tell_away(web)
    assert "1 warning waits since" in page(web, "/today")
    web.execute(schema.account.update().where(schema.account.c.account_id == "A2").values(balance_fen=5))
    assert "The message gateway takes nothing since" in page(web, "/today")
    warn(web, "A2")
    web.state.writer.run(lambda unit: notices.mark_shown(unit, ESTATE, "A2", web.clock.at))
    assert "The message gateway takes nothing since" in page(web, "/today")
    web.clock.move(HOUR_S)
    assert "1 warning waits since" in page(web, "/today"), "the quiet hours are over"


def test_health_stays_ready_and_says_what_waits(web):
    client = web.client()
    assert client.get("/readyz").json()["message_gateway"] == "none"
    warn(web)
    take(web, "gateway", "queued")
    tell_away(web)
    answer = client.get("/readyz")
    told = answer.json()
    assert (answer.status_code, told["status"], told["message_gateway"]) == (200, "message gateway away", "away")
    assert (told["warnings_waiting"], told["waiting_since"]) == (1, WORLD_S)


@pytest.mark.parametrize(
    ("channel", "status", "message_channel", "said"),
    [
        ("message", "queued", "sandbox", "test channel"),
        ("message", "queued", "gateway", "text message"),
        ("message", "queued", "none", "no message gateway is set up; give it by hand"),
        ("sandbox", "failed", "none", "no message gateway is set up; give it by hand"),
        ("sandbox", "delivered", "none", "test channel"),
        ("gateway", "failed", "none", "text message"),
        ("page", "queued", "none", "in page"),
        ("hand", "delivered", "gateway", "by hand"),
    ],
)
def test_a_message_that_nothing_has_taken_is_said_to_go_by_what_is_there(channel, status, message_channel, said):
    assert channel_word({"channel": channel, "status": status}, message_channel) == said


def test_the_site_knows_what_carries_its_messages(web):
    simulated = replace(web.state, config=replace(web.state.config, clock_anchor="anchor.json"))
    assert (web.state.message_channel, simulated.message_channel) == ("none", "sandbox")
    assert (_gateway_said(web.state), _gateway_said(simulated)) == ("none", "ok")


@pytest.mark.parametrize("path", ["/households/A1", "/wall/rooms/1-101"])
def test_a_real_site_without_a_gateway_never_speaks_of_a_test_channel(web, path):
    warn(web)
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", "en")
    text = client.get(path).text
    if path.startswith("/households"):
        assert "no message gateway is set up; give it by hand" in text
    assert "test channel" not in text


def test_who_was_reached_by_nothing_is_listed_with_the_way_to_tell_it(web):
    warn(web, "A1")
    warn(web, "A2", "alarm1", balance_fen=5)
    take(web, "message", "failed", "no message gateway is set up")
    text = page(web, "/notices")
    assert text.index("1-101") < text.index("1-102"), "warnings first"
    for words in ("/households/A1#notices", "No message gateway is set up.", "Before a cut", "Balance low"):
        assert words in text
    assert "/households/A1#notices" not in page(web, "/notices", role="reader")
    notice_id = next(
        row["notice_id"] for row in web.rows(schema.notice.select())
        if (row["account_id"], row["channel"]) == ("A1", "page")
    )  # fmt: skip
    give = {"notice_id": notice_id, "way": "telephone", "recipient": "王女士"}
    web.signed_in("operator").post("/households/A1/notices/given", data=give, headers=web.csrf("operator"))
    web.state.writer.run(lambda unit: notices.mark_shown(unit, ESTATE, "A2", web.clock.at))
    assert "Every notice has arrived" in page(web, "/notices")


def test_a_newer_warning_stands_for_the_older_one(web):
    warn(web)
    take(web, "gateway", "failed", "no receipt came")
    web.clock.move(HOUR_S)
    warn(web)
    take(web, "gateway", "failed", "the household has no phone number")
    text = page(web, "/notices")
    assert ("no phone number" in text, "no receipt came" in text) == (True, False)
    assert json.loads(web.rows(schema.notice.select())[0]["arguments"])


def test_what_waits_for_the_morning_has_not_arrived(web):
    assert "Every notice has arrived" in page(web, "/notices")
    warn(web, "A1", not_before_at=web.clock.at.world_s + 9 * HOUR_S)
    told = page(web, "/notices")
    assert "Every notice has arrived" not in told
    assert "Notices of 1 household wait for the end of its quiet hours." in told
    assert "1 户的通知在等待免打扰时段结束" in page(web, "/notices", "zh_CN")
    of = schema.notice.c
    web.execute(schema.notice.update().where(of.channel == "page").values(status="delivered", delivered_at=1))
    assert "Every notice has arrived" in page(web, "/notices"), "the household has opened its page"
