"""Estates from before revision 0007 get the account of what meters with local fee control were given.

Estates that are imported since have it from the first day, and `verify` misses it where it is not.

Revision 0021.
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

MISSING = """
INSERT INTO account (estate_id, account_id, kind)
SELECT estate_id, 'meter_credit', 'meter_credit' FROM estate WHERE NOT EXISTS (
  SELECT 1 FROM account WHERE account.estate_id = estate.estate_id AND account.account_id = 'meter_credit'
)
"""


def upgrade() -> None:
    """Add the account; nothing was ever booked on it."""
    op.execute(MISSING)
