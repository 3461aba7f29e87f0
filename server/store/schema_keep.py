"""The tables of keep-power: a meter's own refusal to be cut, wanted with a generation and read back like its relay."""

from sqlalchemy import Column, Table

from server.store.columns import Int64, metadata
from server.store.columns import id_column as _id
from server.store.columns import int_column as _int
from server.store.columns import text_column as _text

keep_power = Table(  # what is wanted now, one row a meter that was ever asked
    "keep_power", metadata,
    _id("estate_id"), _id("meter_id"), _int("gen"),
    _text("state"),  # on | off
    _text("command"),  # queued | sent | accepted | confirmed | failed: only a read-back confirms
    _int("tries", default=0), _int("next_ms", default=0), _int("created_ms"), _int("read_at", nullable=True),
)  # fmt: skip

keep_desired = Table(
    "keep_desired", metadata,
    _id("estate_id"), _id("meter_id"), Column("gen", Int64, primary_key=True, autoincrement=False),
    _text("state"), _text("reason"),  # protected | policy | ended | lost
    _text("actor"), _int("decided_at"), _int("created_ms"),
)  # fmt: skip

keep_attempt = Table(
    "keep_attempt", metadata,
    _id("estate_id"), _id("meter_id"), Column("gen", Int64, primary_key=True, autoincrement=False),
    Column("step_no", Int64, primary_key=True, autoincrement=False),
    _text("step"),  # as of relay_attempt
    _int("world_at"), _int("created_ms"), _text("detail", default=""),
)  # fmt: skip
