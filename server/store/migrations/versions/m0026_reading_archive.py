"""Readings in files: the acts by which months of them left the database, or came back.

Revision 0026.
"""

import sqlalchemy as sa
from alembic import op

from server.store.append_only import create_triggers
from server.store.migrations.tables_0001 import Int64

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _ints(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, Int64, nullable=False) for name in names]


def upgrade() -> None:
    """Add the table, which is append-only."""
    op.create_table(
        "reading_archive",
        sa.Column("estate_id", sa.Text, primary_key=True),
        sa.Column("archive_no", Int64, primary_key=True, autoincrement=False),
        *_texts("act", "month"), *_ints("from_at", "to_at", "readings"),
        *_texts("file", "file_sha256", "rows_sha256", "actor"), *_ints("created_ms"), sqlite_strict=True,
    )  # fmt: skip
    create_triggers(op.get_bind(), ("reading_archive",))
