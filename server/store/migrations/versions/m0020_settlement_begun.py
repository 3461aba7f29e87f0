"""Closes of large estates, whose sums are written in steps.

Revision 0020.
"""

import sqlalchemy as sa
from alembic import op

from server.store.append_only import create_triggers
from server.store.migrations.tables_0001 import Int64

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; no close is under way."""
    op.create_table(
        "settlement_begun",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("estate_id", "kind", "period")),
        *(sa.Column(name, Int64, nullable=False) for name in ("through_seq", "world_at", "created_ms")),
        sqlite_strict=True,
    )
    create_triggers(op.get_bind(), ("settlement_begun",))
