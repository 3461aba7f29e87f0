"""A household's closed months and what belongs to each, as JSON; the printed sheets are pages of their own."""

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field

from server.domain.ledger import LEDGERS, ledger_account
from server.domain.settlement import MONTH
from server.errors import NotFound
from server.store import settlement as closes
from server.store import statements as kept
from server.store.ledger import accounts_by_id
from server.web.api.households import AccountId, Viewer
from server.web.api.shapes import Nanofen, Shape, shape_row
from server.web.deps import Reader

router = APIRouter(prefix="/api/v1/households", tags=["settlement"])
Month = Annotated[str, Path(max_length=12, description="2026-10")]
MONTHS_MAX = 240


class LedgerMonth(Shape):
    """One ledger of a household in a closed month."""

    ledger: str = Field(description="electricity, shared, property or arrears")
    opening_fen: int
    closing_fen: int
    by_kind: dict[str, int] = Field(description="fen by kind of booking")
    late_lines: int
    late_fen: int


class StatementMonth(Shape):
    """A closed month of a household's electricity."""

    period: str
    from_at: int
    to_at: int
    opening_fen: int
    closing_fen: int
    energy_wh: int
    charge_nf: Nanofen


class StatementEntry(Shape):
    """One line of a statement; late lines happened before the month and were booked after the close of theirs."""

    account_id: str
    batch_seq: int
    kind: str
    at: int
    amount_fen: int
    charge_nf: Nanofen
    energy_wh: int
    memo: str
    late: bool


class Statement(Shape):
    """A household's closed month: its ledgers, energy by rate, and every line."""

    account_id: str
    period: str
    from_at: int
    to_at: int
    through_seq: int
    hash: str = Field(description="of the closed month")
    energy_wh: int
    rates_wh: list[int] = Field(description="sharp, peak, flat, valley; zeros where they are not priced")
    charge_nf: Nanofen
    ledgers: list[LedgerMonth]
    lines: list[StatementEntry]


def own_account(conn: Reader, who: Viewer, account_id: AccountId) -> str:
    """The household of the path, if the principal may see it, also one that has moved out; raises NotFound."""
    row = accounts_by_id(conn, who.estate_id, [who.own_account(account_id)]).get(account_id)
    if row is None or row["kind"] != "household":
        raise NotFound(f"no household {account_id}")
    return account_id


Own = Annotated[str, Depends(own_account)]


@router.get("/{account_id}/statements", response_model=list[StatementMonth], summary="Its closed months")
def months(
    conn: Reader, who: Viewer, own: Own, limit: Annotated[int, Query(ge=1, le=MONTHS_MAX)] = 24
) -> list[StatementMonth]:
    """Newest first."""
    rows = closes.months_of(conn, who.estate_id, own, limit=limit)
    return [shape_row(StatementMonth, row) for row in rows]


@router.get("/{account_id}/statements/{period}", response_model=Statement, summary="Its statement of a closed month")
def statement(conn: Reader, who: Viewer, own: Own, period: Month) -> Statement:
    """Sums by ledger and every line, by event."""
    closed = closes.settlement_of(conn, who.estate_id, MONTH, period)
    names = {ledger_account(own, ledger): ledger for ledger in LEDGERS}
    sums = closes.sums_of(conn, who.estate_id, MONTH, period, list(names))
    if closed is None or own not in sums:
        raise NotFound(f"there is no statement of {own} over {period}")
    home = sums[own]
    ledgers = [
        LedgerMonth(
            ledger=ledger, opening_fen=row.opening_fen, closing_fen=row.closing_fen, by_kind=json.loads(row.by_kind),
            late_lines=row.late_lines, late_fen=row.late_fen,
        )
        for name, ledger in names.items()
        if (row := sums.get(name)) is not None
    ]  # fmt: skip
    lines = kept.lines_in(conn, who.estate_id, closed, list(names))
    return Statement(
        account_id=own,
        period=period,
        from_at=closed.from_at,
        to_at=closed.to_at,
        through_seq=closed.through_seq,
        hash=closed.hash,
        energy_wh=home.energy_wh,
        rates_wh=list(home.rates_wh),
        charge_nf=str(home.charge_nf),
        ledgers=ledgers,
        lines=[shape_row(StatementEntry, line._asdict()) for line in lines],
    )
