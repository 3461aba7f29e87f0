"""Refunds, when a provider was paid, and the limits of top-ups and refunds.

Revision 0012.
"""

import sqlalchemy as sa
from alembic import op

from server.store.migrations.tables_0001 import Int64

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_TEXTS = ("payment_id", "provider", "way", "status", "reason", "actor")
_LIMITS = {"topup_min_fen": 1000, "topup_max_fen": 500_000, "refund_alone_max_fen": 50_000}


def upgrade() -> None:
    """Nothing was refunded so far; the limits are those that held before."""
    op.create_table(
        "refund",
        sa.Column("estate_id", sa.Text, primary_key=True),
        sa.Column("refund_no", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in _TEXTS),
        *(sa.Column(name, sa.Text, nullable=True) for name in ("order_no", "account_id", "approved_by")),
        sa.Column("detail", sa.Text, nullable=False, server_default=""),
        *(sa.Column(name, Int64, nullable=False) for name in ("amount_fen", "created_at", "created_ms")),
        *(sa.Column(name, Int64, nullable=False, server_default="0") for name in ("tries", "next_ms")),
        sa.Column("decided_ms", Int64, nullable=True),
        sa.CheckConstraint("amount_fen > 0", name="refund_amount"),
        sqlite_strict=True,
    )
    op.create_index("refund_payment", "refund", ["estate_id", "payment_id"])
    op.create_index("refund_status", "refund", ["estate_id", "status"])
    op.add_column("payment", sa.Column("paid_ms", Int64, nullable=True))
    for name, default in _LIMITS.items():
        op.add_column("estate", sa.Column(name, Int64, nullable=False, server_default=str(default)))
    for name in ("balance_max_fen", "sales_day_max_fen"):
        op.add_column("estate", sa.Column(name, Int64, nullable=True))
