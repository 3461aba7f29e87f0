"""Rules that money goes by are kept with their dates and sealed: tariffs, who is on them, what one books alone.

Revision 0032.
"""

import json
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from alembic import op

from server.store.append_only import create_triggers
from server.store.migrations.tables_0001 import Int64

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

FIELDS = ("rule_no", "kind", "subject", "value", "batch_seq", "actor", "world_at", "created_ms")
_RULE = """
INSERT INTO money_rule (estate_id, rule_no, kind, subject, value, batch_seq, actor, world_at, created_ms)
VALUES (:estate_id, :rule_no, :kind, :subject, :value, :batch_seq, :actor, :world_at, :created_ms)
"""
_NEWEST = """
SELECT batch_seq, event_at, created_ms FROM batch WHERE estate_id = :estate_id ORDER BY batch_seq DESC LIMIT 1
"""
_BATCH = """
INSERT INTO batch (estate_id, batch_seq, kind, event_at, created_ms, idem_key, payload_sha256, lines, turnover_fen,
actor, memo) VALUES (:estate_id, :batch_seq, 'rules', :world_at, :created_ms, :key, :payload, 0, 0, 'upgrade',
'what held at the upgrade')
"""


def upgrade() -> None:
    """Add the table, which is append-only, with what holds now; and what `verify` finds payments and events by."""
    op.create_table(
        "money_rule",
        sa.Column("estate_id", sa.Text, primary_key=True),
        sa.Column("rule_no", Int64, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("kind", "subject", "value")),
        sa.Column("batch_seq", Int64, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        *(sa.Column(name, Int64, nullable=False) for name in ("world_at", "created_ms")),
        sqlite_strict=True,
    )
    create_triggers(op.get_bind(), ("money_rule",))
    op.create_index("payment_batch", "payment", ["estate_id", "batch_seq"])
    booked = sa.text("batch_seq IS NOT NULL")
    op.create_index(
        "account_event_batch", "account_event", ["estate_id", "batch_seq"], sqlite_where=booked, postgresql_where=booked
    )
    keep_what_holds(op.get_bind())


def keep_what_holds(connection: sa.Connection) -> None:
    """Give each estate its first rules, sealed by a batch after its newest one and dated as that one."""
    for estate_id, alone_fen in connection.execute(sa.text("SELECT estate_id, adjust_alone_fen FROM estate")).all():
        own = {"estate_id": estate_id}
        newest = connection.execute(sa.text(_NEWEST), own).first()
        seq, world_at, created_ms = newest or (0, int(time.time()), int(time.time() * 1000))
        wanted = [("adjust_alone", "", str(alone_fen)), *_prices(connection, own), *_accounts(connection, own)]
        rules = [
            (number, *rule, seq + 1, "upgrade", world_at, created_ms) for number, rule in enumerate(wanted, 1)
        ]  # fmt: skip
        connection.execute(sa.text(_RULE), [own | dict(zip(FIELDS, rule, strict=True)) for rule in rules])
        payload = sha256("".join(f"{rule!r}\n" for rule in rules).encode()).hexdigest()
        dated = {"world_at": world_at, "created_ms": created_ms}
        connection.execute(
            sa.text(_BATCH), {**own, **dated, "batch_seq": seq + 1, "key": "rules:1", "payload": payload}
        )


def _prices(connection: sa.Connection, own: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    query = "SELECT tariff_id, definition FROM tariff WHERE estate_id = :estate_id ORDER BY tariff_id"
    for tariff_id, definition in connection.execute(sa.text(query), own):
        yield "tariff", tariff_id, definition


def _accounts(connection: sa.Connection, own: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    query = "SELECT tariff_id, account_id FROM account WHERE estate_id = :estate_id AND tariff_id IS NOT NULL"
    found: dict[str, list[str]] = {}
    for tariff_id, account_id in connection.execute(sa.text(query), own):
        found.setdefault(tariff_id, []).append(account_id)
    for tariff_id, accounts in sorted(found.items()):
        yield "accounts", tariff_id, json.dumps(sorted(accounts), ensure_ascii=False)
