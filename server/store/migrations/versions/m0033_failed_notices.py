"""An index of the notices that failed, which the day of the staff asks for by time.

Revision 0033.
"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

FAILED = "status = 'failed'"


def upgrade() -> None:
    """Build it from what is there."""
    op.create_index(
        "notice_failed", "notice", ["estate_id", "created_ms"],
        sqlite_where=sa.text(FAILED), postgresql_where=sa.text(FAILED),
    )  # fmt: skip
