"""Ledgers beside electricity: shared areas, property fees and arrears, each an account of its own a household.

Money of one ledger never pays for another by itself, and only the electricity account has to do with the relay. A fee
is owed by the household's account of that ledger to a revenue account of the same ledger; it is paid by an ordinary
top-up of that account, or moved there from another ledger of the same household by an explicit booking.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import RowMapping

from server.domain.accounts import CLOSED
from server.domain.ledger import ELECTRICITY, LEDGERS, REVENUE, Entry, PostedTopup, ledger_account
from server.errors import NotFound, Refused
from server.flows.accounts import tell
from server.flows.booked import on_booking
from server.flows.ledger import AMOUNT_MAX_FEN, ensure_account, post_entries
from server.store import ledger as journal
from server.store.bulk import insert_rows
from server.store.estates import get_account
from server.store.schema import account
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now


def open_ledger(unit: Unit, estate_id: str, account_id: str, ledger: str) -> str:
    """The id of a household's account of a ledger, made when it is asked for first.

    NotFound for an unknown household, Refused for an unknown ledger or a closed account.
    """
    if ledger not in LEDGERS:
        raise Refused(f"there is no ledger {ledger!r}; the ledgers are {', '.join(LEDGERS)}")
    home = journal.accounts_by_id(unit.connection, estate_id, [account_id]).get(account_id)
    if home is None or home["kind"] != "household":
        raise NotFound(f"there is no household {account_id!r} in this estate")
    if home["status"] == CLOSED:
        raise Refused(f"account {account_id} is closed")
    name = ledger_account(account_id, ledger)
    if ledger != ELECTRICITY:
        columns = ("estate_id", "account_id", "kind", "room_id", "holder")
        row = (estate_id, name, ledger, home["room_id"], home["holder"])
        insert_rows(unit.connection, account, columns, [row], "ON CONFLICT DO NOTHING")
    return name


def post_fee(
    unit: Unit,
    estate_id: str,
    account_id: str,
    ledger: str,
    amount_fen: int,
    *,
    idem_key: str,
    event_at: int,
    actor: str,
    memo: str,
    now: "Now",
) -> PostedTopup:
    """Let a household owe a fee in one of its ledgers other than electricity; the answer has that ledger's balance.

    Refused for electricity, which only meters charge, and for an amount that is not positive; NotFound and Conflict
    as in `post_topup`.
    """
    if ledger == ELECTRICITY:
        raise Refused("electricity is charged from meters; book a fee in another ledger")
    _positive(amount_fen)
    name, revenue = open_ledger(unit, estate_id, account_id, ledger), f"{REVENUE}:{ledger}"
    ensure_account(unit, estate_id, revenue)
    entries = (Entry(name, -amount_fen), Entry(revenue, amount_fen))
    posted = post_entries(unit, estate_id, "fee", name, entries, idem_key, event_at, actor, memo, now)
    if not posted.repeated:
        told = _Telling(get_account(unit.connection, estate_id, account_id), posted.batch_seq, actor, memo, now)
        told.that(unit, estate_id, "fee_booked", ledger, -amount_fen)
    return posted


def move_between(
    unit: Unit,
    estate_id: str,
    account_id: str,
    source: str,
    target: str,
    amount_fen: int,
    *,
    idem_key: str,
    event_at: int,
    actor: str,
    memo: str,
    now: "Now",
) -> PostedTopup:
    """Move credit of a household from one of its ledgers to another; the answer has the target's balance.

    Refused when the source has less than that to its credit: what is moved must be there.
    """
    _positive(amount_fen)
    if source == target:
        raise Refused("credit cannot be moved to where it is")
    names = [open_ledger(unit, estate_id, account_id, ledger) for ledger in (target, source)]
    known = journal.batch_of_key(unit.connection, estate_id, idem_key)
    have_fen = journal.accounts_by_id(unit.connection, estate_id, names)[names[1]]["balance_fen"]
    if known is None and have_fen < amount_fen:
        raise Refused(f"there are only {have_fen} fen in the ledger {source}, so {amount_fen} fen cannot be moved")
    entries = (Entry(names[0], amount_fen), Entry(names[1], -amount_fen))
    before = get_account(unit.connection, estate_id, account_id)
    posted = post_entries(unit, estate_id, "transfer", names[0], entries, idem_key, event_at, actor, memo, now)
    if not posted.repeated:
        told = _Telling(before, posted.batch_seq, actor, memo, now)
        told.that(unit, estate_id, "transferred", target, amount_fen)
        told.that(unit, estate_id, "transferred", source, -amount_fen)
        on_booking(unit, estate_id, before, now)
    return posted


@dataclass(frozen=True, slots=True)
class _Telling:
    """Tells in the life of an account what a batch moved in its ledgers."""

    row: RowMapping
    batch_seq: int
    actor: str
    reason: str
    now: "Now"

    def that(self, unit: Unit, estate_id: str, act: str, ledger: str, amount_fen: int) -> None:
        """One ledger, and what it gained."""
        tell(
            unit, estate_id, self.row, act, actor=self.actor, reason=self.reason, now=self.now, ledger=ledger,
            amount_fen=amount_fen, limit_fen=0, batch_seq=self.batch_seq,
        )  # fmt: skip


def _positive(amount_fen: int) -> None:
    if not 0 < amount_fen <= AMOUNT_MAX_FEN:
        raise Refused(f"an amount of {amount_fen} fen is not possible; it must be positive")
