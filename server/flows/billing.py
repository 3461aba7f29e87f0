"""Charging: cursors to the last accepted readings, in one batch and one unit of work.

The cursor's compare-and-set is what makes a charge happen once; lines, balances, levels, notices and desired relay
states commit with it or not at all. Revenue gets one line a batch.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import Connection

from server.domain.billing import Charging, Crossing, Due, Step, plan_steps
from server.domain.columns import Columns
from server.domain.due_columns import DueColumns
from server.domain.ledger import REVENUE, Line
from server.domain.plain_charges import PlainCharges, charge_plain, split
from server.domain.registers import Registers, split_memo
from server.domain.tariff_calendar import TariffCalendar
from server.errors import Conflict
from server.flows.ledger import apply_balances, ensure_account, move_balances
from server.flows.notices import on_crossings
from server.flows.supply import on_balances
from server.store import ledger as journal
from server.store.billing import advance_columns, advance_cursors, load_due, store_levels
from server.store.bulk import Bundle
from server.store.estates import get_estate
from server.store.readings import accepted_at
from server.store.tariffs import load_tariffs
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

CHARGE_METERS_MAX = 800  # of one batch; the tick takes fewer where they take long, so that no payment waits for it


@dataclass(frozen=True, slots=True)
class ChargeOutcome:
    """What one batch did: accounts with a line, fen posted, level changes, meters that could not be charged."""

    accounts: int
    charged_fen: int
    crossings: tuple[Crossing, ...]
    meters: int = 0
    held: tuple[str, ...] = ()
    batch_seq: int | None = None
    wide: int = 0
    estimated: int = 0


def charge_due(
    unit: Unit, estate_id: str, now: "Now", *, limit: int = CHARGE_METERS_MAX, meter_ids: Sequence[str] = ()
) -> ChargeOutcome:
    """Charge up to `limit` meters whose turn it is, the longest waiting first; or all those named, due or not yet.

    Conflict when a cursor or balance moved meanwhile; then nothing of the batch is booked.
    """
    with collection_paused():
        return _charge(unit, estate_id, now, limit, meter_ids)


@contextmanager
def collection_paused() -> Iterator[None]:
    """No garbage collection meanwhile: a batch makes a hundred thousand objects without a cycle among them.

    Looking through them again and again took two fifths of its time. Reference counts free them as ever.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _charge(unit: Unit, estate_id: str, now: "Now", limit: int, meter_ids: Sequence[str]) -> ChargeOutcome:
    connection = unit.connection
    cycle_s = get_estate(connection, estate_id)["billing_cycle_s"]
    found = load_due(connection, estate_id, now.world_s, cycle_s, limit, meter_ids)
    calendars = calendars_of(connection, estate_id)
    simple, rest = split(found, calendars)
    plain, refused = charge_plain(simple)
    others = [*rest, *refused]
    due, accounts = [row.due() for row in others], {row.account_id: row.account() for row in others}
    steps, held = plan_due(connection, estate_id, due, calendars)
    moved = [item for item in due if item.meter_id not in held]
    meters = len(moved) + plain.cursors.rows
    if not meters:
        return ChargeOutcome(0, 0, (), 0, tuple(held))
    versions = {account_id: state.version for account_id, state in accounts.items()}
    charging = Charging(accounts, lines_before=plain.lines.rows)
    charging.run(steps)
    bundle = Bundle()
    elsewhere = Conflict("a meter was charged by somebody else at the same time; nothing was booked, try again")
    advance_columns(bundle, estate_id, plain.cursors, otherwise=elsewhere)
    advance_cursors(bundle, estate_id, moved, charging.tiers, otherwise=elsewhere)
    charges = Charges(plain, charging, moved, versions)
    batch_seq = book_charges(unit, bundle, estate_id, charges, now) if charges.lines else None
    bundle.send(connection)
    crossings = (*plain.crossings, *charging.crossings.values())
    charged = {line.account_id for line in charging.lines}
    silent = sorted({crossing.account_id for crossing in charging.crossings.values()} - charged)
    store_levels(connection, estate_id, [*plain.silent, *((accounts[name].level, name) for name in silent)])
    charged.update(plain.accounts)
    unit.announce_all("balance", charged.union(silent, (name for _, name in plain.silent)))
    _consequences(unit, estate_id, crossings, now)
    return ChargeOutcome(
        len(charged), charges.fen, crossings, meters, tuple(held), batch_seq, charging.wide, charging.estimated
    )


@dataclass(frozen=True, slots=True)
class Charges:
    """All charges of a batch: those by columns, and the others with the meters they are of."""

    plain: PlainCharges
    others: Charging
    moved: Sequence[Due]
    versions: dict[str, int]  # of the others' accounts, before

    @classmethod
    def by_objects(cls, charging: Charging, moved: Sequence[Due], versions: dict[str, int]) -> "Charges":
        """Charges of which none are by columns."""
        return cls(charge_plain(split(DueColumns.of(()), {})[0])[0], charging, moved, versions)

    @property
    def lines(self) -> int:
        """How many lines it has, without that of the revenue."""
        return self.plain.lines.rows + len(self.others.lines)

    @property
    def fen(self) -> int:
        """What is charged."""
        return self.plain.charged_fen + self.others.charged_fen

    def keys(self) -> tuple[str, str, int]:
        """Key and payload of the batch, and the time of its last reading."""
        due = self.plain.due
        names = [*due.named("meter_id").values(), *(item.meter_id for item in self.moved)]
        others = [(item.install_no, item.seq, item.end.at, item.end.total_wh) for item in self.moved]
        numbers = np.array([due[name] for name in ("install_no", "seq", "end_at", "end_wh")], "<i8")
        numbers = np.concatenate([numbers, np.array(others, "<i8").reshape(-1, 4).T], axis=1)
        digest = sha256("\n".join(map(str, names)).encode() + b"\n" + numbers[:2].tobytes())
        key = digest.hexdigest()
        digest.update(numbers[2:].tobytes())
        return f"charge:{key}", digest.hexdigest(), int(numbers[2].max())


def calendars_of(connection: Connection, estate_id: str) -> dict[str, TariffCalendar]:
    """The calendar of each tariff of the estate."""
    return {key: TariffCalendar(value) for key, value in load_tariffs(connection, estate_id).items()}


def plan_due(
    connection: Connection, estate_id: str, due: Sequence[Due], calendars: dict[str, TariffCalendar]
) -> tuple[list[Step], list[str]]:
    """Steps of due meters, and the meters that are held."""
    freeze_at = freezes(connection, estate_id, due, calendars)
    steps: list[Step] = []
    held: list[str] = []
    for item in due:
        planned = plan_steps(item, calendars[item.tariff_id], freeze_at)
        if planned is None:
            held.append(item.meter_id)
        else:
            steps += planned
    return steps, held


def freezes(
    connection: Connection, estate_id: str, due: Sequence[Due], calendars: dict[str, TariffCalendar]
) -> Callable[[str, int], Registers | None]:
    """Accepted readings taken exactly on the boundaries that the due charges cross."""
    wanted: list[tuple[str, int]] = []
    for item in due:
        end_s = calendars[item.tariff_id].terms_at(item.start.at).end_s
        if end_s is None or end_s >= item.end.at:
            continue
        while end_s is not None and end_s < item.end.at:
            wanted.append((item.meter_id, end_s))
            end_s = calendars[item.tariff_id].terms_at(end_s).end_s
    found = accepted_at(connection, estate_id, wanted) if wanted else {}

    def freeze_at(meter_id: str, at: int) -> Registers | None:
        registers = found.get((meter_id, at))
        return None if registers is None else Registers(at, *registers)

    return freeze_at


def book_charges(unit: Unit, bundle: Bundle, estate_id: str, charges: Charges, now: "Now") -> int:
    """Put the batch with its revenue line and the moves of the balances into `bundle`; returns the batch number."""
    connection = unit.connection
    ensure_account(unit, estate_id, REVENUE)
    revenue = journal.accounts_by_id(connection, estate_id, [REVENUE])[REVENUE]
    fen, lines, plain, others = charges.fen, charges.lines, charges.plain, charges.others
    own = Line(lines + 1, REVENUE, fen, revenue["balance_fen"] + fen, revenue["version"] + 1)
    batch_seq = journal.next_batch_seq(connection, estate_id)
    key, payload, event_at = charges.keys()
    memo = split_memo(others.estimated)
    header = (batch_seq, "charge", event_at, now.machine_ms, key, payload, lines + 1, fen, "system", memo)
    rows = [(estate_id, batch_seq, *one) for one in (*others.lines, own)]
    journal.append_columns(bundle, estate_id, header, plain.lines, rows)
    move_balances(bundle, Columns((*plain.balances.columns, estate_id), plain.balances.rows))
    last = list({line.account_id: line for line in (*others.lines, own)}.values())
    levels = {name: state.level for name, state in others.accounts.items()} | {REVENUE: 0}
    apply_balances(bundle, estate_id, last, {**charges.versions, REVENUE: revenue["version"]}, levels)
    return batch_seq


def _consequences(unit: Unit, estate_id: str, crossings: Sequence[Crossing], now: "Now") -> None:
    """Notices and desired relay states that follow from the new levels, in the same unit."""
    on_crossings(unit, estate_id, crossings, now)
    on_balances(unit, estate_id, [crossing.account_id for crossing in crossings], now)
