"""The first tables, with the append-only triggers.

Revision 0001.
"""

from alembic import op

from server.store.append_only import create_triggers
from server.store.migrations.tables_0001 import APPEND_ONLY, metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create all tables, STRICT on SQLite."""
    for table in metadata.tables.values():
        table.dialect_options["sqlite"]["strict"] = True
    metadata.create_all(op.get_bind())
    create_triggers(op.get_bind(), APPEND_ONLY)
