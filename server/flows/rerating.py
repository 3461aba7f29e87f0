"""Re-rating: asked for with a reason, approved by a second person, then posted portion by portion as corrections.

Nothing is edited. A portion is one unit of work under its own key, so a job that was interrupted goes on where it
was, and a repeat finds what it has done. What is corrected is worked out anew from registers, not from earlier figures.
"""

import json
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from sqlalchemy import Connection

from core.tariff import TariffError
from core.units import post_charge
from server.domain.comparison import extended
from server.domain.ledger import REVENUE, Line, payload_sha256
from server.domain.rerating import KIND, Correction, Rerate, in_the_way
from server.domain.tariff_drafts import tariff_of_text
from server.errors import Conflict, NotFound, Refused
from server.flows.corrections import accounts_of, corrections
from server.flows.ledger import apply_balances, ensure_account, key_reused, level_of
from server.flows.supply import on_balances
from server.flows.tariffs import definition_of
from server.store import audit
from server.store import ledger as journal
from server.store import rerating as kept
from server.store.bulk import Bundle
from server.store.tariffs import get_tariff
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

ACCOUNTS_A_BATCH = 200  # some 10 ms of the writer's time


class Portion(NamedTuple):
    """Corrections of some accounts; `last` is the last account that was looked at, "" when none is left."""

    corrections: list[Correction]
    last: str


def plan(
    connection: Connection, estate_id: str, text: str, from_at: int, until_at: int, reason: str, now: "Now"
) -> tuple[Rerate, dict[str, Any]]:
    """A re-rating to ask for, and what it would come to. Refused or NotFound for one that cannot be.

    `text` is the tariff that should have held, a document under the id of the tariff that did.
    """
    if not reason.strip():
        raise Refused("say why the span is charged again")
    if not from_at < until_at <= now.world_s:
        raise Refused("a re-rating is about the past: give a begin before its end, and an end not later than now")
    try:
        other = tariff_of_text(text)
        get_tariff(connection, estate_id, other.tariff_id)
        extended(other, from_at, until_at)
    except TariffError as error:
        raise Refused(str(error)) from error
    known = kept.with_status(connection, estate_id, "running", "done")
    if (one := in_the_way(known, other.tariff_id, from_at, until_at)) is not None:
        raise Conflict(f"re-rating {one.rerate_id} shares a part of this span; give exactly its span, or none of it")
    if any(one.status == "running" and one.tariff_id == other.tariff_id for one in known):
        raise Conflict("a re-rating of this tariff is under way; wait for its end")
    until_batch = journal.next_batch_seq(connection, estate_id) - 1
    rerate = Rerate(uuid4().hex, other.tariff_id, definition_of(other), from_at, until_at, until_batch, reason.strip())
    return rerate, preview(connection, estate_id, rerate)


def preview(connection: Connection, estate_id: str, rerate: Rerate) -> dict[str, Any]:
    """What the whole re-rating comes to; Refused where the tariff needs rates that were not read."""
    found = list(corrections(connection, estate_id, rerate, accounts_of(connection, estate_id, rerate)))
    owed = [one for one in found if one.owed_nf]
    return {
        "accounts": len(owed), "energy_wh": sum(one.energy_wh for one in found),
        "old_nf": str(sum(one.old_nf + one.corrected_nf for one in found)),
        "new_nf": str(sum(one.new_nf for one in found)),
        "households": [[one.account_id, one.energy_wh, str(one.old_nf + one.corrected_nf), str(one.new_nf)]
                       for one in owed],
    }  # fmt: skip


def ask(unit: Unit, estate_id: str, rerate: Rerate, found: dict[str, Any], *, actor: str, now: "Now") -> dict[str, Any]:
    """Keep a planned re-rating and return what the second person is asked to agree to.

    One of the same tariff that still waits is withdrawn by it.
    """
    for other in kept.with_status(unit.connection, estate_id, "asked"):
        if other.tariff_id == rerate.tariff_id:
            withdraw(unit, estate_id, other.rerate_id)
    if not found["accounts"]:
        raise Refused("nobody would be charged otherwise; there is nothing to correct")
    kept.add(
        unit.connection, estate_id=estate_id, rerate_id=rerate.rerate_id, tariff_id=rerate.tariff_id,
        definition=rerate.definition, from_at=rerate.from_at, until_at=rerate.until_at, reason=rerate.reason,
        until_batch=rerate.until_batch, split_down=rerate.split_down,
        preview=json.dumps(found, ensure_ascii=False), actor=actor, created_ms=now.machine_ms,
    )  # fmt: skip
    return {
        "kind": KIND, "rerate_id": rerate.rerate_id, "tariff_id": rerate.tariff_id, "reason": rerate.reason,
        "from_s": rerate.from_at, "until_s": rerate.until_at, "terms_sha256": rerate.terms_sha256,
        "accounts": found["accounts"], "old_nf": found["old_nf"], "new_nf": found["new_nf"],
    }  # fmt: skip


def start(unit: Unit, estate_id: str, payload: dict[str, Any], approval_id: str) -> None:
    """Two people agreed: the job may post."""
    rerate = _known(unit.connection, estate_id, payload["rerate_id"])
    if rerate.status != "asked" or rerate.terms_sha256 != payload["terms_sha256"]:
        raise Conflict("this re-rating is not what was asked for any more; ask again")
    corrections(unit.connection, estate_id, rerate, [])  # Archived where its lines have gone into a file meanwhile
    if kept.taken_back_since(unit.connection, estate_id, rerate):
        raise Conflict("a charge of this span was taken back since this was asked; ask again")
    kept.update(unit.connection, estate_id, rerate.rerate_id, status="running", approval_id=approval_id)
    unit.announce(KIND, rerate.rerate_id)


def withdraw(unit: Unit, estate_id: str, rerate_id: str) -> None:
    """It was not agreed to."""
    if (rerate := kept.get(unit.connection, estate_id, rerate_id)) is not None and rerate.status == "asked":
        kept.update(unit.connection, estate_id, rerate_id, status="withdrawn")


def _known(connection: Connection, estate_id: str, rerate_id: str) -> Rerate:
    rerate = kept.get(connection, estate_id, rerate_id)
    if rerate is None:
        raise NotFound("there is no such re-rating in this estate")
    return rerate


def next_portion(connection: Connection, estate_id: str, rerate: Rerate) -> Portion:
    """The corrections that come next; a reader can prepare them."""
    left = [one for one in accounts_of(connection, estate_id, rerate) if one > rerate.done_account]
    own = left[:ACCOUNTS_A_BATCH]
    found = corrections(connection, estate_id, rerate, own) if own else []
    return Portion([one for one in found if one.owed_nf], own[-1] if own else "")


def post(unit: Unit, estate_id: str, rerate_id: str, portion: Portion, *, after: str, now: "Now") -> int:
    """Post one portion, or end the re-rating when none is left; returns how many accounts were corrected.

    `after` is the account up to which the portion was prepared; Conflict when somebody else has gone on meanwhile.
    """
    rerate = _known(unit.connection, estate_id, rerate_id)
    if rerate.status != "running" or rerate.done_account != after:
        raise Conflict(f"re-rating {rerate_id} has gone on elsewhere")
    if not portion.last:
        kept.update(unit.connection, estate_id, rerate_id, status="done", done_ms=now.machine_ms)
        audit.record(unit.connection, estate_id, "system", "rerate.done", rerate_id, now)
        return 0
    fen = _book(unit, estate_id, rerate, portion, now) if portion.corrections else 0
    kept.note_portion(unit.connection, estate_id, rerate_id, portion.last, len(portion.corrections), fen)
    return len(portion.corrections)


def _book(unit: Unit, estate_id: str, rerate: Rerate, portion: Portion, now: "Now") -> int:
    """One batch of corrections with its revenue line; returns the fen that households owe more."""
    connection, key = unit.connection, rerate.key(portion.last)
    payload = payload_sha256(KIND, rerate.terms_sha256, *((o.account_id, o.owed_nf) for o in portion.corrections))
    known = journal.batch_of_key(connection, estate_id, key)
    if known is not None:
        if known["payload_sha256"] != payload:
            key_reused(unit, estate_id, "system", key, now)
            raise Conflict(f"key {key!r} was used for other corrections")
        return 0
    ensure_account(unit, estate_id, REVENUE)
    names = [one.account_id for one in portion.corrections]
    accounts = journal.accounts_by_id(connection, estate_id, [*names, REVENUE])
    lines: list[Line] = []
    for number, one in enumerate(portion.corrections, 1):
        row = accounts[one.account_id]
        posted_fen, residue_nf = post_charge(one.owed_nf, row["residue_nf"])
        lines.append(
            Line(
                number, one.account_id, -posted_fen, row["balance_fen"] - posted_fen, row["version"] + 1, one.owed_nf,
                residue_nf,
            )
        )  # fmt: skip
    fen, own = -sum(line.amount_fen for line in lines), accounts[REVENUE]
    lines.append(Line(len(lines) + 1, REVENUE, fen, own["balance_fen"] + fen, own["version"] + 1, 0, own["residue_nf"]))
    turnover_fen = sum(line.amount_fen for line in lines if line.amount_fen > 0)
    batch_seq = journal.next_batch_seq(connection, estate_id)
    header = (
        batch_seq, KIND, now.world_s, now.machine_ms, key, payload, len(lines), turnover_fen, "system", rerate.memo
    )  # fmt: skip
    bundle = Bundle()
    journal.append(bundle, estate_id, [(header, lines)])
    levels = {}
    for line in lines:  # a rise is an alarm, which the next charge tells
        row = accounts[line.account_id]
        levels[line.account_id] = min(row["level"], level_of(row, line.balance_after_fen))
    apply_balances(bundle, estate_id, lines, {name: row["version"] for name, row in accounts.items()}, levels)
    bundle.send(connection)
    for name in names:
        unit.announce("balance", name)
    on_balances(unit, estate_id, names, now)
    return fen
