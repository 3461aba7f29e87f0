"""What a re-rating comes to for each account: exact charges by the tariff that held and by the one that should have.

Only reads; the job that posts asks here, and so do the checks of the books and of bills, which work it out by hand.
"""

import json
from collections.abc import Sequence

from sqlalchemy import Connection

from core.tariff import Tariff, tariff_from_dict
from server.domain.comparison import extended
from server.domain.rerating import Correction, Rerate
from server.errors import Refused
from server.flows.comparison import compare
from server.store import comparison as energies
from server.store import rerating as kept
from server.store.tariffs import load_tariffs


def accounts_of(connection: Connection, estate_id: str, rerate: Rerate) -> list[str]:
    """The accounts that were charged by the tariff in the span."""
    return energies.accounts_charged(connection, estate_id, rerate.tariff_id, *rerate.span)


def tariffs_of(connection: Connection, estate_id: str, rerate: Rerate) -> tuple[Tariff, Tariff]:
    """The tariff that held, and the one that should have."""
    other = tariff_from_dict(json.loads(rerate.definition))
    stored = load_tariffs(connection, estate_id)[rerate.tariff_id]
    return stored, extended(other, *rerate.span)


def corrections(
    connection: Connection, estate_id: str, rerate: Rerate, accounts: Sequence[str], *, by_hand: bool = False
) -> list[Correction]:
    """What each of these accounts owes; Refused where the other tariff needs rates that were never read."""
    pair = tariffs_of(connection, estate_id, rerate)
    found = list(
        compare(
            connection, estate_id, accounts, pair, rerate.span,
            tariff_id=rerate.tariff_id, until_batch=rerate.until_batch, by_hand=by_hand,
            split_down=bool(rerate.split_down),
        )
    )  # fmt: skip
    if unknown := [one.account_id for one in found if one.new_nf is None]:
        raise Refused(
            f"the rates of {len(unknown)} households were not read ({', '.join(unknown[:5])}); "
            "a tariff by time of use cannot charge them again"
        )
    before = kept.corrected(connection, estate_id, earlier(connection, estate_id, rerate), accounts)
    return [
        Correction(one.account_id, one.energy_wh, one.old_nf, one.new_nf or 0, before.get(one.account_id, 0))
        for one in found
    ]


def earlier(connection: Connection, estate_id: str, rerate: Rerate) -> list[Rerate]:
    """Re-ratings of the same tariff and span that were done before: their batches are behind its own bound."""
    known = kept.with_status(connection, estate_id, "running", "done")
    same = [one for one in known if (one.tariff_id, one.span) == (rerate.tariff_id, rerate.span)]
    return [one for one in same if one.until_batch < rerate.until_batch]
