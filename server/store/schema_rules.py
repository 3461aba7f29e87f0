"""Tables of rules, of supply and of money, and of what bounds a mistake; `schema` names them among all others."""

from sqlalchemy import Column, Table

from server.store.columns import Int64, metadata
from server.store.columns import id_column as _id
from server.store.columns import int_column as _int
from server.store.columns import text_column as _text

scheme = Table(  # a version is never changed; in force is the one that began last, the higher number of two
    "scheme", metadata,
    _id("estate_id"), _id("scheme_id"), Column("version", Int64, primary_key=True, autoincrement=False),
    _text("name"), _int("valid_from"),
    _text("definition"),  # JSON of domain.schemes: only what it says otherwise than the estate
    _text("actor"), _int("created_ms"),
)  # fmt: skip

holiday = Table(  # the estate's own calendar over the statutory one
    "holiday", metadata,
    _id("estate_id"), _id("day"),  # local date YYYY-MM-DD
    _text("kind"),  # off: nobody is cut | work: the statutory holiday is none here
    _text("name", default=""),
)  # fmt: skip

alert = Table(  # nobody is cut from `from_at` to `until_at`
    "alert", metadata,
    _id("estate_id"), _id("alert_id"),
    _text("kind"),  # heat | cold | order
    _int("from_at"), _int("until_at"), _text("reason", default=""), _text("actor"), _int("created_ms"),
)  # fmt: skip

bulk_cut = Table(  # a list that two people approved: cuts in waves, or another act of domain.bulk_edits
    "bulk_cut", metadata,
    _id("estate_id"), _id("bulk_id"), _text("approval_id"), _text("status"),  # running | done | stopped
    _text("act", default="cut"),
    _text("reason", default=""), _int("wave"), _int("wave_at"), _int("started_at"), _int("created_ms"),
)  # fmt: skip

bulk_cut_item = Table(
    "bulk_cut_item", metadata,
    _id("estate_id"), _id("bulk_id"), _id("account_id"), _text("meter_id"), _int("wave"),  # account_id: or a day
    _text("outcome", default="waiting"),  # waiting | cut | paid | done | left
)  # fmt: skip

candidate_day = Table(  # the most households that were about to be cut at once
    "candidate_day", metadata,
    _id("estate_id"), _id("day"), _int("candidates"),
)  # fmt: skip

money_rule = Table(  # sealed by its batch, and never changed: see server.domain.money_rules.Rule
    "money_rule", metadata,
    _id("estate_id"), Column("rule_no", Int64, primary_key=True, autoincrement=False),
    _text("kind"), _text("subject"), _text("value"),  # accounts | tariff | adjust_alone
    _int("batch_seq"), _text("actor"), _int("world_at"), _int("created_ms"),
)  # fmt: skip
