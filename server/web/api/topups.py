"""Top-ups by third parties, each message signed.

HMAC-SHA256 with the client's secret over `timestamp.body` (the raw bytes), hexadecimal; the timestamp may be 300 s
away from now to either side. The Idempotency-Key makes a repeat harmless: the same key with the same body gets the
same answer, with another body 409.
"""

import asyncio
import hashlib
import hmac
import re
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from pydantic import ConfigDict, Field, ValidationError, model_validator
from sqlalchemy import RowMapping
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from server.domain.access import TOPUPS
from server.errors import Forbidden, Refused
from server.flows import partners
from server.store import listing
from server.store.engine import reader
from server.web.api.paging import INT64_MAX
from server.web.api.shapes import Shape
from server.web.deps import SIGNED_MESSAGE, State
from server.web.errors import BadMessage
from server.web.state import WebState

router = APIRouter(prefix="/api/v1", tags=["top-ups"])
FRESH_S = 300
CLIENT = "`id` of an `[[api_client]]` with the scope `topups.write`"
TIMESTAMP = f"epoch seconds, at most {FRESH_S} s away from now"
SIGNATURE = "HMAC-SHA256 with the client's secret over the timestamp, a dot and the raw body, hexadecimal"
KEY = "of your own, 1 to 64 visible ASCII characters: one for each payment, the same for a retry"
_KEY = re.compile(r"[\x21-\x7e]{1,64}")


class TopupWish(Shape):
    """Money that a third party has taken for a household; name the account or the room."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"room_id": "1-0101", "amount_fen": 5000, "transaction_id": "W-20261101-7"}]}
    )
    account_id: str | None = Field(None, max_length=64, pattern=r"^[^\x00]+$")
    room_id: str | None = Field(None, max_length=64, pattern=r"^[^\x00]+$")
    amount_fen: int = Field(gt=0, le=INT64_MAX, strict=True)
    transaction_id: str = Field(min_length=1, max_length=64, pattern=r"^[!-~]+$")

    @model_validator(mode="after")
    def _one_subject(self) -> "TopupWish":
        if (self.account_id is None) == (self.room_id is None):
            raise ValueError("give either account_id or room_id")
        return self


class ToppedUp(Shape):
    """What was credited; money for a room or account that does not exist waits in suspense."""

    result: str = Field(description="credited or suspense")
    transaction_id: str
    amount_fen: int
    batch_seq: int
    balance_fen: int | None


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What a client puts into X-Estate645-Signature."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def check_signature(client: RowMapping | None, timestamp: str, given: str, body: bytes, *, now_s: int) -> None:
    """Raise BadMessage unless client, freshness and signature are good; unknown clients cost the same."""
    secret = client["secret"] if client is not None else "unknown client"
    expected = signature(secret, timestamp, body)
    if not hmac.compare_digest(expected.encode(), given.encode()) or client is None:
        raise BadMessage("client or signature is wrong: HMAC-SHA256 over `timestamp.body`, hexadecimal")
    if not re.fullmatch(r"\d{1,12}", timestamp, re.ASCII) or abs(int(timestamp) - now_s) > FRESH_S:
        raise BadMessage(f"X-Estate645-Timestamp must be epoch seconds within {FRESH_S} s of now")
    if TOPUPS not in client["scopes"].replace(",", " ").split():
        raise Forbidden(f"the client lacks the scope {TOPUPS}")


def _client(state: WebState, client_id: str) -> RowMapping | None:
    with reader(state.engine) as conn:
        return listing.client(conn, state.estate_id, client_id)


@router.post(
    "/topups",
    dependencies=[Depends(SIGNED_MESSAGE)],
    response_model=ToppedUp,
    summary="Credit a payment that a third party has taken (signed)",
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": TopupWish.model_json_schema()}}}
    },
)
async def topup(
    request: Request,
    state: State,
    client_id: Annotated[str, Header(alias="X-Estate645-Client", max_length=64, description=CLIENT)],
    timestamp: Annotated[str, Header(alias="X-Estate645-Timestamp", max_length=12, description=TIMESTAMP)],
    given: Annotated[str, Header(alias="X-Estate645-Signature", max_length=64, description=SIGNATURE)],
    idem_key: Annotated[str, Header(alias="Idempotency-Key", max_length=64, description=KEY)],
) -> JSONResponse:
    """The answer comes after the durable commit; a repeat with the same key and body gets the same one.

    Money for a room or account that does not exist is taken too, and waits in suspense.
    """
    body = await request.body()
    now = state.clock.now()
    client = await run_in_threadpool(_client, state, client_id)
    check_signature(client, timestamp, given, body, now_s=now.machine_ms // 1000)
    if not _KEY.fullmatch(idem_key):
        raise Refused("Idempotency-Key must be 1 to 64 visible ASCII characters")
    try:
        wish = TopupWish.model_validate_json(body)
    except ValidationError as error:
        reasons = [f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}" for item in error.errors()[:10]]
        raise Refused("; ".join(reasons)) from error
    taken = partners.PartnerTopup(
        client_id, idem_key, hashlib.sha256(body).hexdigest(), wish.account_id, wish.room_id, wish.amount_fen,
        wish.transaction_id, now,
    )  # fmt: skip
    future = state.writer.submit_alike(partners.accept_topups, state.estate_id, taken, urgent=True)
    return JSONResponse(await asyncio.wrap_future(future))
