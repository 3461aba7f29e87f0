"""Tables of money that goes back and of what the providers' bills say; `schema` names them among all others."""

from sqlalchemy import CheckConstraint, Index, Table

from server.store.columns import id_column as _id
from server.store.columns import int_column as _int
from server.store.columns import metadata
from server.store.columns import text_column as _text

refund = Table(  # money on its way back from a household, or from suspense
    "refund", metadata,
    _id("estate_id"), _id("refund_no"),
    _text("payment_id"), _text("provider"), _text("order_no", nullable=True),
    _text("account_id", nullable=True),  # None: from suspense
    _int("amount_fen"), _text("way"),  # source | cash
    _text("status"),  # reserved | asked | refunded | released
    _text("reason"), _text("actor"), _text("approved_by", nullable=True), _text("detail", default=""),
    _int("tries", default=0), _int("next_ms", default=0),
    _int("created_at"), _int("created_ms"), _int("decided_ms", nullable=True),
    CheckConstraint("amount_fen > 0", name="refund_amount"),
    Index("refund_payment", "estate_id", "payment_id"), Index("refund_status", "estate_id", "status"),
)  # fmt: skip
