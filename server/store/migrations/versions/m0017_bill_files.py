"""Bill files of providers, their rows, and where they differ from what is booked.

Revision 0017.
"""

import sqlalchemy as sa
from alembic import op

from server.store.append_only import create_triggers
from server.store.migrations.tables_0001 import Int64

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def _key(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, primary_key=True) for name in names]


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _ints(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, Int64, nullable=False) for name in names]


def upgrade() -> None:
    """Add the tables; nothing was reconciled yet."""
    op.create_table(
        "bill_file",
        *_key("estate_id", "provider", "day", "sha256"),
        *_texts("content", "source", "actor"),
        *_ints("rows", "paid_fen", "returned_fen", "created_ms"),
        sqlite_strict=True,
    )
    create_triggers(op.get_bind(), ("bill_file",))
    op.create_table(
        "bill_row",
        *_key("estate_id", "provider", "day"),
        sa.Column("row_no", Int64, primary_key=True, autoincrement=False),
        *_texts("kind", "order_no", "refund_no", "transaction_id", "state"),
        *_ints("amount_fen", "at_ms"),
        sqlite_strict=True,
    )
    op.create_index("bill_row_transaction", "bill_row", ["estate_id", "transaction_id"])
    op.create_table(
        "bill_difference",
        *_key("estate_id", "provider", "day", "class", "what", "key"),
        *_texts("order_no", "transaction_id"),
        *(sa.Column(name, Int64, nullable=True) for name in ("here_fen", "there_fen", "explained_ms")),
        *(sa.Column(name, sa.Text, nullable=False, server_default="") for name in ("here_state", "there_state")),
        sa.Column("case_id", sa.Text, nullable=True),
        *_ints("created_ms"),
        sqlite_strict=True,
    )
