"""Reads and writes of supply: what is wanted of each relay, what was tried, and what was read back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Connection, RowMapping, Select, and_, bindparam, case, func, select

from server.domain.accounts import POSTPAID
from server.domain.local_fee import REMOTE
from server.domain.rulebook import RuleBook
from server.domain.schemes import KEEP_ALWAYS
from server.domain.supply import BUS_WINDOW_S, DAY_S, HOUR_S, QUARANTINED, TripFacts, trips_allowed
from server.store.breaker import system_limit
from server.store.bulk import update_rows
from server.store.bulk_cut import released
from server.store.direct import Query, Row
from server.store.doubts import Doubts, load_doubts
from server.store.partial import HAS_WORD, IS_HOME, IS_UNFINISHED, UNFINISHED
from server.store.refunds import in_flight
from server.store.schema import account, bus, estate, meter, meter_live, relay_attempt, relay_desired, supply
from server.store.schemes import rule_book

HOUR_PERMILLE, DAY_PERMILLE = 10, 30


@dataclass(frozen=True, slots=True)
class Candidate:
    """A household that may be judged: its account, meter and bus, and the facts of the decision."""

    account_id: str
    meter_id: str
    bus_id: str
    room_id: str | None
    facts: TripFacts
    desired: str = "closed"  # of the relay: open, when its cut is wanted already
    is_warned: bool = True  # a cut warning was written for the present debt, delivered or not
    final_written_at: int | None = None  # when the newest final notice of the present debt was written


def _same_meter(left: Any, right: Any) -> Any:
    return and_(left.c.estate_id == right.c.estate_id, left.c.meter_id == right.c.meter_id)


_ESTATE: BindParameter[str] = bindparam("estate_id")
_HOUSEHOLDS = Query(lambda _: select(account.c.estate_id, func.count()).where(IS_HOME).group_by(account.c.estate_id))
_TRIPS = Query(
    lambda _: (
        select(meter.c.bus_id, relay_desired.c.decided_at)
        .join(meter, _same_meter(meter, relay_desired))
        .where(
            relay_desired.c.estate_id == _ESTATE,
            relay_desired.c.action == "trip",
            relay_desired.c.decided_at > bindparam("from_s"),
        )
    )
)
_JUDGED = Query(
    lambda among: (
        select(
            account, meter.c.meter_id, meter.c.bus_id, meter_live.c.total_wh, meter_live.c.previous_wh,
            meter_live.c.reading_at, meter_live.c.reading_ms, meter_live.c.previous_ms, meter_live.c.status3,
            meter_live.c.status3_at, meter_live.c.clock_offset_s, supply.c.desired, supply.c.candidate,
        )
        .join(meter, and_(meter.c.estate_id == account.c.estate_id, meter.c.account_id == account.c.account_id))
        .join(meter_live, _same_meter(meter_live, meter))
        .join(supply, _same_meter(supply, meter))
        .where(
            account.c.estate_id == _ESTATE, account.c.kind == "household", meter.c.kind == "household",
            meter.c.fee == REMOTE, among(account.c.account_id, "account_ids"),
        )
    )
)  # fmt: skip


class Homes(NamedTuple):
    """How many household accounts the estate has, and all estates of the database together."""

    own: int
    everywhere: int


def count_homes(connection: Connection, estate_id: str) -> Homes:
    """Counted in one walk, since both limits of cuts are asked together."""
    counts = {row[0]: int(row[1]) for row in _HOUSEHOLDS.rows(connection)}
    return Homes(counts.get(estate_id, 0), sum(counts.values()))


def households(connection: Connection, estate_id: str) -> int:
    """How many household accounts the estate has."""
    return count_homes(connection, estate_id).own


def trips_since(connection: Connection, estate_id: str, from_s: int) -> list[tuple[str, int]]:
    """(bus, world time) of each wish to cut that was decided after `from_s`."""
    return [(row[0], row[1]) for row in _TRIPS.rows(connection, estate_id=estate_id, from_s=from_s)]


def overdrawn_accounts(connection: Connection, estate_id: str) -> list[str]:
    """Household accounts at or below their limit (to the fen; the exact test is the decision's) and still supplied."""
    query = (
        select(account.c.account_id)
        .join(meter, and_(meter.c.estate_id == account.c.estate_id, meter.c.account_id == account.c.account_id))
        .join(supply, _same_meter(supply, meter))
        .where(
            account.c.estate_id == estate_id,
            account.c.kind == "household",
            account.c.balance_fen <= 1 - account.c.overdraft_fen,
            supply.c.desired == "closed",
            meter.c.fee == REMOTE,
        )
        .order_by(account.c.balance_fen, account.c.account_id)
    )
    return list(dict.fromkeys(connection.execute(query).scalars()))


def trip_candidates(
    connection: Connection, estate_id: str, account_ids: Sequence[str], now_s: int, *, clock_sane: bool,
    homes: Homes | None = None,
) -> list[Candidate]:  # fmt: skip
    """The facts of these accounts, all of one consistent read, in the given order; `homes` where they are counted."""
    if not account_ids:
        return []
    book = rule_book(connection, estate_id, now_s)
    site = book.site
    homes = homes or count_homes(connection, estate_id)
    trips = trips_since(connection, estate_id, now_s - DAY_S)
    limits = {
        "hour_trips": sum(at > now_s - HOUR_S for _, at in trips),
        "hour_trips_max": trips_allowed(homes.own, site["trips_per_hour_max"], HOUR_PERMILLE),
        "day_trips": len(trips),
        "day_trips_max": trips_allowed(homes.own, site["trips_per_day_max"], DAY_PERMILLE),
    }
    limits["system_trips"], limits["system_trips_max"] = system_limit(connection, now_s - HOUR_S, homes.everywhere)
    in_waves = released(connection, estate_id)
    by_bus: dict[str, int] = {}
    for bus_id, at in trips:
        by_bus[bus_id] = by_bus.get(bus_id, 0) + (at > now_s - BUS_WINDOW_S)
    doubts = load_doubts(connection, estate_id, account_ids)
    returning = in_flight(connection, estate_id, account_ids)
    place = {name: number for number, name in enumerate(account_ids)}
    found = [
        _candidate(
            book, row, by_bus, limits, doubts, returning, clock_sane=clock_sane, in_wave=row["meter_id"] in in_waves
        )
        for row in _JUDGED.ask(connection, estate_id=estate_id, account_ids=account_ids)
    ]
    return sorted(found, key=lambda one: (place[one.account_id], one.meter_id))


def _candidate(
    book: RuleBook,
    row: Mapping[str, Any],
    by_bus: dict[str, int],
    limits: Mapping[str, Any],
    doubts: Doubts,
    returning: dict[str, int],
    *,
    clock_sane: bool,
    in_wave: bool,
) -> Candidate:
    site, rules = book.site, book.rules(row)
    always = rules.keep_power == KEEP_ALWAYS  # its meter keeps the power on whatever the balance
    written_at, final_at = doubts.finals.get(row["account_id"], (None, None))
    facts = TripFacts(
        mode=site["mode"],
        stopped=bool(site["stopped"]),
        breaker=site["breaker"],
        clock_sane=clock_sane,
        account_status=row["status"],
        balance_fen=row["balance_fen"],
        residue_nf=row["residue_nf"],
        overdraft_fen=row["overdraft_fen"],
        protected=bool(row["protected"]) or always,
        protected_until=None if always else row["protected_until"],
        warned_at=doubts.warned_at.get(row["account_id"]),
        grace_s=rules.grace_s,
        reading_at=row["reading_at"],
        reading_ms=row["reading_ms"],
        previous_ms=row["previous_ms"],
        total_wh=row["total_wh"],
        previous_wh=row["previous_wh"],
        reading_fresh_s=site["reading_fresh_s"],
        status3=row["status3"],
        status3_at=row["status3_at"],
        clock_offset_s=row["clock_offset_s"],
        command_ttl_s=site["command_ttl_s"],
        bus_trips=by_bus.get(row["bus_id"], 0),
        times=book.times(row),
        held_readings=doubts.held.get(row["meter_id"], 0),
        unconfirmed_fen=doubts.unconfirmed_fen.get(row["account_id"], 0),
        quarantined=row["candidate"] == QUARANTINED,
        returning_fen=returning.get(row["account_id"], 0),
        postpaid=row["payment"] == POSTPAID,
        released=in_wave,
        final_notice_s=rules.final_notice_s,
        final_at=final_at,
        **limits,
    )
    is_warned = row["account_id"] in doubts.warned_at
    return Candidate(
        row["account_id"], row["meter_id"], row["bus_id"], row["room_id"], facts, row["desired"], is_warned, written_at
    )


_SUPPLY = select(supply).where(supply.c.estate_id == _ESTATE, supply.c.meter_id == bindparam("meter_id"))
_WISH = select(relay_desired).where(
    relay_desired.c.estate_id == _ESTATE,
    relay_desired.c.meter_id == bindparam("meter_id"),
    relay_desired.c.gen == bindparam("gen"),
)


def get_supply(connection: Connection, estate_id: str, meter_id: str) -> RowMapping | None:
    """What is wanted and known of one relay."""
    return connection.execute(_SUPPLY, {"estate_id": estate_id, "meter_id": meter_id}).mappings().one_or_none()


@dataclass(frozen=True, slots=True)
class SupplyState:
    """What is wanted and known of one relay, as far as a status word may change it."""

    desired: str
    command: str
    relay: str
    relay_ms: int | None
    cause: str


_STATES = Query(
    lambda among: select(
        supply.c.meter_id, supply.c.desired, supply.c.command, supply.c.relay, supply.c.relay_ms, supply.c.cause
    ).where(supply.c.estate_id == _ESTATE, among(supply.c.meter_id, "meter_ids"))
)


def supply_states(connection: Connection, estate_id: str, meter_ids: Sequence[str]) -> dict[str, SupplyState]:
    """The states of many relays at once; meters without one are absent."""
    found = _STATES.rows(connection, estate_id=estate_id, meter_ids=meter_ids)
    return {row[0]: SupplyState(*row[1:]) for row in found}


def save_relays(connection: Connection, estate_id: str, rows: Sequence[tuple[str, int, int]]) -> None:
    """Relays that were read and are as before: rows of (meter_id, relay_at, relay_ms)."""
    words = [(at, ms, estate_id, meter_id) for meter_id, at, ms in rows]
    update_rows(connection, supply, ("relay_at", "relay_ms"), ("estate_id", "meter_id"), words)


def update_supply(connection: Connection, estate_id: str, meter_id: str, **values: Any) -> None:
    """Change the current row of one relay."""
    connection.execute(
        supply.update().where(supply.c.estate_id == estate_id, supply.c.meter_id == meter_id).values(**values)
    )


def add_wish(connection: Connection, **values: Any) -> None:
    """Append one generation; the key refuses a generation that exists."""
    connection.execute(relay_desired.insert().values(**values))


def get_wish(connection: Connection, estate_id: str, meter_id: str, gen: int) -> RowMapping | None:
    """One generation of a relay."""
    asked = {"estate_id": estate_id, "meter_id": meter_id, "gen": gen}
    return connection.execute(_WISH, asked).mappings().one_or_none()


def trip_sent_at(connection: Connection, estate_id: str, meter_id: str, gen: int | None = None) -> int | None:
    """World time at which the last frame that wanted this meter open had leave to go out; None: none ever had.

    Of the generation `gen` alone, if it is named.
    """
    query = (
        select(func.max(relay_attempt.c.world_at))
        .join(
            relay_desired, and_(_same_meter(relay_attempt, relay_desired), relay_attempt.c.gen == relay_desired.c.gen)
        )
        .where(
            relay_attempt.c.estate_id == estate_id,
            relay_attempt.c.meter_id == meter_id,
            relay_attempt.c.step.in_(("cleared", "sent")),
            relay_desired.c.action == "trip",
            *(() if gen is None else (relay_attempt.c.gen == gen,)),
        )
    )
    at: int | None = connection.execute(query).scalar()
    return at


def unfinished_orders(
    connection: Connection, estate_id: str, bus_id: str | None = None, now_ms: int | None = None
) -> Sequence[RowMapping]:
    """Current wishes of a bus, or of all, that no read-back has confirmed: what was paid for, other closes, cuts.

    Each of them by age. With `now_ms` (machine time) only those whose turn has come.
    """
    turn = () if now_ms is None else (relay_desired.c.not_before_ms <= now_ms,)
    waiting = select(supply.c.meter_id).where(supply.c.estate_id == estate_id, IS_UNFINISHED)
    query = (
        select(
            relay_desired, meter.c.bus_id, meter.c.password, meter.c.password_level, estate.c.command_ttl_s,
            estate.c.stopped, estate.c.mode, estate.c.breaker,
        )
        .join(supply, and_(_same_meter(supply, relay_desired), supply.c.gen == relay_desired.c.gen))
        .join(meter, _same_meter(meter, relay_desired))
        .join(estate, estate.c.estate_id == relay_desired.c.estate_id)
        .where(
            relay_desired.c.estate_id == estate_id,
            relay_desired.c.meter_id.in_(waiting),  # looked up first: wishes pile up for ever
            *(() if bus_id is None else (meter.c.bus_id == bus_id,)),
            supply.c.command.in_(UNFINISHED),
            *turn,
        )
        .order_by(
            case((relay_desired.c.reason == "paid", 0), else_=1),
            relay_desired.c.state,
            relay_desired.c.not_before_ms,
            relay_desired.c.created_ms,
        )
    )  # fmt: skip
    return connection.execute(query).mappings().all()


def near_meters(connection: Connection, estate_id: str, bus_id: str) -> set[str]:
    """Meters whose account is close to a threshold, or whose relay is on its way: read them more often."""
    return {row[0] for row in connection.execute(_near(estate_id).where(meter.c.bus_id == bus_id))}


def near_by_bus(connection: Connection, estate_id: str) -> dict[str, set[str]]:
    """The same of all buses that have any."""
    found: dict[str, set[str]] = {}
    for meter_id, bus_id in connection.execute(_near(estate_id)):
        found.setdefault(bus_id, set()).add(meter_id)
    return found


def _near(estate_id: str) -> Select[Any]:
    return (
        select(meter.c.meter_id, meter.c.bus_id)
        .join(account, and_(account.c.estate_id == meter.c.estate_id, account.c.account_id == meter.c.account_id))
        .join(supply, _same_meter(supply, meter))
        .where(
            meter.c.estate_id == estate_id,
            (account.c.balance_fen <= account.c.alarm2_fen)
            | (supply.c.relay == "permitted")
            | supply.c.command.in_(UNFINISHED),
        )
    )


def bus_ids(connection: Connection, estate_id: str) -> list[str]:
    """All buses of the estate."""
    return list(connection.execute(select(bus.c.bus_id).where(bus.c.estate_id == estate_id)).scalars())


def set_candidates(connection: Connection, estate_id: str, found: dict[str, str], now_s: int) -> None:
    """Keep the last decision in words for these meters and clear it for all others that had one."""
    query = select(supply.c.meter_id, supply.c.candidate).where(supply.c.estate_id == estate_id, HAS_WORD)
    known = {row[0]: row[1] for row in connection.execute(query)}
    rows = [
        (found.get(meter_id, ""), now_s, estate_id, meter_id)
        for meter_id in sorted(known.keys() | found.keys())
        if found.get(meter_id, "") != known.get(meter_id, "")
    ]
    update_rows(connection, supply, ("candidate", "candidate_at"), ("estate_id", "meter_id"), rows)


def release_quarantined(connection: Connection, estate_id: str) -> int:
    """Let households that exceeded a limit be judged anew; returns how many."""
    where = (supply.c.estate_id == estate_id, supply.c.candidate == QUARANTINED, HAS_WORD)
    return connection.execute(supply.update().where(*where).values(candidate="")).rowcount


def switched_on(site: Row) -> bool:
    """Whether the estate's switches let a trip go out at this moment."""
    return site["mode"] == "armed" and not site["stopped"] and site["breaker"] == "closed"


def update_estate(connection: Connection, estate_id: str, **values: Any) -> None:
    """Change the estate's switches: mode, stopped, breaker."""
    connection.execute(estate.update().where(estate.c.estate_id == estate_id).values(**values))
