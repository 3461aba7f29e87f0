"""On PostgreSQL, rows that each reading and each charge change have room beside them for their next version.

A version on the same page needs no new entry in any index and half the log. Rows that there are find such pages as they
change. Other tables are appended to, or keep what they no longer change beside what they do.

Revision 0029.
"""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

TABLES = ("account", "meter_cursor", "meter_live")
FULL_PERCENT = 45  # two versions of every row fit: a batch may change all of them at once


def upgrade() -> None:
    """SQLite changes rows in their place."""
    if op.get_bind().dialect.name == "postgresql":
        for table in TABLES:
            op.execute(f"ALTER TABLE {table} SET (fillfactor = {FULL_PERCENT})")
