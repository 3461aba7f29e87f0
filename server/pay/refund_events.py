"""What a verified message says of a refund, in the fields that the sandbox and integrators share."""

from collections.abc import Mapping

from server.errors import CallbackRejected
from server.pay.provider import RefundEvent, RefundState
from server.signing.fields import AMOUNT_FEN_MAX, number, text


def refund_event(provider: str, fields: Mapping[str, object]) -> RefundEvent:
    """What a verified message says of a refund, amount in fen; CallbackRejected for a result that is no state."""
    result = fields.get("result")
    if not isinstance(result, str) or result not in tuple(RefundState):
        raise CallbackRejected("the field result is none of done, pending and failed")
    return RefundEvent(
        provider=provider,
        event_id=text(fields, "event_id"),
        refund_no=text(fields, "refund_no"),
        order_no=text(fields, "order_no"),
        amount_fen=number(fields, "amount_fen", AMOUNT_FEN_MAX),
        state=RefundState(result),
    )
