"""Meters that keep the credit themselves: recharges on their way, limits and prices to be set.

Revision 0007.
"""

import sqlalchemy as sa
from alembic import op

from server.store.migrations.tables_0001 import Int64

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

RUNNING = sa.text("status = 'running'")


def _int(name: str, *, nullable: bool = False, default: str | None = None) -> "sa.Column[int]":
    return sa.Column(name, Int64, nullable=nullable, server_default=default)


def _text(name: str, *, default: str | None = None) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False, server_default=default)


def upgrade() -> None:
    """All meters so far leave the balance to us."""
    op.add_column("meter", _text("fee", default="remote"))
    op.add_column("meter", _text("customer", default=""))
    op.create_table(
        "recharge",
        sa.Column("estate_id", sa.Text, primary_key=True),
        sa.Column("recharge_id", sa.Text, primary_key=True),
        _text("account_id"),
        _text("meter_id"),
        _int("amount_fen"),
        _int("purchase_count", nullable=True),
        _text("status", default="waiting"),
        _text("detail", default=""),
        _int("remaining_fen", nullable=True),
        _text("actor"),
        _int("tries", default="0"),
        _int("next_ms", default="0"),
        _int("created_ms"),
        _int("decided_ms", nullable=True),
        sa.CheckConstraint("amount_fen > 0", name="recharge_amount"),
        sqlite_strict=True,
    )
    op.create_index("recharge_meter", "recharge", ["estate_id", "meter_id"])
    op.create_index(
        "recharge_running", "recharge", ["estate_id", "meter_id"], unique=True, sqlite_where=RUNNING,
        postgresql_where=RUNNING,
    )  # fmt: skip
    op.create_table(
        "meter_setting",
        sa.Column("estate_id", sa.Text, primary_key=True),
        sa.Column("meter_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        _int("wanted"),
        _int("shown", nullable=True),
        _text("status", default="waiting"),
        _text("detail", default=""),
        _text("actor"),
        _int("tries", default="0"),
        _int("next_ms", default="0"),
        _int("created_ms"),
        _int("read_ms", nullable=True),
        sqlite_strict=True,
    )
