"""Explaining a bill: its lines read, every charge worked out again from readings and tariff, and compared.

Only reads. Nothing is taken from what was booked but which lines there are and where each begins and ends.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from sqlalchemy import Connection

from server.domain.archive import Archived
from server.domain.bill_replay import Replay
from server.domain.billing import TierState
from server.domain.bills import (
    Bill,
    BillLine,
    BillName,
    BookedLine,
    bill_name,
    chain_differences,
    correction_of,
    standing_lines,
    sums_of,
)
from server.domain.registers import Registers, rates_from
from server.domain.rerating import KIND, rerate_of_memo
from server.domain.tariff_calendar import TariffCalendar
from server.domain.verification import Installed
from server.errors import NotFound
from server.flows.corrections import corrections
from server.store import bills as kept
from server.store import rerating as rerates
from server.store.archive import account_standing, meter_standing
from server.store.estates import get_estate
from server.store.ledger import balance_at
from server.store.tariffs import load_tariffs
from server.store.verification import first_showing

Installation = tuple[str, int]


def explain(connection: Connection, estate_id: str, text: str) -> Bill:
    """The bill of this name; NotFound for a name that stands for nothing. An account alone is its newest charge."""
    name = _name(connection, estate_id, text)
    account = kept.find_account(connection, estate_id, name.account_id)
    if account is None:
        raise NotFound(f"there is no bill {text!r}: no account {name.account_id!r} in this estate")
    time_zone = str(get_estate(connection, estate_id)["time_zone"])
    if name.number is not None:
        booked = kept.numbered_line(connection, estate_id, name.account_id, name.number)
        before_fen = booked[0].balance_before_fen if booked else 0
    else:
        after_s, until_s = name.span_s(time_zone)
        booked = kept.lines_between(connection, estate_id, name.account_id, after_s, until_s)
        before_fen, _ = balance_at(connection, estate_id, name.account_id, after_s)
    if not booked:
        stood = account_standing(connection, estate_id, name.account_id)
        if stood is not None and name.number is not None and name.number <= stood.version:
            raise Archived(f"bill {name} is archived; put the archive back to explain it")
        raise NotFound(f"there is no bill {name}: nothing was booked then")
    derived = _charges(connection, estate_id, name, booked) | _corrections(connection, estate_id, booked)
    lines = tuple(_line(one, derived) for one in booked)
    after_fen = before_fen + sum(one.line.amount_fen for one in booked)
    return Bill(name, account["room_id"], time_zone, lines, before_fen, after_fen, sums_of(lines))


def _name(connection: Connection, estate_id: str, text: str) -> BillName:
    try:
        return bill_name(text)
    except ValueError as error:
        newest = kept.newest_charge(connection, estate_id, text)
        if newest is None:
            if kept.find_account(connection, estate_id, text) is None:
                raise NotFound(str(error)) from error
            raise NotFound(
                f"account {text!r} has no charge yet; name a month, as in {text}:2026-10, for what else was booked"
            ) from error
        return BillName(text, newest[0])


def _line(booked: BookedLine, derived: Mapping[int, BillLine]) -> BillLine:
    """The line with what is wrong with its own balance."""
    found = derived.get(booked.line.account_version, BillLine(booked, None))
    return replace(found, differences=(*found.differences, *chain_differences(booked)))


def _corrections(connection: Connection, estate_id: str, booked: Sequence[BookedLine]) -> dict[int, BillLine]:
    """Every correction of the bill worked out, by its number."""
    found: dict[int, BillLine] = {}
    for one in booked:
        rerate = rerates.get(connection, estate_id, rerate_of_memo(one.memo)) if one.kind == KIND else None
        if rerate is not None:
            own = corrections(connection, estate_id, rerate, [one.line.account_id], by_hand=True)
            name = str(json.loads(rerate.definition)["name"])
            found[one.line.account_version] = correction_of(one, rerate, name, own[0] if own else None)
    return found


def _charges(
    connection: Connection, estate_id: str, name: BillName, booked: Sequence[BookedLine]
) -> dict[int, BillLine]:
    """Every charge of the bill worked out, by its number; each installation is followed from where its tiers begin."""
    calendars = {key: TariffCalendar(value) for key, value in load_tariffs(connection, estate_id).items()}
    groups: dict[Installation, list[BookedLine]] = {}
    for one in booked:
        if one.line.meter_id is not None:
            groups.setdefault((one.line.meter_id, one.line.install_no or 0), []).append(one)
    found: dict[int, BillLine] = {}
    for installation, own in groups.items():
        wanted = {one.line.account_version for one in own}
        for line in _follow(connection, estate_id, name.account_id, installation, own, calendars):
            if line.booked.line.account_version in wanted:
                found[line.booked.line.account_version] = line
    return found


def _follow(
    connection: Connection,
    estate_id: str,
    account_id: str,
    installation: Installation,
    own: Sequence[BookedLine],
    calendars: Mapping[str, TariffCalendar],
) -> list[BillLine]:
    first, last_batch = own[0].line, max(one.batch_seq for one in own)
    stood = meter_standing(connection, estate_id, *installation)
    since_s = max(_since_s(own[0], calendars), 0 if stood is None else stood.read_at)
    lines = standing_lines(kept.charges_of(connection, estate_id, account_id, installation, since_s, last_batch))
    installed = kept.installation_of(connection, estate_id, *installation)
    tier = TierState(0, first.tier_from_wh or 0)  # without tiers the counter counts on and decides nothing
    was: Registers | None = None
    earlier = [one for one in lines if (one.line.event_from or 0) < since_s]
    lines = lines[len(earlier) :]
    if earlier:
        end = earlier[-1].line
        was = Registers(end.event_to or 0, end.to_wh or 0, rates_from(end.to_rates_wh))
    elif stood is not None:
        was = Registers(stood.read_at, stood.total_wh, rates_from(stood.rates_wh))
        order_wh = rates_from(stood.order_rates_wh)
        tier = TierState(stood.tier_period_start or 0, stood.tier_period_wh, stood.order_start, order_wh)
    elif installed is not None:
        was = Registers(installed.installed_at, installed.start_wh, None)
        tier = _carried(installed)
    ends = [
        one.line
        for one, after in pairwise(lines)
        if (one.batch_seq, one.line.event_to) != (after.batch_seq, after.line.event_from)
    ] + [one.line for one in lines[-1:]]
    instants = [at for one in lines for at in (one.line.event_from or 0, one.line.event_to or 0)]
    known = kept.registers_at(connection, estate_id, installation[0], instants)
    beyond = {
        end.event_to or 0: first_showing(connection, estate_id, installation[0], end.event_to or 0, end.to_wh or 0)
        for end in ends
        if end.event_to not in known
    }
    later = {at: one for at, one in beyond.items() if one is not None}
    ratio = installed.ratio if installed else 1
    return Replay(ratio, calendars, known, tier, was, later).follow(lines, earlier)


def _since_s(first: BookedLine, calendars: Mapping[str, TariffCalendar]) -> int:
    """Where the tier period of the first line begins; the line itself where no tiers count."""
    begins_s = first.line.event_from or 0
    calendar = calendars.get(first.line.tariff_id or "")
    if calendar is None:
        return begins_s
    return calendar.terms_at(begins_s).tier_period_start or begins_s


def _carried(installed: Installed) -> TierState:
    """The counters with which an installation began."""
    if installed.carried is None:
        return TierState(0, 0)
    sharp, peak, flat, valley = installed.carried.settled_wh
    return TierState(
        installed.carried.tier_period_start,
        installed.carried.tier_period_wh,
        installed.carried.order_start,
        (sharp, peak, flat, valley),
    )
