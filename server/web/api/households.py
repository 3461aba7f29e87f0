"""Households: the list, one of them, and what its pages show. A resident sees the own account and no other."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from server.errors import NotFound
from server.store import household as household_reads
from server.store import listing, wall
from server.store.accounts import moved_in_at
from server.store.days import together, with_gaps
from server.store.estates import get_estate
from server.store.gaps import gaps_of
from server.store.household import days, relay_history
from server.store.ledger import balance_at, ledger_balances
from server.store.reading_archive import archived_until
from server.web.api.paging import Cursor, Limit, Page, answer, decode_cursor, decode_number, encode_cursor
from server.web.api.shapes import (
    Balance,
    Estate,
    Household,
    LedgerLine,
    Ledgers,
    Notice,
    Reading,
    ReadingGap,
    RelayWish,
    UsageDay,
    shape_row,
)
from server.web.deps import Reader, State, at_once, need
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1", tags=["households"])
DAYS_MAX = 366
AT_MAX_S = 253_402_300_799  # the end of the year 9999
WISHES_MAX = 20
ONE_METER = "of several meters this one; without it the one that `GET /households/{account_id}` names"

AccountId = Annotated[str, Path(max_length=64)]
Viewer = Annotated[Principal, Depends(need("household.view"))]


@router.get("/estate", tags=["estate"], response_model=Estate, summary="The estate and its clocks")
def estate(state: State, conn: Reader, who: Annotated[Principal, Depends(need("estate.view"))]) -> Estate:
    """Name, mode and cycles of the estate, with world and machine time now."""
    now = state.clock.now()
    row = {**get_estate(conn, who.estate_id), "world_s": now.world_s, "machine_ms": now.machine_ms}
    found: Estate = shape_row(Estate, row)
    return found


@router.get("/households", response_model=Page[Household], summary="All households, page by page")
@at_once
def households(
    request: Request,
    conn: Reader,
    who: Annotated[Principal, Depends(need("households.list"))],
    cursor: Cursor = "",
    limit: Limit = 50,
) -> Response:
    """Open households in the order of their account ids."""
    ids = listing.household_ids(conn, who.estate_id, after=decode_cursor(cursor), limit=limit + 1)
    found = {row.account_id: row for row in reversed(wall.households_of(conn, who.estate_id, ids[:limit]))}
    items = [Household.model_validate(found[account_id]) for account_id in ids[:limit] if account_id in found]
    return answer(request, Page[Household](items=items, next_cursor=_next(ids, limit)))


def _next(keys: list[str], limit: int) -> str | None:
    return encode_cursor(keys[limit - 1]) if len(keys) > limit else None


@at_once
def own_meters(conn: Reader, who: Viewer, account_id: AccountId) -> list[wall.HouseholdRow]:
    """The household of the path once for each of its meters, if the principal may see it; raises NotFound."""
    rows = wall.meters_of(conn, who.estate_id, who.own_account(account_id))
    if not rows:
        raise NotFound(f"no household {account_id}")
    return rows


@at_once
def own_household(conn: Reader, who: Viewer, account_id: AccountId) -> wall.HouseholdRow:
    """The household of the path by all its meters, if the principal may see it; raises NotFound."""
    row = wall.household(conn, who.estate_id, who.own_account(account_id))
    if row is None:
        raise NotFound(f"no household {account_id}")
    return row


Own = Annotated[wall.HouseholdRow, Depends(own_household)]
OwnMeters = Annotated[list[wall.HouseholdRow], Depends(own_meters)]
Named = Annotated[str, Query(pattern=r"^\d{0,12}$", description=ONE_METER)]


@router.get("/households/{account_id}", response_model=Household, summary="One household")
async def household(request: Request, own: Own) -> Response:
    """Balance, live meter and relay of a household."""
    return answer(request, Household.model_validate(own))


@router.get("/households/{account_id}/meters", response_model=list[Household], summary="Each of its meters")
async def each_meter(own: OwnMeters) -> list[Household]:
    """The household once for each of its meters, by number: register, power and relay are those of that meter."""
    return [Household.model_validate(one) for one in own]


class ReadingPage(Page[Reading]):
    """A page of readings, and from when on the database still has them."""

    archived_until: int | None = Field(description="most readings of before this instant are archived; null: none are")


@router.get("/households/{account_id}/readings", response_model=ReadingPage, summary="Its readings")
@at_once
def readings(
    request: Request, conn: Reader, who: Viewer, meters: OwnMeters, cursor: Cursor = "", limit: Limit = 50,
    meter: Named = "",
) -> Response:  # fmt: skip
    """Readings of one of its meters since the household moved in, with their verdicts, newest first."""
    own = wall.chosen(meters, meter)
    since = moved_in_at(conn, who.estate_id, own.account_id)
    rows = listing.readings(
        conn, who.estate_id, own.meter_id, before=decode_number(cursor), limit=limit + 1, since=since
    )
    items = [shape_row(Reading, row) for row in rows[:limit]]
    following = _next([str(row["read_at"]) for row in rows], limit)
    archived = archived_until(conn, who.estate_id) or None
    return answer(request, ReadingPage(items=items, next_cursor=following, archived_until=archived))


@router.get("/households/{account_id}/ledger", response_model=Page[LedgerLine], summary="Its ledger")
@at_once
def ledger(request: Request, conn: Reader, who: Viewer, own: Own, cursor: Cursor = "", limit: Limit = 50) -> Response:
    """Lines of the account, newest first; amounts that reduce the balance are negative."""
    rows = listing.ledger_lines(conn, who.estate_id, own.account_id, before=decode_number(cursor), limit=limit + 1)
    items = [shape_row(LedgerLine, row) for row in rows[:limit]]
    following = _next([str(row["account_version"]) for row in rows], limit)
    return answer(request, Page[LedgerLine](items=items, next_cursor=following))


@router.get("/households/{account_id}/balance", response_model=Balance, summary="Its balance at an instant")
def balance(
    state: State, conn: Reader, who: Viewer, own: Own, at: Annotated[int | None, Query(ge=0, le=AT_MAX_S)] = None
) -> Balance:
    """The balance at epoch second `at` of world time (now, without one), by when things happened.

    What came to be known later counts where it happened, so the answer about an instant may still change while
    readings from before it are on their way.
    """
    instant = state.clock.now().world_s if at is None else at
    fen, residue_nf = balance_at(conn, who.estate_id, own.account_id, instant)
    values = {"account_id": own.account_id, "at": instant, "balance_fen": fen, "residue_nf": residue_nf}
    return Balance.model_validate(values)


@router.get("/households/{account_id}/ledgers", response_model=Ledgers, summary="Its balances by ledger")
@at_once
def ledgers(conn: Reader, who: Viewer, own: Own) -> Ledgers:
    """What it has or owes for electricity, shared areas, property fees and arrears, in fen."""
    found = ledger_balances(conn, who.estate_id, own.account_id)
    return Ledgers.model_validate({"account_id": own.account_id, **found})


@router.get("/households/{account_id}/notices", response_model=list[Notice], summary="Its messages")
@at_once
def notices(conn: Reader, who: Viewer, own: Own, limit: Limit = 50) -> list[Notice]:
    """The newest messages to the household with their delivery, newest first."""
    rows = household_reads.notices(conn, who.estate_id, own.account_id, limit=limit)
    return [shape_row(Notice, row) for row in rows]


@router.get("/households/{account_id}/relay", response_model=list[RelayWish], summary="Its relay timeline")
@at_once
def relay(
    conn: Reader, who: Viewer, meters: OwnMeters, limit: Annotated[int, Query(ge=1, le=WISHES_MAX)] = 5,
    meter: Named = "",
) -> list[RelayWish]:  # fmt: skip
    """The newest wishes for the relay of one of its meters since it moved in, with what was sent and read back."""
    own = wall.chosen(meters, meter)
    since = moved_in_at(conn, who.estate_id, own.account_id)
    wishes = relay_history(conn, who.estate_id, own.meter_id, limit=limit, since=since)
    return [RelayWish.model_validate(wish) for wish in wishes]


@router.get("/households/{account_id}/usage", response_model=list[UsageDay], summary="Its energy by day")
@at_once
def usage(
    conn: Reader, who: Viewer, meters: OwnMeters, limit: Annotated[int, Query(ge=1, le=DAYS_MAX)] = 31,
    meter: Annotated[str, Query(pattern=r"^\d{0,12}$", description="this meter alone; without it all together")] = "",
) -> list[UsageDay]:  # fmt: skip
    """Energy of the latest local days, oldest first; a day between them that no reading tells has none.

    Of several meters it is that of all, and each has to tell a day.
    """
    among = [wall.chosen(meters, meter)] if meter else meters
    found = with_gaps(together([days(conn, who.estate_id, one.meter_id, limit=limit) for one in among], limit))
    return [UsageDay(day=day, energy_wh=energy_wh) for day, energy_wh in found[-limit:]]


@router.get("/households/{account_id}/gaps", response_model=list[ReadingGap], summary="Where its readings are missing")
def gaps(state: State, conn: Reader, who: Viewer, meters: OwnMeters, meter: Named = "") -> list[ReadingGap]:
    """Of one of its meters, the last seven days: stretches without a reading, oldest first.

    The energy over each is known, its course not.
    """
    cycle_s = get_estate(conn, who.estate_id)["reading_cycle_s"]
    found = gaps_of(conn, who.estate_id, wall.chosen(meters, meter).meter_id, state.clock.now().world_s, cycle_s)
    return [ReadingGap(from_at=one.from_at, to_at=one.to_at, missing=one.missing(cycle_s)) for one in found]
