"""Meters of other protocols on a bus, and RS-485 by the driver.

Revision 0004.
"""

import sqlalchemy as sa
from alembic import op

from server.store.migrations.tables_0001 import Int64

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """All meters so far speak the edition that they have; SQLite and PostgreSQL rename a column alike."""
    op.execute("ALTER TABLE meter RENAME COLUMN edition TO protocol")
    op.add_column("meter", sa.Column("model", sa.Text, nullable=False, server_default=""))
    op.add_column("meter", sa.Column("unit", Int64, nullable=True))
    op.add_column("bus", sa.Column("rs485", Int64, nullable=False, server_default="0"))
    op.add_column("estate", sa.Column("trips_without_deadline", Int64, nullable=False, server_default="0"))
