"""The life of accounts: its events, prepaid or postpaid, and what one person may adjust alone.

Revision 0013.
"""

import sqlalchemy as sa
from alembic import op

from server.store.append_only import create_triggers
from server.store.migrations.tables_0001 import Int64

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """All households so far pay in advance; of their lives before, nothing is told."""
    op.add_column("estate", sa.Column("adjust_alone_fen", Int64, nullable=False, server_default="10000"))
    op.add_column("account", sa.Column("payment", sa.Text, nullable=False, server_default="prepaid"))
    op.create_table(
        "account_event",
        sa.Column("estate_id", sa.Text, primary_key=True),
        sa.Column("account_id", sa.Text, primary_key=True),
        sa.Column("event_no", Int64, primary_key=True, autoincrement=False),
        sa.Column("act", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("room_id", sa.Text, nullable=True),
        sa.Column("meter_id", sa.Text, nullable=True),
        sa.Column("register_wh", Int64, nullable=True),
        sa.Column("detail", sa.Text, nullable=False, server_default=""),
        sa.Column("ledger", sa.Text, nullable=True),
        sa.Column("amount_fen", Int64, nullable=True),
        sa.Column("limit_fen", Int64, nullable=True),
        sa.Column("batch_seq", Int64, nullable=True),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("approved_by", sa.Text, nullable=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("world_at", Int64, nullable=False),
        sa.Column("created_ms", Int64, nullable=False),
        sqlite_strict=True,
    )
    create_triggers(op.get_bind(), ("account_event",))
