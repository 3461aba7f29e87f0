"""Keep-power wanted in meters, with its generations and what was done for them.

Revision 0014.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from server.store.append_only import create_triggers
from server.store.migrations.tables_0001 import Int64

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_TABLES = {
    "keep_power": ("state", "command"),
    "keep_desired": ("state", "reason", "actor"),
    "keep_attempt": ("step", "detail"),
}
_NUMBERS = {
    "keep_power": ("created_ms",),
    "keep_desired": ("decided_at", "created_ms"),
    "keep_attempt": ("world_at", "created_ms"),
}


def _number(name: str, *, key: bool = False) -> sa.Column[Any]:
    return sa.Column(name, Int64, primary_key=key, autoincrement=False, nullable=False)


def upgrade() -> None:
    """Nothing is wanted of any meter so far; what somebody has set on site stays."""
    own: dict[str, list[sa.Column[Any]]] = {
        "keep_power": [
            _number("gen"),
            *(sa.Column(name, Int64, nullable=False, server_default="0") for name in ("tries", "next_ms")),
            sa.Column("read_at", Int64, nullable=True),
        ],
        "keep_desired": [_number("gen", key=True)],
        "keep_attempt": [_number("gen", key=True), _number("step_no", key=True)],
    }
    for table, texts in _TABLES.items():
        keys: list[sa.Column[Any]] = [sa.Column(name, sa.Text, primary_key=True) for name in ("estate_id", "meter_id")]
        words = [
            sa.Column(name, sa.Text, nullable=False, server_default="" if name == "detail" else None) for name in texts
        ]
        numbers = [_number(name) for name in _NUMBERS[table]]
        op.create_table(table, *keys, *own[table], *words, *numbers, sqlite_strict=True)
    create_triggers(op.get_bind(), ("keep_desired", "keep_attempt"))
