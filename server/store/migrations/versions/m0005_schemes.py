"""Schemes of supply rules with dated versions, the estate's holidays and alerts, quiet hours of notices.

Revision 0005.
"""

import sqlalchemy as sa
from alembic import op

from server.store.append_only import create_triggers
from server.store.migrations.tables_0001 import Int64

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

OWN_RULES = """
UPDATE account SET own_rules = '{"alarm1": ["fixed", ' || alarm1_fen || '], "alarm2": ["fixed", ' || alarm2_fen
    || '], "close_allowed_fen": ' || close_allowed_fen || ', "overdraft_fen": ' || overdraft_fen || '}'
WHERE kind = 'household'
"""


def upgrade() -> None:
    """What households have so far stays theirs, as their own rules."""
    op.create_table(
        "scheme",
        sa.Column("estate_id", sa.Text, primary_key=True),
        sa.Column("scheme_id", sa.Text, primary_key=True),
        sa.Column("version", Int64, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("valid_from", Int64, nullable=False),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("created_ms", Int64, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "holiday",
        sa.Column("estate_id", sa.Text, primary_key=True),
        sa.Column("day", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False, server_default=""),
        sqlite_strict=True,
    )
    op.create_table(
        "alert",
        sa.Column("estate_id", sa.Text, primary_key=True),
        sa.Column("alert_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("from_at", Int64, nullable=False),
        sa.Column("until_at", Int64, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("created_ms", Int64, nullable=False),
        sqlite_strict=True,
    )
    op.add_column("estate", sa.Column("spread_s", Int64, nullable=False, server_default="1800"))
    op.add_column("estate", sa.Column("scheme_id", sa.Text, nullable=True))
    op.add_column("estate", sa.Column("limits_at", Int64, nullable=False, server_default="0"))
    op.add_column("account", sa.Column("scheme_id", sa.Text, nullable=True))
    op.add_column("account", sa.Column("own_rules", sa.Text, nullable=False, server_default="{}"))
    op.add_column("notice", sa.Column("not_before_at", Int64, nullable=False, server_default="0"))
    op.execute(OWN_RULES)
    create_triggers(op.get_bind(), ("scheme",))
