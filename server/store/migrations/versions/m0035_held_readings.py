"""An index of the readings that are held: the search for anomalies asks for them every few seconds.

Revision 0035.
"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

HELD = "verdict IN ('backwards', 'zero', 'jump', 'spike', 'sum_differs', 'not_multiple')"


def upgrade() -> None:
    """Build it from what is there."""
    op.create_index(
        "reading_held", "reading", ["estate_id", "read_at"],
        sqlite_where=sa.text(HELD), postgresql_where=sa.text(HELD),
    )  # fmt: skip
