"""The vendors' SDKs as oracles: they accept what our doubles sign, and our requests are theirs to the byte."""

import contextlib
import json
import subprocess
from urllib.parse import parse_qsl

import alipay as alipay_sdk
import pytest
import requests
import wechatpayv3
import wechatpayv3.core
import wechatpayv3.utils
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from server.pay.alipay_seal import notice_of, sign
from server.pay.provider import Paid
from server.pay.wechat_seal import authorization, unseal
from server.signing.shared_secret import signature
from tests.server.pay.sides import Alipay, Integrator, Wechat, rsa_key
from tests.server.pay.test_real_providers import (
    BY_NUMBER,
    NATIVE,
    ORDER_NO,
    REFUNDS,
    prepare,
    refund,
    run,
    wechat_request,
)


def private_pem(name):
    return rsa_key(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(name):
    return rsa_key(name).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture
def wechat():
    return Wechat()


@pytest.fixture
def wechat_sdk(wechat):
    return wechatpayv3.WeChatPay(
        wechatpay_type=wechatpayv3.WeChatPayType.NATIVE, mchid=wechat.merchant.mchid, private_key=private_pem("m"),
        cert_serial_no=wechat.merchant.serial, apiv3_key=wechat.apiv3_key.decode(), appid=wechat.merchant.appid,
        notify_url="https://estate.example/callbacks/x", public_key=public_pem("p"), public_key_id=wechat.serial,
    )  # fmt: skip


def test_wechats_sdk_opens_the_notices_that_we_open(wechat, wechat_sdk):
    headers, body = wechat.message(ORDER_NO, 5005)
    theirs = wechat_sdk.callback(headers, body)["resource"]
    ours = wechat.provider.verify_callback(headers, body, now_ms=wechat.machine_s() * 1000)
    assert (theirs["out_trade_no"], theirs["transaction_id"]) == (ours.order_no, ours.transaction_id)
    assert theirs["amount"]["total"] == ours.amount_fen
    assert theirs["trade_state"] == "SUCCESS"


def test_wechats_sdk_opens_the_notices_of_refunds_that_we_open(wechat, wechat_sdk):
    headers, body = wechat.refund_message(ORDER_NO, "r1", 1005)
    theirs = wechat_sdk.callback(headers, body)["resource"]
    ours = wechat.provider.verify_callback(headers, body, now_ms=wechat.machine_s() * 1000)
    assert (theirs["out_trade_no"], theirs["out_refund_no"]) == (ours.order_no, ours.refund_no)
    assert (theirs["amount"]["refund"], theirs["refund_status"]) == (ours.amount_fen, "SUCCESS")


def test_wechats_sdk_refuses_the_tampered_notice_that_we_refuse(wechat, wechat_sdk):
    headers, body = wechat.message(ORDER_NO, 5005)
    assert wechat_sdk.callback(headers, body.replace(b"SUCCESS", b"SUCCES5")) is None


@pytest.mark.parametrize("body", ["", '{"title":"电费"}'])
def test_our_authorization_is_that_of_wechats_sdk(wechat, body):
    key = wechatpayv3.utils.load_private_key(private_pem("m"))
    theirs = wechatpayv3.utils.build_authorization(
        "/v3/x?mchid=1", "POST", wechat.merchant.mchid, wechat.merchant.serial, key, data=body or None
    )
    fields = dict(part.split("=", 1) for part in theirs.partition(" ")[2].split(","))
    stamp = {"timestamp_s": int(fields["timestamp"].strip('"')), "nonce": fields["nonce_str"].strip('"')}
    assert authorization(wechat.merchant, "POST", "/v3/x?mchid=1", body.encode(), **stamp) == theirs


def test_wechats_sdk_and_we_open_a_sealed_resource_alike(wechat):
    resource = json.loads(wechat.message(ORDER_NO, 5005)[1])["resource"]
    theirs = wechatpayv3.utils.aes_decrypt(
        resource["nonce"], resource["ciphertext"], "transaction", wechat.apiv3_key.decode()
    )
    ours = unseal(wechat.apiv3_key, "AEAD_AES_256_GCM", resource["nonce"], "transaction", resource["ciphertext"])
    assert ours.decode() == theirs


def test_wechats_sdk_asks_for_the_same_paths_with_the_same_fields(wechat, wechat_sdk, monkeypatch):
    asked = []

    def hear(url, json=None, **_):
        asked.append((url.removeprefix("https://api.mch.weixin.qq.com"), json))
        raise requests.ConnectionError

    monkeypatch.setattr(wechatpayv3.core.requests, "post", hear)
    monkeypatch.setattr(wechatpayv3.core.requests, "get", hear)
    calls = [
        (lambda: wechat_sdk.pay("电费 +&=", ORDER_NO, {"total": 5005, "currency": "CNY"}), lambda: prepare(wechat)),
        (lambda: wechat_sdk.query(out_trade_no=ORDER_NO), lambda: run(wechat, "query", ORDER_NO)),
        (lambda: wechat_sdk.close(ORDER_NO), lambda: run(wechat, "close", ORDER_NO)),
        (
            lambda: wechat_sdk.refund(
                out_refund_no="r1", out_trade_no=ORDER_NO, reason="搬走",
                amount={"refund": 1005, "total": 5005, "currency": "CNY"},
            ),
            lambda: refund(wechat),
        ),
        (lambda: wechat_sdk.query_refund("r1"), lambda: run(wechat, "query_refund", Paid(ORDER_NO), "r1", 1005)),
        (lambda: wechat_sdk.trade_bill("2026-11-26"), lambda: run(wechat, "bill", "2026-11-26")),
    ]  # fmt: skip
    failed = {"code": "SYSTEM_ERROR"}
    for key in (
        NATIVE,
        ("GET", BY_NUMBER),
        ("POST", f"{BY_NUMBER}/close"),
        REFUNDS,
        ("GET", f"{REFUNDS[1]}/r1"),
        ("GET", "/v3/bill/tradebill"),
    ):
        wechat.answers[key] = (500, failed)
    for theirs, ours in calls:
        with contextlib.suppress(requests.ConnectionError):
            theirs()
        with contextlib.suppress(Exception):
            ours()
        path, fields = asked[-1]
        if path == REFUNDS[1]:
            fields.pop("notify_url")  # theirs is that of the payments
        _, target, our_fields = wechat_request(wechat)
        (our_fields or {}).pop("time_expire", None)
        assert target == path.removesuffix("&tar_type=GZIP")  # we want the bill as it is
        assert our_fields == fields
    assert len(asked) == 6


@pytest.fixture
def alipay():
    return Alipay()


def alipay_client(own, other):
    return alipay_sdk.AliPay(
        appid="2014072300007148", app_private_key_string=private_pem(own), alipay_public_key_string=public_pem(other)
    )


def test_alipays_sdk_accepts_the_notices_that_we_accept(alipay):
    _, body = alipay.message(ORDER_NO, 5005)
    fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
    assert alipay_client("m", "p").verify(dict(fields), fields["sign"]) is False  # `sign` is still among them
    given = fields.pop("sign")
    assert alipay_client("m", "p").verify(dict(fields), given)
    assert alipay.provider.verify_callback({}, body, now_ms=alipay.machine_s() * 1000).amount_fen == 5005


def test_we_accept_what_alipays_sdk_signs(alipay):
    fields = alipay.fields(ORDER_NO, 5005)
    theirs = alipay_client("p", "m").sign_data(fields)
    body = theirs.encode() + b"&sign_type=RSA2"
    assert notice_of(rsa_key("p").public_key(), body) == fields


def test_our_requests_are_signed_like_those_of_alipays_sdk(alipay):
    client = alipay_client("m", "p")
    data = client.build_body("alipay.trade.precreate", {"subject": "电费 +&=", "total_amount": "50.05"})
    theirs = dict(parse_qsl(client.sign_data(dict(data))))
    given = theirs.pop("sign")
    assert sign(rsa_key("m"), theirs) == given


def test_alipays_sdk_accepts_the_signature_of_our_requests(alipay):
    alipay.answers["alipay.trade.precreate"] = {"code": "20000"}
    with contextlib.suppress(Exception):
        prepare(alipay)
    request = alipay.asked[-1]
    fields = dict(parse_qsl(request.url.query.decode())) | dict(parse_qsl(request.content.decode()))
    given = fields.pop("sign")
    message = "&".join(f"{k}={v}" for k, v in sorted(fields.items()))
    assert alipay_client("p", "m")._verify(message, given)
    assert not alipay_client("p", "m")._verify(message + "1", given)


def test_alipays_sdk_accepts_the_answers_that_we_accept(alipay):
    alipay.answers["alipay.trade.query"] = {"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST", "sub_msg": "交易不存在"}
    assert run(alipay, "query", ORDER_NO) is None
    written = alipay._hear(alipay.asked[-1]).text
    theirs = alipay_client("m", "p")._verify_and_return_sync_response(written, "alipay_trade_query_response")
    assert theirs["sub_code"] == "ACQ.TRADE_NOT_EXIST"


def test_openssl_computes_the_same_hmac():
    body = b'{"kind":"payment"}'
    command = ["openssl", "dgst", "-sha256", "-hmac", Integrator.secret.decode()]
    told = subprocess.run(command, input=b"1790000000." + body, capture_output=True, check=True).stdout
    assert told.split()[-1].decode() == signature(Integrator.secret, "1790000000", body)
