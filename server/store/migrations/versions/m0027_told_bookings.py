"""Fees and moves between ledgers are told in the lives of accounts, and rules for debts say how shares are told.

Revision 0027.
"""

import sqlalchemy as sa
from alembic import op

from server.store.migrations.tables_0001 import Int64

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

ACTS = {"fee": "fee_booked", "transfer": "transferred"}
_BOOKED = """
SELECT line.estate_id, line.account_id, line.amount_fen, batch.batch_seq, batch.kind, batch.actor, batch.memo,
batch.event_at, batch.created_ms
FROM batch JOIN line ON line.estate_id = batch.estate_id AND line.batch_seq = batch.batch_seq
WHERE batch.kind IN ('fee', 'transfer') ORDER BY batch.estate_id, batch.batch_seq, line.line_no
"""
_LAST = "SELECT max(event_no) FROM account_event WHERE estate_id = :estate_id AND account_id = :account_id"
_HOME = "SELECT status, room_id FROM account WHERE estate_id = :estate_id AND account_id = :account_id"
_TELL = """
INSERT INTO account_event (estate_id, account_id, event_no, act, status, room_id, detail, ledger, amount_fen, limit_fen,
batch_seq, actor, reason, world_at, created_ms)
VALUES (:estate_id, :account_id, :event_no, :act, :status, :room_id, '', :ledger, :amount_fen, 0, :batch_seq, :actor,
:reason, :world_at, :created_ms)
"""


def upgrade() -> None:
    """Tell of all that was booked so far; rules so far tell no more than they did."""
    op.add_column("recovery_rule", sa.Column("form", Int64, nullable=False, server_default="1"))
    tell_of_bookings(op.get_bind())


def tell_of_bookings(connection: sa.Connection) -> None:
    """Append an event for each line of a fee or a move between ledgers that stands for a household."""
    for row in connection.execute(sa.text(_BOOKED)).mappings().all():
        home, _, ledger = row["account_id"].partition(":")
        own = {"estate_id": row["estate_id"], "account_id": home}
        account = connection.execute(sa.text(_HOME), own).mappings().one_or_none()
        if home == "revenue" or account is None:
            continue
        last = connection.execute(sa.text(_LAST), own).scalar_one() or 0
        told = {
            **own, **account, "event_no": last + 1, "act": ACTS[row["kind"]], "ledger": ledger or "electricity",
            "amount_fen": row["amount_fen"], "batch_seq": row["batch_seq"], "actor": row["actor"],
            "reason": row["memo"], "world_at": row["event_at"], "created_ms": row["created_ms"],
        }  # fmt: skip
        connection.execute(sa.text(_TELL), told)
