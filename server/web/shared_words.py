"""How a household's part of a shared cost came about, as a formula with its numbers."""

import json
from typing import Any

from server.domain.allocation import AREA, USAGE
from server.web.formats import Formats, kwh, price, yuan
from server.web.i18n import mark as _

CM2_PER_M2 = 10_000


def square_metres(area_cm2: int) -> str:
    """An area: 88.50 m²."""
    hundredths = (2 * area_cm2 + 100) // 200
    return f"{hundredths // 100:,}.{hundredths % 100:02d} m²"


def weight_said(basis: str, weight: int, f: Formats, *, by_days: bool = False) -> str:
    """What somebody counts for: 88.50 m², 12 days, 1062.00 m² × days."""
    if basis == AREA:
        area = square_metres(weight)
        return f.said(_("%(area)s × days")) % {"area": area} if by_days else area
    if basis == USAGE:
        return kwh(weight)
    if by_days:
        return f.said(_("1 day")) if weight == 1 else f.said(_("%(n)d days")) % {"n": weight}
    return str(weight)


def share_said(row: Any, f: Formats) -> str:
    """The formula of one share: ¥100.00 × 88.50 m² ÷ 354.00 m² = ¥25.00."""
    by_days = "days" in json.loads(row["formula"])
    weight, whole = (weight_said(row["basis"], row[name], f, by_days=by_days) for name in ("weight", "weight_total"))
    return f"{yuan(row['amount_fen'])} × {weight} ÷ {whole} = {yuan(row['share_fen'])}"


def cost_said(row: Any, f: Formats) -> str:
    """Where the cost itself comes from, in the language of `f`; empty for an amount that was given."""
    numbers = json.loads(row["formula"])
    if row["energy_wh"] is None or row["price_nf_per_wh"] is None:
        return ""
    bought = f"{kwh(row['energy_wh'])} × {price(row['price_nf_per_wh'])} = {yuan(row['amount_fen'])}"
    if "gate_wh" not in numbers:
        return bought
    lost = f.said(
        _("gate meters %(gate)s − household meters %(meters)s − known public meters %(known)s = %(rest)s")
    ) % {
        "gate": kwh(numbers["gate_wh"]),
        "meters": kwh(numbers["meters_wh"]),
        "known": kwh(numbers["known_wh"]),
        "rest": kwh(numbers["energy_wh"]),
    }
    return f"{lost}; {bought}"
