"""Plans by which households pay debts in instalments, and what each instalment took.

Revision 0024.
"""

import sqlalchemy as sa
from alembic import op

from server.store.append_only import create_triggers
from server.store.migrations.tables_0001 import Int64

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both tables; nobody has a plan yet."""
    op.create_table(
        "debt_plan",
        sa.Column("estate_id", sa.Text, primary_key=True),
        sa.Column("plan_no", Int64, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("account_id", "every", "begin_day", "ledgers")),
        *(sa.Column(name, Int64, nullable=False) for name in ("instalment_fen", "day", "world_at", "created_ms")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("actor", "reason")),
        sa.Column("ended_at", Int64, nullable=True),
        sa.Column("ended_by", sa.Text, nullable=True),
        sqlite_strict=True,
    )
    op.create_index("debt_plan_account", "debt_plan", ["estate_id", "account_id"])
    op.create_table(
        "debt_instalment",
        sa.Column("estate_id", sa.Text, primary_key=True),
        sa.Column("plan_no", Int64, primary_key=True, autoincrement=False),
        sa.Column("due_day", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("account_id", "parts")),
        *(sa.Column(name, Int64, nullable=False) for name in ("taken_fen", "wanted_fen", "world_at", "created_ms")),
        sqlite_strict=True,
    )
    create_triggers(op.get_bind(), ("debt_instalment",))
