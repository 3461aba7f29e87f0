"""Kinds of notices, and which of them are not said any more when their turn to be sent comes.

A reminder or warning may wait for the end of quiet hours, or for a gateway that is away. Who has paid meanwhile is not
told of a cut that will not come; who has moved out, or pays afterwards now, is not reminded of what is nobody's; whom
the staff has told itself is not told once more.
"""

from server.domain.accounts import NORMAL, PREPAID
from server.domain.rulebook import Row

REMINDERS = ("alarm1", "alarm2")
WARNINGS = ("cut_warning", "final_notice")  # before a cut, which waits until they are delivered
GRAVER = {"alarm1": ("alarm2", *WARNINGS), "alarm2": WARNINGS}  # what makes a reminder needless that was not sent yet

PAID = "the balance is above the limit again"
ELSEWHERE = "the account is not in normal prepaid service any more"
PROTECTED = "the household is protected by now"
OVERTAKEN = "a newer or graver notice has followed"
GIVEN = "it was given to the household by hand"


def needless_because(kind: str, row: Row, *, is_protected: bool) -> str:
    """Why a notice of this kind is not sent to the household of this account's row any more; "" when it is."""
    if kind not in (*REMINDERS, *WARNINGS):
        return ""
    if (row["status"], row["payment"]) != (NORMAL, PREPAID):
        return ELSEWHERE
    limit_fen = row[f"{kind}_fen"] if kind in REMINDERS else -row["overdraft_fen"]
    if row["balance_fen"] > limit_fen:
        return PAID
    return PROTECTED if is_protected and kind in WARNINGS else ""
