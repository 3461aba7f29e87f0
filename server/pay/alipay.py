"""Alipay, precreate: the platform gives an address that the payer scans as a code, or opens on the phone.

States of a trade: TRADE_SUCCESS and TRADE_FINISHED (no refund possible any more) are paid. WAIT_BUYER_PAY is open.
TRADE_CLOSED was never paid, or went back whole. A paid state that comes with a refund is money that went back by
somebody else's hand: it is not credited, and where it was, the flow audits the contradiction; with the number of a
refund of ours it is a hint to ask, since it names what went back in all and not by this refund. Amounts are yuan as
text on this wire. Notices are repeated for about 25 hours until the answer is the word `success`; their own time
says when they were first sent, so the window around now is that long to the past and 300 s to the future.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from server.domain.payments import ORDER_OPEN_MS
from server.domain.reconciliation import BillRow
from server.errors import CallbackRejected, Refused
from server.pay.alipay_seal import SIGN_TYPE, answer_of, notice_of, sign
from server.pay.bills import read_alipay
from server.pay.provider import (
    CallbackAnswer,
    Paid,
    PaidEvent,
    PreparedOrder,
    ProviderUnavailable,
    RefundEvent,
    RefundState,
)
from server.pay.yuan import fen_of_yuan, yuan_of_fen
from server.signing.ed25519 import FRESH_S, BadSignature, machine_now_s
from server.signing.fields import text

GATEWAY_URL = "https://openapi.alipay.com/gateway.do"
TIMEOUT_S = 5
CURRENCY = "CNY"
TITLE_LENGTH_MAX = 128
NOTICE_ID_LENGTH_MAX = 128
STALE_S = 25 * 3600 + FRESH_S
BEIJING = timezone(timedelta(hours=8))
PAID_STATES = ("TRADE_SUCCESS", "TRADE_FINISHED")
OPEN_STATE, CLOSED_STATE = "WAIT_BUYER_PAY", "TRADE_CLOSED"
DONE, FAILED = "10000", "40004"
UNKNOWN_TRADE, WRONG_STATE = "ACQ.TRADE_NOT_EXIST", "ACQ.TRADE_STATUS_ERROR"
NO_BILL = ("isp.bill_not_exist", "BILL_NOT_EXIST", "isv.bill-not-exist")  # no business on that day
TRANSIENT = ("ACQ.SYSTEM_ERROR", "SYSTEM_ERROR", "aop.ACQ.SYSTEM_ERROR")


@dataclass(frozen=True, slots=True)
class AlipayApp:
    """Who we are to Alipay: the app that signs, and the seller that is paid."""

    app_id: str
    seller_id: str
    key: RSAPrivateKey = field(repr=False)


class AlipayProvider:
    """Speaks to Alipay's gateway as one app; see `Provider` for the contract of the methods."""

    name = "alipay"
    pay_origin = ""  # our own page shows the code, and a link that opens the app

    def __init__(
        self,
        app: AlipayApp,
        alipay_key: RSAPublicKey,
        *,
        url: str = GATEWAY_URL,
        transport: httpx.AsyncBaseTransport | None = None,
        machine_s: Callable[[], int] = machine_now_s,
    ) -> None:
        self._app = app
        self._alipay_key = alipay_key
        self._url = url
        self._transport = transport
        self._machine_s = machine_s

    async def prepare(
        self, order_no: str, amount_fen: int, *, title: str, notify_url: str, return_url: str
    ) -> PreparedOrder:
        """Register the order; the code is good for as long as our order is open."""
        minutes = f"{ORDER_OPEN_MS // 60_000}m"
        order = {
            "out_trade_no": order_no,
            "total_amount": yuan_of_fen(amount_fen),
            "subject": title[:TITLE_LENGTH_MAX],
            "seller_id": self._app.seller_id,
            "timeout_express": minutes,
            "qr_code_timeout_express": minutes,
        }
        answer = await self._ask("alipay.trade.precreate", order, notify_url=notify_url)
        code = answer.get("qr_code")
        if answer.get("code") != DONE or answer.get("out_trade_no") != order_no:
            raise ProviderUnavailable(f"Alipay gave no payment code: {_problem(answer)}")
        if not isinstance(code, str) or not code.startswith("https://"):
            raise ProviderUnavailable("Alipay named a payment code that is no address")
        return PreparedOrder(order_no, code, is_page=False)

    def verify_callback(self, headers: Mapping[str, str], body: bytes, *, now_ms: int) -> PaidEvent | RefundEvent:
        """Check the signature over all parameters, then that they are fresh and for us."""
        try:
            fields = notice_of(self._alipay_key, body)
        except BadSignature as error:
            raise CallbackRejected(f"callback of {self.name} refused: {error}") from error
        age_s = now_ms // 1000 - _beijing_s(fields, "notify_time")
        if not -FRESH_S <= age_s <= STALE_S:
            raise CallbackRejected(f"the notice is not from the last {STALE_S} s")
        if (fields.get("app_id"), fields.get("seller_id")) != (self._app.app_id, self._app.seller_id):
            raise CallbackRejected("the notice is for another app or seller")
        if any(fields.get(name, CURRENCY) != CURRENCY for name in ("trans_currency", "settle_currency")):
            raise CallbackRejected("the amount is in another currency")
        if fields.get("notify_type") != "trade_status_sync":
            raise CallbackRejected("the notice is not about the state of a trade")
        event_id = text(fields, "notify_id", length_max=NOTICE_ID_LENGTH_MAX)
        order_no, refund_no = text(fields, "out_trade_no"), fields.get("out_biz_no", "")
        if refund_no and _returned(fields) and fields.get("trade_status") in (*PAID_STATES, CLOSED_STATE):
            return RefundEvent(self.name, event_id, text(fields, "out_biz_no"), order_no, None, RefundState.DONE)
        return self._event(fields, event_id, order_no, paid_at="gmt_payment")

    def accepted(self, result: str) -> CallbackAnswer:
        """The one word that ends the repeats."""
        return CallbackAnswer(200, b"success", "text/plain")

    def refused(self, status: int, detail: str) -> CallbackAnswer:
        """Any other word."""
        return CallbackAnswer(status, b"fail", "text/plain")

    async def query(self, order_no: str) -> PaidEvent | None:
        """What Alipay knows of the order; it knows none before the payer has scanned the code."""
        answer = await self._ask("alipay.trade.query", {"out_trade_no": order_no})
        if answer.get("sub_code") == UNKNOWN_TRADE or answer.get("trade_status") == OPEN_STATE:
            return None
        if answer.get("code") != DONE or answer.get("out_trade_no") != order_no:
            raise ProviderUnavailable(f"Alipay did not answer for the order: {_problem(answer)}")
        try:
            event_id = f"query:{order_no}:{answer.get('trade_status')}"
            return self._event(answer, event_id, order_no, paid_at="send_pay_date")
        except CallbackRejected as error:
            raise ProviderUnavailable(f"Alipay answered nonsense: {error}") from error

    async def close(self, order_no: str) -> bool:
        """Close the trade; one that nobody has scanned cannot be closed, and its code runs out with our order."""
        answer = await self._ask("alipay.trade.close", {"out_trade_no": order_no})
        if answer.get("code") == DONE or answer.get("sub_code") == UNKNOWN_TRADE:
            return True
        if answer.get("sub_code") == WRONG_STATE:
            return (await self._state(order_no)) == CLOSED_STATE
        raise ProviderUnavailable(f"Alipay did not close the order: {_problem(answer)}")

    async def refund(
        self, paid: Paid, refund_no: str, amount_fen: int, *, total_fen: int, reason: str, notify_url: str = ""
    ) -> RefundState:
        """Send money back the way it came; what was asked for before is looked up. Notices go where the order's go."""
        named = paid.by("out_trade_no", "trade_no")
        wish = {
            **named,
            "refund_amount": yuan_of_fen(amount_fen),
            "out_request_no": refund_no,
            "refund_reason": reason[:TITLE_LENGTH_MAX],
        }
        answer = await self._ask("alipay.trade.refund", wish)
        if answer.get("code") == FAILED and answer.get("sub_code") not in TRANSIENT:
            raise Refused(f"Alipay gives no money back: {_problem(answer)}")
        if answer.get("code") != DONE or any(answer.get(name) != value for name, value in named.items()):
            raise ProviderUnavailable(f"Alipay left the refund open: {_problem(answer)}")
        if answer.get("fund_change") == "Y":
            return RefundState.DONE
        return await self.query_refund(paid, refund_no, amount_fen) or RefundState.PENDING

    async def query_refund(self, paid: Paid, refund_no: str, amount_fen: int) -> RefundState | None:
        """What Alipay knows of a refund; of one that it has not done it says nothing at all."""
        asked = {**paid.by("out_trade_no", "trade_no"), "out_request_no": refund_no}
        found = await self._ask("alipay.trade.fastpay.refund.query", asked)
        if found.get("sub_code") == UNKNOWN_TRADE or (found.get("code") == DONE and not found.get("refund_amount")):
            return None
        if found.get("code") != DONE or found.get("out_request_no") != refund_no:
            raise ProviderUnavailable(f"Alipay did not answer for the refund: {_problem(found)}")
        same = found.get("refund_amount") == yuan_of_fen(amount_fen)
        return RefundState.DONE if same and found.get("refund_status") == "REFUND_SUCCESS" else RefundState.PENDING

    async def bill(self, day: str) -> bytes:
        """Where the archive is, as the signed answer says, then the archive."""
        answer = await self._ask(
            "alipay.data.dataservice.bill.downloadurl.query", {"bill_type": "trade", "bill_date": day}
        )
        if answer.get("sub_code") in NO_BILL:
            return b""
        place = answer.get("bill_download_url")
        if isinstance(place, str) and place.startswith("http://"):  # as the manual has it; its host speaks TLS too
            place = place.replace("http://", "https://", 1)
        if answer.get("code") != DONE or not isinstance(place, str) or not place.startswith("https://"):
            raise ProviderUnavailable(f"Alipay gave no bill file: {_problem(answer)}")
        try:
            async with httpx.AsyncClient(transport=self._transport, timeout=TIMEOUT_S, trust_env=False) as client:
                answered = await client.get(place)
        except httpx.HTTPError as error:
            raise ProviderUnavailable(f"no bill file from Alipay ({type(error).__name__})") from error
        if not answered.is_success:
            raise ProviderUnavailable(f"Alipay answered {answered.status_code} for the bill file")
        return answered.content

    def read_bill(self, content: bytes) -> Sequence[BillRow]:
        """A bill of trades, in its archive or out of it."""
        return read_alipay(content, self._app.seller_id)

    async def _state(self, order_no: str) -> object:
        return (await self._ask("alipay.trade.query", {"out_trade_no": order_no})).get("trade_status")

    def _event(self, fields: Mapping[str, object], event_id: str, order_no: str, *, paid_at: str) -> PaidEvent:
        state = fields.get("trade_status")
        if state not in (*PAID_STATES, OPEN_STATE, CLOSED_STATE):
            raise CallbackRejected("the field trade_status is unknown")
        amount_fen = fen_of_yuan(text(fields, "total_amount"))
        paid = state in PAID_STATES and not _returned(fields)
        paid_ms = _beijing_s(fields, paid_at) * 1000 if paid else 0
        return PaidEvent(self.name, event_id, text(fields, "trade_no"), order_no, amount_fen, paid, paid_ms)

    async def _ask(self, method: str, wish: Mapping[str, str], **more: str) -> dict[str, object]:
        """One signed request and the object of its verified answer."""
        now = datetime.fromtimestamp(self._machine_s(), UTC).astimezone(BEIJING)
        query = {
            "app_id": self._app.app_id,
            "method": method,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": SIGN_TYPE,
            "timestamp": now.strftime("%Y-%m-%d %H:%M:%S"),
            "version": "1.0",
            **more,
        }
        form = {"biz_content": json.dumps(wish, ensure_ascii=False, separators=(",", ":"))}
        query["sign"] = sign(self._app.key, {**query, **form})
        try:
            async with httpx.AsyncClient(transport=self._transport, timeout=TIMEOUT_S, trust_env=False) as client:
                answer = await client.post(self._url, params=query, data=form)
        except httpx.HTTPError as error:
            raise ProviderUnavailable(f"no answer from Alipay ({type(error).__name__})") from error
        if not answer.is_success:
            raise ProviderUnavailable(f"Alipay answered {answer.status_code}")
        try:
            return answer_of(self._alipay_key, method.replace(".", "_") + "_response", answer.content)
        except BadSignature as error:
            raise ProviderUnavailable(f"answer of Alipay refused: {error}") from error


def _returned(fields: Mapping[str, object]) -> bool:
    """Whether any of the money went back."""
    return bool(fields.get("gmt_refund")) or fen_of_yuan(str(fields.get("refund_fee") or "0")) > 0


def _beijing_s(fields: Mapping[str, object], name: str) -> int:
    try:
        at = datetime.strptime(text(fields, name)[:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING)
    except ValueError as error:
        raise CallbackRejected(f"the field {name} is not a time") from error
    return int(at.timestamp())


def _problem(answer: Mapping[str, object]) -> str:
    """What Alipay gives as a reason: its codes only, since its texts may repeat what we sent."""
    codes = [answer.get("code"), answer.get("sub_code")]
    return " ".join(code for code in codes if isinstance(code, str) and code.isascii() and len(code) <= 64)
