"""The true final register of a dead meter, once somebody has read it: the estimate goes, and what it charged with it.

Within one unit the meter feeds the household that has left once more, the estimated reading is taken back with its
charges, the true one is taken in and charged, and the meter is free again. So the account ends as if the register had
been read in the first place; what is owed or to be paid out then is settled like any balance of who has left. An
estimate was two people's word: where more than one person may take back was charged by it, two correct it as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import RowMapping

from server.domain.accounts import CLOSED, LEFT, PAUSED
from server.domain.estimates import ESTIMATE
from server.domain.readings import Rates
from server.errors import Conflict, NotFound, Refused
from server.flows import voiding
from server.flows.accounts import close_if_done, reopen, tell
from server.flows.exchanges import charge_up_to, close_register
from server.store import accounts as kept
from server.store import installations as rows
from server.store.estates import get_account
from server.store.meters import get_meter
from server.store.readings import newest_of_source
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

CORRECTED = "final_corrected"
UNSAID = "say who has read it, and how"


@dataclass(frozen=True, slots=True)
class Corrected:
    """The fen that the household has more by it, or the id of the request that waits for its second person."""

    more_fen: int
    approval_id: str = ""


def correction_of(unit: Unit, estate_id: str, account_id: str, meter_id: str) -> voiding.Plan:
    """What of the estimate would be taken back; NotFound and Conflict as in `correct_final`."""
    _, guess = _estimated(unit, estate_id, account_id, meter_id)
    return voiding.plan_of(unit.connection, estate_id, meter_id, int(guess["read_at"]), charged_to=account_id)


def _estimated(unit: Unit, estate_id: str, account_id: str, meter_id: str) -> tuple[RowMapping, RowMapping]:
    """The account and the estimated reading by which it was left."""
    row = get_account(unit.connection, estate_id, account_id)
    meter = get_meter(unit.connection, estate_id, meter_id)
    guess = newest_of_source(unit.connection, estate_id, meter_id, ESTIMATE)
    if guess is None or row["status"] not in (LEFT, CLOSED):
        raise NotFound(f"no final register of meter {meter_id} was estimated for household {account_id}")
    if meter.account_id is not None or kept.former_account(unit.connection, estate_id, meter_id) != account_id:
        raise Conflict("another household has this meter by now; correct the account by an adjustment instead")
    return row, guess


def correct_final(
    unit: Unit, estate_id: str, account_id: str, meter_id: str, total_wh: int, rates_wh: Rates | None, *, actor: str,
    reason: str, now: "Now", approved: Mapping[str, Any] | None = None, approved_by: str | None = None,
) -> int:  # fmt: skip
    """Put the true final register in the place of the estimated one; the fen that the household has more by it.

    NotFound where no final register of it was estimated, Conflict where another household has the meter by now, Refused
    without a reason or for a register that does not follow from the readings before the estimate. `approved` is what a
    second person agreed to, with the errors of `flows.voiding.take_back`.
    """
    if not reason.strip():
        raise Refused(UNSAID)
    row, guess = _estimated(unit, estate_id, account_id, meter_id)
    if row["status"] == CLOSED:
        reopen(unit, estate_id, account_id, actor=actor, reason=reason, now=now)
        row = get_account(unit.connection, estate_id, account_id)
    before_fen = row["balance_fen"]
    rows.feed(unit.connection, estate_id, meter_id, account_id)
    kept.update_account(unit.connection, estate_id, account_id, status=PAUSED)  # charged by name only, and not warned
    read_at = int(guess["read_at"])
    voiding.take_back(unit, estate_id, meter_id, read_at, actor=actor, reason=reason, now=now, approved=approved)
    meter = get_meter(unit.connection, estate_id, meter_id)
    state = close_register(unit, estate_id, meter, total_wh, rates_wh, read_at + 1, now)
    charge_up_to(unit, estate_id, meter, state, now)
    rows.free(unit.connection, estate_id, meter_id)
    kept.update_account(unit.connection, estate_id, account_id, status=LEFT)
    more_fen = int(get_account(unit.connection, estate_id, account_id)["balance_fen"] - before_fen)
    tell(
        unit, estate_id, row, CORRECTED, actor=actor, approved_by=approved_by, reason=reason, now=now,
        meter_id=meter_id, register_wh=total_wh, detail=f"{guess['total_wh']} Wh were estimated; {more_fen} fen",
    )  # fmt: skip
    close_if_done(unit, estate_id, account_id, actor=actor, reason=reason, now=now)
    return more_fen
