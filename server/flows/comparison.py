"""Comparing tariffs on what an estate really used: exact nanofen for each household by one tariff and by another.

Only reads. Households are taken in portions, so memory does not grow with the estate.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from core.tariff import Tariff
from server.domain.archive import Archived
from server.domain.comparison import boundaries, cost, energy_wh, lead_s, prices_rates, takes_each_line
from server.domain.tariff_calendar import TariffCalendar
from server.store import comparison as kept
from server.store.archive import newest_end


class Compared(NamedTuple):
    """One household in the span; `new_nf` is None where the new tariff needs rates that were never read."""

    account_id: str
    energy_wh: int
    old_nf: int
    new_nf: int | None


def compare(
    connection: Connection,
    estate_id: str,
    account_ids: Sequence[str],
    tariffs: tuple[Tariff, Tariff],
    span: tuple[int, int],
    *,
    tariff_id: str | None = None,
    until_batch: int | None = None,
    by_hand: bool = False,
    known_only: bool = False,
    split_down: bool = False,
) -> Iterator[Compared]:
    """What the energy of the span costs by the old and by the new tariff, for each account that used any.

    tariff_id and until_batch choose the lines; by_hand works without the kernel; known_only leaves out, for a tariff by
    rates, the energy before the first and after the last instant at which the rates of a meter are known, and what is
    archived; Archived without it, where not all lines are at hand. split_down: as in `split_by_time`.
    """
    calendars = [TariffCalendar(one) for one in tariffs]
    since_s = min(lead_s(calendar, span[0]) for calendar in calendars)
    archived_s = newest_end(connection, estate_id)[1]
    if since_s < archived_s and not known_only:
        raise Archived("lines of this span, or of the tiers before it, are archived; put the archive back first")
    since_s = max(since_s, archived_s)
    each = any(takes_each_line(one) for one in tariffs)
    instants = None if each else sorted(
        {*span, *(at for calendar in calendars for at in boundaries(calendar, *span))}
    )  # fmt: skip
    lineages = kept.Lineages(connection, estate_id)
    for portion in kept.chunks(account_ids):
        courses = kept.courses(
            connection, estate_id, lineages, portion, (since_s, span[1]),
            instants=instants, tariff_id=tariff_id, until_batch=until_batch,
        )  # fmt: skip
        energies = dict.fromkeys(portion, 0)
        for course in courses:
            course.split_down = split_down
            if known_only and any(map(prices_rates, tariffs)):
                course.trim()
            energies[course.account_id] += energy_wh(course, *span)
        (old, _), (new, unknown) = (cost(courses, one, *span, by_hand=by_hand) for one in tariffs)
        for account_id in portion:
            if energies[account_id] and account_id in old:
                new_nf = None if account_id in unknown else new[account_id]
                yield Compared(account_id, energies[account_id], old[account_id], new_nf)
