"""`estate645 doctor` on the message gateway: set up or not, answering or not, and whether its receipts come back."""

import json

import httpx
import pytest

from server.cli import gateway_checks
from server.cli.gateway_checks import message_gateway, waiting_notices
from server.config import Config
from server.errors import CallbackRejected
from server.flows import message_gateway as gateway_flows
from server.flows import notices as flows
from server.notify.gateway import GatewaySender
from server.store import schema
from server.store.engine import open_engine
from server.store.writer import Writer
from tests.server.estates import ESTATE, account_id, at
from tests.server.test_doctor import database, look, no_settings, of  # noqa: F401  # fixtures

SECRET = b"s" * 40
SITE = "https://estate.example"
NO_NOTICE = "there is no notice 'doctor' in this estate"


@pytest.fixture
def configured(tmp_path):
    """Settings of a site with a gateway, which may be changed."""
    secrets = tmp_path / "gateway.secrets"
    secrets.write_bytes(SECRET)
    secrets.chmod(0o600)

    def settings(**changes):
        values = {"message_gateway_url": "https://gateway.example/send", "message_gateway_secrets": str(secrets)}
        return Config(**{"public_url": SITE, **values, **changes})

    return settings


class World:
    """The gateway and our own server, as HTTP sees them."""

    def __init__(self, *, gateway=405, site=404, said=NO_NOTICE):
        self.gateway, self.site, self.said, self.asked = gateway, site, said, []
        self.transport = httpx.MockTransport(self._hear)

    def _hear(self, request):
        self.asked.append(request)
        answer = self.gateway if request.url.host == "gateway.example" else self.site
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer, json={"detail": self.said})

    def look(self, config, estate_ids=(ESTATE,)):
        found = list(message_gateway(config, estate_ids, self.transport))
        assert all(one.en and one.zh and bool(one.mend_en) == bool(one.mend_zh) for one in found)
        return {one.subject: one for one in found}


def test_a_gateway_that_answers_and_whose_receipts_come_back_is_fine_and_was_sent_no_message(configured):
    world = World()
    found = world.look(configured())
    assert {name: one.state for name, one in found.items()} == {"message gateway": "ok", "receipts": "ok"}
    head, receipt = world.asked
    assert (head.method, head.content) == ("HEAD", b"")
    assert (receipt.method, str(receipt.url)) == ("POST", f"{SITE}/callbacks/receipts")
    ours = GatewaySender("", (SECRET,), ESTATE)
    found = ours.verify_receipt(
        receipt.headers, receipt.content, now_ms=int(receipt.headers["X-Estate645-Timestamp"]) * 1000
    )
    assert found.notice_id == "doctor", "signed, and for no notice"
    with pytest.raises(CallbackRejected):
        GatewaySender("", (b"x" * 40,), ESTATE).verify_receipt(receipt.headers, receipt.content, now_ms=0)


@pytest.mark.parametrize(
    ("gateway", "state", "said"),
    [
        (httpx.ConnectError("down"), "wrong", "does not answer (ConnectError)"),
        (503, "warning", "takes nothing now (HTTP 503)"),
        (429, "warning", "takes nothing now (HTTP 429)"),
        (301, "wrong", "sends elsewhere (HTTP 301)"),
        (404, "unknown", "no such address without a message"),
        (501, "ok", "answers (HTTP 501)"),
        (200, "ok", "answers (HTTP 200)"),
        (401, "ok", "answers (HTTP 401)"),
    ],
)
def test_what_the_gateway_answers_is_said_with_what_to_do(configured, gateway, state, said):
    found = World(gateway=gateway).look(configured())["message gateway"]
    assert (found.state, said in found.en, bool(found.mend_en)) == (state, True, state != "ok")


@pytest.mark.parametrize(
    ("site", "words", "state", "said"),
    [
        (404, NO_NOTICE, "ok", "reaches the server"),
        (404, "no message gateway is set up here", "wrong", "started without this gateway"),
        (404, "nginx", "wrong", "is not this server"),
        (400, "the signature does not fit", "wrong", "refuses a receipt"),
        (301, "", "wrong", "is not this server"),
        (502, "", "wrong", "is not this server"),
        (httpx.ConnectError("down"), "", "warning", "does not answer from here"),
    ],
)
def test_whether_receipts_come_back_is_tried(configured, site, words, state, said):
    found = World(site=site, said=words).look(configured())["receipts"]
    assert (found.state, said in found.en) == (state, True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"public_url": ""}, "public_url is not set"), ({"public_url": "http://127.0.0.1:8645"}, "only this machine")],
)
def test_an_address_that_no_gateway_can_reach_is_wrong_and_not_asked(configured, changes, said):
    world = World()
    found = world.look(configured(**changes))["receipts"]
    assert (found.state, said in found.en, len(world.asked)) == ("wrong", True, 1)


def test_without_an_estate_no_receipt_is_tried(configured):
    world = World()
    assert (world.look(configured(), ())["receipts"].state, len(world.asked)) == ("unknown", 1)


@pytest.mark.parametrize(
    ("changes", "state", "said"),
    [
        ({"message_gateway_url": "", "message_gateway_secrets": ""}, "warning", "none is set up"),
        ({"message_gateway_url": "", "message_gateway_secrets": "", "clock_anchor": "a"}, "ok", "none is needed"),
        ({"message_gateway_url": ""}, "wrong", "belong together"),
        ({"message_gateway_secrets": ""}, "wrong", "belong together"),
        ({"message_gateway_secrets": "/nowhere/secrets"}, "wrong", "cannot be read"),
    ],
)
def test_what_is_not_set_up_or_not_readable_is_asked_nothing(configured, changes, state, said):
    world = World()
    found = world.look(configured(**changes))["message gateway"]
    assert (found.state, said in found.en, world.asked) == (state, True, [])


def test_doctor_counts_what_waits_since_when_and_why(database, capsys):  # noqa: F811
    assert of(look(capsys, "--database", database)[1], "notices")[0]["state"] == "ok"
    engine = open_engine(database)
    writer = Writer(engine)
    for kind in ("alarm2", "cut_warning"):
        writer.run(lambda unit, kind=kind: flows.enqueue(unit, ESTATE, account_id(1), kind, {"balance_fen": -5}, at()))
    writer.run(lambda unit: unit.connection.execute(schema.account.update().values(balance_fen=-5)) and None)
    writer.run(lambda unit: gateway_flows.tell_away(unit, ESTATE, "the gateway answered 503: busy", at().world_s, at()))
    writer.stop()
    engine.dispose()
    code, found = look(capsys, "--database", database)
    [told] = of(found, "notices")
    assert (code, told["state"]) == (0, "warning")
    assert told["en"].endswith(": 2; warnings before a cut among them: 1: the gateway answered 503: busy")
    assert told["zh"].endswith("有2条消息在等待，其中1条为停电预警：短信网关应答 503：busy")
    assert "/notices" in told["mend_en"]
    assert "none is set up" in of(found, "message gateway")[0]["en"]
    assert json.dumps(found)


def test_what_reached_nobody_is_counted_too():
    waits = gateway_checks.Waiting("Asia/Shanghai", 0, 0, None, 3, "")
    [found] = waiting_notices([waits])
    assert (found.state, found.en) == ("warning", "notices of the last seven days that have reached nobody: 3")
    assert list(waiting_notices([])) == []
