"""Notices: written in the unit that causes them, one per crossing, and delivered only by a receipt.

A page notice counts as delivered once the household was shown it, a message once its receipt came back: one of the
operator's gateway, or of the sandbox in a simulated world. In the quiet hours of a household's rules, reminders and
warnings wait; what it is waiting for itself (power, a payment) does not. What has waited is brought up to date first.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from sqlalchemy import RowMapping

from core import EVENT_ALARM1, EVENT_ALARM2, EVENT_TRIP
from server.domain.accounts import NORMAL, PREPAID
from server.domain.billing import Crossing
from server.domain.calendar import earliest_allowed
from server.domain.notices import GIVEN, GRAVER, OVERTAKEN, REMINDERS, WARNINGS, needless_because
from server.domain.receipts import DELIVERED, FAILED, Receipt
from server.domain.rulebook import Row, RuleBook
from server.domain.schemes import KEEP_ALWAYS, quiet_until
from server.errors import Conflict, NotFound, Refused
from server.store import audit
from server.store import notices as kept
from server.store.bulk import Bundle
from server.store.estates import get_account
from server.store.ledger import accounts_by_id
from server.store.refunds import in_flight
from server.store.schemes import rule_book
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

MESSAGE = "message"  # the channel of what is to go to a telephone until a gateway, or the sandbox, takes it over
CHANNELS = ("page", MESSAGE)
NO_GATEWAY = "no message gateway is set up"
NEEDLESS = "needless"  # the status of what was not sent, since it is true no more
HAND = "hand"  # the channel of what the staff gave to the household itself
WAYS = ("telephone", "letter", "in_person")
RECIPIENT_LENGTH_MAX = 80
KIND_OF_EVENT = {EVENT_ALARM1: "alarm1", EVENT_ALARM2: "alarm2", EVENT_TRIP: "cut_warning"}
ID_BYTES = 16  # of a notice, random
_ARGUMENTS = json.JSONEncoder(sort_keys=True).encode
PAY_STEP_FEN = 1000  # amounts that a warning suggests are whole tens of yuan


def enqueue(
    unit: Unit, estate_id: str, account_id: str, kind: str, arguments: dict[str, int | str], now: "Now",
    not_before_at: int = 0,
) -> None:  # fmt: skip
    """Queue one notice on every channel; `arguments` are integers and ids that the wording needs.

    A channel gets it at `not_before_at` (world time) at the earliest; the household's page shows it at once.
    """
    bundle = Bundle()
    add(unit, bundle, estate_id, account_id, kind, arguments, now, not_before_at)
    bundle.send(unit.connection)


def add(
    unit: Unit, bundle: Bundle, estate_id: str, account_id: str, kind: str, arguments: dict[str, int | str],
    now: "Now", not_before_at: int = 0,
) -> None:  # fmt: skip
    """Queue one notice on every channel, as `enqueue` does, together with other writes."""
    own = (account_id, kind, _ARGUMENTS(arguments), now.world_s, now.machine_ms, not_before_at)
    kept.add(bundle, estate_id, [(token_hex(ID_BYTES), channel, *own) for channel in CHANNELS])
    unit.announce("notice", account_id)


def on_crossings(unit: Unit, estate_id: str, crossings: Sequence[Crossing], now: "Now") -> None:
    """One notice for each alarm level that an account has just crossed downwards.

    Nobody is reminded who pays afterwards, whose account is paused, or who has moved out.
    """
    if not crossings:
        return
    book = rule_book(unit.connection, estate_id, now.world_s)
    names = [crossing.account_id for crossing in crossings]
    rows = accounts_by_id(unit.connection, estate_id, names)
    returning = in_flight(unit.connection, estate_id, names)  # while nobody can tell, it is no debt to be cut for
    for crossing in crossings:
        kind = KIND_OF_EVENT.get(crossing.event)
        row = rows[crossing.account_id]
        if kind is None or row["kind"] != "household" or (row["status"], row["payment"]) != (NORMAL, PREPAID):
            continue
        kept = is_protected(row, now) or book.rules(row).keep_power == KEEP_ALWAYS
        if kind == "cut_warning" and not kept and crossing.account_id not in returning:
            warn(unit, estate_id, crossing.account_id, now, book)
        else:
            kind, not_before_at = "alarm1" if kind == "alarm1" else "alarm2", _not_before(book, row, now)
            figures = _figures(book, row, kind, not_before_at)
            enqueue(unit, estate_id, crossing.account_id, kind, figures, now, not_before_at)


def _not_before(book: RuleBook, row: Row, now: "Now") -> int:
    return quiet_until(book.rules(row), book.site["time_zone"], now.world_s)


def is_protected(row: Row, now: "Now") -> bool:
    """Whether the household of this account's row is never cut at present, and so never warned of a cut."""
    over = row["protected_until"] is not None and row["protected_until"] <= now.world_s
    return bool(row["protected"]) and not over


def warn(unit: Unit, estate_id: str, account_id: str, now: "Now", book: RuleBook | None = None) -> None:
    """The warning before a cut: when it can happen at the earliest, and what to pay until then."""
    book = book or rule_book(unit.connection, estate_id, now.world_s)
    row = get_account(unit.connection, estate_id, account_id)
    not_before_at = _not_before(book, row, now)
    arguments = _figures(book, row, "cut_warning", not_before_at)
    enqueue(unit, estate_id, account_id, "cut_warning", arguments, now, not_before_at)


def warn_finally(unit: Unit, estate_id: str, account_id: str, now: "Now", book: RuleBook) -> bool:
    """The last notice before a cut; False in quiet hours, when it is not written yet."""
    row = get_account(unit.connection, estate_id, account_id)
    if _not_before(book, row, now) > now.world_s:
        return False
    enqueue(unit, estate_id, account_id, "final_notice", _figures(book, row, "final_notice", now.world_s), now)
    return True


def _figures(book: RuleBook, row: Row, kind: str, told_at: int, not_before_at: int = 0) -> dict[str, int | str]:
    """What a reminder or warning says of this account's row, if it is told at `told_at`; no cut is earlier than
    `not_before_at`."""
    arguments: dict[str, int | str] = {"balance_fen": row["balance_fen"], "room": row["room_id"] or ""}
    rules = book.rules(row)
    if kind in WARNINGS:
        over_at = max(not_before_at, told_at + (rules.grace_s if kind == "cut_warning" else rules.final_notice_s))
        earliest = earliest_allowed(book.times(row), over_at)
        arguments |= {
            "earliest_at": over_at if earliest is None else earliest,
            "pay_fen": suggested_fen(row["balance_fen"], row["close_allowed_fen"]),
        }
    if kind == "cut_warning":
        arguments["overdraft_fen"] = row["overdraft_fen"]
        arguments |= {"protected_from_min": rules.protected_from_min, "protected_to_min": rules.protected_to_min}
    return arguments


def suggested_fen(balance_fen: int, close_allowed_fen: int) -> int:
    """The smallest amount in whole tens of yuan that lifts the balance above the close-allowed amount."""
    missing_fen = max(0, close_allowed_fen - balance_fen) + 1
    return -(-missing_fen // PAY_STEP_FEN) * PAY_STEP_FEN


def bring_up_to_date(unit: Unit, estate_id: str, notice_id: str, now: "Now") -> bool:
    """Before a queued notice is sent: its figures are those of now; False when it is not to be sent any more.

    It may have waited for a morning or for a gateway, and names a sum that prevents a cut.
    """
    row = _get(unit, estate_id, notice_id)
    kind = row["kind"]
    if kind not in (*REMINDERS, *WARNINGS):
        return True
    household = get_account(unit.connection, estate_id, row["account_id"])
    why = needless_because(kind, household, is_protected=is_protected(household, now))
    if not why and kept.is_followed(unit.connection, row, (kind, *GRAVER.get(kind, ()))):
        why = OVERTAKEN
    delivered = kept.deliveries(unit.connection, row)
    if not why and HAND in delivered:
        why = GIVEN
    if why:
        kept.update(unit.connection, estate_id, notice_id, status=NEEDLESS, failure=why)
        unit.announce("notice", row["account_id"])
        return False
    book = rule_book(unit.connection, estate_id, now.world_s)
    told_at = min([now.world_s, *delivered.values()])  # the household may have seen it on its page: its time runs
    figures = json.loads(row["arguments"]) | _figures(book, household, kind, told_at, now.world_s)
    kept.update(unit.connection, estate_id, notice_id, arguments=_ARGUMENTS(figures))
    return True


def mark_sent(unit: Unit, estate_id: str, notice_id: str, now: "Now", *, channel: str = "") -> None:
    """The channel has taken the notice, or `channel` takes it over from its own; this is no delivery."""
    row = _get(unit, estate_id, notice_id)
    if row["status"] == "queued":
        kept.update(
            unit.connection,
            estate_id,
            notice_id,
            status="sent",
            channel=channel or row["channel"],
            sent_ms=now.machine_ms,
            attempts=row["attempts"] + 1,
        )
        unit.announce("notice", row["account_id"])


def mark_failed(unit: Unit, estate_id: str, notice_id: str, reason: str, now: "Now", *, final: bool) -> None:
    """The channel did not take it, or no receipt came; it is tried again unless `final`."""
    row = _get(unit, estate_id, notice_id)
    if row["status"] == "delivered":
        return
    kept.update(
        unit.connection,
        estate_id,
        notice_id,
        status="failed" if final else "queued",
        attempts=row["attempts"] + (row["status"] == "queued"),  # a notice that was marked sent is counted already
        failure=reason[:200],
    )
    unit.announce("notice", row["account_id"])


def put_back(unit: Unit, estate_id: str, notice_id: str, reason: str) -> None:
    """The channel takes nothing now: the notice waits for it, and this was no attempt."""
    row = _get(unit, estate_id, notice_id)
    if row["status"] == "sent":
        attempts = row["attempts"] - 1
        kept.update(unit.connection, estate_id, notice_id, status="queued", attempts=attempts, failure=reason[:200])
        unit.announce("notice", row["account_id"])


def mark_delivered(unit: Unit, estate_id: str, notice_id: str, now: "Now") -> None:
    """A receipt came back: the person has it. The first receipt counts."""
    row = _get(unit, estate_id, notice_id)
    if row["status"] == "delivered":
        return
    kept.update(
        unit.connection,
        estate_id,
        notice_id,
        status="delivered",
        delivered_at=now.world_s,
        delivered_ms=now.machine_ms,
    )
    unit.announce("notice", row["account_id"])


def take_receipt(unit: Unit, estate_id: str, receipt: Receipt, channel: str, now: "Now") -> str:
    """A verified receipt of `channel`; returns the state of the notice now. What was delivered stays delivered.

    Raises NotFound for a notice that is not of this estate, Refused for one that went by another channel.
    """
    row = _get(unit, estate_id, receipt.notice_id)
    if row["channel"] != channel:
        raise Refused(f"the notice {receipt.notice_id!r} did not go by this channel")
    if row["status"] == DELIVERED:
        return DELIVERED
    if receipt.state == DELIVERED:
        mark_delivered(unit, estate_id, receipt.notice_id, now)
    elif row["status"] != FAILED:
        mark_failed(unit, estate_id, receipt.notice_id, receipt.reason, now, final=True)
    return receipt.state


def give(
    unit: Unit, estate_id: str, account_id: str, notice_id: str, way: str, recipient: str, *, actor: str, now: "Now",
    key: str = "",
) -> dict[str, Any]:  # fmt: skip
    """A person of the staff gave a page notice to the household itself, which delivers it now, as a row of its own.

    Returns that row. With the same `key` of the same actor again nothing happens, and the row is that of the first
    time. Raises NotFound where the household has no such notice, Conflict for one that was delivered on any channel
    before, or for a key that stood for something else, Refused for an unknown way or without a name of who received it.
    """
    row, recipient = _get(unit, estate_id, notice_id), " ".join(recipient.split())
    if (row["account_id"], row["channel"]) != (account_id, "page"):
        raise NotFound(f"this household has no notice {notice_id!r}")
    if way not in WAYS:
        raise Refused(f"a notice is given by one of: {', '.join(WAYS)}")
    if not 0 < len(recipient) <= RECIPIENT_LENGTH_MAX:
        raise Refused(f"say who received it, in up to {RECIPIENT_LENGTH_MAX} characters")
    arguments = _ARGUMENTS(json.loads(row["arguments"]) | {"way": way, "recipient": recipient, "given_by": actor})
    given_id = _given_id(account_id, actor, key) if key else token_hex(ID_BYTES)
    before = kept.get(unit.connection, estate_id, given_id)
    if before is not None:
        if any(before[name] != row[name] for name in ("kind", "created_ms")) or before["arguments"] != arguments:
            raise Conflict("this key stood for another notice given; take a new one")
        return _plain(before)
    if kept.is_delivered(unit.connection, row):
        raise Conflict("this notice is delivered already")
    own = (account_id, row["kind"], arguments, row["event_at"], row["created_ms"], row["not_before_at"])
    bundle = Bundle()
    kept.add(bundle, estate_id, [(given_id, HAND, *own)])
    audit.add(bundle, estate_id, actor, "notice.give", account_id, now, f"{row['kind']} {notice_id} {way}: {recipient}")
    bundle.send(unit.connection)
    mark_delivered(unit, estate_id, given_id, now)
    return _plain(_get(unit, estate_id, given_id))


def _plain(row: RowMapping) -> dict[str, Any]:
    """A row as it travels between processes."""
    return {str(name): value for name, value in row.items()}


def _given_id(account_id: str, actor: str, key: str) -> str:
    """The id of the row that a key stands for."""
    return sha256("\0".join((account_id, actor, key)).encode()).hexdigest()[: 2 * ID_BYTES]


def mark_shown(unit: Unit, estate_id: str, account_id: str, now: "Now") -> int:
    """The household's page has been shown to it: its page notices are delivered. Returns how many."""
    unseen = kept.unseen_of_page(unit.connection, estate_id, account_id)
    for notice_id in unseen:
        mark_delivered(unit, estate_id, notice_id, now)
    return len(unseen)


def _get(unit: Unit, estate_id: str, notice_id: str) -> RowMapping:
    row = kept.get(unit.connection, estate_id, notice_id)
    if row is None:
        raise NotFound(f"there is no notice {notice_id!r} in this estate")
    return row
