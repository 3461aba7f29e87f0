"""Re-ratings keep by which rule they split energy at the boundaries of a tariff: those so far left odd Wh to later.

Revision 0028.
"""

import sqlalchemy as sa
from alembic import op

from server.store.migrations.tables_0001 import Int64

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; 1 for the re-ratings that there are."""
    op.add_column("rerate", sa.Column("split_down", Int64, nullable=False, server_default="1"))
