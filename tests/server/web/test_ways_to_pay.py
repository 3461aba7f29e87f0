"""How people choose a provider and where they pay: a page of the provider, or a code on ours."""

import re

import pytest
import segno

from server.pay.provider import PreparedOrder
from server.web.qr import QUIET_ZONE, svg_path
from server.web.security import policy
from tests.server.pay.sides import Alipay, Wechat

CODES = {"wechat": "weixin://wxpay/bizpayurl?pr=p4lpSuKzz", "alipay": "https://qr.alipay.com/bavh4wjlxf12tper3a"}


@pytest.fixture
def web(web):
    """The web with WeChat Pay and Alipay before the sandbox."""
    sandbox = web.state.providers.pop("sandbox")
    sides = {"wechat": Wechat(), "alipay": Alipay()}
    sides["wechat"].answers["POST", "/v3/pay/transactions/native"] = (200, {"code_url": CODES["wechat"]})

    async def prepare(order_no, amount_fen, **_):
        return PreparedOrder(order_no, CODES["alipay"], is_page=False)

    sides["alipay"].provider.prepare = prepare
    web.state.providers.update({name: side.provider for name, side in sides.items()} | {"sandbox": sandbox})
    return web


def pay(web, role, path, **fields):
    client = web.signed_in(role)
    data = {"csrf": web.csrf(role)["X-CSRF-Token"], "amount": "50", **fields}
    return client.post(path, data=data)


def test_the_payer_chooses_among_the_ways(web):
    page = web.signed_in("resident").get("/me").text
    assert re.findall(r'name="provider" value="(\w+)"', page) == ["wechat", "alipay", "sandbox"]
    kiosk = web.signed_in("kiosk").get("/kiosk/amount?room=1-101").text
    assert re.findall(r'name="provider" value="(\w+)"( checked)?', kiosk)[0] == ("wechat", " checked")
    assert "微信支付" in page


def test_one_way_is_not_asked_for(make_web):
    page = make_web().signed_in("resident").get("/me").text
    assert 'name="provider"' not in page


@pytest.mark.parametrize("name", ["wechat", "alipay"])
def test_a_resident_sees_the_code_and_the_way_on(web, name):
    answer = pay(web, "resident", "/me/pay", provider=name)
    assert answer.status_code == 200
    [path] = re.findall(r'<path d="([^"]+)" fill="#000"', answer.text)
    assert path == svg_path(CODES[name])[1]
    modules = segno.make_qr(CODES[name], error="m", boost_error=False).matrix
    dark = {(int(x) - QUIET_ZONE, int(y) - QUIET_ZONE) for x, y in re.findall(r"M(\d+) (\d+)h1", path)}
    assert dark == {(x, y) for y, line in enumerate(modules) for x, bit in enumerate(line) if bit}
    assert (CODES[name] in answer.text) is (name == "alipay")
    [progress] = re.findall(r'href="(/pay/[0-9a-f]{32}\?token=[^"]+)"', answer.text)
    assert web.client().get(progress).status_code == 200


def test_the_kiosk_shows_a_code_without_a_link_that_its_browser_cannot_open(web):
    answer = pay(web, "kiosk", "/kiosk/pay", room="1-101", provider="wechat")
    assert answer.status_code == 200
    assert svg_path(CODES["wechat"])[1] in answer.text
    assert "weixin:" not in answer.text
    sandbox = pay(web, "kiosk", "/kiosk/pay", room="1-101", provider="sandbox")
    assert re.search(r'<a class="kbtn" href="http://payer\.test/pay/', sandbox.text)


def test_the_first_way_is_taken_when_none_is_named_and_an_unknown_one_is_not_found(web):
    client = web.signed_in("resident")

    def order(**more):
        return client.post(
            "/api/v1/households/A1/orders", json={"amount_fen": 5000, **more}, headers=web.csrf("resident")
        )

    answer = order()
    assert (answer.json()["pay_url"], answer.json()["is_page"]) == (CODES["wechat"], False)
    assert order(provider="sandbox").json()["is_page"] is True
    assert order(provider="nobody").status_code == 404


def test_the_form_policy_names_only_origins():
    assert "form-action 'self' http://payer.test;" in policy(["", "http://payer.test"])


def test_a_provider_that_is_down_leaves_an_open_order_and_says_so(web):
    web.state.providers["wechat"]._transport = None
    web.state.providers["wechat"]._url = "http://127.0.0.1:1"
    assert pay(web, "resident", "/me/pay", provider="wechat").status_code == 503
