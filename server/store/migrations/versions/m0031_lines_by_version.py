"""On SQLite, the versions of an account are unique by an index in blocks of versions instead of one by account.

What a charge adds to it lies on few pages, however long the journal is. The constraint was part of the table, so the
lines are copied into a new one, in their order; what that frees in the file is used again by what comes.

Revision 0031.
"""

import re

from alembic import op

from server.store.append_only import create_triggers

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

TABLE = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = 'line'"
CONSTRAINT = re.compile(r",\s*CONSTRAINT line_account_version UNIQUE \(estate_id, account_id, account_version\)")
INDEX = """
CREATE UNIQUE INDEX line_account_version ON line (account_version / 8, account_id, account_version, estate_id)
"""


def upgrade() -> None:
    """PostgreSQL keeps the keys of its months: it logs rows, not pages."""
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return
    table = CONSTRAINT.sub("", connection.exec_driver_sql(TABLE).scalar_one())
    for statement in (
        "ALTER TABLE line RENAME TO line_before",
        table,
        INDEX,  # before the lines, which come nearly in its order: to sort them all would take their size in memory
        "INSERT INTO line SELECT * FROM line_before ORDER BY rowid",
        "DROP TABLE line_before",
    ):
        connection.exec_driver_sql(statement)
    create_triggers(connection, ("line",))
