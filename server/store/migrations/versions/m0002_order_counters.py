"""Counters of each rate in the cursors, for tariffs whose order rule shares energy in proportion.

Revision 0002.
"""

import sqlalchemy as sa
from alembic import op

from server.store.migrations.tables_0001 import Int64

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the two columns; a cursor without them has used nothing yet."""
    op.add_column("meter_cursor", sa.Column("order_start", Int64, nullable=False, server_default="0"))
    op.add_column("meter_cursor", sa.Column("order_rates_wh", sa.Text, nullable=True))
