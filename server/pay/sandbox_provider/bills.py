"""The sandbox provider's bill of a day in Beijing: every payment and refund that it made, as JSON rows."""

from datetime import datetime
from zoneinfo import ZoneInfo

from server.pay.sandbox_provider.orders import OrderBook
from server.pay.sandbox_provider.refunds import RefundBook

BEIJING = ZoneInfo("Asia/Shanghai")


def bill_rows(orders: OrderBook, refunds: RefundBook, day: str) -> list[dict[str, object]]:
    """The rows of a day, payments first."""
    rows: list[dict[str, object]] = [
        {
            "kind": "payment",
            "order_no": order.terms.order_no,
            "transaction_id": order.transaction_id,
            "amount_fen": order.terms.amount_fen,
            "state": "done",
            "at_ms": order.paid_ms,
        }
        for order in orders.all()
        if order.result == "paid" and _day_of(order.paid_ms) == day
    ]
    rows += [
        {
            "kind": "refund",
            "order_no": one.order.terms.order_no,
            "refund_no": one.refund_no,
            "transaction_id": one.order.transaction_id,
            "amount_fen": one.amount_fen,
            "state": one.result,
            "at_ms": one.at_ms,
        }
        for one in refunds.all()
        if _day_of(one.at_ms) == day
    ]
    return rows


def _day_of(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, BEIJING).date().isoformat()
