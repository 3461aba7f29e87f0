"""The operator's own gateway for messages, by HTTP: we post a signed notice, it posts a signed receipt.

Any 2xx answer means "handed over" and no more; only a receipt with the state `delivered` makes a notice delivered. A
gateway that does not answer, or answers 429 or 5xx, is away; with any other answer it has refused this notice. Both
ways the message is JSON under `shared_secret`. Receipts are of kind receipt, which no notice is, so that what we send
cannot be played back to us. An answer has TIMEOUT_S in all, is not followed elsewhere, and little of it is read.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx

from server.config import Config
from server.domain.receipts import FAILED, STATES, Receipt
from server.errors import CallbackRejected, ConfigError
from server.notify.sender import Dispatch, Outgoing
from server.signing.ed25519 import BadSignature, machine_now_s
from server.signing.fields import object_of, text
from server.signing.shared_secret import check, secrets_of, signed_headers

GATEWAY = "gateway"
RECEIPTS_PATH = "/callbacks/receipts"
TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 1000
TOO_MANY = 429
REASON_LENGTH_MAX = 150


class GatewaySender:
    """Our side of one gateway; every method may be called from any thread without a running event loop."""

    channel = GATEWAY

    def __init__(
        self,
        url: str,
        secrets: Sequence[bytes],
        estate_id: str,
        *,
        receipt_url: str = RECEIPTS_PATH,
        transport: httpx.AsyncBaseTransport | None = None,
        machine_s: Callable[[], int] = machine_now_s,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """`receipt_url` is where the gateway is asked to post receipts; `timeout_s` bounds a whole exchange."""
        self._url, self._secrets, self._estate_id, self._receipt_url = url, tuple(secrets), estate_id, receipt_url
        self._transport, self._machine_s, self._timeout_s = transport, machine_s, timeout_s

    def send(self, outgoing: Outgoing) -> Dispatch:
        """Hand one notice over; what the gateway said otherwise is the failure."""
        if not outgoing.phone:
            return Dispatch(sent=False, delivered=False, failure="the household has no phone number", final=True)
        body = json.dumps(self._message(outgoing), ensure_ascii=False).encode()
        try:
            return asyncio.run(self._post(body))
        except TimeoutError:
            failure = f"the gateway did not answer within {self._timeout_s:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            failure = f"no answer from the gateway ({type(error).__name__})"
        return Dispatch(sent=False, delivered=False, failure=failure, away=True)

    def verify_receipt(self, headers: Mapping[str, str], body: bytes, *, now_ms: int) -> Receipt:
        """Check signature and freshness, to both sides of now, over the raw bytes; raises CallbackRejected."""
        try:
            check(self._secrets, headers, body, now_s=now_ms // 1000)
        except BadSignature as error:
            raise CallbackRejected(f"receipt refused: {error}") from error
        fields = object_of(body)
        if fields.get("kind") != "receipt":
            raise CallbackRejected("the message is not of kind receipt")
        if fields.get("estate") != self._estate_id:
            raise CallbackRejected("the receipt is for another estate")
        notice_id, state = text(fields, "notice_id"), fields.get("state")
        if not isinstance(state, str) or state not in STATES:
            raise CallbackRejected("the field state is neither delivered nor failed")
        reason = fields.get("reason", "")
        if not isinstance(reason, str) or (state == FAILED and not reason.strip()):
            raise CallbackRejected("the field reason is missing or not a text; say why it failed")
        return Receipt(notice_id, state, _short(reason))

    def _message(self, outgoing: Outgoing) -> dict[str, object]:
        return {
            "kind": outgoing.kind,
            "estate": outgoing.estate_id,
            "notice_id": outgoing.notice_id,
            "account": outgoing.account_id,
            "language": outgoing.language,
            "phone": outgoing.phone,
            "text": outgoing.text,
            "event_at": outgoing.event_at,
            "receipt_url": self._receipt_url,
        }

    async def _post(self, body: bytes) -> Dispatch:
        """Post it, and read what the gateway says instead of taking it."""
        headers = signed_headers(self._secrets, body, now_s=self._machine_s())
        async with (
            asyncio.timeout(self._timeout_s),
            httpx.AsyncClient(transport=self._transport, timeout=self._timeout_s, trust_env=False) as client,
            client.stream("POST", self._url, content=body, headers=headers) as answer,
        ):
            if answer.is_success:
                return Dispatch(sent=True, delivered=False)
            said = b""
            async for piece in answer.aiter_raw():
                said += piece
                if len(said) >= ANSWER_BYTES_MAX:
                    break
            words = _short(said[:ANSWER_BYTES_MAX].decode("utf-8", "replace"))
            failure = f"the gateway answered {answer.status_code}" + (f": {words}" if words else "")
            is_away = answer.is_server_error or answer.status_code == TOO_MANY
            return Dispatch(sent=False, delivered=False, failure=failure, away=is_away)


def open_gateway(config: Config, estate_id: str) -> GatewaySender | None:
    """The gateway that the settings name, or None; raises ConfigError naming the setting or the file that is wrong."""
    if bool(config.message_gateway_url) != bool(config.message_gateway_secrets):
        raise ConfigError("message_gateway_url and message_gateway_secrets belong together; set both or none")
    if not config.message_gateway_url:
        return None
    secrets = secrets_of(Path(config.message_gateway_secrets))
    receipt_url = f"{config.public_url.rstrip('/')}{RECEIPTS_PATH}"
    return GatewaySender(config.message_gateway_url, secrets, estate_id, receipt_url=receipt_url)


def _short(said: str) -> str:
    """Printable words on one line, of a length that a row can keep."""
    return " ".join("".join(one if one.isprintable() else " " for one in said).split())[:REASON_LENGTH_MAX]
