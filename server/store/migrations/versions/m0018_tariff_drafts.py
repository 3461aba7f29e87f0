"""Drafts of tariffs, the estate's price cap, and re-ratings.

Revision 0018.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from server.store.migrations.tables_0001 import Int64

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def _text(name: str, default: str | None = None, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=nullable, server_default=default)


def _int(name: str, default: str | None = None, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, Int64, nullable=nullable, server_default=default)


def _keys(name: str) -> tuple[sa.Column[Any], ...]:
    return tuple(sa.Column(one, sa.Text, primary_key=True) for one in ("estate_id", name))


def upgrade() -> None:
    """Add the tables and the column; an estate has no cap until its file says one."""
    op.add_column("estate", _int("price_cap_nf_per_wh", nullable=True))
    op.create_table(
        "tariff_draft",
        *_keys("draft_id"),
        *map(_text, ("tariff_id", "document", "definition", "starts", "stored_sha256")),
        _text("note", ""),
        _text("status", "draft"),
        _text("simulation", nullable=True),
        _text("actor"),
        _int("created_ms"),
        _int("decided_ms", nullable=True),
        _text("approval_id", nullable=True),
        sqlite_strict=True,
    )
    op.create_index("tariff_draft_created", "tariff_draft", ["estate_id", "created_ms"])
    op.create_table(
        "rerate",
        *_keys("rerate_id"),
        *map(_text, ("tariff_id", "definition")),
        *map(_int, ("from_at", "until_at")),
        _text("reason"),
        _text("status", "asked"),
        _int("until_batch"),
        _text("preview"),
        _text("done_account", ""),
        _int("corrected", "0"),
        _int("corrected_fen", "0"),
        _text("actor"),
        _int("created_ms"),
        _text("approval_id", nullable=True),
        _int("done_ms", nullable=True),
        sqlite_strict=True,
    )
    op.create_index("rerate_status", "rerate", ["estate_id", "status"])
