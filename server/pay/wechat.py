"""WeChat Pay APIv3, native payment: the platform gives a code that the payer scans with WeChat.

States of a transaction: SUCCESS is paid. NOTPAY and USERPAYING are open. CLOSED, REVOKED and PAYERROR will never be
paid. REFUND was paid and went back, in part or whole, by somebody else's hand: it is not credited, and where it was,
the flow audits the contradiction. A refund is SUCCESS, PROCESSING, CLOSED (nothing moved) or ABNORMAL (the payer's
bank did not take it; a person must send it on at the merchant platform). Amounts are whole fen on this wire. The
answer to a notice is 200, or a JSON FAIL with another status, upon which the platform sends it again over about a day.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from server.domain.payments import ORDER_OPEN_MS
from server.domain.reconciliation import BillRow
from server.errors import CallbackRejected, Refused
from server.pay.bills import read_wechat
from server.pay.provider import (
    CallbackAnswer,
    Paid,
    PaidEvent,
    PreparedOrder,
    ProviderUnavailable,
    RefundEvent,
    RefundState,
)
from server.pay.wechat_seal import Merchant, authorization, check, unseal
from server.signing.ed25519 import BadSignature, machine_now_s
from server.signing.fields import AMOUNT_FEN_MAX, inner, instant_ms, number, object_of, text

API_URL = "https://api.mch.weixin.qq.com"
TIMEOUT_S = 5
CURRENCY = "CNY"
TITLE_LENGTH_MAX = 127
REASON_LENGTH_MAX = 80
SEALED_LENGTH_MAX = 64 * 1024
BEIJING = timezone(timedelta(hours=8))
KEY_ID_PREFIX = "PUB_KEY_ID_"  # a platform key of this kind signs answers only to those who ask for it
OPEN_STATES = ("NOTPAY", "USERPAYING")
UNPAID_STATES = ("CLOSED", "REVOKED", "PAYERROR")
PAID_STATE, RETURNED_STATE = "SUCCESS", "REFUND"
REFUND_STATES = {
    "SUCCESS": RefundState.DONE,
    "PROCESSING": RefundState.PENDING,
    "CLOSED": RefundState.FAILED,
    "ABNORMAL": RefundState.PENDING,
}
NO_BILL = ("NO_STATEMENT_EXIST", "STATEMENT_NOT_EXIST")  # no business on that day
UNKNOWN_REFUND = ("RESOURCE_NOT_EXISTS", "RESOURCE_NOT_EXIST", "REFUND_NOT_EXISTS")
UNKNOWN_ORDER = ("ORDER_NOT_EXIST", "ORDERNOTEXIST")  # the platform's manuals spell its codes both ways
CLOSED_ORDER = ("ORDER_CLOSED", "ORDERCLOSED")
PAID_ORDER = ("ORDER_PAID", "ORDERPAID")
_ORDER = "/v3/pay/transactions/out-trade-no/"
_REFUNDS = "/v3/refund/domestic/refunds"


class WechatProvider:
    """Speaks to the platform as one merchant; see `Provider` for the contract of the methods."""

    name = "wechat"
    pay_origin = ""  # the payer scans a code

    def __init__(
        self,
        merchant: Merchant,
        platform_keys: Mapping[str, RSAPublicKey],
        *,
        url: str = API_URL,
        transport: httpx.AsyncBaseTransport | None = None,
        machine_s: Callable[[], int] = machine_now_s,
    ) -> None:
        self._merchant = merchant
        self._keys = platform_keys
        self._url = url.rstrip("/")
        self._transport = transport
        self._machine_s = machine_s

    async def prepare(
        self, order_no: str, amount_fen: int, *, title: str, notify_url: str, return_url: str
    ) -> PreparedOrder:
        """Register the order; the code is good for as long as our order is open."""
        until = datetime.fromtimestamp(self._machine_s() + ORDER_OPEN_MS // 1000, UTC).astimezone(BEIJING)
        order = {
            "appid": self._merchant.appid,
            "mchid": self._merchant.mchid,
            "description": title[:TITLE_LENGTH_MAX],
            "out_trade_no": order_no,
            "time_expire": until.isoformat(),
            "notify_url": notify_url,
            "amount": {"total": amount_fen, "currency": CURRENCY},
        }
        status, answer = await self._ask("POST", "/v3/pay/transactions/native", order)
        code = answer.get("code_url")
        if status != httpx.codes.OK or not isinstance(code, str) or not code.startswith("weixin://"):
            raise ProviderUnavailable(f"WeChat Pay gave no payment code: {_problem(status, answer)}")
        return PreparedOrder(order_no, code, is_page=False)

    def verify_callback(self, headers: Mapping[str, str], body: bytes, *, now_ms: int) -> PaidEvent | RefundEvent:
        """Check signature and freshness over the raw bytes, open the resource, check that it is for us."""
        try:
            check(self._keys, headers, body, now_s=now_ms // 1000)
            notice = object_of(body)
            event_id = text(notice, "id")
            resource = inner(notice, "resource")
            plain = unseal(
                self._merchant.apiv3_key,
                resource.get("algorithm"),
                text(resource, "nonce"),
                str(resource.get("associated_data") or ""),
                text(resource, "ciphertext", length_max=SEALED_LENGTH_MAX),
            )
        except BadSignature as error:
            raise CallbackRejected(f"callback of {self.name} refused: {error}") from error
        fields = object_of(plain)
        if str(notice.get("event_type", "")).startswith("REFUND."):
            return self._refund_event(fields, event_id)
        return self._event(fields, event_id, text(fields, "out_trade_no"))

    def accepted(self, result: str) -> CallbackAnswer:
        """200; the platform reads no body."""
        return CallbackAnswer(200, json.dumps({"code": "SUCCESS", "message": result}).encode(), "application/json")

    def refused(self, status: int, detail: str) -> CallbackAnswer:
        """FAIL, in the platform's own shape."""
        return CallbackAnswer(status, json.dumps({"code": "FAIL", "message": detail}).encode(), "application/json")

    async def query(self, order_no: str) -> PaidEvent | None:
        """What the platform knows of the order."""
        status, answer = await self._ask("GET", f"{_ORDER}{order_no}?mchid={self._merchant.mchid}")
        if answer.get("code") in UNKNOWN_ORDER:
            return None
        if status != httpx.codes.OK:
            raise ProviderUnavailable(f"WeChat Pay did not answer for the order: {_problem(status, answer)}")
        state = answer.get("trade_state")
        if state in OPEN_STATES:
            return None
        try:
            return self._event(answer, f"query:{order_no}:{state}", order_no)
        except CallbackRejected as error:
            raise ProviderUnavailable(f"WeChat Pay answered nonsense: {error}") from error

    async def close(self, order_no: str) -> bool:
        """Close the order there, so that its code cannot be paid any more."""
        status, answer = await self._ask("POST", f"{_ORDER}{order_no}/close", {"mchid": self._merchant.mchid})
        code = answer.get("code")
        if status == httpx.codes.NO_CONTENT or code in CLOSED_ORDER + UNKNOWN_ORDER:
            return True
        if code in PAID_ORDER:
            return False
        raise ProviderUnavailable(f"WeChat Pay did not close the order: {_problem(status, answer)}")

    async def refund(
        self, paid: Paid, refund_no: str, amount_fen: int, *, total_fen: int, reason: str, notify_url: str = ""
    ) -> RefundState:
        """Send money back the way it came."""
        wish = {
            **paid.by("out_trade_no", "transaction_id"),
            "out_refund_no": refund_no,
            "reason": reason[:REASON_LENGTH_MAX],
            **({"notify_url": notify_url} if notify_url else {}),
            "amount": {"refund": amount_fen, "total": total_fen, "currency": CURRENCY},
        }
        status, answer = await self._ask("POST", _REFUNDS, wish)
        if status in (400, 403, 404):
            raise Refused(f"WeChat Pay gives no money back: {_problem(status, answer)}")
        return _state_of(status, answer, paid, refund_no, amount_fen)

    async def query_refund(self, paid: Paid, refund_no: str, amount_fen: int) -> RefundState | None:
        """What the platform knows of a refund."""
        status, answer = await self._ask("GET", f"{_REFUNDS}/{refund_no}")
        if status == httpx.codes.NOT_FOUND and answer.get("code") in UNKNOWN_REFUND:
            return None
        return _state_of(status, answer, paid, refund_no, amount_fen)

    async def bill(self, day: str) -> bytes:
        """Where the file is, then the file itself, which must have the SHA-1 that the signed answer names."""
        status, answer = await self._ask("GET", f"/v3/bill/tradebill?bill_date={day}&bill_type=ALL")
        if answer.get("code") in NO_BILL:
            return b""
        place, promised = str(answer.get("download_url", "")), str(answer.get("hash_value", "")).lower()
        if status != httpx.codes.OK or answer.get("hash_type") != "SHA1" or not place.startswith(f"{self._url}/"):
            raise ProviderUnavailable(f"WeChat Pay gave no bill file: {_problem(status, answer)}")
        target = place.removeprefix(self._url)
        answered = await self._send("GET", target, b"")
        if not answered.is_success or hashlib.sha1(answered.content, usedforsecurity=False).hexdigest() != promised:
            raise ProviderUnavailable("the bill file of WeChat Pay is not the one that was promised")
        return answered.content

    def read_bill(self, content: bytes) -> Sequence[BillRow]:
        """A trade bill of all kinds."""
        return read_wechat(content, self._merchant.mchid)

    def _refund_event(self, fields: Mapping[str, object], event_id: str) -> RefundEvent:
        state = REFUND_STATES.get(str(fields.get("refund_status")))
        if fields.get("mchid") != self._merchant.mchid:
            raise CallbackRejected("the message is for another merchant")
        if state is None:
            raise CallbackRejected("the field refund_status is unknown")
        amount_fen = number(inner(fields, "amount"), "refund", AMOUNT_FEN_MAX)
        refund_no, order_no = text(fields, "out_refund_no"), text(fields, "out_trade_no")
        return RefundEvent(self.name, event_id, refund_no, order_no, amount_fen, state)

    def _event(self, fields: Mapping[str, object], event_id: str, order_no: str) -> PaidEvent:
        ours = (self._merchant.mchid, self._merchant.appid, order_no)
        if (fields.get("mchid"), fields.get("appid"), fields.get("out_trade_no")) != ours:
            raise CallbackRejected("the message is for another merchant, app or order")
        state = fields.get("trade_state")
        if state not in (PAID_STATE, RETURNED_STATE, *OPEN_STATES, *UNPAID_STATES):
            raise CallbackRejected("the field trade_state is unknown")
        if state != PAID_STATE:
            known = fields.get("transaction_id")
            transaction = text(fields, "transaction_id") if known else ""
            return PaidEvent(self.name, event_id, transaction, order_no, _total(fields) if known else 0, False, 0)
        paid_ms = instant_ms(text(fields, "success_time"), "success_time")
        return PaidEvent(
            self.name, event_id, text(fields, "transaction_id"), order_no, _total(fields), True, paid_ms
        )  # fmt: skip

    async def _ask(
        self, method: str, target: str, wish: Mapping[str, object] | None = None
    ) -> tuple[int, dict[str, object]]:
        """One signed request; the status and the object of its verified answer."""
        body = json.dumps(wish, ensure_ascii=False).encode() if wish is not None else b""
        answer = await self._send(method, target, body)
        try:
            check(self._keys, answer.headers, answer.content, now_s=self._machine_s())
            return answer.status_code, object_of(answer.content) if answer.content else {}
        except (BadSignature, CallbackRejected) as error:
            raise ProviderUnavailable(f"answer {answer.status_code} of WeChat Pay refused: {error}") from error

    async def _send(self, method: str, target: str, body: bytes) -> httpx.Response:
        """One signed request; its answer, unchecked."""
        stamp = {"timestamp_s": self._machine_s(), "nonce": secrets.token_hex(16)}
        headers = {
            "Authorization": authorization(self._merchant, method, target, body, **stamp),  # type: ignore[arg-type]
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": "estate645",
        }
        by_id = [serial for serial in sorted(self._keys) if serial.startswith(KEY_ID_PREFIX)]
        if by_id:
            headers["Wechatpay-Serial"] = by_id[-1]
        try:
            async with httpx.AsyncClient(transport=self._transport, timeout=TIMEOUT_S, trust_env=False) as client:
                return await client.request(method, self._url + target, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise ProviderUnavailable(f"no answer from WeChat Pay ({type(error).__name__})") from error


def _state_of(status: int, answer: Mapping[str, object], paid: Paid, refund_no: str, amount_fen: int) -> RefundState:
    """The state in an answer about our refund: payment, number and amount must be ours."""
    state = REFUND_STATES.get(str(answer.get("status")))
    if status != httpx.codes.OK or state is None:
        raise ProviderUnavailable(f"WeChat Pay left the refund open: {_problem(status, answer)}")
    amount = answer.get("amount")
    moved = amount.get("refund") if isinstance(amount, dict) else None
    ours = {**paid.by("out_trade_no", "transaction_id"), "out_refund_no": refund_no}
    if moved != amount_fen or any(answer.get(name) != value for name, value in ours.items()):
        raise ProviderUnavailable("WeChat Pay answered for another refund; look at its merchant platform")
    return state


def _total(fields: Mapping[str, object]) -> int:
    amount = inner(fields, "amount")
    if amount.get("currency", CURRENCY) != CURRENCY:
        raise CallbackRejected("the amount is in another currency")
    return number(amount, "total", AMOUNT_FEN_MAX)


def _problem(status: int, answer: Mapping[str, object]) -> str:
    """What the platform gives as a reason: its code only, since its message may repeat what we sent."""
    code = answer.get("code")
    return f"{status} {code}" if isinstance(code, str) and code.isascii() and len(code) <= 64 else str(status)
