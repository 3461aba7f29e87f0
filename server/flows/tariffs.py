"""Tariffs from draft to force: a draft is checked as it is saved, simulated on what was used, published by two people.

A published version begins at its `valid_from`, exactly: charging splits at the reading taken on it. Nothing that has
begun is ever changed.
"""

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import Connection, RowMapping

from core.tariff import Tariff, TariffError, tariff_from_dict, tariff_to_dict
from core.tariff_terms import TariffVersion
from server.domain.comparison import extended
from server.domain.tariff_drafts import begun, check_cap, coming, merged, new_versions, tariff_of_text
from server.errors import Conflict, NotFound, Refused
from server.flows.comparison import Compared, compare
from server.flows.money_rules import keep_tariff
from server.store import audit
from server.store import comparison as energies
from server.store import tariff_drafts as kept
from server.store.estates import get_estate
from server.store.tariffs import load_tariffs, save_tariff
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

YEAR_S = 365 * 86_400
NOTE_MAX = 500


def checked(connection: Connection, estate_id: str, text: str, now: "Now") -> tuple[Tariff | None, Tariff]:
    """The stored tariff of a document, if any, and what would be in force with it; Refused with what is wrong."""
    try:
        draft = tariff_of_text(text)
        stored = load_tariffs(connection, estate_id).get(draft.tariff_id)
        whole = merged(stored, draft, now.world_s)
        check_cap(whole, new_versions(stored, whole), get_estate(connection, estate_id)["price_cap_nf_per_wh"])
    except TariffError as error:
        raise Refused(str(error)) from error
    return stored, whole


def save_draft(unit: Unit, estate_id: str, text: str, *, note: str, actor: str, now: "Now", replaces: str = "") -> str:
    """Check and keep a draft, a document in TOML or JSON; returns its id. Refused with what is wrong and where.

    replaces: an open draft that is put aside for it.
    """
    stored, whole = checked(unit.connection, estate_id, text, now)
    if replaces:
        discard(unit, estate_id, replaces, actor=actor, now=now)
    draft_id = uuid4().hex
    kept.add(
        unit.connection,
        estate_id=estate_id,
        draft_id=draft_id,
        tariff_id=whole.tariff_id,
        document=text,
        definition=definition_of(whole),
        starts=json.dumps([version.valid_from_s for version in new_versions(stored, whole)]),
        stored_sha256=fingerprint(stored),
        note=note.strip()[:NOTE_MAX],
        actor=actor,
        created_ms=now.machine_ms,
    )
    audit.record(unit.connection, estate_id, actor, "tariff.drafted", f"{whole.tariff_id}:{draft_id}", now, note[:200])
    return draft_id


def discard(unit: Unit, estate_id: str, draft_id: str, *, actor: str, now: "Now") -> None:
    """Put a draft aside."""
    row = open_draft(unit.connection, estate_id, draft_id)
    kept.update(unit.connection, estate_id, draft_id, status="discarded", decided_ms=now.machine_ms)
    audit.record(unit.connection, estate_id, actor, "tariff.discarded", f"{row['tariff_id']}:{draft_id}", now)


def open_draft(connection: Connection, estate_id: str, draft_id: str) -> RowMapping:
    """A draft that is neither published nor discarded; NotFound or Conflict."""
    row = kept.get(connection, estate_id, draft_id)
    if row is None:
        raise NotFound("there is no such draft in this estate")
    if row["status"] != "draft":
        raise Conflict(f"this draft is {row['status']} already")
    return row


def definition_of(tariff: Tariff) -> str:
    """The canonical text of a tariff."""
    return json.dumps(tariff_to_dict(tariff), ensure_ascii=False, sort_keys=True)


def fingerprint(tariff: Tariff | None) -> str:
    """Which tariff a draft was laid over; "" for none."""
    return "" if tariff is None else sha256(definition_of(tariff).encode()).hexdigest()


def first_new(connection: Connection, estate_id: str, row: RowMapping) -> tuple[Tariff, TariffVersion]:
    """The draft's tariff, and the first of its versions that is not stored."""
    whole = tariff_from_dict(json.loads(row["definition"]))
    stored = load_tariffs(connection, estate_id).get(whole.tariff_id)
    fresh = new_versions(stored, whole)
    return whole, fresh[0] if fresh else whole.versions[-1]


def simulate(
    connection: Connection, estate_id: str, draft_id: str, now: "Now", *, of: str | None = None
) -> dict[str, Any]:
    """The last year's energy by the version in force now and by the first new one, each as if it had always held.

    Exact, for every household on the tariff (or on the tariff `of`, for one that nobody is on yet). The answer is what
    is kept with the draft: sums, and a row for each household.
    """
    row = open_draft(connection, estate_id, draft_id)
    whole, version = first_new(connection, estate_id, row)
    tariffs = load_tariffs(connection, estate_id)
    present = tariffs.get(of or whole.tariff_id)
    if present is None:
        known = ", ".join(sorted(tariffs)) or "none"
        raise Refused(f"nobody is on tariff {of or whole.tariff_id!r} yet; say whose energy to take: {known}")
    until_s = min(now.world_s, energies.charged_until(connection, estate_id) or now.world_s)
    span = (until_s - YEAR_S, until_s)
    try:
        pair = (extended(present, now.world_s, now.world_s), extended(whole, version.valid_from_s, 0))
    except TariffError as error:
        raise Refused(str(error)) from error
    accounts = energies.accounts_on(connection, estate_id, present.tariff_id)
    found = list(compare(connection, estate_id, accounts, pair, span, known_only=True))
    rooms = energies.rooms_of(connection, estate_id, [one.account_id for one in found])
    return {
        "of": present.tariff_id, "version_s": version.valid_from_s, "from_at": span[0], "until_at": until_s,
        "accounts": len(accounts), **_sums(found),
        "households": [
            [one.account_id, rooms.get(one.account_id, ""), one.energy_wh, str(one.old_nf),
             None if one.new_nf is None else str(one.new_nf)]
            for one in found
        ],
    }  # fmt: skip


def _sums(found: list[Compared]) -> dict[str, Any]:
    """Sums over the households that both tariffs can price."""
    known = [one for one in found if one.new_nf is not None]
    return {
        "compared": len(known), "unknown": len(found) - len(known),
        "energy_wh": sum(one.energy_wh for one in known),
        "old_nf": str(sum(one.old_nf for one in known)), "new_nf": str(sum(one.new_nf or 0 for one in known)),
    }  # fmt: skip


def keep_simulation(unit: Unit, estate_id: str, draft_id: str, found: dict[str, Any]) -> None:
    """Keep with a draft what its simulation said."""
    open_draft(unit.connection, estate_id, draft_id)
    kept.update(unit.connection, estate_id, draft_id, simulation=json.dumps(found, ensure_ascii=False))


def publication(connection: Connection, estate_id: str, draft_id: str, now: "Now") -> dict[str, object]:
    """What the second person is asked to agree to; Refused for a draft that may not be published as it is.

    `withdrawn_s` are the begins of planned versions that are no more, or not as they were.
    """
    row = open_draft(connection, estate_id, draft_id)
    whole, version = first_new(connection, estate_id, row)
    _check(connection, estate_id, row, whole, now)
    households = energies.accounts_on(connection, estate_id, whole.tariff_id)
    if households and not row["simulation"]:
        raise Refused("simulate the draft on the last year first: who approves has to see what it changes")
    said = json.loads(row["simulation"]) if row["simulation"] else {}
    stored = load_tariffs(connection, estate_id).get(whole.tariff_id)
    planned = () if stored is None else coming(stored, now.world_s)
    return {
        "kind": "tariff", "draft_id": draft_id, "tariff_id": whole.tariff_id, "name": whole.name,
        "definition_sha256": sha256(row["definition"].encode()).hexdigest(), "stored_sha256": row["stored_sha256"],
        "valid_from_s": version.valid_from_s, "households": len(households),
        "withdrawn_s": [one.valid_from_s for one in planned if one not in whole.versions],
        "simulated": {name: said[name] for name in ("compared", "unknown", "old_nf", "new_nf") if name in said},
    }  # fmt: skip


def _check(connection: Connection, estate_id: str, row: RowMapping, whole: Tariff, now: "Now") -> None:
    """The draft must still fit what is stored, begin later than now where households are on it, and keep the cap."""
    stored = load_tariffs(connection, estate_id).get(whole.tariff_id)
    if fingerprint(stored) != row["stored_sha256"]:
        raise Conflict(f"tariff {whole.tariff_id!r} has changed since this was drafted; draft it again")
    fresh = new_versions(stored, whole)
    if stored is not None and set(begun(stored, now.world_s)) - set(whole.versions):
        raise Refused("a version that this draft leaves out has begun since it was drafted; draft it again")
    if stored is not None and set(fresh) - set(coming(whole, now.world_s)):
        raise Refused("a version of this draft would have begun already; draft it again with a later valid_from")
    try:
        check_cap(whole, fresh, get_estate(connection, estate_id)["price_cap_nf_per_wh"])
    except TariffError as error:
        raise Refused(str(error)) from error


def publish(unit: Unit, estate_id: str, payload: dict[str, Any], approval_id: str, now: "Now") -> None:
    """Carry out what two people agreed to: the draft becomes the tariff; its versions begin when they say."""
    row = open_draft(unit.connection, estate_id, payload["draft_id"])
    whole, _ = first_new(unit.connection, estate_id, row)
    if sha256(row["definition"].encode()).hexdigest() != payload["definition_sha256"]:
        raise Conflict("the draft is not what was asked for; ask again")
    _check(unit.connection, estate_id, row, whole, now)
    save_tariff(unit.connection, estate_id, whole, now.machine_ms)
    keep_tariff(unit, estate_id, whole.tariff_id, definition_of(whole), row["actor"], now)
    kept.update(
        unit.connection, estate_id, row["draft_id"], status="published", decided_ms=now.machine_ms,
        approval_id=approval_id,
    )  # fmt: skip


def with_published(connection: Connection, estate_id: str, stored: Tariff, given: Tariff) -> Tariff:
    """A tariff of an estate file with the versions that two people have published beside it: a file that does not know
    of them leaves them as they are. Conflict for one that says them otherwise.
    """
    starts = kept.published_starts(connection, estate_id, stored.tariff_id)
    said = {version.valid_from_s: version for version in given.versions}
    own = [version for version in stored.versions if version.valid_from_s in starts]
    for version in own:
        if said.setdefault(version.valid_from_s, version) != version:
            raise Conflict(
                f"tariff {given.tariff_id!r}: the file changes a version that two people have published; "
                "draft the change and publish it, or leave the version out of the file"
            )
    versions = tuple(said[start] for start in sorted(said))
    return Tariff(given.tariff_id, given.name, given.time_zone, versions)
