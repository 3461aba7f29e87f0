"""The tables of what was archived and where everything stood then; how all tables are made: `server.store.schema`."""

from sqlalchemy import Column, Table

from server.store.columns import Int64, metadata
from server.store.columns import id_column as _id
from server.store.columns import int_column as _int
from server.store.columns import text_column as _text

archive = Table(  # acts, in order: see server.domain.archive.Act
    "archive", metadata,
    _id("estate_id"), Column("archive_no", Int64, primary_key=True, autoincrement=False),
    _text("act"),  # moved | restored
    _int("first_seq"), _int("last_seq"), _int("until_seq"), _int("until_at"), _int("lines"),
    _text("file"), _text("file_sha256"), _text("hash"), _text("standing_sha256"), _text("actor"), _int("created_ms"),
)  # fmt: skip

reading_archive = Table(  # acts, in order: see server.domain.reading_archive.ReadingAct
    "reading_archive", metadata,
    _id("estate_id"), Column("archive_no", Int64, primary_key=True, autoincrement=False),
    _text("act"), _text("month"),  # moved | restored; a month of UTC, YYYY-MM
    _int("from_at"), _int("to_at"), _int("readings"), _text("file"), _text("file_sha256"), _text("rows_sha256"),
    _text("actor"), _int("created_ms"),
)  # fmt: skip

archive_account = Table(
    "archive_account", metadata,
    _id("estate_id"), Column("archive_no", Int64, primary_key=True, autoincrement=False), _id("account_id"),
    _int("balance_fen"), _int("residue_nf"), _int("version"),
)  # fmt: skip

archive_meter = Table(
    "archive_meter", metadata,
    _id("estate_id"), Column("archive_no", Int64, primary_key=True, autoincrement=False), _id("meter_id"),
    Column("install_no", Int64, primary_key=True, autoincrement=False),
    _int("total_wh"), _int("read_at"), _text("rates_wh", nullable=True), _int("tier_period_start", nullable=True),
    _int("tier_period_wh"), _int("order_start"), _text("order_rates_wh", nullable=True), _int("charged_wh"),
    _int("charges"),
)  # fmt: skip
