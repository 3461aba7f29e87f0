"""The tables of readings and of which meter measured what; how all tables are made stands in `server.store.schema`."""

from sqlalchemy import Column, Index, Table, text

from server.store.columns import Int64, metadata
from server.store.columns import id_column as _id
from server.store.columns import int_column as _int
from server.store.columns import text_column as _text

_HELD = text("verdict IN ('backwards', 'zero', 'jump', 'spike', 'sum_differs', 'not_multiple')")  # core.reading.HELD

reading = Table(
    "reading", metadata,
    _id("estate_id"), Column("read_at", Int64, primary_key=True), _id("meter_id"),
    _int("install_no"), _int("received_ms"),
    _int("total_wh"), _int("rate1_wh", nullable=True), _int("rate2_wh", nullable=True),
    _int("rate3_wh", nullable=True), _int("rate4_wh", nullable=True), _int("reverse_wh", nullable=True),
    _text("source", default="live"),  # live | demand | freeze | load | manual | import
    _text("verdict"),  # core.reading.Verdict
    _text("reason", default=""), _text("raw_hex", default=""),
    _int("rules", default=1),  # core.reading.RULES_VERSION by which it was judged
    Index("reading_meter", "estate_id", "meter_id", "read_at"),
    Index("reading_held", "estate_id", "read_at", sqlite_where=_HELD, postgresql_where=_HELD),
)  # fmt: skip

reading_act = Table(  # what a person decided about a held reading
    "reading_act", metadata,
    _id("estate_id"), _id("meter_id"), Column("read_at", Int64, primary_key=True, autoincrement=False),
    Column("act_no", Int64, primary_key=True, autoincrement=False),
    _text("verdict_before"), _text("verdict_after"), _text("actor"), _text("reason"), _int("world_at"),
    _int("created_ms"),
)  # fmt: skip

meter_live = Table(
    "meter_live", metadata,
    _id("estate_id"), _id("meter_id"),
    _int("contact_at", nullable=True), _int("contact_ms", nullable=True), _int("failures", default=0),
    _int("total_wh", nullable=True), _int("reading_at", nullable=True), _int("reading_ms", nullable=True),
    _int("previous_wh", nullable=True), _int("previous_ms", nullable=True),  # the accepted reading before
    _int("voltage_mv", nullable=True), _int("current_ma", nullable=True), _int("power_mw", nullable=True),
    _int("variables_at", nullable=True),
    _int("status3", nullable=True), _int("status3_at", nullable=True), _int("status3_ms", nullable=True),
    _int("clock_offset_s", nullable=True),  # meter clock minus world time
    _int("usual_w", nullable=True), _int("usual_from", nullable=True),  # the highest mean power, known since
    _int("pending_wh", nullable=True), _int("pending_at", nullable=True),  # a step that waits to be confirmed
)  # fmt: skip

register_day = Table(
    "register_day", metadata,
    _id("estate_id"), _id("meter_id"), _id("day"),  # local date YYYY-MM-DD; last accepted register of that day
    _int("first_wh"), _int("total_wh"), _int("read_at"), _text("source", default="live"),
)  # fmt: skip

exchange = Table(  # one installation of a meter ends and another begins: a new meter, or another ratio
    "exchange", metadata,
    _id("estate_id"), _id("exchange_id"), _text("kind"),  # replacement | ratio | move: another household
    _text("account_id"), _int("at"),
    _text("old_meter_id"), _int("old_install_no"), _int("old_ratio"), _int("old_max_power_w"), _int("old_start_wh"),
    _int("old_installed_at"), _int("final_wh"), _text("final_rates_wh", nullable=True),
    _text("new_meter_id"), _int("new_install_no"), _int("new_ratio"), _int("start_wh"),
    _text("start_rates_wh", nullable=True),
    _int("tier_period_start"), _int("tier_period_wh"), _int("order_start"), _text("order_rates_wh", nullable=True),
    _text("actor"), _text("reason"), _int("created_ms"),
    Index("exchange_account", "estate_id", "account_id", "at"),
)  # fmt: skip
