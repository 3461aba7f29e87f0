"""Indexes of what is counted again and again: households, and commands that came to nothing.

Revision 0036.
"""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

COUNTED = (
    ("account_home", "account", "kind = 'household'"),
    ("supply_lost", "supply", "command IN ('failed', 'expired')"),
)


def upgrade() -> None:
    """Build them from what is there."""
    for name, table, rows in COUNTED:
        op.create_index(name, table, ["estate_id"], sqlite_where=sa.text(rows), postgresql_where=sa.text(rows))
