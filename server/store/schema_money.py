"""Tables of money that goes back and of what the providers' bills say; `schema` names them among all others."""

from sqlalchemy import CheckConstraint, Column, Index, Table

from server.store.columns import Int64, metadata
from server.store.columns import id_column as _id
from server.store.columns import int_column as _int
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
    Index("refund_actor", "estate_id", "actor", "created_at"),
)  # fmt: skip

bill_file = Table(  # a provider's bill of one day, as it came; of a day the newest counts
    "bill_file", metadata,
    _id("estate_id"), _id("provider"), _id("day"), _id("sha256"),
    _text("content"),  # base64
    _int("rows"), _int("paid_fen"), _int("returned_fen"),
    _text("source"),  # fetched | uploaded
    _text("actor"), _int("created_ms"),
)  # fmt: skip

bill_row = Table(  # what the newest file of a day says
    "bill_row", metadata,
    _id("estate_id"), _id("provider"), _id("day"), Column("row_no", Int64, primary_key=True, autoincrement=False),
    _text("kind"), _text("order_no"), _text("refund_no"), _text("transaction_id"),
    _int("amount_fen"), _text("state"), _int("at_ms"),
    Index("bill_row_transaction", "estate_id", "transaction_id"),
)  # fmt: skip

bill_difference = Table(  # settled when its case is closed
    "bill_difference", metadata,
    _id("estate_id"), _id("provider"), _id("day"), _id("class"), _id("what"), _id("key"),
    _text("order_no"), _text("transaction_id"), _int("here_fen", nullable=True), _int("there_fen", nullable=True),
    _text("here_state", default=""), _text("there_state", default=""),
    _text("case_id", nullable=True),  # None: nobody's work
    _int("explained_ms", nullable=True),  # since then it is none any more
    _int("created_ms"),
)  # fmt: skip
