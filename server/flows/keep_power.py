"""Keep-power of meters: wanted with a generation where rules say so, and believed only when it was read back.

Who is to keep the power is never left in the dark, nor is who is protected: a cut for arrears is taken back first.
What somebody has set on site and we never wanted stays; what we have set and the meter has lost is wanted again.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection, RowMapping

from core.dlt645.identifiers import KEEP_POWER
from server.domain.anomalies import KEEP_FAILS, Finding
from server.domain.keep_power import OFF, ON, TRIES_TO_CASE, kept_because, may_be_taken_back, next_try_ms
from server.domain.readings import StatusRead
from server.domain.rulebook import RuleBook
from server.domain.schemes import KEEP_ALWAYS
from server.flows import cases
from server.flows.notices import is_protected
from server.flows.supply import want_closed
from server.store import keep_power as kept
from server.store import outages
from server.store.estates import get_account, get_estate
from server.store.isolation import is_isolated
from server.store.keep_power import KeepState
from server.store.meters import get_meter
from server.store.schemes import rule_book
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

FAILING = ("refused", "no_reply")  # steps after which a command is tried again later


def settle(unit: Unit, estate_id: str, now: "Now", *, may_end: bool, account_ids: Sequence[str] | None = None) -> int:
    """Want keep-power of these households' meters, or of all, as their rules say; returns the number of new wishes.

    Whoever is protected and dark for arrears gets the power back, whatever the meter and the rules say of keep-power.
    Who is isolated is told after the release: there are meters that close their relay when they are to keep the power.
    With `may_end` (the clock is sane) it is also taken back where its reason has gone. In mode observe no meter is
    told anything.
    """
    book, site = rule_book(unit.connection, estate_id, now.world_s), get_estate(unit.connection, estate_id)
    for row in outages.dark_though_protected(unit.connection, estate_id, now.world_s):
        want_closed(unit, estate_id, site, row["meter_id"], row["bus_id"], "kept", "system", now)
    always = sorted(one.scheme_id for one in book.in_force.values() if KEEP_ALWAYS in one.definition)
    rows = kept.concerned(
        unit.connection, estate_id, always, by_default=site["scheme_id"] in always, account_ids=account_ids
    )
    wishes = 0
    for row in rows:
        reason = kept_because(book.rules(row).keep_power, protected=is_protected(row, now))
        if reason and row["desired"] == "open" and row["cause"] == "arrears":
            want_closed(unit, estate_id, site, row["meter_id"], row["bus_id"], "kept", "system", now)
        if site["mode"] == "observe":
            continue
        if reason and row["keep_state"] != ON and not is_isolated(row):
            want(unit, estate_id, row["meter_id"], row["bus_id"], row["keep_gen"] or 0, ON, reason, now)
            wishes += 1
        elif not reason and row["keep_state"] == ON and may_end and _may_end(book, row, now):
            want(unit, estate_id, row["meter_id"], row["bus_id"], row["keep_gen"], OFF, "ended", now)
            wishes += 1
    return wishes


def _may_end(book: RuleBook, row: RowMapping, now: "Now", *, clock_sane: bool = True) -> bool:
    site = book.site
    return may_be_taken_back(
        book.times(row), now.world_s, stopped=bool(site["stopped"]), breaker=site["breaker"], clock_sane=clock_sane
    )


def want(
    unit: Unit, estate_id: str, meter_id: str, bus_id: str, gen: int, state: str, reason: str, now: "Now"
) -> None:  # fmt: skip
    """Write the generation after `gen` of what is wanted of a meter."""
    values: dict[str, object] = {
        "estate_id": estate_id, "meter_id": meter_id, "gen": gen + 1, "state": state,
        "reason": reason, "actor": "system", "decided_at": now.world_s, "created_ms": now.machine_ms,
    }  # fmt: skip
    kept.add_wish(unit.connection, values)
    unit.announce("supply", bus_id)
    unit.announce("meter", meter_id)


def is_current(
    connection: Connection, estate_id: str, meter_id: str, gen: int, now: "Now", *, clock_sane: bool
) -> bool:
    """Whether a frame of this generation may go out: it is the newest, and keep-power may still be taken back."""
    row = kept.get(connection, estate_id, meter_id)
    if row is None or row["gen"] != gen:
        return False
    if row["state"] == ON:
        return True
    book = rule_book(connection, estate_id, now.world_s)
    account_id = get_meter(connection, estate_id, meter_id).account_id
    if account_id is None:  # nobody lives there any more; who moves in decides
        return False
    return _may_end(book, get_account(connection, estate_id, account_id), now, clock_sane=clock_sane)


def record_attempt(unit: Unit, estate_id: str, meter_id: str, gen: int, step: str, detail: str, now: "Now") -> None:
    """Keep one step. What failed is tried again, ever more rarely; nothing is confirmed by it.

    Of "superseded" in a row only the first is kept, as with a relay.
    """
    if step == "superseded" and kept.newest_step(unit.connection, estate_id, meter_id, gen) == step:
        return
    values: dict[str, object] = {
        "estate_id": estate_id, "meter_id": meter_id, "gen": gen, "step": step, "world_at": now.world_s,
        "created_ms": now.machine_ms, "detail": detail[:500],
    }  # fmt: skip
    kept.add_attempt(unit.connection, values)
    row = kept.get(unit.connection, estate_id, meter_id)
    if row is None or row["gen"] != gen or row["command"] == "confirmed":
        return
    if step in FAILING:
        known = KeepState(gen, row["state"], row["command"], row["tries"], row["created_ms"])
        _failed(unit, estate_id, known, meter_id, step, now)
    elif step in ("sent", "accepted"):
        kept.update(unit.connection, estate_id, meter_id, command=step)
    unit.announce("meter", meter_id)


def _failed(unit: Unit, estate_id: str, known: KeepState, meter_id: str, step: str, now: "Now") -> None:
    tries = known.tries
    kept.update(
        unit.connection, estate_id, meter_id, command="failed", tries=tries + 1,
        next_ms=next_try_ms(tries, now.machine_ms),
    )  # fmt: skip
    if tries + 1 >= TRIES_TO_CASE:
        room_id = get_meter(unit.connection, estate_id, meter_id).room_id
        evidence: dict[str, object] = {"keep": known.state, "tries": tries + 1, "step": step}
        severity = "high" if known.state == ON else "medium"
        cases.raise_case(unit, estate_id, Finding(KEEP_FAILS, meter_id, room_id, severity, evidence), now)


def believe(unit: Unit, estate_id: str, item: StatusRead, known: KeepState, now: "Now") -> None:
    """Take what status word 3 says of keep-power: only this confirms a wish, or shows that the meter has lost it."""
    keeps = bool(item.status3 & KEEP_POWER)
    if known.command == "confirmed":
        if known.state == ON and not keeps:
            bus_id = get_meter(unit.connection, estate_id, item.meter_id).bus_id
            want(unit, estate_id, item.meter_id, bus_id, known.gen, ON, "lost", now)
        return
    if item.ms < known.created_ms:
        return
    if keeps == (known.state == ON):
        kept.update(unit.connection, estate_id, item.meter_id, command="confirmed", read_at=item.at)
        cases.settle(unit, estate_id, (KEEP_FAILS, item.meter_id), "the meter shows it now", now)
        unit.announce("meter", item.meter_id)
    elif known.command in ("sent", "accepted"):
        _failed(unit, estate_id, known, item.meter_id, "read_back", now)
