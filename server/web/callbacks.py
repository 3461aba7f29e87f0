"""Payers' messages: the raw bytes are verified first, then one urgent unit records and credits them.

No cookie and no login count here. Each provider hears its own word for "kept" only after the commit; a repeat hears
the same word and credits nothing. A refused message, or one that could not be stored, hears that provider's word for
"not kept", so that an honest payer tries again and a forger learns nothing.
"""

import asyncio
import logging
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from server.errors import EstateError, NotFound
from server.flows import payments, refunds
from server.pay.provider import CallbackAnswer, PaidEvent, Provider, RefundEvent
from server.store.unit import Unit
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

    def work(unit: Unit) -> str:
        if isinstance(event, RefundEvent):
            return str(refunds.record_callback(unit, state.estate_id, event, said, now=now))
        return str(payments.record_callback(unit, state.estate_id, event, said, now=now))

    return await asyncio.wrap_future(state.writer.submit(work, urgent=True))
