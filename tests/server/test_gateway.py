"""The operator's message gateway: signed both ways, handed over is not delivered, and its faults hold up nobody."""

import asyncio
import json

import httpx
import pytest

from server.app import Application
from server.config import Config, load
from server.domain.receipts import Receipt
from server.errors import CallbackRejected, ConfigError, NotFound, Refused
from server.flows import notices as flows
from server.notify.gateway import ANSWER_BYTES_MAX, GatewaySender, open_gateway
from server.notify.sender import Dispatch, Outgoing
from server.signing.shared_secret import check, signed_headers
from server.store.writer import Writer
from tests.server.estates import ESTATE, account_id, at, plant
from tests.server.test_jobs_notices import PHONE, Channel, Desk

NOW_S = 1_790_000_000
SECRET = b"s" * 40
NEXT = b"n" * 40
OUTGOING = Outgoing(ESTATE, "n1", "A1", "cut_warning", PHONE, "余额不足", language="zh_CN", event_at=7)


class Gateway:
    """The other side: answers with a status and words or a stream, or fails, or takes its time."""

    def __init__(self, status=202, said=b"", *, slow_s=0.0, timeout_s=5.0):
        self.status, self.said, self.slow_s, self.asked = status, said, slow_s, []
        self.sender = GatewaySender(
            "https://gateway.example/send", (SECRET, NEXT), ESTATE, transport=httpx.MockTransport(self._hear),
            receipt_url="https://estate.example/callbacks/receipts", machine_s=lambda: NOW_S, timeout_s=timeout_s,
        )  # fmt: skip

    async def _hear(self, request):
        self.asked.append(request)
        await asyncio.sleep(self.slow_s)
        if isinstance(self.said, Exception):
            raise self.said
        body = httpx.ByteStream(self.said) if isinstance(self.said, bytes) else self.said
        return httpx.Response(self.status, stream=body, headers={"Location": "https://gateway.example/send"})


class Endless(httpx.AsyncByteStream):
    """A body that never ends; counts what was taken of it."""

    def __init__(self):
        self.taken = 0

    async def __aiter__(self):
        while True:
            self.taken += 100
            yield b"no " * 33 + b"\n"


def test_a_notice_is_posted_with_all_that_a_gateway_needs_and_signed_over_its_raw_bytes():
    gateway = Gateway()
    assert gateway.sender.send(OUTGOING) == Dispatch(sent=True, delivered=False)
    [request] = gateway.asked
    assert json.loads(request.content) == {
        "kind": "cut_warning", "estate": ESTATE, "notice_id": "n1", "account": "A1", "language": "zh_CN",
        "phone": PHONE, "text": "余额不足", "event_at": 7, "receipt_url": "https://estate.example/callbacks/receipts",
    }  # fmt: skip
    check([SECRET], request.headers, request.content, now_s=NOW_S)


@pytest.mark.parametrize(
    ("status", "answer", "said", "away"),
    [
        (500, b"out of\x00 credit\n", "the gateway answered 500: out of credit", True),
        (429, b"", "the gateway answered 429", True),
        (404, b"", "the gateway answered 404", False),
        (302, b"", "the gateway answered 302", False),
        (0, httpx.ConnectError("down"), "no answer from the gateway (ConnectError)", True),
        (0, httpx.InvalidURL("odd"), "no answer from the gateway (InvalidURL)", True),
        (0, httpx.StreamClosed(), "no answer from the gateway (StreamClosed)", True),
        (0, OSError("odd"), "no answer from the gateway (OSError)", True),
    ],
)
def test_any_other_answer_says_who_is_at_fault_and_raises_nothing(status, answer, said, away):
    gateway = Gateway(status, answer)
    assert gateway.sender.send(OUTGOING) == Dispatch(sent=False, delivered=False, failure=said, away=away)
    assert len(gateway.asked) == 1


def test_a_gateway_that_takes_its_time_is_left():
    failed = Gateway(slow_s=0.5, timeout_s=0.05).sender.send(OUTGOING)
    said = "the gateway did not answer within 0.05 s"
    assert failed == Dispatch(sent=False, delivered=False, failure=said, away=True)


def test_of_an_endless_answer_little_is_read():
    body = Endless()
    failed = Gateway(500, body).sender.send(OUTGOING)
    assert failed.failure.startswith("the gateway answered 500: no no")
    assert (body.taken <= ANSWER_BYTES_MAX + 100, len(failed.failure) < 200) == (True, True)


def test_without_a_telephone_nothing_is_sent():
    gateway = Gateway()
    failed = gateway.sender.send(Outgoing(ESTATE, "n1", "A1", "alarm1", "", "text"))
    assert failed == Dispatch(sent=False, delivered=False, failure="the household has no phone number", final=True)
    assert gateway.asked == []


def verified(*, secret=SECRET, signed_s=NOW_S, sent=None, **changes):
    fields = {"kind": "receipt", "estate": ESTATE, "notice_id": "n1", "state": "delivered", **changes}
    body = json.dumps(fields).encode()
    headers = signed_headers([secret], body, now_s=signed_s)
    return Gateway().sender.verify_receipt(headers, sent or body, now_ms=NOW_S * 1000)


def test_genuine_receipts_are_read_with_either_secret():
    assert verified() == verified(secret=NEXT) == Receipt("n1", "delivered")
    assert verified(signed_s=NOW_S - 300) == verified(signed_s=NOW_S + 300) == Receipt("n1", "delivered")
    assert verified(state="failed", reason="号码\n无效") == Receipt("n1", "failed", "号码 无效")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"secret": b"x" * 40}, "signature"),
        ({"sent": b"{}"}, "signature"),
        ({"signed_s": NOW_S - 301}, "timestamp"),
        ({"signed_s": NOW_S + 301}, "timestamp"),
        ({"kind": "cut_warning"}, "of kind receipt"),
        ({"estate": "elsewhere"}, "another estate"),
        ({"state": "read"}, "neither delivered nor failed"),
        ({"state": ["delivered"]}, "neither delivered nor failed"),
        ({"state": "failed"}, "say why"),
        ({"state": "failed", "reason": " "}, "say why"),
        ({"reason": 7}, "say why"),
        ({"notice_id": 7}, "notice_id"),
    ],
)
def test_no_other_message_is_a_receipt(changes, why):
    with pytest.raises(CallbackRejected, match=why):
        verified(**changes)


def test_what_we_send_cannot_be_played_back_to_us():
    gateway = Gateway()
    gateway.sender.send(OUTGOING)
    [request] = gateway.asked
    with pytest.raises(CallbackRejected, match="of kind receipt"):
        gateway.sender.verify_receipt(request.headers, request.content, now_ms=NOW_S * 1000)


@pytest.fixture
def desk(engine, writer):
    return Desk(engine, writer)


def message(desk):
    [row] = [row for row in desk.rows("gateway") + desk.rows("message") if row["account_id"] == account_id(1)]
    return row


def taken(desk, state="delivered", notice_id="", channel="gateway"):
    receipt = Receipt(notice_id or message(desk)["notice_id"], state, "no such number")
    return desk.writer.run(lambda unit: flows.take_receipt(unit, ESTATE, receipt, channel, at(5)))


def test_a_gateway_takes_the_messages_over_and_only_its_receipt_delivers(desk):
    desk.enqueue()
    desk.job(Gateway().sender).run_once()
    row = message(desk)
    assert (row["channel"], row["status"], row["attempts"], row["delivered_at"]) == ("gateway", "sent", 1, None)
    assert [taken(desk), taken(desk), taken(desk, "failed")] == ["delivered"] * 3
    row = message(desk)
    assert (row["status"], row["delivered_at"], row["failure"]) == ("delivered", at(5).world_s, "")
    assert [row["status"] for row in desk.rows("page")] == ["queued"]


def test_a_receipt_of_failure_ends_the_attempts_and_a_later_delivery_still_counts(desk):
    desk.enqueue()
    gateway = Gateway()
    job = desk.job(gateway.sender)
    job.run_once()
    assert [taken(desk, "failed"), taken(desk, "failed")] == ["failed"] * 2
    row = message(desk)
    assert (row["status"], row["failure"], row["delivered_at"]) == ("failed", "no such number", None)
    desk.clock.move(3_600_000)
    job.run_once()
    assert len(gateway.asked) == 1
    assert taken(desk) == "delivered"
    assert message(desk)["status"] == "delivered"


def test_a_receipt_for_another_channel_or_for_no_notice_changes_nothing(desk):
    desk.enqueue()
    [page] = desk.rows("page")
    for notice_id in (page["notice_id"], message(desk)["notice_id"]):
        with pytest.raises(Refused, match="by this channel"):
            taken(desk, notice_id=notice_id)
    with pytest.raises(NotFound):
        taken(desk, notice_id="nobody")
    assert {row["status"] for row in desk.rows("page") + desk.rows()} == {"queued"}


def test_what_the_gateway_says_is_kept_and_it_is_tried_again_with_the_pauses(desk):
    desk.enqueue()
    gateway = Gateway(422, b"no such number")
    job = desk.job(gateway.sender)
    for pause_ms in (0, 4_000, 2_000, 61_000, 600_000):
        desk.clock.move(pause_ms)
        job.run_once()
    row = message(desk)
    assert (len(gateway.asked), row["status"], row["channel"]) == (3, "failed", "gateway")
    assert row["failure"] == "the gateway answered 422: no such number"


def test_a_slow_channel_ends_the_round_and_the_rest_comes_in_the_next(desk):
    class Slow(Channel):
        def send(self, outgoing):
            desk.clock.move(1_500)
            return super().send(outgoing)

    for _ in range(5):
        desk.enqueue()
    channel = Slow()
    job = desk.job(channel)
    counts = []
    for _ in range(3):
        job.run_once()
        counts.append(len(channel.sent))
    assert counts == [2, 4, 5]


def settings(tmp_path, *, url="https://gateway.example/send", content=SECRET, mode=0o600, **more):
    path = tmp_path / "gateway.secrets"
    path.write_bytes(content)
    path.chmod(mode)
    return Config(message_gateway_url=url, message_gateway_secrets=str(path), **more)


def test_the_settings_open_the_gateway_or_say_what_is_wrong(tmp_path):
    assert open_gateway(Config(), ESTATE) is None
    assert open_gateway(settings(tmp_path), ESTATE).channel == "gateway"
    for wrong in ({"mode": 0o640}, {"content": b"short"}):
        with pytest.raises(ConfigError):
            open_gateway(settings(tmp_path, **wrong), ESTATE)
    for half in (Config(message_gateway_url="https://gateway.example"), Config(message_gateway_secrets="x")):
        with pytest.raises(ConfigError, match="belong together"):
            open_gateway(half, ESTATE)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://gateway.example/send", True), ("http://127.0.0.1:9000/send", True), ("http://[::1]:9000/", True),
        ("http://localhost/", True), ("", True), ("http://gateway.example/send", False), ("ftp://127.0.0.1/", False),
        ("https://", False), ("http://127.0.0.1.evil.example/", False), ("gateway.example", False),
    ],
)  # fmt: skip
def test_telephone_numbers_leave_this_machine_by_tls_alone(url, allowed):
    environment = {"ESTATE645_MESSAGE_GATEWAY_URL": url}
    if allowed:
        assert load(None, environment).message_gateway_url == url
    else:
        with pytest.raises(ConfigError, match="https"):
            load(None, environment)


@pytest.mark.parametrize("simulated", [False, True])
def test_a_server_with_a_gateway_has_no_other_sender_and_its_site_knows_it(simulated, sqlite_engine, tmp_path):
    writer = Writer(sqlite_engine)
    plant(writer, [])
    writer.stop()
    anchor = tmp_path / "anchor.json"
    times = dict.fromkeys(("machine_utc", "world_utc"), "2026-10-13T01:05:00+00:00")
    anchor.write_text(json.dumps({**times, "factor": 1}), "utf-8")
    url = sqlite_engine.url.render_as_string(hide_password=False)
    more = {"clock_anchor": str(anchor)} if simulated else {}
    sqlite_engine.dispose()
    application = Application(settings(tmp_path, database_url=url, collect=False, **more))
    try:
        assert (list(application.senders), application.sandbox) == (["gateway"], None)
        assert application.state.message_gateway is application.senders["gateway"]
    finally:
        application.stop()
