"""All tables, as SQLAlchemy Core metadata; the same for SQLite (STRICT) and PostgreSQL.

`estate_id` is part of every key. World time is int64 epoch seconds (`*_at`), machine time int64 epoch
milliseconds (`*_ms`). Money is int64 fen (`*_fen`) plus a residue in nanofen (`*_nf`), energy int64 watt-hours
(`*_wh`). Triggers refuse UPDATE and DELETE on the tables of `APPEND_ONLY`.

Signs: a household's balance is its credit, positive when money is left. Lines of a batch sum to zero.
"""

from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, Table, UniqueConstraint, text

from server.store import (
    columns,
    schema_accounts,
    schema_archive,
    schema_keep,
    schema_money,
    schema_readings,
    schema_rules,
    schema_settlement,
    schema_tariffs,
)
from server.store.columns import Int64
from server.store.columns import id_column as _id
from server.store.columns import int_column as _int
from server.store.columns import text_column as _text

metadata = columns.metadata
reading, reading_act, meter_live = schema_readings.reading, schema_readings.reading_act, schema_readings.meter_live
register_day, exchange = schema_readings.register_day, schema_readings.exchange
archive, reading_archive = schema_archive.archive, schema_archive.reading_archive
archive_account, archive_meter = schema_archive.archive_account, schema_archive.archive_meter
scheme, holiday, alert = schema_rules.scheme, schema_rules.holiday, schema_rules.alert
bulk_cut, bulk_cut_item = schema_rules.bulk_cut, schema_rules.bulk_cut_item
candidate_day, money_rule = schema_rules.candidate_day, schema_rules.money_rule
settlement, settlement_sum = schema_settlement.settlement, schema_settlement.settlement_sum
settlement_begun = schema_settlement.settlement_begun
debt_plan, debt_instalment = schema_settlement.debt_plan, schema_settlement.debt_instalment
meter_credit = schema_settlement.meter_credit
refund = schema_money.refund
account_event = schema_accounts.account_event
keep_power, keep_desired, keep_attempt = schema_keep.keep_power, schema_keep.keep_desired, schema_keep.keep_attempt
allocation, allocation_share = schema_settlement.allocation, schema_settlement.allocation_share
allocation_reversal, recovery_rule = schema_settlement.allocation_reversal, schema_settlement.recovery_rule
bill_file, bill_row = schema_money.bill_file, schema_money.bill_row
bill_difference = schema_money.bill_difference
tariff_draft, rerate = schema_tariffs.tariff_draft, schema_tariffs.rerate

APPEND_ONLY = (
    "batch", "line", "seal", "scheme", "relay_desired", "relay_attempt", "callback_inbox", "case_event", "audit",
    "reading_act", "exchange", "settlement", "settlement_sum", "account_event", "keep_desired", "keep_attempt",
    "allocation", "allocation_share", "allocation_reversal", "recovery_rule", "archive", "archive_account",
    "archive_meter", "reading_archive", "bill_file", "settlement_begun", "debt_instalment", "money_rule",
)  # fmt: skip


def _where(rows: str) -> dict[str, Any]:
    """An index of these rows only."""
    return {"sqlite_where": text(rows), "postgresql_where": text(rows)}


estate = Table(
    "estate", metadata,
    _id("estate_id"),
    _text("name"),
    _text("time_zone"),
    _text("mode", default="observe"),  # observe | dry_run | armed
    _text("close_policy", default="allow"),  # allow (1BH, the resident presses the button) | direct (1CH)
    _int("reading_cycle_s", default=900),
    _int("status_cycle_s", default=900),
    _int("variables_cycle_s", default=3600),
    _int("clock_cycle_s", default=21600),
    _int("daily_freeze", default=1),  # 1: what the meters kept at midnight is read each day
    _int("billing_cycle_s", default=3600),
    _int("grace_s", default=86400),  # from the delivered cut warning to the earliest trip, world seconds
    _int("trips_without_deadline", default=0),  # 1: trip over protocols whose command no meter refuses when late
    _int("command_ttl_s", default=120),  # lifetime of a control frame in the meter's clock, at most 600
    _int("reading_fresh_s", default=1800),  # a trip needs a confirmed reading at most this old
    _int("protected_from_min", default=1020),  # 17:00, minutes of the local day
    _int("protected_to_min", default=540),  # 09:00
    _int("protect_weekends", default=1),
    _int("protect_holidays", default=1),
    _int("spread_s", default=1800),  # after a protected time each household waits its own part of it
    _text("scheme_id", nullable=True),  # of households that name none; its rules lie over those of this row
    _int("limits_at", default=0),  # world time at which the limits of all households were last worked out
    _int("trips_per_hour_max", nullable=True),  # None: max(5, 1 % of households)
    _int("trips_per_day_max", nullable=True),  # None: max(5, 3 % of households)
    _int("topup_min_fen", default=1000), _int("topup_max_fen", default=500_000),  # of one payment
    _int("balance_max_fen", nullable=True),  # no payment may lift a balance above it; None: any
    _int("sales_day_max_fen", nullable=True),  # cash that one cashier takes in a day; None: any
    _int("refund_alone_max_fen", default=50_000),  # above it a refund takes two people
    _text("breaker", default="closed"),  # closed | open
    _text("breaker_reason", default=""),
    _int("stopped", default=0),  # the red button: 1 = no trip is sent until two people start again
    _text("phone", default=""),
    _int("adjust_alone_fen", default=10000),  # what one person may adjust or pay out without a second one
    _int("price_cap_nf_per_wh", nullable=True),  # no tariff may cost more; None: no cap is on file
    CheckConstraint("mode IN ('observe','dry_run','armed')", name="estate_mode"),
    CheckConstraint("command_ttl_s BETWEEN 1 AND 600", name="estate_command_ttl"),
)  # fmt: skip

building = Table(
    "building", metadata,
    _id("estate_id"), _id("building_id"), _text("name"), _int("position", default=0),
)  # fmt: skip

room = Table(
    "room", metadata,
    _id("estate_id"), _id("room_id"),  # room_id is the label people use, such as 1-1202
    _text("building_id"), _int("floor"), _text("door"), _int("area_cm2", nullable=True),
    ForeignKeyConstraint(["estate_id", "building_id"], ["building.estate_id", "building.building_id"]),
)  # fmt: skip

bus = Table(
    "bus", metadata,
    _id("estate_id"), _id("bus_id"),
    _text("url"),  # /dev/ttyUSB0, a pty path, tcp://host:port, rfc2217://host:port or dtu://ID
    _int("baud", default=2400), _text("parity", default="E"), _int("stop_bits", default=1),
    _int("reply_delay_max_ms", default=1000), _int("frame_gap_ms", default=30), _int("attempts_max", default=3),
    _int("rs485", default=0),  # 1: the driver of this machine switches the transceiver
)  # fmt: skip

tariff = Table(
    "tariff", metadata,
    _id("estate_id"), _id("tariff_id"), _text("name"),
    _text("definition"),  # JSON of core.tariff.tariff_to_dict
    _int("created_ms"),
)  # fmt: skip

account = Table(
    "account", metadata,
    _id("estate_id"), _id("account_id"),
    _text("kind"),  # household | shared | property | arrears | revenue | opening | cash | ...
    _text("room_id", nullable=True), _text("holder", default=""), _text("phone", default=""),
    _text("status", default="normal"),  # of domain.accounts.STATUSES
    _text("payment", default="prepaid"),  # prepaid | postpaid
    _text("tariff_id", nullable=True),
    _int("balance_fen", default=0), _int("residue_nf", default=0), _int("version", default=0),
    _int("level", default=0),  # stored alarm level 0..3 of core.deduct
    _int("alarm1_fen", default=3000), _int("alarm2_fen", default=1000), _int("overdraft_fen", default=0),
    _int("close_allowed_fen", default=0),
    _int("protected", default=0), _text("protected_reason", default=""), _int("protected_until", nullable=True),
    _text("scheme_id", nullable=True), _text("own_rules", default="{}"),  # JSON: the household's rules over its scheme
    CheckConstraint("residue_nf > -1000000000 AND residue_nf < 1000000000", name="account_residue"),
    Index("account_room", "estate_id", "room_id"),
    Index("account_home", "estate_id", **_where("kind = 'household'")),
)  # fmt: skip

meter = Table(
    "meter", metadata,
    _id("estate_id"), _id("meter_id"),  # meter_id is the 12-digit communication address
    _text("kind", default="household"),  # household | gate
    _text("bus_id"), _text("account_id", nullable=True), _text("room_id", nullable=True),
    _text("gate_id", nullable=True),  # the gate meter above this one
    _int("install_no", default=1), _int("start_wh"), _int("start_rate1_wh", nullable=True),
    _int("start_rate2_wh", nullable=True), _int("start_rate3_wh", nullable=True),
    _int("start_rate4_wh", nullable=True), _int("installed_at"),
    _int("ratio", default=1), _int("max_power_w", default=15840),  # 220 V x 60 A x 1.2
    _text("protocol", default="2007"),  # 2007 | 1997 | modbus
    _text("model", default=""), _int("unit", nullable=True),  # of a Modbus meter: its register map, its address
    _int("password_level", default=2), _text("password", default="000000"),  # locked, see server.keyring
    _text("fee", default="remote"),  # remote: the balance is here | local: the meter keeps it and charges by itself
    _text("customer", default=""),  # 12 digits by which a local meter knows its owner
    Index("meter_bus", "estate_id", "bus_id"), Index("meter_account", "estate_id", "account_id"),
)  # fmt: skip

meter_cursor = Table(
    "meter_cursor", metadata,
    _id("estate_id"), _id("meter_id"),
    _int("install_no"), _int("seq", default=0), _int("read_at"), _int("total_wh"),
    _int("rate1_wh", nullable=True), _int("rate2_wh", nullable=True), _int("rate3_wh", nullable=True),
    _int("rate4_wh", nullable=True),
    _int("tier_period_start"), _int("tier_period_wh", default=0),
    _int("order_start", default=0), _text("order_rates_wh", nullable=True),  # "r1,r2,r3,r4" used since order_start
)  # fmt: skip

batch = Table(
    "batch", metadata,
    _id("estate_id"), Column("batch_seq", Int64, primary_key=True, autoincrement=False),
    _text("kind"),  # charge | void | topup | opening | adjustment | payout | carry | fee | transfer | refund | ...
    _int("event_at"), _int("created_ms"),
    _text("idem_key"), _text("payload_sha256"), _int("lines"), _int("turnover_fen"),
    _text("actor", default="system"), _text("memo", default=""),
    UniqueConstraint("estate_id", "idem_key", name="batch_idem_key"),
)  # fmt: skip

line = Table(
    "line", metadata,
    _id("estate_id"), Column("batch_seq", Int64, primary_key=True, autoincrement=False),
    Column("line_no", Int64, primary_key=True, autoincrement=False),
    _text("account_id"), _int("amount_fen"), _int("balance_after_fen"), _int("account_version"),
    _int("charge_nf", default=0), _int("residue_after_nf", default=0),
    _text("meter_id", nullable=True), _int("install_no", nullable=True), _text("tariff_id", nullable=True),
    _int("from_wh", nullable=True), _int("to_wh", nullable=True),
    _text("from_rates_wh", nullable=True), _text("to_rates_wh", nullable=True),  # "r1,r2,r3,r4" for tou
    _int("tier_period_start", nullable=True), _int("tier_from_wh", nullable=True),
    _int("event_from", nullable=True), _int("event_to", nullable=True),
    # An account's versions are unique: on SQLite by an index in blocks of versions (`account_lines`), on PostgreSQL
    # by a key of each month.
)  # fmt: skip

seal = Table(
    "seal", metadata,
    _id("estate_id"), Column("batch_seq", Int64, primary_key=True, autoincrement=False),
    _text("lines_sha256"), _text("previous_hash"), _text("hash"), _int("sealed_ms"),
    _int("form", default=1),  # how it was hashed: server.domain.ledger.SEAL_FORM
)  # fmt: skip

supply = Table(  # what is known and wanted now, one row a household meter
    "supply", metadata,
    _id("estate_id"), _id("meter_id"),
    _int("gen", default=0),
    _text("desired", default="closed"),  # closed | open
    _text("relay", default="unknown"),  # closed | permitted | open | unknown: only a read-back sets it
    _int("relay_at", nullable=True), _int("relay_ms", nullable=True),
    _int("opened_at", nullable=True),  # when its contacts were first read back open
    _text("command", default="none"),  # none | queued | sent | accepted | confirmed | failed | expired
    _text("cause", default="none"),  # why it is open or wanted open: none | arrears | safety | tamper | order
    _text("candidate", default=""),  # the last decision in words: which check says no, or would_trip, quarantined
    _int("candidate_at", nullable=True),
    Index("supply_lost", "estate_id", **_where("command IN ('failed', 'expired')")),
    Index("supply_candidate", "estate_id", "meter_id", **_where("candidate != ''")),
    Index(
        "supply_unfinished", "estate_id", "meter_id", **_where("command IN ('queued', 'sent', 'accepted', 'failed')")
    ),
)  # fmt: skip

relay_desired = Table(
    "relay_desired", metadata,
    _id("estate_id"), _id("meter_id"), Column("gen", Int64, primary_key=True, autoincrement=False),
    _text("state"),  # open | closed
    _text("action"),  # trip | allow | close
    _text("reason"), _text("actor", default="system"), _int("decided_at"), _int("created_ms"),
    _int("expires_at"),  # world time after which the wish of a trip is void; closes do not expire
    _text("batch_ref", default=""), _text("evidence", default="{}"),  # JSON: the checks as they stood
    _int("not_before_ms", default=0),  # machine time before which it is not sent: closes of a restore are spread
    Index("relay_desired_decided", "decided_at"),
    Index("relay_desired_action", "estate_id", "action", "decided_at"),
)  # fmt: skip

relay_attempt = Table(
    "relay_attempt", metadata,
    _id("estate_id"), _id("meter_id"), Column("gen", Int64, primary_key=True, autoincrement=False),
    Column("step_no", Int64, primary_key=True, autoincrement=False),
    _text("step"),  # cleared | sent | accepted | refused | no_reply | read_back | expired | superseded
    _int("world_at"), _int("created_ms"), _text("detail", default=""),
    Index("relay_attempt_created", "estate_id", "created_ms", "step_no"),
)  # fmt: skip

notice = Table(
    "notice", metadata,
    _id("estate_id"), _id("notice_id"), _text("account_id"),
    _text("kind"),  # alarm1 | alarm2 | cut_warning | final_notice | cut | restored | topup
    _text("channel"),  # page | message (until one of these takes it:) sandbox | gateway | hand
    _text("arguments"),  # JSON of integers and ids for the wording
    _text("status", default="queued"),  # queued | sent | delivered | failed | needless
    _int("event_at"), _int("created_ms"), _int("sent_ms", nullable=True),
    _int("delivered_at", nullable=True), _int("delivered_ms", nullable=True), _int("attempts", default=0),
    _text("failure", default=""), _int("not_before_at", default=0),  # quiet hours end then, world time
    Index("notice_account", "estate_id", "account_id", "created_ms"), Index("notice_status", "estate_id", "status"),
    Index("notice_failed", "estate_id", "created_ms", **_where("status = 'failed'")),
)  # fmt: skip

payment_order = Table(
    "payment_order", metadata,
    _id("estate_id"), _id("order_no"),
    _text("account_id"), _int("amount_fen"), _text("provider"),
    _text("channel"),  # online | kiosk | counter | third_party
    _text("status", default="created"),  # created | paid | closed
    _text("token_sha256", default=""),  # who may look at this order without a login
    _int("created_ms"), _int("created_at"), _int("paid_ms", nullable=True), _text("payment_id", nullable=True),
    _text("actor", default=""),
    _int("powered_off", default=0),  # the household had no power when it paid
    _int("confirmed_ms", nullable=True),  # relay read back (pay-to-power clock stops), if power was off
    _int("button_ms", nullable=True),
    CheckConstraint("amount_fen > 0", name="order_amount"),
    Index("order_account", "estate_id", "account_id"),
    Index("order_actor", "estate_id", "actor", "created_at", "created_ms"),
    Index("order_power", "estate_id", "created_at", **_where("confirmed_ms IS NOT NULL")),
    Index("order_open", "estate_id", "created_ms", "order_no", **_where("status = 'created'")),
)  # fmt: skip

payment = Table(
    "payment", metadata,
    _id("estate_id"), _id("payment_id"),
    _text("provider"), _text("transaction_id"), _text("order_no", nullable=True), _text("account_id", nullable=True),
    _int("amount_fen"), _int("batch_seq"), _int("event_at"), _int("created_ms"),
    _text("state"),  # credited | suspense | assigned: from suspense to a household
    _int("paid_ms", nullable=True),  # when the provider says that it was paid, machine time
    UniqueConstraint("estate_id", "provider", "transaction_id", name="payment_transaction"),
    Index("payment_account", "estate_id", "account_id", "created_ms"),
    Index("payment_event", "estate_id", "event_at"), Index("payment_number", "estate_id", "transaction_id"),
    Index("payment_created", "estate_id", "created_ms", "payment_id"), Index("payment_batch", "estate_id", "batch_seq"),
    Index("payment_suspense", "estate_id", "created_ms", "payment_id", **_where("state = 'suspense'")),
)  # fmt: skip

callback_inbox = Table(
    "callback_inbox", metadata,
    _id("estate_id"), _id("provider"), _id("event_id"), _text("body"), _text("verdict"), _int("received_ms"),
    Index("callback_received", "estate_id", "received_ms"),
)  # fmt: skip

idempotency = Table(
    "idempotency", metadata,
    _id("estate_id"), _id("client_id"), _id("idem_key"), _text("body_sha256"), _int("status"), _text("answer"),
    _int("created_ms"),
)  # fmt: skip

anomaly_case = Table(
    "anomaly_case", metadata,
    _id("estate_id"), _id("case_id"),
    _text("kind"),  # open_relay_energy | relay_disobeys | backwards | silent | gate_loss
    _text("subject"),  # meter_id the case is about
    _text("room_id", nullable=True), _text("severity"), _text("status", default="open"),  # open | acknowledged | closed
    _text("evidence"),  # JSON: figures with units, readings
    _int("opened_at"), _int("opened_ms"), _text("owner", default=""), _text("resolution", default=""),
    _int("closed_ms", nullable=True),
    Index("case_status", "estate_id", "status"), Index("case_room", "estate_id", "room_id"),
)  # fmt: skip

case_event = Table(
    "case_event", metadata,
    _id("estate_id"), _id("case_id"), Column("event_no", Int64, primary_key=True, autoincrement=False),
    _text("verb"),  # opened | seen | acknowledged | closed
    _text("actor"), _text("note", default=""), _int("world_at"), _int("created_ms"),
)  # fmt: skip

recharge = Table(  # money on its way into a meter with local fee control
    "recharge", metadata,
    _id("estate_id"), _id("recharge_id"), _text("account_id"), _text("meter_id"), _int("amount_fen"),
    _int("purchase_count", nullable=True),  # issued before the first frame; never another while one is running
    _text("status", default="waiting"),  # waiting | running | booked | refused
    _text("detail", default=""), _int("remaining_fen", nullable=True), _text("actor"),
    _int("tries", default=0), _int("next_ms", default=0), _int("created_ms"), _int("decided_ms", nullable=True),
    CheckConstraint("amount_fen > 0", name="recharge_amount"),
    Index("recharge_meter", "estate_id", "meter_id"),
    Index("recharge_running", "estate_id", "meter_id", unique=True, **_where("status = 'running'")),
)  # fmt: skip

meter_setting = Table(  # a limit or price of a meter with local fee control
    "meter_setting", metadata,
    _id("estate_id"), _id("meter_id"), _id("name"),  # of domain.local_fee.SETTINGS
    _int("wanted"), _int("shown", nullable=True),  # read back
    _text("status", default="waiting"),  # waiting | confirmed | failed
    _text("detail", default=""), _text("actor"), _int("tries", default=0), _int("next_ms", default=0),
    _int("created_ms"), _int("read_ms", nullable=True),
)  # fmt: skip

app_user = Table(
    "app_user", metadata,
    _id("estate_id"), _id("user_id"), _text("login"), _text("password_hash"),
    _text("role"),  # admin | operator | cashier | reader | resident | kiosk
    _text("name", default=""), _text("account_id", nullable=True), _text("language", default="zh_CN"),
    _int("active", default=1), _int("failures", default=0), _int("locked_until_ms", default=0),
    UniqueConstraint("login", name="user_login"),
)  # fmt: skip

login_session = Table(
    "login_session", metadata,
    _id("token_sha256"), _text("estate_id"), _text("user_id"), _int("created_ms"), _int("expires_ms"),
    _text("csrf"), _int("confirmed_ms", default=0),  # when the password was given last
    Index("session_expires", "expires_ms"),
)  # fmt: skip

login_failure = Table(
    "login_failure", metadata,
    _id("place"), _id("login"), _int("failures"), _int("until_ms"),
)  # fmt: skip

password_refusal = Table(  # by meters
    "password_refusal", metadata,
    _id("estate_id"), _id("meter_id"), _text("stored_sha256"), _int("times"), _int("day_times"), _int("refused_at"),
)  # fmt: skip

api_client = Table(
    "api_client", metadata,
    _id("estate_id"), _id("client_id"), _text("name"), _text("secret"), _text("scopes"), _int("active", default=1),
)  # fmt: skip

approval = Table(
    "approval", metadata,
    _id("estate_id"), _id("approval_id"), _text("kind"),  # mode | start_again | breaker_reset | bulk_cut ...
    _text("payload"), _text("payload_sha256"), _text("requested_by"), _int("requested_ms"), _int("expires_ms"),
    _text("approved_by", nullable=True), _int("approved_ms", nullable=True),
    _text("status", default="waiting"),  # waiting | approved | withdrawn
)  # fmt: skip

audit = Table(
    "audit", metadata,
    _id("estate_id"), _id("audit_id"), _text("actor"), _text("verb"), _text("subject"), _text("detail", default=""),
    _int("world_at"), _int("created_ms"),
    Index("audit_created", "estate_id", "created_ms"),
)  # fmt: skip
