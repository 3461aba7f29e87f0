"""Shared-area costs: worked out from a closed month, posted to the households' shared ledgers, reversed as a whole.

One subject is shared once a month: the same wish again finds what was posted, another one is a Conflict until that is
reversed. A reversal posts the same lines with the other sign; nothing is taken away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, RowMapping

from server.domain.accounts import CLOSED, LEFT
from server.domain.allocation import (
    AREA,
    ESTATE,
    SHARED,
    USAGE,
    VACANT_ROOMS,
    Participant,
    Plan,
    Wish,
    gate_energy,
    plan,
    posted_to,
)
from server.domain.ledger import REVENUE, Entry
from server.domain.occupancy import Stay, days_between, days_lived
from server.domain.settlement import DAY, MONTH, period_at
from server.errors import Conflict, NotFound, Refused
from server.flows import accounts
from server.flows.ledger import ensure_account, post_entries
from server.store import allocations as kept
from server.store import audit
from server.store import ledger as journal
from server.store.bulk import insert_rows
from server.store.estates import get_estate
from server.store.schema import account
from server.store.settlement import settlement_of
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

SHARED_REVENUE = f"{REVENUE}:{SHARED}"
AREA_MAX_CM2 = 10**9  # 100,000 m2
REASON_LENGTH_MAX = 1000
NAMED_MAX = 10


@dataclass(frozen=True, slots=True)
class Posted:
    """An allocation in the books; `repeated` is True when it was there before."""

    allocation_id: str
    batch_seq: int
    repeated: bool = False


def set_areas(unit: Unit, estate_id: str, areas: Mapping[str, int], *, actor: str, now: "Now") -> None:
    """Set the areas of rooms in cm2; Refused for an impossible one, NotFound when a room is unknown (none is set)."""
    wrong = [room_id for room_id, area_cm2 in areas.items() if not 0 < area_cm2 <= AREA_MAX_CM2]
    if wrong or not areas:
        raise Refused(f"give areas of 0.01 to {AREA_MAX_CM2 // 10_000} m2; look at {', '.join(wrong[:NAMED_MAX])}")
    known = {row["room_id"] for row in kept.rooms(unit.connection, estate_id)}
    lost = sorted(set(areas) - known)
    if lost:
        raise NotFound(f"there are no rooms {', '.join(lost[:NAMED_MAX])}; no area was set")
    kept.set_areas(unit.connection, estate_id, areas)
    audit.record(unit.connection, estate_id, actor, "areas.set", estate_id, now, f"{len(areas)} rooms")


def draft(connection: Connection, estate_id: str, wish: Wish) -> Plan:
    """What `post` would post. Refused while the month is open, without areas, or with nothing to share."""
    wish.check()
    closed = settlement_of(connection, estate_id, MONTH, wish.period)
    if closed is None:
        raise Refused(f"the month {wish.period} is not closed; costs are shared over closed months")
    energy: dict[str, int] = {}
    zone = ZoneInfo(get_estate(connection, estate_id)["time_zone"])
    first_day, last_day = (period_at(DAY, at_s, zone) for at_s in (closed.from_at, closed.to_at - 1))
    if wish.from_gates:
        gates_wh, unread = kept.gates_wh(connection, estate_id, first_day, last_day)
        if unread:
            raise Refused(f"the gate meters {', '.join(unread[:NAMED_MAX])} were not read in {wish.period}")
        energy = gate_energy(gates_wh, closed.energy_wh, wish.known_wh)
    elif wish.energy_wh is not None:
        energy = {"energy_wh": wish.energy_wh}
    days = days_between(first_day, last_day)
    participants, by_days = _participants(connection, estate_id, wish, days, kept.stays(connection, estate_id, zone))
    return plan(wish, participants, energy, len(days) if by_days else 0)


def _participants(
    connection: Connection, estate_id: str, wish: Wish, days: Sequence[str], stays: Sequence[Stay]
) -> tuple[list[Participant], bool]:
    """Households that lived there on these days by the basis of the wish, and whether their days count.

    The vacant rooms are one more where the estate bears their part. Energy says by itself when it was used; heads and
    areas are times the days, unless everybody lived there on all of them.
    """
    rooms = {row["room_id"]: row["area_cm2"] for row in kept.rooms(connection, estate_id)}
    lived = days_lived(list(rooms), stays, days)
    counted = {key: count for key, count in lived.items() if key[0] != VACANT_ROOMS or wish.vacant == ESTATE}
    used = kept.energy_of_month(connection, estate_id, wish.period)
    if wish.basis == USAGE:
        return [Participant(name, used.get(name, 0)) for name in sorted({name for name, _ in counted})], False
    if wish.basis == AREA:
        unknown = sorted({room_id for _, room_id in counted if rooms[room_id] is None})
        if unknown:
            raise Refused(f"the area of {len(unknown)} rooms is not known: {', '.join(unknown[:NAMED_MAX])}")
    by_days = any(count != len(days) for count in counted.values())
    weights: dict[str, int] = {}
    for (name, room_id), count in counted.items():
        weight = (rooms[room_id] if wish.basis == AREA else 1) * (count if by_days else 1)
        weights[name] = weights.get(name, 0) + weight
    return [Participant(name, weight) for name, weight in weights.items()], by_days


def post(unit: Unit, estate_id: str, wish: Wish, *, actor: str, now: "Now") -> Posted:
    """Post one cost to the shared ledgers in one batch; errors as in `draft`.

    The same wish again changes nothing; Conflict when its subject was shared otherwise and not reversed.
    """
    connection = unit.connection
    own = draft(connection, estate_id, wish)
    earlier = kept.of_subject(connection, estate_id, wish.period, wish.subject)
    standing = [row for row in earlier if row["reversed_at"] is None]
    if standing:
        return _repeat(standing[0], wish, own)
    payers = [share.account_id for share in own.shares if share.amount_fen]
    _reopen(unit, estate_id, payers, f"{wish.subject} of {wish.period}, when it lived there", actor, now)
    entries = _entries(unit, estate_id, own)
    key = f"allocation:{wish.period}:{wish.subject}:{len(earlier) + 1}"
    posted = post_entries(
        unit, estate_id, "allocation", entries[0].account_id, entries, key, now.world_s, actor,
        f"{wish.subject} {wish.period}", now,
    )  # fmt: skip
    allocation_id = uuid4().hex
    kept.add(
        connection, own.shares,
        estate_id=estate_id, allocation_id=allocation_id, period=wish.period, subject=wish.subject, basis=wish.basis,
        vacant=wish.vacant, energy_wh=own.energy_wh, price_nf_per_wh=wish.price_nf_per_wh, amount_fen=own.amount_fen,
        weight_total=own.weight_total, formula=own.formula, batch_seq=posted.batch_seq, event_at=now.world_s,
        actor=actor, created_ms=now.machine_ms,
    )  # fmt: skip
    detail = f"{wish.subject}, {own.amount_fen} fen by {wish.basis} among {len(own.shares)}"
    audit.record(connection, estate_id, actor, "allocation.posted", allocation_id, now, detail)
    return Posted(allocation_id, posted.batch_seq)


def _repeat(row: RowMapping, wish: Wish, own: Plan) -> Posted:
    same = (row["basis"], row["vacant"], row["amount_fen"], row["energy_wh"], row["price_nf_per_wh"]) == (
        wish.basis, wish.vacant, own.amount_fen, own.energy_wh, wish.price_nf_per_wh,
    )  # fmt: skip
    if not same:
        raise Conflict(
            f"{wish.subject} of {wish.period} was shared otherwise already ({row['amount_fen']} fen by "
            f"{row['basis']}); reverse that first"
        )
    return Posted(row["allocation_id"], row["batch_seq"], repeated=True)


def _reopen(unit: Unit, estate_id: str, payers: Sequence[str], reason: str, actor: str, now: "Now") -> None:
    """Open the accounts of those who lived there and were settled since: their part is theirs all the same."""
    for account_id in kept.those_in(unit.connection, estate_id, payers, CLOSED):
        accounts.reopen(unit, estate_id, account_id, actor=actor, reason=reason, now=now)


def _entries(unit: Unit, estate_id: str, own: Plan) -> list[Entry]:
    """A line for every account with a share, and the counter-line of them all, which comes first."""
    payers = {share.account_id: share.amount_fen for share in own.shares if share.amount_fen}
    homes = [name for name in payers if name != VACANT_ROOMS]
    known = journal.accounts_by_id(unit.connection, estate_id, homes)
    columns = ("estate_id", "account_id", "kind", "room_id", "holder")
    rows = [(estate_id, posted_to(name), SHARED, known[name]["room_id"], known[name]["holder"]) for name in homes]
    insert_rows(unit.connection, account, columns, rows, "ON CONFLICT DO NOTHING")
    for name in (SHARED_REVENUE, VACANT_ROOMS):
        if name == SHARED_REVENUE or name in payers:
            ensure_account(unit, estate_id, name)
    lines = [Entry(posted_to(name), -fen) for name, fen in payers.items()]
    return [Entry(SHARED_REVENUE, own.amount_fen), *lines]


def reverse(unit: Unit, estate_id: str, allocation_id: str, *, reason: str, actor: str, now: "Now") -> int:
    """Post the lines of an allocation with the other sign; the number of that batch.

    NotFound for an unknown one, Refused without a reason. Once: the second time it gives the same number.
    """
    connection = unit.connection
    row = kept.get_allocation(connection, estate_id, allocation_id)
    if row is None:
        raise NotFound(f"there is no allocation {allocation_id!r} in this estate")
    if row["reversed_at"] is not None:
        return int(row["reversal_seq"])
    if not reason.strip() or len(reason) > REASON_LENGTH_MAX:
        raise Refused(f"say why it is reversed, in at most {REASON_LENGTH_MAX} characters")
    lines = journal.lines_of_batch(connection, estate_id, row["batch_seq"])
    if not lines:
        raise Refused("the lines of this allocation are archived; put the archive back to reverse it")
    payers = [line.account_id.removesuffix(f":{SHARED}") for line in lines]
    why = f"{row['subject']} of {row['period']}, given back"
    _reopen(unit, estate_id, payers, why, actor, now)
    entries = [Entry(line.account_id, -line.amount_fen) for line in lines]
    posted = post_entries(
        unit, estate_id, "reversal", entries[0].account_id, entries, f"allocation:reversed:{allocation_id}",
        now.world_s, actor, f"{row['subject']} {row['period']}", now,
    )  # fmt: skip
    kept.add_reversal(
        connection, estate_id=estate_id, allocation_id=allocation_id, batch_seq=posted.batch_seq,
        reason=reason.strip(), actor=actor, world_at=now.world_s, created_ms=now.machine_ms,
    )  # fmt: skip
    audit.record(connection, estate_id, actor, "allocation.reversed", allocation_id, now, reason.strip())
    for account_id in kept.those_in(connection, estate_id, payers, LEFT):
        accounts.close_if_done(unit, estate_id, account_id, actor=actor, reason=why, now=now)
    return posted.batch_seq
