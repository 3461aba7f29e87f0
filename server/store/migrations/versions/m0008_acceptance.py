"""Acceptance of readings by people, steps that wait to be confirmed, exchanges of meters and ratios, reading cycles.

Revision 0008.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from server.store.append_only import create_triggers
from server.store.migrations.tables_0001 import Int64

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ACT = ("verdict_before", "verdict_after", "actor", "reason", "world_at", "created_ms")
_EXCHANGE = (
    "kind", "account_id", "at", "old_meter_id", "old_install_no", "old_ratio", "old_max_power_w", "old_start_wh",
    "old_installed_at", "final_wh", "final_rates_wh", "new_meter_id", "new_install_no", "new_ratio", "start_wh",
    "start_rates_wh", "tier_period_start", "tier_period_wh", "order_start", "order_rates_wh", "actor", "reason",
    "created_ms",
)  # fmt: skip
_TEXTS = frozenset(
    ("verdict_before", "verdict_after", "actor", "reason", "kind", "account_id", "old_meter_id", "new_meter_id")
)
_RATES = frozenset(("final_rates_wh", "start_rates_wh", "order_rates_wh"))


def _column(name: str) -> sa.Column[Any]:
    if name in _TEXTS | _RATES:
        return sa.Column(name, sa.Text, nullable=name in _RATES)
    return sa.Column(name, Int64, nullable=False)


def upgrade() -> None:
    """Readings so far were judged by the rules of version 1; nothing waits to be confirmed."""
    op.add_column("reading", sa.Column("rules", Int64, nullable=False, server_default="1"))
    for name in ("usual_w", "usual_from", "pending_wh", "pending_at"):
        op.add_column("meter_live", sa.Column(name, Int64, nullable=True))
    cycles = {"status_cycle_s": 900, "variables_cycle_s": 3600, "clock_cycle_s": 21600, "daily_freeze": 1}
    for name, default in cycles.items():
        op.add_column("estate", sa.Column(name, Int64, nullable=False, server_default=str(default)))
    keys: list[sa.Column[Any]] = [sa.Column(name, sa.Text, primary_key=True) for name in ("estate_id", "meter_id")]
    keys += [sa.Column(name, Int64, primary_key=True, autoincrement=False) for name in ("read_at", "act_no")]
    op.create_table("reading_act", *keys, *map(_column, _ACT), sqlite_strict=True)
    keys = [sa.Column(name, sa.Text, primary_key=True) for name in ("estate_id", "exchange_id")]
    op.create_table("exchange", *keys, *map(_column, _EXCHANGE), sqlite_strict=True)
    op.create_index("exchange_account", "exchange", ["estate_id", "account_id", "at"])
    create_triggers(op.get_bind(), ("reading_act", "exchange"))
