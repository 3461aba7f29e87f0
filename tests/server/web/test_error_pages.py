"""What somebody at a browser is told when something is refused: in the language of the page, and what is safe."""

import pytest

from server.pay.provider import ProviderUnavailable
from server.web.security import BODY_BYTES_MAX


def words(language, english, chinese):
    return english if language == "en" else chinese


@pytest.fixture(params=["zh_CN", "en"])
def language(request):
    return request.param


def visitor(web, role, language):
    client = web.signed_in(role)
    client.cookies.set("estate645_language", language)
    return client


def test_a_field_that_cannot_be_is_named_in_the_language_of_the_page(web, language):
    page = visitor(web, "operator", language).get("/statistics?days=9999")
    assert page.status_code == 422
    assert words(language, "is at most 366", "不大于 366") in page.text
    page = visitor(web, "cashier", language).get("/counter", params={"room": "1" * 81})
    assert words(language, "<b>Room</b> has at most 80 characters", "<b>房号</b> 最多 80 个字符") in page.text
    assert "<details" not in page.text, "nothing is left in English only"


def test_what_is_missing_is_said(web, language):
    client = visitor(web, "operator", language)
    page = client.post("/cases/c1/close", data={"csrf": web.csrf("operator")["X-CSRF-Token"]})
    assert page.status_code == 422
    assert words(language, "must be filled in", "必须填写") in page.text


@pytest.mark.parametrize(
    ("role", "path", "english", "chinese"),
    [
        ("resident", "/wall", "the role resident has no right to this", "角色“住户”没有此权限"),
        ("resident", "/pay/none", "no such order", "没有这笔订单"),
        ("operator", "/me", "this login has no household", "该账号没有对应的住户"),
    ],
)
def test_why_not_is_said_in_the_language_of_the_page(web, language, role, path, english, chinese):
    page = visitor(web, role, language).get(path)
    assert page.status_code in (403, 404)
    assert words(language, english, chinese) in (page.text.lower() if language == "en" else page.text)
    assert "<details" not in page.text


def test_an_address_that_is_only_for_forms_is_no_fault_of_the_server(web, language):
    page = visitor(web, "operator", language).get("/accounts/A1/adjust")
    assert page.status_code == 405
    assert words(language, "This was not understood", "没有看懂") in page.text
    assert words(language, "Something failed here", "服务器出错") not in page.text


def test_a_payer_is_told_that_the_payment_service_is_away(web, language, monkeypatch):
    async def away(*_args, **_kwargs):
        raise ProviderUnavailable("no answer from the sandbox provider (ConnectTimeout)")

    monkeypatch.setattr(web.state.providers["sandbox"], "prepare", away)
    client = visitor(web, "resident", language)
    page = client.post("/me/pay", data={"amount": "50", "csrf": web.csrf("resident")["X-CSRF-Token"]})
    assert page.status_code == 503
    assert words(language, "The payment service does not answer", "支付服务没有应答") in page.text
    assert words(language, "The server cannot write", "服务器无法写入") not in page.text


def test_what_is_refused_before_it_is_read_has_a_page_too(web, language):
    client = visitor(web, "operator", language)
    large = client.post("/supply/stop", content=b"x" * (BODY_BYTES_MAX + 1))
    assert (large.status_code, large.headers["content-type"]) == (413, "text/html; charset=utf-8")
    assert words(language, "Too large", "内容过大") in large.text
    foreign = client.post("/supply/stop", headers={"Origin": "https://evil.test"})
    assert foreign.status_code == 403
    assert words(language, "a change must come from", "改动须从本站页面提交").lower() in foreign.text.lower()
