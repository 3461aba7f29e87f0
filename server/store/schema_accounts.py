"""The table of what happened in the life of accounts; `schema` names it among all others."""

from sqlalchemy import Column, Index, Table, text

from server.store.columns import Int64, metadata
from server.store.columns import id_column as _id
from server.store.columns import int_column as _int
from server.store.columns import text_column as _text

_BOOKED = text("batch_seq IS NOT NULL")

account_event = Table(
    "account_event", metadata,
    _id("estate_id"), _id("account_id"), Column("event_no", Int64, primary_key=True, autoincrement=False),
    _text("act"),  # opened | a key of domain.accounts.FROM
    _text("status"),  # of the account after it
    _text("room_id", nullable=True), _text("meter_id", nullable=True), _int("register_wh", nullable=True),
    _text("detail", default=""),
    _text("ledger", nullable=True),  # with the next three: what it booked
    _int("amount_fen", nullable=True), _int("limit_fen", nullable=True),  # what one person could book alone then
    _int("batch_seq", nullable=True),
    _text("actor"), _text("approved_by", nullable=True), _text("reason"), _int("world_at"), _int("created_ms"),
    Index("account_event_batch", "estate_id", "batch_seq", sqlite_where=_BOOKED, postgresql_where=_BOOKED),
)  # fmt: skip
