"""Bills, worked out again: what was booked beside what readings and tariff give, in figures and in words."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from pydantic import Field

from server.domain import bills as domain
from server.domain.bill_parts import Part
from server.errors import NotFound
from server.flows.bills import explain
from server.web import i18n, pages
from server.web.api.shapes import Nanofen, Shape
from server.web.bill_words import line_said
from server.web.deps import Reader, need
from server.web.formats import Formats
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1", tags=["households"])
Viewer = Annotated[Principal, Depends(need("household.view"))]
BillId = Annotated[str, Path(max_length=100, pattern=r"^[^\x00]+$")]
Rates = tuple[int, int, int, int]


class BillPart(Shape):
    """Energy at one price; tier and rate (1 sharp, 2 peak, 3 flat, 4 valley) are 0 where they do not matter."""

    what: str = Field(
        description="free, tier, rate, surcharge (beyond the limit below its tier) or cell (tier and rate)"
    )
    tier: int
    rate: int
    energy_wh: int
    price_nf_per_wh: int
    charge_nf: Nanofen


class BillSum(BillPart):
    """The same over all lines, by tariff version."""

    tariff_id: str
    valid_from_at: int


class BillCharge(Shape):
    """A charge worked out from registers and tariff; registers before the ratio, energy after it."""

    meter_id: str
    tariff_id: str
    valid_from_at: int
    from_at: int
    to_at: int
    from_wh: int
    to_wh: int
    from_rates_wh: Rates | None
    to_rates_wh: Rates | None
    end_source: str = Field(description="where the last register came from; split: cut by time at a tariff boundary")
    ratio: int
    energy_wh: int
    tier_period_start_at: int
    tier_from_wh: int
    order_rule: str
    parts: list[BillPart]
    levies_nf: Nanofen = Field(description="nanofen, contained in the charge")
    charge_nf: Nanofen
    posted_fen: int
    residue_after_nf: Nanofen


class BillDifference(Shape):
    """A figure that was booked otherwise than it is worked out, both as text."""

    line: str
    what: str
    booked: str
    derived: str


class BillLine(Shape):
    """One line as it was booked, the charge worked out again, and the same in words (language of the session)."""

    line: str = Field(description="the name of the line, ACCOUNT:N")
    batch_seq: int
    line_no: int
    kind: str
    event_at: int
    memo: str
    amount_fen: int
    balance_before_fen: int
    balance_after_fen: int
    residue_before_nf: Nanofen
    residue_after_nf: Nanofen
    charge: BillCharge | None
    words: list[str]


class Bill(Shape):
    """A bill: one line, a day or a month of one account."""

    bill: str
    account_id: str
    room_id: str | None
    balance_before_fen: int
    balance_after_fen: int
    energy_wh: int
    charge_nf: Nanofen
    levies_nf: Nanofen
    charged_fen: int
    other_fen: int
    parts: list[BillSum]
    lines: list[BillLine]
    differences: list[BillDifference]


def bill_of(bill: domain.Bill, language: str) -> Bill:
    """The shape of a bill, its words in a language of the pages."""
    gettext = i18n.translations(language).gettext
    f = Formats(gettext, bill.time_zone, 0)
    account_id = bill.name.account_id
    return Bill(
        bill=str(bill.name),
        account_id=account_id,
        room_id=bill.room_id,
        balance_before_fen=bill.balance_before_fen,
        balance_after_fen=bill.balance_after_fen,
        energy_wh=bill.energy_wh,
        charge_nf=str(bill.charge_nf),
        levies_nf=str(bill.levies_nf),
        charged_fen=bill.charged_fen,
        other_fen=bill.other_fen,
        parts=[
            BillSum(**_part(one.part).model_dump(), tariff_id=one.tariff_id, valid_from_at=one.valid_from_s)
            for one in bill.parts
        ],
        lines=[
            _line(line, account_id, [f"{row.label}: {row.text}" for row in line_said(line, f, gettext)])
            for line in bill.lines
        ],
        differences=[
            BillDifference(
                line=f"{account_id}:{one.at}", what=one.what, booked=str(one.booked), derived=str(one.derived)
            )
            for one in bill.differences
        ],
    )


def _part(part: Part) -> BillPart:
    return BillPart(**part._asdict(), charge_nf=str(part.charge_nf))


def _line(line: domain.BillLine, account_id: str, words: list[str]) -> BillLine:
    booked, own = line.booked, line.booked.line
    return BillLine(
        line=f"{account_id}:{own.account_version}",
        batch_seq=booked.batch_seq,
        line_no=own.line_no,
        kind=booked.kind,
        event_at=booked.event_at,
        memo=booked.memo,
        amount_fen=own.amount_fen,
        balance_before_fen=booked.balance_before_fen,
        balance_after_fen=own.balance_after_fen,
        residue_before_nf=str(booked.residue_before_nf),
        residue_after_nf=str(own.residue_after_nf),
        charge=None if line.derived is None else _charge(line.derived, own.meter_id or ""),
        words=words,
    )


def _charge(derived: domain.Derived, meter_id: str) -> BillCharge:
    start, end, terms = derived.start, derived.end, derived.terms
    return BillCharge(
        meter_id=meter_id,
        tariff_id=terms.tariff_id,
        valid_from_at=terms.version.valid_from_s,
        from_at=start.at,
        to_at=end.at,
        from_wh=start.total_wh,
        to_wh=end.total_wh,
        from_rates_wh=start.rates_wh,
        to_rates_wh=end.rates_wh,
        end_source=derived.end_source,
        ratio=derived.ratio,
        energy_wh=derived.energy_wh,
        tier_period_start_at=terms.tier_period_start,
        tier_from_wh=derived.tier_from_wh,
        order_rule=terms.version.order_rule,
        parts=[_part(part) for part in derived.parts],
        levies_nf=str(derived.levies_nf),
        charge_nf=str(derived.charge_nf),
        posted_fen=derived.posted_fen,
        residue_after_nf=str(derived.residue_after_nf),
    )


def own_bill(conn: Reader, who: Principal, bill: str) -> domain.Bill:
    """The bill of this name, if the principal may see it; raises NotFound."""
    try:
        account_id = domain.bill_name(bill).account_id
    except ValueError:
        account_id = bill
    if who.role == "resident" and account_id != who.account_id:
        raise NotFound(f"no bill {bill}")
    return explain(conn, who.estate_id, bill)


@router.get("/bills/{bill}", response_model=Bill, summary="A bill worked out again, line by line")
def bill(request: Request, conn: Reader, who: Viewer, bill: BillId) -> Bill:
    """`ACCOUNT:57` (a line), `ACCOUNT:2026-10-13` (a day), `ACCOUNT:2026-10` (a month) or `ACCOUNT` (newest charge).

    `differences` is empty where everything was booked as readings and tariff give it.
    """
    return bill_of(own_bill(conn, who, bill), pages.language_of(request))
