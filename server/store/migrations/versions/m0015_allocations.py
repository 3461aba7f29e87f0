"""Shared-area allocations, areas of rooms, and the share of top-ups that goes to debts.

Revision 0015.
"""

import sqlalchemy as sa
from alembic import op

from server.store.append_only import create_triggers
from server.store.migrations.tables_0001 import Int64

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TABLES = ("allocation", "allocation_share", "allocation_reversal", "recovery_rule")


def _key(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, primary_key=True) for name in names]


def _ints(*names: str, nullable: bool = False) -> list[sa.Column[int]]:
    return [sa.Column(name, Int64, nullable=nullable) for name in names]


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def upgrade() -> None:
    """Add the tables and the column; no room has a known area, and nothing goes to debts."""
    op.add_column("room", sa.Column("area_cm2", Int64, nullable=True))
    op.create_table(
        "allocation",
        *_key("estate_id", "allocation_id"),
        *_texts("period", "subject", "basis", "vacant"),
        *_ints("energy_wh", "price_nf_per_wh", nullable=True),
        *_ints("amount_fen", "weight_total"),
        *_texts("formula"),
        *_ints("batch_seq", "event_at"),
        *_texts("actor"),
        *_ints("created_ms"),
        sqlite_strict=True,
    )
    op.create_table(
        "allocation_share",
        *_key("estate_id", "allocation_id", "account_id"),
        *_ints("weight", "energy_wh", "amount_fen"),
        sqlite_strict=True,
    )
    op.create_index("allocation_share_account", "allocation_share", ["estate_id", "account_id"])
    op.create_table(
        "allocation_reversal",
        *_key("estate_id", "allocation_id"),
        *_ints("batch_seq"),
        *_texts("reason", "actor"),
        *_ints("world_at", "created_ms"),
        sqlite_strict=True,
    )
    op.create_table(
        "recovery_rule",
        *_key("estate_id"),
        sa.Column("rule_no", Int64, primary_key=True, autoincrement=False),
        *_ints("valid_from", "permille"),
        *_texts("ledgers", "split", "actor"),
        *_ints("created_ms"),
        sqlite_strict=True,
    )
    create_triggers(op.get_bind(), TABLES)
