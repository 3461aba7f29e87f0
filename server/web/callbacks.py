"""Payers' messages: the raw bytes are verified first, then one urgent unit records and credits them.

No cookie and no login count here. Each provider hears its own word for "kept" only after the commit; a repeat hears
the same word and credits nothing. A refused message, or one that could not be stored, hears that provider's word for
"not kept", so that an honest payer tries again and a forger learns nothing.
"""

import asyncio
import logging
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from server.domain.payments import CallbackResult
from server.errors import EstateError, NotFound
from server.flows import payments, refunds
from server.pay.provider import CallbackAnswer, PaidEvent, Provider, RefundEvent
from server.web.deps import SIGNED_MESSAGE, State
from server.web.errors import STATUS
from server.web.state import WebState

log = logging.getLogger(__name__)
router = APIRouter(include_in_schema=False)


@router.post("/callbacks/{provider}", dependencies=[Depends(SIGNED_MESSAGE)])
async def callback(request: Request, state: State, provider: Annotated[str, Path(max_length=40)]) -> Response:
    """Verify and record one message of `provider`."""
    payer = state.providers.get(provider)
    if payer is None:
        raise NotFound("no such payment provider")
    answer = await _take(payer, request, state)
    return Response(answer.body, answer.status, media_type=answer.media_type)


async def _take(payer: Provider, request: Request, state: WebState) -> CallbackAnswer:
    body = await request.body()
    now = state.clock.now()
    try:
        event = payer.verify_callback(request.headers, body, now_ms=now.machine_ms)
        result = await _record(state, event, body)
    except EstateError as error:
        log.warning("callback of %s not taken: %s", payer.name, error)
        return payer.refused(STATUS.get(type(error), 400), str(error))
    log.info("callback of %s for order %s: %s", payer.name, event.order_no, result)
    return payer.accepted(result)


async def _record(state: WebState, event: PaidEvent | RefundEvent, body: bytes) -> str:
    now, said = state.clock.now(), body.decode("utf-8", "replace")
    if isinstance(event, PaidEvent):
        message = payments.Message(event, said, now)
        paid = state.writer.submit_alike(payments.record_callbacks, state.estate_id, message, urgent=True)
        result: CallbackResult = await asyncio.wrap_future(paid)
        return result
    refund = partial(refunds.record_callback, estate_id=state.estate_id, event=event, body=said, now=now)
    return str(await asyncio.wrap_future(state.writer.submit(refund, urgent=True)))
