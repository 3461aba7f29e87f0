"""When the password of a session was given last.

Revision 0022.
"""

import sqlalchemy as sa
from alembic import op

from server.store.migrations.tables_0001 import Int64

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of sessions that are open now that is not known: they are asked once more."""
    op.add_column("login_session", sa.Column("confirmed_ms", Int64, nullable=False, server_default="0"))
