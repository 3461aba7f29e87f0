"""The conditions of partial indexes, said in the text of a query: of a parameter SQLite cannot tell what it will be."""

from sqlalchemy import literal_column

from server.store.readings import HELD_VERDICTS
from server.store.schema import account, notice, payment, payment_order, reading, supply

UNFINISHED = ("queued", "sent", "accepted", "failed")  # commands that no read-back has confirmed
LOST = ("failed", "expired")  # commands that came to nothing

IS_OPEN = payment_order.c.status == literal_column("'created'")
HAS_FAILED = notice.c.status == literal_column("'failed'")
IN_SUSPENSE = payment.c.state == literal_column("'suspense'")
IS_HOME = account.c.kind == literal_column("'household'")
HAS_WORD = supply.c.candidate != literal_column("''")
IS_HELD = reading.c.verdict.in_([literal_column(f"'{name}'") for name in HELD_VERDICTS])
IS_LOST = supply.c.command.in_([literal_column(f"'{name}'") for name in LOST])
IS_UNFINISHED = supply.c.command.in_([literal_column(f"'{name}'") for name in UNFINISHED])
