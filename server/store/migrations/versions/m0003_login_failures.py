"""Wrong passwords by the place that they come from, so that nobody can keep somebody else out.

Revision 0003.
"""

import sqlalchemy as sa
from alembic import op

from server.store.migrations.tables_0001 import Int64

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; nothing counts against anybody yet."""
    op.create_table(
        "login_failure",
        sa.Column("place", sa.Text, primary_key=True),
        sa.Column("login", sa.Text, primary_key=True),
        sa.Column("failures", Int64, nullable=False),
        sa.Column("until_ms", Int64, nullable=False),
        sqlite_strict=True,
    )
