"""From here on money out of suspense is told in the life of its account, and is held to what one person may book.

Each estate keeps that as a dated rule, sealed by a batch after its newest one; what was given before is held to
nothing. Revision 0034.
"""

import time
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
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
'told assignment')
"""


def upgrade() -> None:
    """Give each estate the rule, dated as its newest batch."""
    connection = op.get_bind()
    for (estate_id,) in connection.execute(sa.text("SELECT estate_id FROM estate ORDER BY estate_id")).all():
        own: dict[str, Any] = {"estate_id": estate_id}
        seq, world_at, created_ms = connection.execute(sa.text(_NEWEST), own).first() or (
            0, int(time.time()), int(time.time() * 1000)
        )  # fmt: skip
        newest = "SELECT max(rule_no) FROM money_rule WHERE estate_id = :estate_id"
        number = (connection.execute(sa.text(newest), own).scalar_one() or 0) + 1
        rule = (number, "told", "assignment", "assigned", seq + 1, "upgrade", world_at, created_ms)
        connection.execute(sa.text(_RULE), own | dict(zip(FIELDS, rule, strict=True)))
        payload = sha256(f"{rule!r}\n".encode()).hexdigest()
        dated = {"world_at": world_at, "created_ms": created_ms}
        connection.execute(
            sa.text(_BATCH), {**own, **dated, "batch_seq": seq + 1, "key": f"rules:{number}", "payload": payload}
        )
