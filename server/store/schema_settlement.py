"""The tables of closed settlement periods, of what is shared and of debts; `schema` names them among all others."""

from sqlalchemy import Column, Index, Table

from server.store.columns import Int64, metadata
from server.store.columns import id_column as _id
from server.store.columns import int_column as _int
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

settlement_begun = Table(  # the sums of a large estate are written in steps: which batch they count through
    "settlement_begun", metadata,
    _id("estate_id"), _id("kind"), _id("period"), _int("through_seq"), _int("world_at"), _int("created_ms"),
)  # fmt: skip

allocation = Table(  # a cost of shared areas that was shared among households
    "allocation", metadata,
    _id("estate_id"), _id("allocation_id"),
    _text("period"),  # the closed month
    _text("subject"), _text("basis"),  # equal | area | usage
    _text("vacant"),  # spread | estate: who bears the part of rooms without a household
    _int("energy_wh", nullable=True), _int("price_nf_per_wh", nullable=True), _int("amount_fen"),
    _int("weight_total"), _text("formula"),  # JSON of the numbers that it follows from
    _int("batch_seq"), _int("event_at"), _text("actor"), _int("created_ms"),
)  # fmt: skip

allocation_share = Table(
    "allocation_share", metadata,
    _id("estate_id"), _id("allocation_id"), _id("account_id"), _int("weight"), _int("energy_wh"), _int("amount_fen"),
    Index("allocation_share_account", "estate_id", "account_id"),
)  # fmt: skip

allocation_reversal = Table(
    "allocation_reversal", metadata,
    _id("estate_id"), _id("allocation_id"), _int("batch_seq"), _text("reason"), _text("actor"), _int("world_at"),
    _int("created_ms"),
)  # fmt: skip

meter_credit = Table(  # what a meter that keeps the credit itself says it still has
    "meter_credit", metadata,
    _id("estate_id"), _id("meter_id"), Column("asked_ms", Int64, primary_key=True, autoincrement=False),
    _text("status"),  # waiting | read | decided | failed
    _text("actor"), _text("evidence", default=""),  # the frames in hex
    _text("detail", default=""), _int("remaining_fen", nullable=True), _int("overdraft_fen", nullable=True),
    _int("read_at", nullable=True), _int("tries", default=0), _int("next_ms", default=0),
)  # fmt: skip

debt_plan = Table(  # by which a household pays its debts; one runs at a time
    "debt_plan", metadata,
    _id("estate_id"), Column("plan_no", Int64, primary_key=True, autoincrement=False),
    _text("account_id"), _text("every"),  # week | month
    _text("begin_day"), _text("ledgers"),  # in the order in which they are paid, with commas
    _int("instalment_fen"), _int("day"), _int("world_at"), _int("created_ms"), _text("actor"), _text("reason"),
    _int("ended_at", nullable=True), _text("ended_by", nullable=True),
    Index("debt_plan_account", "estate_id", "account_id"),
)  # fmt: skip

debt_instalment = Table(  # what a plan took on a day that was due, maybe nothing
    "debt_instalment", metadata,
    _id("estate_id"), Column("plan_no", Int64, primary_key=True, autoincrement=False), _id("due_day"),
    _text("account_id"), _text("parts"),  # JSON of fen by ledger
    _int("taken_fen"), _int("wanted_fen"), _int("world_at"), _int("created_ms"),
)  # fmt: skip

recovery_rule = Table(  # in force is the one that began last, the higher number of two
    "recovery_rule", metadata,
    _id("estate_id"), Column("rule_no", Int64, primary_key=True, autoincrement=False),
    _int("valid_from"), _int("permille"),
    _text("ledgers"),  # in the order in which they are paid, with commas
    _text("split"),  # order | pro_rata
    _text("actor"), _int("created_ms"),
    _int("form", default=1),  # how its shares are told: server.domain.recovery.TOLD_FORM
)  # fmt: skip
