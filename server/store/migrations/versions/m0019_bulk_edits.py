"""What a bulk list does: cuts so far, and other acts from now on.

Revision 0019.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """All lists so far are cuts."""
    op.add_column("bulk_cut", sa.Column("act", sa.Text, nullable=False, server_default="cut"))
