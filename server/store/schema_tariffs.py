"""Tables of tariffs beside those in force: drafts and re-ratings; `schema` names them among all others."""

from sqlalchemy import Index, Table

from server.store.columns import id_column as _id
from server.store.columns import int_column as _int
from server.store.columns import metadata
from server.store.columns import text_column as _text

tariff_draft = Table(  # a document laid over a tariff, until two people publish it
    "tariff_draft", metadata,
    _id("estate_id"), _id("draft_id"), _text("tariff_id"),
    _text("document"),  # as a person wrote it
    _text("definition"),  # JSON of the whole tariff as it would be
    _text("starts"),  # JSON: when its new versions begin
    _text("stored_sha256"),  # of the tariff that it was laid over; "" for a new one
    _text("note", default=""),
    _text("status", default="draft"),  # draft | published | discarded
    _text("simulation", nullable=True),  # JSON of flows.tariffs.simulate
    _text("actor"), _int("created_ms"), _int("decided_ms", nullable=True), _text("approval_id", nullable=True),
    Index("tariff_draft_created", "estate_id", "created_ms"),
)  # fmt: skip

rerate = Table(  # a span of past energy charged again by another tariff, as corrections
    "rerate", metadata,
    _id("estate_id"), _id("rerate_id"), _text("tariff_id"),
    _text("definition"),  # JSON of the tariff that should have held
    _int("from_at"), _int("until_at"), _text("reason"),
    _text("status", default="asked"),  # asked | running | done | withdrawn
    _int("until_batch"),  # lines that were booked later are left as they are
    _int("split_down", default=1),  # 1: an odd Wh at a boundary goes to the later part, as it once did; 0: R22
    _text("preview"),  # JSON: what it was asked with
    _text("done_account", default=""),  # corrections are posted up to this one, by account
    _int("corrected", default=0), _int("corrected_fen", default=0),
    _text("actor"), _int("created_ms"), _text("approval_id", nullable=True), _int("done_ms", nullable=True),
    Index("rerate_status", "estate_id", "status"),
)  # fmt: skip
