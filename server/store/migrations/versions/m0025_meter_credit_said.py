"""What meters that keep the credit themselves were asked to say they still have, and what people decided instead.

Revision 0025.
"""

import sqlalchemy as sa
from alembic import op

from server.store.migrations.tables_0001 import Int64

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; no meter was asked yet."""
    op.create_table(
        "meter_credit",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("estate_id", "meter_id")),
        sa.Column("asked_ms", Int64, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("status", "actor")),
        *(sa.Column(name, sa.Text, nullable=False, server_default="") for name in ("evidence", "detail")),
        *(sa.Column(name, Int64, nullable=True) for name in ("remaining_fen", "overdraft_fen", "read_at")),
        *(sa.Column(name, Int64, nullable=False, server_default="0") for name in ("tries", "next_ms")),
        sqlite_strict=True,
    )
