"""Closed days and months with the sums of every account.

Revision 0010.
"""

import sqlalchemy as sa
from alembic import op

from server.store.append_only import create_triggers
from server.store.migrations.tables_0001 import Int64

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def _key(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, primary_key=True) for name in names]


def _ints(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, Int64, nullable=False) for name in names]


def upgrade() -> None:
    """Add the tables; nothing is closed yet."""
    op.create_table(
        "settlement",
        *_key("estate_id", "kind", "period"),
        *_ints("from_at", "to_at", "through_seq", "accounts", "energy_wh"),
        sa.Column("turnover", sa.Text, nullable=False),
        sa.Column("override", sa.Text, nullable=False, server_default=""),
        sa.Column("doubts", sa.Text, nullable=False, server_default="{}"),
        sa.Column("actor", sa.Text, nullable=False),
        *_ints("world_at", "created_ms"),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("sums_sha256", "previous_hash", "hash")),
        sqlite_strict=True,
    )
    op.create_table(
        "settlement_sum",
        *_key("estate_id", "kind", "period", "account_id"),
        *_ints("opening_fen", "closing_fen"),
        sa.Column("by_kind", sa.Text, nullable=False),
        *_ints("lines", "late_lines", "late_fen", "charge_nf", "energy_wh"),
        *_ints("rate1_wh", "rate2_wh", "rate3_wh", "rate4_wh"),
        sqlite_strict=True,
    )
    create_triggers(op.get_bind(), ("settlement", "settlement_sum"))
