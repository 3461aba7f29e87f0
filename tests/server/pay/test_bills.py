"""Bill files: fetched with their hash, read whole or refused, as WeChat Pay, Alipay and JSON services make them."""

import contextlib
import gzip
import hashlib
import json
import random

import httpx
import pytest

from server.domain.reconciliation import BillRow
from server.errors import Refused
from server.pay.bills import read_json
from server.pay.provider import ProviderUnavailable
from tests.server.pay.bill_files import (
    ALIPAY_HEAD,
    WECHAT_HEAD,
    alipay_file,
    alipay_row,
    alipay_text,
    wechat_file,
    wechat_row,
)
from tests.server.pay.sides import Alipay, Integrator, Wechat
from tests.server.pay.test_real_providers import run

DAY = "2026-11-26"
NOON_MS = 1_795_665_600_000  # date -d 2026-11-26T12:00:00+08:00 +%s
PLACE = "https://api.mch.weixin.qq.com/v3/billdownload/file?token=abc"
LINK = "alipay.data.dataservice.bill.downloadurl.query"


def test_wechats_rows_are_payments_and_refunds_in_fen_and_beijings_time():
    content = wechat_file(
        wechat_row(), wechat_row(yuan="20.00", state="REFUND"), wechat_row(transaction="2", state="REVOKED"),
        wechat_row(yuan="1.00", state="REFUND", refund_no="r2", refund_state="PROCESSING"),
        wechat_row(yuan="1.5", state="REFUND", refund_no="r3", refund_state="FAIL"),
    )  # fmt: skip
    assert Wechat().provider.read_bill(content) == [
        BillRow("payment", "o1", "", "4200000001", 5005, "done", NOON_MS),
        BillRow("refund", "o1", "r1", "4200000001", 2000, "done", NOON_MS),
        BillRow("payment", "o1", "", "2", 5005, "failed", NOON_MS),
        BillRow("refund", "o1", "r2", "4200000001", 100, "pending", NOON_MS),
        BillRow("refund", "o1", "r3", "4200000001", 150, "failed", NOON_MS),
    ]


def test_a_day_without_business_is_an_empty_file():
    assert Wechat().provider.read_bill(b"") == Alipay().provider.read_bill(b"") == []
    assert Wechat().provider.read_bill(wechat_file()) == []
    assert Alipay().provider.read_bill(alipay_text()) == []


BAD_WECHAT = {
    "another merchant": wechat_file(wechat_row(mchid="1900000002")),
    "another currency": wechat_file(wechat_row(currency="USD")),
    "unknown state": wechat_file(wechat_row(state="PAID")),
    "a float": wechat_file(wechat_row(yuan="1e2")),
    "three decimals": wechat_file(wechat_row(yuan="50.055")),
    "negative": wechat_file(wechat_row(yuan="-50.05")),
    "no time": wechat_file(wechat_row(at="2026-11-26")),
    "a row less": wechat_file(wechat_row(), count=2),
    "a row more": wechat_file(wechat_row(), wechat_row(transaction="2"), count=1),
    "cut off": wechat_file(wechat_row()).split("总".encode())[0],
    "cut in the sums": wechat_file(wechat_row())[: -len("`1,`50.05,`0.00,`0.00,`0.30000,`50.05,`0.00\r\n")],
    "half a row": wechat_file(wechat_row()[:60]),
    "another file": wechat_file("`a", head="a"),
    "a NUL": wechat_file(wechat_row(order_no="o\x001")),
    "not UTF-8": b"\xff\xfe",
}


@pytest.mark.parametrize("content", BAD_WECHAT.values(), ids=BAD_WECHAT.keys())
def test_a_file_of_wechat_that_is_wrong_is_refused(content):
    with pytest.raises(Refused):
        Wechat().provider.read_bill(content)


@pytest.mark.parametrize("make", [alipay_file, alipay_text], ids=["archive", "text"])
def test_alipays_rows_come_out_of_the_archive_and_out_of_the_text(make):
    content = make(alipay_row(), alipay_row(yuan="-20.00", kind="退款", refund_no="r1"))
    assert Alipay().provider.read_bill(content) == [
        BillRow("payment", "o1", "", "2026112722", 5005, "done", NOON_MS),
        BillRow("refund", "o1", "r1", "2026112722", 2000, "done", NOON_MS),
    ]


BAD_ALIPAY = {
    "another account": alipay_file(alipay_row(), account="20880000000000000156"),
    "unknown kind": alipay_file(alipay_row(kind="转账")),
    "a negative payment": alipay_file(alipay_row(yuan="-50.05")),
    "a row less": alipay_file(alipay_row(), counts=(2, 0)),
    "no sums": alipay_text(alipay_row()).split("#交易合计".encode("gb18030"))[0],
    "another file": alipay_text("a").replace(ALIPAY_HEAD.encode("gb18030"), b"a"),
    "a broken archive": alipay_file(alipay_row())[:40],
    "no time": alipay_file(alipay_row(at="gestern")),
    "not Chinese": b"\xff\xff\xff",
}


@pytest.mark.parametrize("content", BAD_ALIPAY.values(), ids=BAD_ALIPAY.keys())
def test_a_file_of_alipay_that_is_wrong_is_refused(content):
    with pytest.raises(Refused):
        Alipay().provider.read_bill(content)


def test_a_compressed_file_of_wechat_is_unpacked():
    plain = wechat_file(wechat_row())
    packed = gzip.compress(plain)
    assert Wechat().provider.read_bill(packed) == Wechat().provider.read_bill(plain)
    with pytest.raises(Refused):
        Wechat().provider.read_bill(packed[:20] + b"x" * 40)


@pytest.mark.parametrize("make", [wechat_file, alipay_text, alipay_file, None], ids=["wechat", "text", "zip", "json"])
def test_a_damaged_file_is_refused_or_read_and_never_anything_else(make):
    chance = random.Random(645)
    rows = [wechat_row(transaction=str(n)) if make is wechat_file else alipay_row(transaction=str(n)) for n in range(3)]
    whole = make(*rows) if make else json.dumps({"rows": [{"kind": "payment", "amount_fen": 1}]}).encode()
    read = {wechat_file: Wechat().provider.read_bill, None: read_json}.get(make, Alipay().provider.read_bill)
    for _ in range(1000):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(damaged))
            damaged[place : place + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        with contextlib.suppress(Refused):
            assert len(read(bytes(damaged))) == 3


def test_columns_are_found_by_their_names():
    head = WECHAT_HEAD.split(",")
    row = wechat_row().split(",")
    turned = wechat_file(",".join(reversed(row)), head=",".join(reversed(head)))
    assert Wechat().provider.read_bill(turned) == Wechat().provider.read_bill(wechat_file(wechat_row()))


def test_wechats_file_is_fetched_and_must_have_the_promised_hash():
    made, content = Wechat(), wechat_file(wechat_row())
    digest = hashlib.sha1(content).hexdigest()
    asked = []

    def hear(request):
        asked.append(request)
        if request.url.path == "/v3/billdownload/file":
            assert request.headers["Authorization"].startswith("WECHATPAY2-SHA256-RSA2048 ")
            return httpx.Response(200, content=content)
        body = json.dumps({"hash_type": "SHA1", "hash_value": digest, "download_url": place}).encode()
        return httpx.Response(200, content=body, headers=made.headers(body))

    made.provider._transport = httpx.MockTransport(hear)
    place = PLACE
    assert run(made, "bill", DAY) == content
    assert asked[0].url.raw_path == b"/v3/bill/tradebill?bill_date=2026-11-26&bill_type=ALL"
    assert asked[1].url.raw_path == b"/v3/billdownload/file?token=abc"
    content += b" "
    with pytest.raises(ProviderUnavailable, match="not the one that was promised"):
        run(made, "bill", DAY)
    place = "https://evil.example/v3/billdownload/file"
    with pytest.raises(ProviderUnavailable, match="no bill file"):
        run(made, "bill", DAY)


def test_wechat_without_business_has_no_file_and_an_error_is_none():
    made = Wechat()
    made.answers["GET", "/v3/bill/tradebill"] = (400, {"code": "NO_STATEMENT_EXIST"})
    assert run(made, "bill", DAY) == b""
    made.answers["GET", "/v3/bill/tradebill"] = (400, {"code": "STATEMENT_CREATING"})
    with pytest.raises(ProviderUnavailable, match="STATEMENT_CREATING"):
        run(made, "bill", DAY)


def test_alipays_archive_is_fetched_from_where_the_signed_answer_says():
    made, content = Alipay(), alipay_file(alipay_row())
    made.answers[LINK] = {
        "code": "10000",
        "bill_download_url": "http://dwbillcenter.alipay.com/x?y=1",
    }  # as in the manual
    hear = made._hear

    def answer(request):
        if request.method != "GET":
            return hear(request)
        assert request.url.scheme == "https"
        return httpx.Response(200, content=content)

    made.provider._transport = httpx.MockTransport(answer)
    assert run(made, "bill", DAY) == content
    made.answers[LINK] = {"code": "40004", "sub_code": "isp.bill_not_exist"}
    assert run(made, "bill", DAY) == b""
    for wrong in ({"code": "20000"}, {"code": "10000", "bill_download_url": "ftp://a"}, {"code": "10000"}):
        made.answers[LINK] = wrong
        with pytest.raises(ProviderUnavailable):
            run(made, "bill", DAY)


def test_an_integrators_rows_are_signed_and_of_the_day():
    made = Integrator()
    row = {
        "kind": "refund", "order_no": "o1", "refund_no": "r1", "transaction_id": "t1", "amount_fen": 5, "state": "done",
        "at_ms": NOON_MS,
    }  # fmt: skip
    made.answers["bill"] = {"day": DAY, "rows": [row]}
    assert made.provider.read_bill(run(made, "bill", DAY)) == [BillRow("refund", "o1", "r1", "t1", 5, "done", NOON_MS)]
    made.answers["bill"]["day"] = "2026-11-25"
    with pytest.raises(ProviderUnavailable, match="another day"):
        run(made, "bill", DAY)
    for wrong in (
        {"amount_fen": 1.5},
        {"amount_fen": -1},
        {"kind": "?"},
        {"state": "?"},
        {"refund_no": ""},
        {"at_ms": "1"},
    ):
        with pytest.raises(Refused):
            read_json(json.dumps({"rows": [{**row, **wrong}]}).encode())
    for nonsense in (b"", b"[]", b'{"rows": 1}', b'{"rows": [1]}'):
        with pytest.raises(Refused):
            read_json(nonsense)
