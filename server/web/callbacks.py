"""Payers' messages: the raw bytes are verified first, then one urgent unit records and credits them.

No cookie and no login count here. A repeat gets the same 200 and credits nothing; a refused message gets 400, so
that an honest payer tries again and a forger learns nothing.
"""

import asyncio
import logging
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from server.errors import NotFound
from server.flows import payments
from server.web.deps import SIGNED_MESSAGE, State

log = logging.getLogger(__name__)
router = APIRouter(include_in_schema=False)


@router.post("/callbacks/{provider}", dependencies=[Depends(SIGNED_MESSAGE)])
async def callback(request: Request, state: State, provider: Annotated[str, Path(max_length=40)]) -> dict[str, str]:
    """Verify and record one message of `provider`."""
    payer = state.providers.get(provider)
    if payer is None:
        raise NotFound("no such payment provider")
    body = await request.body()
    now = state.clock.now()
    event = payer.verify_callback(request.headers, body, now_ms=now.machine_ms)
    future = state.writer.submit(
        lambda unit: payments.record_callback(unit, state.estate_id, event, body.decode("utf-8", "replace"), now=now),
        urgent=True,
    )
    result = await asyncio.wrap_future(future)
    log.info("callback of %s for order %s: %s", provider, event.order_no, result)
    return {"result": str(result)}
