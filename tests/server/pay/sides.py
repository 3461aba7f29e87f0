"""The other side of each real provider, in process, with keys of its own: it signs messages, honest and otherwise.

Written from the providers' manuals and independent of `server.pay`: nothing here imports its signing code. What it
signs is also shown to the vendors' own SDKs in `test_vendor_sdks`.
"""

import base64
import functools
import hashlib
import hmac
import json
import os
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qsl, urlencode

import httpx
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

from server.pay.alipay import AlipayApp, AlipayProvider
from server.pay.hmac import HmacProvider
from server.pay.wechat import WechatProvider
from server.pay.wechat_seal import Merchant

BEIJING = timezone(timedelta(hours=8))


@functools.cache
def rsa_key(name):
    """One key for each name and test run; making one takes a tenth of a second."""
    return rsa.generate_private_key(65537, 2048)


def rsa_sign(key, message):
    return base64.b64encode(key.sign(message, padding.PKCS1v15(), SHA256())).decode()


def rsa_fits(key, signature, message):
    """Raises InvalidSignature where it does not."""
    key.public_key().verify(base64.b64decode(signature), message, padding.PKCS1v15(), SHA256())


class Wechat:
    """The WeChat Pay platform: `answers` maps (method, path) to (status, object or bytes)."""

    name = "wechat"
    serial = "PUB_KEY_ID_0114232134912410000000000000"
    apiv3_key = b"0123456789abcdefghijklmnopqrstuv"
    paid_states = ("SUCCESS",)
    unpaid_states = ("REFUND", "CLOSED", "REVOKED", "PAYERROR", "NOTPAY", "USERPAYING")
    good = 200

    def __init__(self, machine_s=lambda: 1_790_000_000):
        self.machine_s, self.asked, self.answers = machine_s, [], {}
        self.merchant = Merchant("1900000001", "wxd678efh567hg6787", "5157F09EFDC096DE", rsa_key("m"), self.apiv3_key)
        self.provider = WechatProvider(
            self.merchant, {self.serial: rsa_key("p").public_key()},
            transport=httpx.MockTransport(self._hear), machine_s=machine_s,
        )  # fmt: skip

    def transaction(self, order_no, amount_fen, state="SUCCESS", transaction="4200000001", **changes):
        plain = {
            "mchid": self.merchant.mchid, "appid": self.merchant.appid, "out_trade_no": order_no,
            "transaction_id": transaction, "trade_type": "NATIVE", "trade_state": state, "bank_type": "CMC",
            "attach": "", "success_time": "2026-11-27T10:34:56+08:00", "payer": {"openid": "oUpF8uMuAJO"},
            "amount": {"total": amount_fen, "payer_total": amount_fen, "currency": "CNY", "payer_currency": "CNY"},
        }  # fmt: skip
        return {**plain, **changes}

    def message(self, order_no, amount_fen, state="SUCCESS", transaction="4200000001", event="ev1", **defects):
        """A notice: headers and body; `defects` say what is wrong with it."""
        changes = defects.get("changes", {})
        plain = json.dumps(self.transaction(order_no, amount_fen, state, transaction, **changes)).encode()
        key, nonce = defects.get("apiv3_key", self.apiv3_key), "fdasflkja484"
        sealed = AESGCM(key).encrypt(nonce.encode(), plain, b"transaction")
        notice = {
            "id": event, "create_time": "2026-11-27T10:34:57+08:00", "resource_type": "encrypt-resource",
            "event_type": "TRANSACTION.SUCCESS", "summary": "支付成功",
            "resource": {
                "original_type": "transaction", "algorithm": defects.get("algorithm", "AEAD_AES_256_GCM"),
                "ciphertext": base64.b64encode(sealed).decode(), "associated_data": "transaction", "nonce": nonce,
            },
        }  # fmt: skip
        body = json.dumps(notice, ensure_ascii=False).encode()
        at_s = self.machine_s() + defects.get("late_s", 0)
        return self.headers(body, key=defects.get("key"), at_s=at_s), body

    def refund_message(self, order_no, refund_no, amount_fen, state="SUCCESS", event="rf1", **defects):
        """A notice of a refund: headers and body; `defects` say what is wrong with it."""
        plain = {
            "mchid": self.merchant.mchid, "out_trade_no": order_no, "transaction_id": "4200000001",
            "out_refund_no": refund_no, "refund_id": "50300000001", "refund_status": state,
            "success_time": "2026-11-27T11:34:56+08:00", "user_received_account": "招商银行信用卡0403",
            "amount": {"total": 5000, "refund": amount_fen, "payer_total": 5000, "payer_refund": amount_fen},
            **defects.get("changes", {}),
        }  # fmt: skip
        nonce = "fdasflkja485"
        sealed = AESGCM(defects.get("apiv3_key", self.apiv3_key)).encrypt(
            nonce.encode(), json.dumps(plain, ensure_ascii=False).encode(), b"refund"
        )
        notice = {
            "id": event, "create_time": "2026-11-27T11:34:57+08:00", "resource_type": "encrypt-resource",
            "event_type": f"REFUND.{state}", "summary": "退款成功",
            "resource": {
                "original_type": "refund", "algorithm": "AEAD_AES_256_GCM", "nonce": nonce,
                "ciphertext": base64.b64encode(sealed).decode(), "associated_data": "refund",
            },
        }  # fmt: skip
        body = json.dumps(notice, ensure_ascii=False).encode()
        at_s = self.machine_s() + defects.get("late_s", 0)
        return self.headers(body, key=defects.get("key"), at_s=at_s), body

    def headers(self, body, *, key=None, at_s=None, serial=None, nonce="nonce-of-the-platform"):
        timestamp = str(self.machine_s() if at_s is None else at_s)
        signed = f"{timestamp}\n{nonce}\n".encode() + body + b"\n"
        return {
            "Wechatpay-Timestamp": timestamp, "Wechatpay-Nonce": nonce, "Wechatpay-Serial": serial or self.serial,
            "Wechatpay-Signature": rsa_sign(key or rsa_key("p"), signed),
            "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048", "Content-Type": "application/json",
        }  # fmt: skip

    def refused_messages(self, *args):
        """Messages that must be refused, by what is wrong with them."""
        headers, body = self.message(*args)

        def without(name):
            return {key: value for key, value in headers.items() if key != name}

        yield "tampered", headers, body.replace(b"TRANSACTION.SUCCESS", b"TRANSACTION.SUCCES5")
        yield "reordered bytes", headers, json.dumps(json.loads(body), sort_keys=True).encode()
        yield "forged", *self.message(*args, key=rsa_key("f"))
        yield "signed by ourselves", *self.message(*args, key=rsa_key("m"))
        yield "stale", *self.message(*args, late_s=-301)
        yield "a year old", *self.message(*args, late_s=-365 * 86_400)
        yield "future", *self.message(*args, late_s=301)
        yield "future by a day", *self.message(*args, late_s=86_400)
        yield "timestamp moved", {**headers, "Wechatpay-Timestamp": str(self.machine_s() + 1)}, body
        yield "timestamp in other digits", {**headers, "Wechatpay-Timestamp": "1e9"}, body
        yield "nonce moved", {**headers, "Wechatpay-Nonce": "another"}, body
        for nonce in ("", "n" * 129):
            yield f"signed nonce of {len(nonce)}", self.headers(body, nonce=nonce), body
        yield "unknown serial", {**headers, "Wechatpay-Serial": "7132D72A03E93CDDF8C03BBD1F37EEDF"}, body
        yield "other scheme", {**headers, "Wechatpay-Signature-Type": "WECHATPAY2-SM2-WITH-SM3"}, body
        yield "probe", {**headers, "Wechatpay-Signature": "WECHATPAY/SIGNTEST/" + headers["Wechatpay-Signature"]}, body
        yield "not base64", {**headers, "Wechatpay-Signature": "*"}, body
        for name in ("Wechatpay-Signature", "Wechatpay-Timestamp", "Wechatpay-Nonce", "Wechatpay-Serial"):
            yield f"no {name}", without(name), body
        yield "other APIv3 key", *self.message(*args, apiv3_key=b"v" * 32)
        yield "other cipher", *self.message(*args, algorithm="AEAD_AES_128_GCM")
        yield "wrong mchid", *self.message(*args, changes={"mchid": "1900000002"})
        yield "wrong appid", *self.message(*args, changes={"appid": "wx0"})
        yield "wrong currency", *self.message(*args, changes={"amount": {"total": args[1], "currency": "USD"}})
        yield "unknown state", *self.message(*args, changes={"trade_state": "PAID"})
        for amount in (float(args[1]), str(args[1]), True, -1, None):
            yield f"amount {amount!r}", *self.message(*args, changes={"amount": {"total": amount, "currency": "CNY"}})
        if args[2] == "SUCCESS":
            for transaction in ("", "42\n", "4２", "4" * 65, 42):
                yield f"transaction {transaction!r}", *self.message(*args, changes={"transaction_id": transaction})
            yield "no time", *self.message(*args, changes={"success_time": "2026-11-27T10:34:56"})
        for nonsense in (b"", b"[]", b"\xff", b'{"id":"e"}', b'{"id":"e","resource":[]}', b"[" * 30_000):
            yield f"signed nonsense {nonsense[:12]!r}", self.headers(nonsense), nonsense

    def _hear(self, request):
        self.asked.append(request)
        status, content = self.answers[request.method, request.url.path]
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return httpx.Response(status, content=body, headers=self.headers(body))


class Alipay:
    """Alipay's gateway: `answers` maps a method to its response object; what it signs, it signs with `rsa_key("p")`."""

    name = "alipay"
    paid_states = ("TRADE_SUCCESS", "TRADE_FINISHED")
    unpaid_states = ("WAIT_BUYER_PAY", "TRADE_CLOSED")
    good = b"success"

    def __init__(self, machine_s=lambda: 1_790_000_000):
        self.machine_s, self.asked, self.answers = machine_s, [], {}
        self.app = AlipayApp("2014072300007148", "2088101106499364", rsa_key("m"))
        self.provider = AlipayProvider(
            self.app, rsa_key("p").public_key(), transport=httpx.MockTransport(self._hear), machine_s=machine_s
        )

    def clock(self, at_s):
        return datetime.fromtimestamp(at_s, UTC).astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")

    def fields(self, order_no, amount_fen, state="TRADE_SUCCESS", transaction="2026112722", event="ev1", late_s=0):
        return {
            "notify_time": self.clock(self.machine_s() + late_s), "notify_type": "trade_status_sync",
            "notify_id": event, "charset": "utf-8", "version": "1.0", "app_id": self.app.app_id,
            "auth_app_id": self.app.app_id, "seller_id": self.app.seller_id, "buyer_id": "2088102122524333",
            "out_trade_no": order_no, "trade_no": transaction, "trade_status": state, "subject": "预存电费 + & =",
            "total_amount": f"{amount_fen // 100}.{amount_fen % 100:02d}", "receipt_amount": "0.01",
            "gmt_create": "2026-11-27 10:34:00", "gmt_payment": "2026-11-27 10:34:56",
            "fund_bill_list": '[{"amount":"0.01","fundChannel":"ALIPAYACCOUNT"}]', "body": "",
        }  # fmt: skip

    def sealed(self, fields, key=None):
        message = "&".join(f"{name}={fields[name]}" for name in sorted(fields)).encode()
        return {**fields, "sign_type": "RSA2", "sign": rsa_sign(key or rsa_key("p"), message)}

    def message(self, order_no, amount_fen, state="TRADE_SUCCESS", transaction="2026112722", event="ev1", **defects):
        fields = self.fields(order_no, amount_fen, state, transaction, event, defects.get("late_s", 0))
        sealed = self.sealed({**fields, **defects.get("changes", {})}, defects.get("key"))
        return {"Content-Type": "application/x-www-form-urlencoded"}, urlencode(sealed).encode()

    def refund_message(self, order_no, refund_no, amount_fen, state="TRADE_SUCCESS", event="rf1", **defects):
        """A notice of a refund: it says what went back in all, and the number of the last request."""
        fields = self.fields(order_no, 5000, state, event=event, late_s=defects.get("late_s", 0))
        fields |= {
            "out_biz_no": refund_no, "gmt_refund": "2026-11-27 11:34:56.789",
            "refund_fee": f"{amount_fen // 100}.{amount_fen % 100:02d}",
        }  # fmt: skip
        sealed = self.sealed({**fields, **defects.get("changes", {})}, defects.get("key"))
        return {"Content-Type": "application/x-www-form-urlencoded"}, urlencode(sealed).encode()

    def refused_messages(self, *args):
        """Messages that must be refused, by what is wrong with them."""
        headers, body = self.message(*args)
        pairs = dict(parse_qsl(body.decode(), keep_blank_values=True))

        def changed(**changes):
            return headers, urlencode({**pairs, **changes}).encode()

        yield "tampered", *changed(total_amount="9999.00")
        yield "one more parameter", *changed(extra="1")
        yield "one parameter less", headers, urlencode({k: v for k, v in pairs.items() if k != "version"}).encode()
        yield "twice, the forged one last", headers, body + b"&total_amount=9999.00"
        yield "a piece that is no parameter", headers, body + b"&junk"
        yield "twice, the forged one first", headers, b"total_amount=9999.00&" + body
        yield "forged", *self.message(*args, key=rsa_key("f"))
        yield "signed by ourselves", *self.message(*args, key=rsa_key("m"))
        yield "stale", *self.message(*args, late_s=-(25 * 3600 + 301))
        yield "a year old", *self.message(*args, late_s=-365 * 86_400)
        yield "future", *self.message(*args, late_s=301)
        yield "future by a day", *self.message(*args, late_s=86_400)
        yield "other sign type", *changed(sign_type="RSA")
        yield "no sign type", *changed(sign_type="")
        yield "no signature", *changed(sign="")
        yield "not base64", *changed(sign="*")
        yield "wrong app", *self.message(*args, changes={"app_id": "2014072300007149"})
        yield "wrong seller", *self.message(*args, changes={"seller_id": "2088101106499365"})
        yield "wrong currency", *self.message(*args, changes={"trans_currency": "USD"})
        yield "other notice", *self.message(*args, changes={"notify_type": "trade_refund_sync"})
        yield "unknown state", *self.message(*args, changes={"trade_status": "PAID"})
        for amount in ("", "-1.00", "+1.00", "1e2", "50.001", "50,00", " 50.00", "５０.00", "0x10", "NaN"):
            yield f"amount {amount!r}", *self.message(*args, changes={"total_amount": amount})
        yield "no transaction", *self.message(*args, changes={"trade_no": ""})
        yield "no time", *self.message(*args, changes={"notify_time": "yesterday"})
        for nonsense in (b"", b"a", b"\xff=1", b"a=%ff", b"&".join(b"a%d=1" % n for n in range(200))):
            yield f"nonsense {nonsense[:12]!r}", headers, nonsense

    def _hear(self, request):
        self.asked.append(request)
        method = request.url.params["method"]
        name = method.replace(".", "_") + "_response"
        written = json.dumps(self.answers[method], ensure_ascii=False)
        signature = rsa_sign(rsa_key("p"), written.encode())
        return httpx.Response(200, content=f'{{"{name}":{written},"sign":"{signature}"}}'.encode())


class Integrator:
    """An integrator's payment service: `answers` maps a kind of message to the fields of its answer."""

    name = "hmac"
    secret, next_secret = b"s" * 40, b"t" * 40
    paid_states = ("paid",)
    unpaid_states = ("failed",)
    good = 200

    def __init__(self, machine_s=lambda: 1_790_000_000):
        self.machine_s, self.asked, self.answers = machine_s, [], {}
        self.provider = HmacProvider(
            "https://pay.example/v1", "estate-7", [self.secret, self.next_secret],
            transport=httpx.MockTransport(self._hear), machine_s=machine_s,
        )  # fmt: skip

    def headers(self, body, *, secret=None, at_s=None):
        timestamp = str(self.machine_s() if at_s is None else at_s)
        digest = hmac.digest(secret or self.secret, timestamp.encode() + b"." + body, hashlib.sha256)
        return {"X-Estate645-Timestamp": timestamp, "X-Estate645-Signature": digest.hex()}

    def message(self, order_no, amount_fen, state="paid", transaction="t1", event="ev1", **defects):
        fields = {
            "kind": "payment", "merchant": "estate-7", "order_no": order_no, "amount_fen": amount_fen,
            "currency": "CNY", "result": state, "event_id": event, "transaction_id": transaction,
            "paid_ms": 1_790_000_000_000, **defects.get("changes", {}),
        }  # fmt: skip
        body = json.dumps(fields).encode()
        at_s = self.machine_s() + defects.get("late_s", 0)
        return self.headers(body, secret=defects.get("key"), at_s=at_s), body

    def refund_message(self, order_no, refund_no, amount_fen, state="done", event="rf1", **defects):
        """A callback of kind refunded."""
        fields = {
            "kind": "refunded", "merchant": "estate-7", "order_no": order_no, "refund_no": refund_no,
            "amount_fen": amount_fen, "currency": "CNY", "result": state, "event_id": event,
            **defects.get("changes", {}),
        }  # fmt: skip
        body = json.dumps(fields).encode()
        at_s = self.machine_s() + defects.get("late_s", 0)
        return self.headers(body, secret=defects.get("key"), at_s=at_s), body

    def refused_messages(self, *args):
        """Messages that must be refused, by what is wrong with them."""
        headers, body = self.message(*args)
        yield "tampered", headers, body.replace(b'"CNY"', b'"CNX"')
        yield "reordered bytes", headers, json.dumps(json.loads(body), sort_keys=True).encode()
        yield "forged", *self.message(*args, key=os.urandom(40))
        yield "stale", *self.message(*args, late_s=-301)
        yield "a year old", *self.message(*args, late_s=-365 * 86_400)
        yield "future", *self.message(*args, late_s=301)
        yield "future by a day", *self.message(*args, late_s=86_400)
        yield "timestamp moved", {**headers, "X-Estate645-Timestamp": str(self.machine_s() + 1)}, body
        yield "no timestamp", {"X-Estate645-Signature": headers["X-Estate645-Signature"]}, body
        yield "no signature", {"X-Estate645-Timestamp": headers["X-Estate645-Timestamp"]}, body
        for name, value in [("merchant", "estate-8"), ("currency", "USD"), ("result", "PAID"), ("kind", "answer")]:
            yield f"wrong {name}", *self.message(*args, changes={name: value})
        for amount in (float(args[1]), str(args[1]), True, -1, None):
            yield f"amount {amount!r}", *self.message(*args, changes={"amount_fen": amount})
        yield "no transaction", *self.message(*args, changes={"transaction_id": ""})
        for nonsense in (b"", b"[]", b"\xff", b"[" * 30_000):
            yield f"signed nonsense {nonsense[:12]!r}", self.headers(nonsense), nonsense

    def _hear(self, request):
        self.asked.append(request)
        wish = json.loads(request.content)
        fields = {"kind": "answer", "to": wish["kind"], "order_no": wish["order_no"], **self.answers[wish["kind"]]}
        body = json.dumps(fields).encode()
        return httpx.Response(200, content=body, headers=self.headers(body))


SIDES = (Wechat, Alipay, Integrator)
