"""Booking: every amount moves as a batch of lines that sums to zero, once per idempotency key.

A repeat of the same request finds its batch and changes nothing; the same key with another request is a Conflict.
Batches are sealed afterwards into a hash chain per estate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection

from core import FLAG_LEVEL_MASK, level_after
from core.units import NF_PER_FEN
from server.domain.columns import Columns
from server.domain.ledger import (
    GENESIS,
    METER_CREDIT,
    SEAL_FORM,
    Entry,
    Line,
    Link,
    PostedTopup,
    chain_hash,
    payload_sha256,
    provider_account,
    sealed_header,
)
from server.domain.line_words import hash_of_lines
from server.errors import Conflict, EstateError, NotFound, Refused
from server.flows.verification import verify
from server.store import audit
from server.store import ledger as journal
from server.store.bulk import Bundle, insert_rows
from server.store.schema import account
from server.store.unit import Unit
from server.store.verification_windows import Journal

if TYPE_CHECKING:
    from server.clock import Now

__all__ = [
    "Booking",
    "append_links",
    "apply_balances",
    "ensure_account",
    "key_reused",
    "level_of",
    "move_balances",
    "next_links",
    "post_act",
    "post_all",
    "post_entries",
    "post_recharge",
    "post_topup",
    "seal_batches",
    "topup",
    "verify",
]

LEVEL_BALANCE_MAX_NF = 2**62  # beyond it the level function sees the limit, which is on the same side of all alarms
SEAL_BATCHES_MAX = 500
AMOUNT_MAX_FEN = 10**13  # no single booking moves more; keeps sums far inside int64


def post_topup(
    unit: Unit,
    estate_id: str,
    account_id: str,
    amount_fen: int,
    *,
    provider: str,
    idem_key: str,
    event_at: int,
    actor: str,
    now: "Now",
    memo: str = "",
) -> PostedTopup:
    """Credit `account_id` against the provider's account ("cash" for the counter) and find its new level.

    NotFound for an unknown account, Refused for an amount that is not positive, Conflict for a key that was used
    for another request. The same request again returns the first booking with `repeated`.
    """
    wish = topup(account_id, amount_fen, provider, idem_key, event_at, actor, now, memo)
    return _alone(unit, estate_id, wish)


def topup(
    account_id: str, amount_fen: int, provider: str, idem_key: str, event_at: int, actor: str, now: "Now",
    memo: str = "", *, makes: tuple[str, ...] = (),
) -> "Booking":  # fmt: skip
    """The booking of `post_topup`. Refused for an amount that is not positive."""
    if not 0 < amount_fen <= AMOUNT_MAX_FEN:
        raise Refused(f"a top-up of {amount_fen} fen is not possible; the amount must be positive")
    against = provider_account(provider)
    entries = (Entry(account_id, amount_fen), Entry(against, -amount_fen))
    return Booking("topup", entries, idem_key, event_at, actor, memo, now, makes=(against, *makes))


def post_recharge(
    unit: Unit,
    estate_id: str,
    account_id: str,
    amount_fen: int,
    recharge_id: str,
    *,
    event_at: int,
    actor: str,
    now: "Now",
    back: bool = False,
) -> PostedTopup:
    """Move money from a household into its meter, or `back` when the meter did not take it; once a recharge each."""
    kind, sign = ("recharge_return", 1) if back else ("recharge", -1)
    entries = (Entry(account_id, sign * amount_fen), Entry(METER_CREDIT, -sign * amount_fen))
    ensure_account(unit, estate_id, METER_CREDIT)
    return post_entries(unit, estate_id, kind, account_id, entries, f"{kind}:{recharge_id}", event_at, actor, "", now)


def post_act(
    unit: Unit, estate_id: str, kind: str, key: str, payload: str, *, actor: str, memo: str, now: "Now"
) -> int:  # fmt: skip
    """Put an act that moves no money into the hash chain, as a batch without lines; its number."""
    batch_seq = journal.next_batch_seq(unit.connection, estate_id)
    header = (batch_seq, kind, now.world_s, now.machine_ms, key, payload, 0, 0, actor, memo)
    bundle = Bundle()
    journal.append(bundle, estate_id, [(header, [])])
    bundle.send(unit.connection)
    return batch_seq


def ensure_account(unit: Unit, estate_id: str, account_id: str) -> None:
    """Create a system account (its id is its kind) unless it exists."""
    columns, row = ("estate_id", "account_id", "kind"), (estate_id, account_id, account_id)
    insert_rows(unit.connection, account, columns, [row], "ON CONFLICT DO NOTHING")


def post_entries(
    unit: Unit,
    estate_id: str,
    kind: str,
    account_id: str,
    entries: Sequence[Entry],
    idem_key: str,
    event_at: int,
    actor: str,
    memo: str,
    now: "Now",
) -> PostedTopup:
    """Book `entries`, which sum to zero, once a key; the answer is about `account_id`, the first of them."""
    if account_id != entries[0].account_id:
        raise ValueError("the answer is about the account of the first entry")
    return _alone(unit, estate_id, Booking(kind, tuple(entries), idem_key, event_at, actor, memo, now))


@dataclass(frozen=True, slots=True)
class Booking:
    """One batch to book; what it answers is about the account of the first entry.

    Accounts of `makes` are the system's, and are made when they are missing.
    """

    kind: str
    entries: tuple[Entry, ...]
    idem_key: str
    event_at: int
    actor: str
    memo: str
    now: "Now"
    makes: tuple[str, ...] = ()


def _alone(unit: Unit, estate_id: str, booking: Booking) -> PostedTopup:
    bundle = Bundle()
    (answer,) = post_all([unit], estate_id, [booking], bundle)
    if isinstance(answer, Exception):
        raise answer
    bundle.send(unit.connection)
    return answer


def post_all(
    units: Sequence[Unit], estate_id: str, bookings: Sequence[Booking], bundle: Bundle
) -> list[PostedTopup | EstateError]:
    """Work out a booking for each unit, one after another, and put what is to be written into `bundle`.

    An answer that is an error means that nothing is written for that booking.
    """
    connection = units[0].connection
    names = {entry.account_id for booking in bookings for entry in booking.entries}
    state = journal.standing(connection, estate_id, [one.idem_key for one in bookings], sorted(names))
    missing = sorted({name for one in bookings for name in one.makes} - state.accounts.keys())
    for name in missing:
        ensure_account(units[0], estate_id, name)
    state.accounts |= journal.accounts_by_id(connection, estate_id, missing) if missing else {}
    versions = {name: row["version"] for name, row in state.accounts.items()}
    batches: list[tuple[journal.Header, list[Line]]] = []
    answers = [_post(unit, estate_id, one, state, batches) for unit, one in zip(units, bookings, strict=True)]
    last = {line.account_id: line for _, lines in batches for line in lines}
    journal.append(bundle, estate_id, batches)
    levels = {name: state.accounts[name]["level"] for name in last}
    apply_balances(bundle, estate_id, list(last.values()), versions, levels)
    return answers


def _post(
    unit: Unit,
    estate_id: str,
    booking: Booking,
    state: journal.Standing,
    batches: list[tuple[journal.Header, list[Line]]],
) -> PostedTopup | EstateError:
    """One booking on top of those before it; moves `state` along."""
    name, key = booking.entries[0].account_id, booking.idem_key
    payload = payload_sha256(booking.kind, *((entry.account_id, entry.amount_fen) for entry in booking.entries))
    known = state.batches.get(key)
    if known is not None and known["payload_sha256"] != payload:
        key_reused(unit, estate_id, booking.actor, key, booking.now)
        return Conflict(f"key {key!r} was used for another booking; use a new key for a new request")
    absent = [entry.account_id for entry in booking.entries if entry.account_id not in state.accounts]
    if absent:
        return NotFound(f"there is no account {absent[0]!r} in this estate")
    if known is not None:
        row = state.accounts[name]
        return PostedTopup(known["batch_seq"], row["balance_fen"], row["level"], repeated=True)
    state.newest += 1
    lines = [_line(number, one, state.accounts[one.account_id]) for number, one in enumerate(booking.entries, 1)]
    turnover_fen = sum(line.amount_fen for line in lines if line.amount_fen > 0)
    header = (
        state.newest, booking.kind, booking.event_at, booking.now.machine_ms, key, payload, len(lines), turnover_fen,
        booking.actor, booking.memo,
    )  # fmt: skip
    batches.append((header, lines))
    state.batches[key] = {"idem_key": key, "batch_seq": state.newest, "payload_sha256": payload}
    unit.announce("balance", name)
    return PostedTopup(state.newest, lines[0].balance_after_fen, state.accounts[name]["level"])


def key_reused(unit: Unit, estate_id: str, actor: str, idem_key: str, now: "Now") -> None:
    """Somebody sent another request under a known key: it is refused, and the trail says so."""
    unit.alarm(lambda later: audit.record(later.connection, estate_id, actor, "key.reused", idem_key, now))


def _line(number: int, entry: Entry, row: dict[str, Any]) -> Line:
    """The line of one entry; moves the account's row along."""
    balance_fen = row["balance_fen"] + entry.amount_fen
    level = level_of(row, balance_fen)
    row.update(balance_fen=balance_fen, version=row["version"] + 1, level=level)
    return Line(
        number, entry.account_id, entry.amount_fen, balance_fen, row["version"], residue_after_nf=row["residue_nf"]
    )  # fmt: skip


def level_of(row: Mapping[str, Any], balance_fen: int) -> int:
    """The alarm level 0..3 of an account at `balance_fen`, from its limits and stored level."""
    exact_nf = balance_fen * NF_PER_FEN - row["residue_nf"]
    bounded_nf = max(-LEVEL_BALANCE_MAX_NF, min(LEVEL_BALANCE_MAX_NF, exact_nf))
    limits = row["alarm1_fen"], row["alarm2_fen"], row["overdraft_fen"]
    flags, _ = level_after(bounded_nf, *limits, row["close_allowed_fen"] * NF_PER_FEN, row["level"])
    return flags & FLAG_LEVEL_MASK


def apply_balances(
    bundle: Bundle,
    estate_id: str,
    last_lines: Sequence[Line],
    versions: Mapping[str, int],
    levels: Mapping[str, int],
) -> None:
    """Move each account to the state after its last line, if it still has its version of before (CAS)."""
    rows = [
        (
            item.balance_after_fen, item.residue_after_nf, item.account_version, levels[item.account_id],
            item.account_id, versions[item.account_id], estate_id,
        )
        for item in last_lines
    ]  # fmt: skip
    move_balances(bundle, rows)


def move_balances(bundle: Bundle, rows: Sequence[tuple[Any, ...]] | Columns) -> None:
    """The same from rows: fen, residue, version and level, then account, version of before and estate."""
    setting, key = ("balance_fen", "residue_nf", "version", "level"), ("account_id", "version", "estate_id")
    changed = Conflict("a balance was changed by somebody else at the same time; nothing was booked, try again")
    if isinstance(rows, Columns):
        bundle.update_columns(account, setting, key, rows, otherwise=changed)
    else:
        bundle.update(account, setting, key, rows, otherwise=changed)


def next_links(connection: Connection, estate_id: str, now: "Now", *, limit: int = SEAL_BATCHES_MAX) -> list[Link]:
    """The links that chain the committed batches without a seal, oldest first; a reader can prepare them."""
    last = journal.last_seal(connection, estate_id)
    previous, seq = (last["hash"], last["batch_seq"]) if last else (GENESIS, 0)
    links: list[Link] = []
    for window in Journal(connection, estate_id).windows(after=seq, batches_max=limit):
        canonical, numbers = window.lines.canonical(), window.lines["batch_seq"]
        for batch in window.batches:
            batch_seq = int(batch.header[0])
            start, end = (int(np.searchsorted(numbers, batch_seq, side)) for side in ("left", "right"))
            lines_hash = hash_of_lines(canonical[start:end])
            own = chain_hash(previous, sealed_header(batch.header, now.machine_ms, SEAL_FORM), lines_hash)
            links.append(Link(batch_seq, lines_hash, previous, own, now.machine_ms))
            previous = own
    return links


def append_links(unit: Unit, estate_id: str, links: Sequence[Link]) -> int:
    """Append prepared links; returns how many. Conflict when somebody else sealed meanwhile."""
    if not links:
        return 0
    last = journal.last_seal(unit.connection, estate_id)
    if links[0].previous_hash != (last["hash"] if last else GENESIS):
        raise Conflict("these batches were sealed by somebody else at the same time; nothing was sealed")
    journal.append_links(unit.connection, estate_id, links)
    unit.announce("seal", estate_id)
    return len(links)


def seal_batches(unit: Unit, estate_id: str, now: "Now", *, limit: int = SEAL_BATCHES_MAX) -> int:
    """Chain the batches that have no seal yet, in one unit; returns how many were sealed."""
    return append_links(unit, estate_id, next_links(unit.connection, estate_id, now, limit=limit))
