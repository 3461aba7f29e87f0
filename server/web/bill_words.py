"""A bill in words: labelled sentences that anybody can follow with a pencil, for pages and for the command.

Figures are exact: kWh to the last Wh, prices with all their digits, charges in fen down to the nanofen.
"""

from collections.abc import Callable
from typing import NamedTuple

from core.tariff_terms import ALL_MONTHS, REGISTERS
from core.tariff_windows import RATE_NAMES
from core.units import NF_PER_FEN
from server.domain.bill_parts import CELL, FREE, RATE, SURCHARGE, Part
from server.domain.bills import Bill, BillLine, Corrected, Derived, Difference
from server.domain.readings import Rates
from server.web import tariff_names, words
from server.web.details import memo_said
from server.web.formats import (
    Formats,
    fen_exact,
    kwh,
    kwh_exact,
    meter_number,
    months_said,
    price_trimmed,
    signed_yuan,
    yuan,
)
from server.web.i18n import mark as _

Gettext = Callable[[str], str]
RATES = {number: tariff_names.RATES[name] for number, name in enumerate(RATE_NAMES, 1)}
FIGURES = {
    "from_wh": _("register before"), "to_wh": _("register after"), "from_rates_wh": _("registers by rate before"),
    "to_rates_wh": _("registers by rate after"), "tier_period_start": _("begin of the tiers"),
    "tier_from_wh": _("energy in the tiers before"), "charge_nf": _("exact charge"), "amount_fen": _("amount"),
    "residue_after_nf": _("carried on"), "balance_after_fen": _("balance"), "tariff_id": _("tariff"),
}  # fmt: skip


MEANINGS = {  # lines whose name alone does not say where they come from
    "recovery": _("the share of a top-up that goes to debts, as the rule for debts says"),
    "recovery_return": _("a top-up was reversed, and what of it had gone to debts came back"),
    "instalment": _("one instalment of the plan for debts that was agreed with the household"),
    "meter_settled": _("what the meter itself still had, or had overdrawn, when the household moved"),
    "void": _("a reading was taken back, and what had been charged by it is given back; it is charged again"),
    "recharge": _("went into the meter, which keeps the credit itself"),
    "recharge_return": _("the meter did not take it, so it came back"),
}


class Said(NamedTuple):
    """One thing that a bill says."""

    label: str
    text: str


def bill_said(bill: Bill, f: Formats, gettext: Gettext) -> list[Said]:
    """A day or month as a whole: energy at each price, the exact sum, what was posted, the balance."""
    rows = [Said(gettext(_("Balance before")), yuan(bill.balance_before_fen))]
    if any(line.derived for line in bill.lines):
        rows.append(Said(gettext(_("Energy")), kwh_exact(bill.energy_wh)))
        several = len({(one.tariff_id, one.valid_from_s) for one in bill.parts}) > 1
        for one in bill.parts:
            label = part_label(one.part, gettext)
            if several:
                label = gettext(_("%(what)s, %(tariff)s from %(day)s")) % {
                    "what": label, "tariff": one.tariff_name, "day": f.iso_day(one.valid_from_s),
                }  # fmt: skip
            rows.append(Said(label, part_said(one.part, gettext)))
        if bill.levies_nf:
            rows.append(Said(gettext(_("Levies, contained")), _fen(bill.levies_nf, gettext)))
        rows.append(Said(gettext(_("Exact sum")), _fen(bill.charge_nf, gettext)))
        rows.append(Said(gettext(_("Posted for energy")), yuan(bill.charged_fen)))
    if bill.other_fen:
        rows.append(Said(gettext(_("Paid in and corrected")), signed_yuan(bill.other_fen)))
    rows.append(Said(gettext(_("Balance after")), yuan(bill.balance_after_fen)))
    return rows


def line_said(line: BillLine, f: Formats, gettext: Gettext) -> list[Said]:
    """One line, step by step, and what does not agree with it."""
    booked = line.booked
    kind = gettext(words.LEDGER.get(booked.kind, booked.kind))
    number = {"kind": kind, "batch": booked.batch_seq, "line": booked.line.line_no}
    rows = [Said(gettext(_("Booked")), gettext(_("%(kind)s, batch %(batch)d, line %(line)d")) % number)]
    if booked.line.meter_id is not None:
        rows.append(Said(gettext(_("Meter")), meter_number(booked.line.meter_id)))
    if line.derived is not None:
        rows += _derived_said(line.derived, line, f, gettext)
    elif line.correction is not None:
        rows += _correction_said(line.correction, line, f, gettext)
    else:
        rows.append(Said(gettext(_("Time")), f.full(booked.event_at)))
        if booked.kind in MEANINGS:
            rows.append(Said(gettext(_("Meaning")), gettext(MEANINGS[booked.kind])))
        if booked.memo:
            rows.append(Said(gettext(_("Note")), memo_said(booked.memo, f, gettext)))
        rows.append(Said(gettext(_("Amount")), signed_yuan(booked.line.amount_fen)))
    change = signed_yuan(booked.line.amount_fen)
    sums = {"before": yuan(booked.balance_before_fen), "change": change, "after": yuan(booked.line.balance_after_fen)}
    rows.append(Said(gettext(_("Balance")), gettext(_("%(before)s, %(change)s, then %(after)s")) % sums))
    return rows + [Said(gettext(_("DIFFERS")), difference_said(one, gettext)) for one in line.differences]


def _derived_said(derived: Derived, line: BillLine, f: Formats, gettext: Gettext) -> list[Said]:
    version = derived.terms.version
    rows = [Said(gettext(_("Used")), when(line, f))]
    if derived.end_source == "split":
        rows.append(Said(gettext(_("End")), gettext(_("no reading on the boundary of the tariff: split by time"))))
    elif derived.end_source:
        rows.append(Said(gettext(_("Read")), gettext(words.SOURCES.get(derived.end_source, derived.end_source))))
    rows += _registers_said(derived, gettext)
    energy = kwh_exact(sum(derived.moved_wh))
    if derived.ratio != 1:
        energy = f"{energy} × {derived.ratio} = {kwh_exact(derived.energy_wh)}"
    rows.append(Said(gettext(_("Energy")), energy))
    since = {"tariff": derived.tariff_name, "day": f.iso_day(version.valid_from_s)}
    rows.append(Said(gettext(_("Tariff")), gettext(_("%(tariff)s, as from %(day)s")) % since))
    rows += _season_said(derived, gettext)
    rows += _tiers_said(derived, f, gettext)
    rows += [Said(part_label(part, gettext), part_said(part, gettext)) for part in derived.parts]
    if derived.levies_nf:
        rows.append(Said(gettext(_("Levies, contained")), _fen(derived.levies_nf, gettext)))
    rows.append(Said(gettext(_("Exact charge")), _fen(derived.charge_nf, gettext)))
    rows.append(_rounding(derived.charge_nf, line, derived.posted_fen, derived.residue_after_nf, gettext))
    return rows


def _correction_said(own: Corrected, line: BillLine, f: Formats, gettext: Gettext) -> list[Said]:
    rerate = own.rerate
    rows = [
        Said(gettext(_("Charged again")), f"{f.full(rerate.from_at)} – {f.full(rerate.until_at)}"),
        Said(gettext(_("Reason")), rerate.reason),
        Said(gettext(_("Energy")), kwh_exact(own.energy_wh)),
        Said(gettext(_("Charged then")), _fen(own.old_nf, gettext)),
        Said(gettext(_("By %(tariff)s")) % {"tariff": own.tariff_name}, _fen(own.new_nf, gettext)),
    ]
    if own.corrected_nf:
        rows.append(Said(gettext(_("Corrected before")), _fen(own.corrected_nf, gettext)))
    rows.append(Said(gettext(_("Difference")), _fen(own.owed_nf, gettext)))
    rows.append(_rounding(own.owed_nf, line, own.posted_fen, own.residue_after_nf, gettext))
    return rows


def _rounding(exact_nf: int, line: BillLine, posted_fen: int, residue_nf: int, gettext: Gettext) -> Said:
    """From the exact charge to the fen that were posted, and what is carried on."""
    before_nf = line.booked.residue_before_nf
    carried = {
        "exact": fen_exact(exact_nf), "sign": "+" if before_nf >= 0 else "\u2212",
        "carried": fen_exact(abs(before_nf)), "sum": fen_exact(exact_nf + before_nf),
        "posted": fen_exact(posted_fen * NF_PER_FEN), "left": fen_exact(residue_nf),
    }  # fmt: skip
    text = gettext(
        _(
            "%(exact)s %(sign)s %(carried)s carried from before = %(sum)s fen, half up: %(posted)s fen; "
            "%(left)s fen carried on"
        )
    )
    return Said(gettext(_("Rounding")), text % carried)


def when(line: BillLine, f: Formats) -> str:
    """The time of a line: from and to of a charge, the moment of anything else."""
    if line.derived is None:
        return f.full(line.booked.event_at)
    start_s, end_s = line.derived.start.at, line.derived.end.at
    end = f.clock(end_s) if f.iso_day(start_s) == f.iso_day(end_s) else f.full(end_s)
    return f"{f.full(start_s)} – {end}"


def _registers_said(derived: Derived, gettext: Gettext) -> list[Said]:
    start, end = derived.start, derived.end
    if not derived.terms.by_rates or start.rates_wh is None or end.rates_wh is None:
        text = f"{kwh_exact(start.total_wh)} → {kwh_exact(end.total_wh)}"
        return [Said(gettext(_("Register")), text)]
    label = gettext(_("Register %(rate)s"))
    rates = derived.terms.version.registers_in(derived.terms.season)
    return [
        Said(label % {"rate": gettext(RATES[rate])}, f"{kwh_exact(before)} → {kwh_exact(after)}")
        for rate, before, after in zip(rates, start.rates_wh, end.rates_wh, strict=True)
        if before != after
    ]


def _season_said(derived: Derived, gettext: Gettext) -> list[Said]:
    """The season whose limits and prices hold; registers count the rates, by the meter's own program."""
    version, season = derived.terms.version, derived.terms.season
    rows = []
    if season.months != ALL_MONTHS:
        text = gettext(_("months %(months)s")) % {"months": months_said(season.months)}
        if season.prices is not None:
            text = gettext(_("months %(months)s, with prices of their own")) % {"months": months_said(season.months)}
        rows.append(Said(gettext(_("Season")), text))
    if version.registers_in(season) != REGISTERS:
        rows.append(Said(gettext(_("Registers of the meter")), registers_said(version.registers_in(season), gettext)))
    return rows


def registers_said(rates: Rates, gettext: Gettext) -> str:
    """What each register of the meter counts: "T1 Deep valley, T2 Peak, ..."."""
    return ", ".join(f"T{number} {gettext(RATES[rate])}" for number, rate in enumerate(rates, 1))


def _tiers_said(derived: Derived, f: Formats, gettext: Gettext) -> list[Said]:
    version, season = derived.terms.version, derived.terms.season
    if version.tier_period == "none":
        return []
    limits = " / ".join(kwh(limit) for limit in season.tier_limits_wh) or "–"
    after_wh = derived.tier_from_wh + derived.energy_wh
    fields = {
        "before": kwh_exact(derived.tier_from_wh), "after": kwh_exact(after_wh), "limits": limits,
        "day": f.iso_day(derived.terms.tier_period_start),
    }  # fmt: skip
    rows = [
        Said(
            gettext(_("Tiers")),
            gettext(_("%(before)s used since %(day)s before this, then %(after)s; limits %(limits)s")) % fields,
        )
    ]
    crossed = [limit for limit in season.tier_limits_wh if derived.tier_from_wh <= limit < after_wh]
    rows += [Said(gettext(_("Limit crossed")), kwh(limit)) for limit in crossed]
    if version.order_rule != "none" and version.prices_in(season).tier_prices_nf_per_wh:
        rule = {
            "proportional": gettext(_("proportional: the settlement period to date is shared among the rates")),
            "chronological": gettext(_("chronological: each step fills the tiers in turn")),
        }
        rows.append(Said(gettext(_("Order of tiers and rates")), rule[version.order_rule]))
    return rows


def part_label(part: Part, gettext: Gettext) -> str:
    """What a row of a charge is called."""
    tier = gettext(words.TIERS.get(str(part.tier), str(part.tier)))
    if part.what == FREE:
        return gettext(_("Free quota"))
    if part.what == RATE:
        return gettext(RATES[part.rate])
    if part.what == SURCHARGE:
        return gettext(_("Surcharge of %(tier)s")) % {"tier": tier}
    if part.what == CELL:
        return gettext(_("%(tier)s, %(rate)s")) % {"tier": tier, "rate": gettext(RATES[part.rate])}
    return tier


def part_said(part: Part, gettext: Gettext) -> str:
    """A row of a charge: energy × price = fen."""
    price = gettext(_("%(price)s yuan")) % {"price": price_trimmed(part.price_nf_per_wh)}
    return f"{kwh_exact(part.energy_wh)} × {price} = {_fen(part.charge_nf, gettext)}"


def difference_said(one: Difference, gettext: Gettext) -> str:
    """What was booked, and what it should be."""
    fields = {
        "what": gettext(FIGURES.get(one.what, one.what)),
        "booked": _figure(one.what, one.booked, gettext),
        "derived": _figure(one.what, one.derived, gettext),
    }
    return gettext(_("%(what)s: booked %(booked)s, worked out %(derived)s")) % fields


def _figure(what: str, value: object, gettext: Gettext) -> str:
    if value is None or (value == -1 and what.endswith("_wh")):  # a register that nobody has read
        return gettext(_("nothing"))
    if isinstance(value, int) and what.endswith("_wh"):
        return kwh_exact(value)
    if isinstance(value, int) and what.endswith("_nf"):
        return _fen(value, gettext)
    if isinstance(value, int) and what.endswith("_fen"):
        return yuan(value)
    if isinstance(value, tuple):
        return _rates_figure(value, gettext)
    return str(value)


def _rates_figure(rates: Rates, gettext: Gettext) -> str:
    return ", ".join(f"{gettext(RATES[rate])} {kwh_exact(wh)}" for rate, wh in enumerate(rates, 1))


def _fen(nf: int, gettext: Gettext) -> str:
    return gettext(_("%(exact)s fen")) % {"exact": fen_exact(nf)}


class LineView(NamedTuple):
    """One line of a page: its name, when it was, what it says, and the figures of a table."""

    name: str
    when: str
    line: BillLine
    rows: list[Said]


class BillView(NamedTuple):
    """A bill as a page shows it; `whole` is empty for a single line."""

    name: str
    account_id: str
    room_id: str
    day: str
    month: str
    whole: list[Said]
    lines: list[LineView]
    charges: int
    differences: int


def bill_view(bill: Bill, f: Formats) -> BillView:
    """What a page shows of a bill, in the language of `f`; names of the day and month lead from line to bill."""
    account_id, single = bill.name.account_id, bill.name.number is not None
    ends = [line.booked.line.event_to or line.booked.event_at for line in bill.lines]
    day = f.iso_day(ends[0] - 1)
    return BillView(
        str(bill.name),
        account_id,
        bill.room_id or "",
        f"{account_id}:{day}",
        f"{account_id}:{day[:7]}",
        [] if single else bill_said(bill, f, f.said),
        [
            LineView(f"{account_id}:{one.booked.line.account_version}", when(one, f), one, line_said(one, f, f.said))
            for one in bill.lines
        ],
        sum(one.derived is not None or one.correction is not None for one in bill.lines),
        len(bill.differences),
    )
