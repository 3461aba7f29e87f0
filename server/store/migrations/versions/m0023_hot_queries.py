"""Indexes of what pages, payments and the tick of supply ask again and again.

Revision 0023.
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

INDEXES = (
    ("order_account", "payment_order", ("account_id",)),
    ("order_actor", "payment_order", ("actor", "created_at", "created_ms")),
    ("payment_account", "payment", ("account_id", "created_ms")),
    ("payment_event", "payment", ("event_at",)),
    ("payment_number", "payment", ("transaction_id",)),
    ("payment_created", "payment", ("created_ms", "payment_id")),
    ("refund_actor", "refund", ("actor", "created_at")),
    ("relay_desired_action", "relay_desired", ("action", "decided_at")),
    ("relay_attempt_created", "relay_attempt", ("created_ms", "step_no")),
    ("callback_received", "callback_inbox", ("received_ms",)),
    ("case_room", "anomaly_case", ("room_id",)),
    ("audit_created", "audit", ("created_ms",)),
)
PARTS = (
    ("supply_candidate", "supply", ("meter_id",), "candidate != ''"),
    ("supply_unfinished", "supply", ("meter_id",), "command IN ('queued', 'sent', 'accepted', 'failed')"),
    ("order_power", "payment_order", ("created_at",), "confirmed_ms IS NOT NULL"),
    ("order_open", "payment_order", ("created_ms", "order_no"), "status = 'created'"),
    ("payment_suspense", "payment", ("created_ms", "payment_id"), "state = 'suspense'"),
)


def upgrade() -> None:
    """Build them from what is there."""
    for name, table, columns in INDEXES:
        op.create_index(name, table, ["estate_id", *columns])
    op.create_index("session_expires", "login_session", ["expires_ms"])
    for name, table, columns, where in PARTS:
        op.create_index(
            name, table, ["estate_id", *columns], sqlite_where=sa.text(where), postgresql_where=sa.text(where)
        )
