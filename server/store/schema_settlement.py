"""The tables of closed settlement periods; `schema` names them among all others."""

from sqlalchemy import Table

from server.store.columns import id_column as _id
from server.store.columns import int_column as _int
from server.store.columns import metadata
from server.store.columns import text_column as _text

settlement = Table(  # a closed day or month; a line belongs to the first that ends after it and was closed through it
    "settlement", metadata,
    _id("estate_id"), _id("kind"),  # day | month
    _id("period"),  # local date YYYY-MM-DD, or month YYYY-MM
    _int("from_at"), _int("to_at"),
    _int("through_seq"),  # the newest batch that counts
    _int("accounts"), _int("energy_wh"),
    _text("turnover"),  # JSON of fen by kind of batch
    _text("override", default=""),  # why it was closed although something was not known
    _text("doubts", default="{}"),  # JSON of domain.settlement.Doubts
    _text("actor"), _int("world_at"), _int("created_ms"),
    _text("sums_sha256"), _text("previous_hash"), _text("hash"),
)  # fmt: skip

settlement_sum = Table(  # an account in a closed period, in the order of domain.settlement.Sums
    "settlement_sum", metadata,
    _id("estate_id"), _id("kind"), _id("period"), _id("account_id"),
    _int("opening_fen"), _int("closing_fen"), _text("by_kind"), _int("lines"), _int("late_lines"), _int("late_fen"),
    _int("charge_nf"), _int("energy_wh"), _int("rate1_wh"), _int("rate2_wh"), _int("rate3_wh"), _int("rate4_wh"),
)  # fmt: skip
