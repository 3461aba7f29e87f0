"""Seals say in which form they hashed their batch, so that a better form leaves the old ones checkable.

Revision 0006.
"""

import sqlalchemy as sa
from alembic import op

from server.store.migrations.tables_0001 import Int64

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """All seals so far are of form 1."""
    op.add_column("seal", sa.Column("form", Int64, nullable=False, server_default="1"))
