"""Bookings by people: adjustments, the opening balance, and what is paid out or carried over when somebody has left.

Each has a reason and is told in the account's life in the same unit as its batch. What is beyond the estate's
`adjust_alone` waits for a second person, and is judged again when that person agrees; what one person has booked alone
on an account within a day counts together. Money that is carried over to another account of the same holder needs no
second person; to another holder's, nothing beyond that limit goes over.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import RowMapping

from server.domain.accounts import (
    HOW_PAID_OUT,
    KIND_OF_ACT,
    LEFT,
    LIMITED_S,
    act_problem,
    adjustment_account,
    needs_second_person,
)
from server.domain.ledger import ELECTRICITY, LEDGERS, OPENING, Entry
from server.errors import Conflict, NotFound, Refused
from server.flows import accounts
from server.flows.booked import on_booking
from server.flows.fees import open_ledger
from server.flows.ledger import AMOUNT_MAX_FEN, ensure_account, post_entries
from server.flows.second_person import ask
from server.store import accounts as kept
from server.store import ledger as journal
from server.store.estates import get_account, get_estate
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

REQUEST = "booking"


@dataclass(frozen=True, slots=True)
class Booking:
    """What a person wants booked; `amount_fen` is what the household's ledger gains, negative what it loses.

    `act` is adjusted, opening or paid_out; `how` a payout leaves (cash or bank); `key` makes a repeat harmless.
    """

    account_id: str
    act: str
    amount_fen: int
    reason: str
    key: str
    ledger: str = ELECTRICITY
    how: str = ""

    @property
    def idem_key(self) -> str:
        """Of the batch; an account has one opening balance."""
        kind = KIND_OF_ACT[self.act]
        return f"{kind}:{self.account_id}" if self.act == "opening" else f"{kind}:{self.account_id}:{self.key}"


@dataclass(frozen=True, slots=True)
class Booked:
    """What became of it: a batch, or a request that waits for its second person (batch_seq None)."""

    balance_fen: int
    batch_seq: int | None = None
    approval_id: str = ""


def adjust(
    unit: Unit, estate_id: str, account_id: str, amount_fen: int, *, reason: str, key: str, actor: str, now: "Now",
    ledger: str = ELECTRICITY,
) -> Booked:  # fmt: skip
    """Correct a ledger of a household by an amount, up or down.

    NotFound for an unknown household, Refused without a reason or for an amount of nothing, Conflict for a key that
    was used for another booking.
    """
    return book(unit, estate_id, Booking(account_id, "adjusted", amount_fen, reason, key, ledger), actor, now)


def open_with(
    unit: Unit, estate_id: str, account_id: str, amount_fen: int, *, reason: str, actor: str, now: "Now"
) -> Booked:
    """Book the balance that a household brings along, credit or debt, once an account."""
    return book(unit, estate_id, Booking(account_id, "opening", amount_fen, reason, "opening"), actor, now)


def pay_out(
    unit: Unit, estate_id: str, account_id: str, amount_fen: int, *, how: str, reason: str, key: str, actor: str,
    now: "Now", ledger: str = ELECTRICITY, fresh: bool = True,
) -> Booked:  # fmt: skip
    """Give a household that has left its money back, in cash or by a bank transfer that a person makes.

    Refused for more than the ledger has to its credit; errors otherwise as in `book`.
    """
    booking = Booking(account_id, "paid_out", -amount_fen, reason, key, ledger, how)
    return book(unit, estate_id, booking, actor, now, fresh=fresh)


def book(unit: Unit, estate_id: str, booking: Booking, actor: str, now: "Now", *, fresh: bool = True) -> Booked:
    """Book it, or ask for a second person; the same booking again gives the same answer and books nothing.

    StaleLogin where it needs one and the password of who asks is not `fresh`.
    """
    row = _judged(unit, estate_id, booking)
    balance_fen = _balance(unit, estate_id, booking)
    known = journal.batch_of_key(unit.connection, estate_id, booking.idem_key)
    if known is None:
        for request in kept.requests(unit.connection, estate_id, booking.account_id, now.machine_ms):
            if json.loads(request["payload"]) == asdict(booking):
                return Booked(balance_fen, approval_id=request["approval_id"])
        problem = act_problem(booking.act, row["status"]) or _payout_problem(booking, balance_fen)
        if problem:
            raise Refused(problem)
        since = now.world_s - LIMITED_S
        alone_fen = kept.booked_alone(unit.connection, estate_id, booking.account_id, actor, since)
        limit_fen = get_estate(unit.connection, estate_id)["adjust_alone_fen"]
        if needs_second_person(abs(booking.amount_fen) + alone_fen, limit_fen):
            asked = ask(unit, estate_id, REQUEST, asdict(booking), actor, now, fresh=fresh)
            return Booked(balance_fen, approval_id=asked)
    try:
        return _post(unit, estate_id, booking, actor, None, now)
    except Conflict as error:
        if known is None or booking.act != "opening":
            raise
        raise Conflict("this account has its opening balance already; correct it by an adjustment") from error


def carry_out(
    unit: Unit, estate_id: str, payload: Mapping[str, Any], *, actor: str, approved_by: str, now: "Now"
) -> Booked:
    """Book what a second person agreed to, if it is still possible."""
    booking = Booking(**payload)
    row = _judged(unit, estate_id, booking)
    problem = act_problem(booking.act, row["status"]) or _payout_problem(booking, _balance(unit, estate_id, booking))
    if problem:
        raise Conflict(f"{problem}; withdraw this request")
    return _post(unit, estate_id, booking, actor, approved_by, now)


def carry(
    unit: Unit, estate_id: str, account_id: str, target_id: str, *, reason: str, actor: str, now: "Now"
) -> dict[str, int]:
    """Carry all ledgers of a household that has left, credit and debt, over to another account of it.

    The fen that went over, by ledger. Refused for accounts whose state does not allow it, NotFound for unknown ones.
    """
    source, target = (_household(unit, estate_id, one) for one in (account_id, target_id))
    problem = act_problem("carried", source["status"]) or act_problem("adjusted", target["status"])
    if account_id == target_id:
        problem = "an account cannot be carried over to itself"
    if problem or not reason.strip():
        raise Refused(problem or "say why: the reason is kept in both lives")
    balances = journal.ledger_balances(unit.connection, estate_id, account_id)
    limit_fen = get_estate(unit.connection, estate_id)["adjust_alone_fen"]
    strangers = source["holder"] != target["holder"]
    if strangers and any(needs_second_person(fen, limit_fen) for fen in balances.values()):
        raise Refused(
            f"{target_id} is another holder's, and more than {limit_fen} fen would go over; pay it out "
            "and book it there, with a second person"
        )
    moved = {ledger: fen for ledger, fen in balances.items() if fen}
    for ledger, fen in moved.items():
        names = [open_ledger(unit, estate_id, one, ledger) for one in (account_id, target_id)]
        entries = (Entry(names[0], -fen), Entry(names[1], fen))
        version = journal.accounts_by_id(unit.connection, estate_id, names)[names[0]]["version"]
        posted = post_entries(
            unit, estate_id, "carry", names[0], entries, f"carry:{names[0]}:{version}", now.world_s, actor,
            reason.strip(), now,
        )  # fmt: skip
        for row, other, amount_fen in ((source, target_id, -fen), (target, account_id, fen)):
            accounts.tell(
                unit, estate_id, row, "carried", actor=actor, reason=reason, now=now, detail=other, ledger=ledger,
                amount_fen=amount_fen, limit_fen=0, batch_seq=posted.batch_seq,
            )  # fmt: skip
    on_booking(unit, estate_id, target, now)
    accounts.close_if_done(unit, estate_id, account_id, actor=actor, reason=reason, now=now)
    return moved


def _judged(unit: Unit, estate_id: str, booking: Booking) -> RowMapping:
    """The account's row, if the booking as such is possible at all."""
    row = _household(unit, estate_id, booking.account_id)
    if not booking.reason.strip():
        raise Refused("say why: the reason is kept in the account's life")
    if booking.ledger not in LEDGERS or (booking.act == "opening" and booking.ledger != ELECTRICITY):
        raise Refused(f"there is no ledger {booking.ledger!r} for this; the ledgers are {', '.join(LEDGERS)}")
    if booking.act == "paid_out" and booking.how not in HOW_PAID_OUT:
        raise Refused(f"money is paid out as {' or '.join(HOW_PAID_OUT)}, not {booking.how!r}")
    if booking.amount_fen == 0 or abs(booking.amount_fen) > AMOUNT_MAX_FEN:
        raise Refused(f"an amount of {booking.amount_fen} fen is not possible")
    return row


def _payout_problem(booking: Booking, balance_fen: int) -> str:
    if booking.act != "paid_out" or 0 < -booking.amount_fen <= balance_fen:
        return ""
    return f"the ledger {booking.ledger} has {balance_fen} fen; {-booking.amount_fen} fen cannot be paid out of it"


def _household(unit: Unit, estate_id: str, account_id: str) -> RowMapping:
    row = get_account(unit.connection, estate_id, account_id)
    if row["kind"] != "household":
        raise NotFound(f"there is no household {account_id!r} in this estate")
    return row


def _balance(unit: Unit, estate_id: str, booking: Booking) -> int:
    return journal.ledger_balances(unit.connection, estate_id, booking.account_id)[booking.ledger]


def _post(unit: Unit, estate_id: str, booking: Booking, actor: str, approved_by: str | None, now: "Now") -> Booked:
    before = get_account(unit.connection, estate_id, booking.account_id)
    name = open_ledger(unit, estate_id, booking.account_id, booking.ledger)
    other = {"opening": OPENING, "paid_out": HOW_PAID_OUT.get(booking.how, "")}.get(booking.act)
    other = other or adjustment_account(booking.ledger)
    ensure_account(unit, estate_id, other)
    entries = (Entry(name, booking.amount_fen), Entry(other, -booking.amount_fen))
    posted = post_entries(
        unit, estate_id, KIND_OF_ACT[booking.act], name, entries, booking.idem_key, now.world_s, actor,
        booking.reason.strip(), now,
    )  # fmt: skip
    if not posted.repeated:
        accounts.tell(
            unit, estate_id, before, booking.act, actor=actor, approved_by=approved_by, reason=booking.reason, now=now,
            detail=booking.how, ledger=booking.ledger, amount_fen=booking.amount_fen, batch_seq=posted.batch_seq,
            limit_fen=get_estate(unit.connection, estate_id)["adjust_alone_fen"],
        )  # fmt: skip
        on_booking(unit, estate_id, before, now)
        if before["status"] == LEFT:
            accounts.close_if_done(unit, estate_id, booking.account_id, actor=actor, reason=booking.reason, now=now)
    return Booked(posted.balance_fen, posted.batch_seq)
