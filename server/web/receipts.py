"""Receipts of the operator's message gateway: the raw bytes are verified first, then one unit notes what became of it.

No cookie and no login count here. A repeat hears the same answer and changes nothing.
"""

import asyncio
import logging

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from server.errors import EstateError, NotFound
from server.flows import notices
from server.pay.provider import json_accepted, json_refused
from server.store.unit import Deed
from server.web.deps import SIGNED_MESSAGE, State
from server.web.errors import STATUS

log = logging.getLogger(__name__)
router = APIRouter(include_in_schema=False)


@router.post("/callbacks/receipts", dependencies=[Depends(SIGNED_MESSAGE)])
async def receipt(request: Request, state: State) -> Response:
    """Verify and take in one receipt."""
    gateway = state.message_gateway
    if gateway is None:
        raise NotFound("no message gateway is set up here")
    body, now = await request.body(), state.clock.now()
    try:
        found = gateway.verify_receipt(request.headers, body, now_ms=now.machine_ms)
        deed = Deed(notices.take_receipt, state.estate_id, found, gateway.channel, now)
        answer = json_accepted(await asyncio.wrap_future(state.writer.submit(deed)))
        log.info("receipt for notice %s: %s", found.notice_id, found.state)
    except EstateError as error:
        log.warning("receipt not taken: %s", error)
        answer = json_refused(STATUS.get(type(error), 400), str(error))
    return Response(answer.body, answer.status, media_type=answer.media_type)
