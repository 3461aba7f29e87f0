"""What was archived, and where accounts and meters stood then.

Revision 0016.
"""

import sqlalchemy as sa
from alembic import op

from server.store.append_only import create_triggers
from server.store.migrations.tables_0001 import Int64

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def _key(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, primary_key=True) for name in names]


def _number() -> sa.Column[int]:
    return sa.Column("archive_no", Int64, primary_key=True, autoincrement=False)


def _ints(*names: str, nullable: bool = False) -> list[sa.Column[int]]:
    return [sa.Column(name, Int64, nullable=nullable) for name in names]


def _texts(*names: str, nullable: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=nullable) for name in names]


def upgrade() -> None:
    """Add the tables, which are append-only."""
    op.create_table(
        "archive",
        *_key("estate_id"), _number(), *_texts("act"),
        *_ints("first_seq", "last_seq", "until_seq", "until_at", "lines"),
        *_texts("file", "file_sha256", "hash", "standing_sha256", "actor"), *_ints("created_ms"), sqlite_strict=True,
    )  # fmt: skip
    op.create_table(
        "archive_account",
        *_key("estate_id"), _number(), *_key("account_id"), *_ints("balance_fen", "residue_nf", "version"),
        sqlite_strict=True,
    )  # fmt: skip
    op.create_table(
        "archive_meter",
        *_key("estate_id"), _number(), *_key("meter_id"),
        sa.Column("install_no", Int64, primary_key=True, autoincrement=False),
        *_ints("total_wh", "read_at"), *_texts("rates_wh", nullable=True), *_ints("tier_period_start", nullable=True),
        *_ints("tier_period_wh", "order_start"), *_texts("order_rates_wh", nullable=True),
        *_ints("charged_wh", "charges"), sqlite_strict=True,
    )  # fmt: skip
    create_triggers(op.get_bind(), ("archive", "archive_account", "archive_meter"))
