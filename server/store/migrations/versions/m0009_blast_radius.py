"""Bulk cuts in waves, candidates of past days, and closes that are spread over time.

Revision 0009.
"""

import sqlalchemy as sa
from alembic import op

from server.store.migrations.tables_0001 import Int64

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and the column; wishes so far need not wait."""
    op.create_table(
        "bulk_cut",
        sa.Column("estate_id", sa.Text, primary_key=True),
        sa.Column("bulk_id", sa.Text, primary_key=True),
        sa.Column("approval_id", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("wave", Int64, nullable=False),
        sa.Column("wave_at", Int64, nullable=False),
        sa.Column("started_at", Int64, nullable=False),
        sa.Column("created_ms", Int64, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "bulk_cut_item",
        sa.Column("estate_id", sa.Text, primary_key=True),
        sa.Column("bulk_id", sa.Text, primary_key=True),
        sa.Column("account_id", sa.Text, primary_key=True),
        sa.Column("meter_id", sa.Text, nullable=False),
        sa.Column("wave", Int64, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False, server_default="waiting"),
        sqlite_strict=True,
    )
    op.create_table(
        "candidate_day",
        sa.Column("estate_id", sa.Text, primary_key=True),
        sa.Column("day", sa.Text, primary_key=True),
        sa.Column("candidates", Int64, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("relay_desired_decided", "relay_desired", ["decided_at"])
    op.add_column("relay_desired", sa.Column("not_before_ms", Int64, nullable=False, server_default="0"))
