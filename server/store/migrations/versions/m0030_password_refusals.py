"""How often a meter has refused its password today: a new process must not let it lock itself.

Revision 0030.
"""

import sqlalchemy as sa
from alembic import op

from server.store.migrations.tables_0001 import Int64

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, empty: what was counted before was in memory only."""
    op.create_table(
        "password_refusal",
        sa.Column("estate_id", sa.Text, primary_key=True),
        sa.Column("meter_id", sa.Text, primary_key=True),
        sa.Column("stored_sha256", sa.Text, nullable=False),
        *(sa.Column(name, Int64, nullable=False) for name in ("times", "day_times", "refused_at")),
        sqlite_strict=True,
    )
