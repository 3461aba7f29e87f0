"""Bulk changes: a form that makes a list, and what became of the lists that two people approved."""

import json
import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from sqlalchemy import Connection
from starlette.responses import HTMLResponse, RedirectResponse

from server.domain.bulk_edits import ACTS, DAYS, KEEP, PROTECT, SCHEME
from server.errors import Refused
from server.flows import approvals as flows
from server.flows import bulk_edits
from server.store import approvals, wall
from server.store import bulk_cut as kept
from server.store import schemes as rules
from server.store.estates import get_estate, list_buildings
from server.store.unit import Deed
from server.web import i18n, pages
from server.web.deps import Reader, State, need
from server.web.formats import Formats
from server.web.operator.rules import KEEPS, instant
from server.web.operator.shell import staff_page
from server.web.principal import Principal

router = APIRouter(include_in_schema=False)
Editor = Annotated[Principal, Depends(need("supply.rules"))]
Text = Annotated[str, Form(max_length=200, pattern=r"^[^\x00]*$")]
Long = Annotated[str, Form(max_length=100_000, pattern=r"^[^\x00]*$")]
NEWEST = 5
ANY = "*"


@router.get("/rules/bulk")
def bulk_page(request: Request, conn: Reader, who: Editor) -> HTMLResponse:
    """The form, and the newest lists with what became of their entries."""
    lists = [
        (row, _payload(conn, who.estate_id, row["approval_id"]), kept.counts(conn, who.estate_id, row["bulk_id"]))
        for row in kept.newest(conn, who.estate_id, limit=NEWEST, cuts=False)
    ]
    return staff_page(
        request,
        conn,
        "operator/bulk.html",
        "supply",
        acts=ACTS,
        buildings=list_buildings(conn, who.estate_id),
        schemes=sorted({row["scheme_id"] for row in rules.versions(conn, who.estate_id)}),
        policies=list(KEEPS.items()),
        lists=lists,
    )


def _payload(conn: Connection, estate_id: str, approval_id: str) -> dict[str, Any]:
    row = approvals.get(conn, estate_id, approval_id)
    return {} if row is None else dict(json.loads(row["payload"]))


@router.post("/rules/bulk")
def ask(
    state: State, conn: Reader, who: Editor, act: Text, reason: Text, building: Text = "", having: Text = ANY,
    rooms: Long = "", scheme_id: Text = "", until: Text = "", policy: Text = "", days: Long = "", kind: Text = "off",
    name: Text = "",
) -> RedirectResponse:  # fmt: skip
    """Make the list and ask a second person for it."""
    until_at = instant(until, get_estate(conn, who.estate_id)["time_zone"]) if until else None
    all_terms: dict[str, dict[str, Any]] = {
        SCHEME: {"scheme_id": scheme_id or None},
        PROTECT: {"until_at": until_at},
        KEEP: {"policy": policy},
        DAYS: {"days": words_of(days), "kind": kind, "name": name},
    }
    terms = all_terms.get(act, {})
    accounts = [] if act == DAYS else chosen(conn, who.estate_id, building, having, rooms)
    now = state.clock.now()
    state.writer.run(
        Deed(flows.request_bulk_edit, who.estate_id, act, accounts, terms, actor=who.login, reason=reason, now=now)
    )
    return RedirectResponse("/supply#approvals", 303)


@router.post("/rules/bulk/{bulk_id}/stop")
def stop(state: State, who: Editor, bulk_id: str, reason: Text = "") -> RedirectResponse:
    """Stop a list at once."""
    now = state.clock.now()
    state.writer.run(Deed(bulk_edits.stop, who.estate_id, bulk_id, reason=reason, actor=who.login, now=now))
    return RedirectResponse("/rules/bulk", 303)


def words_of(text: str) -> list[str]:
    """What stands between blanks, commas and line ends."""
    return [word for word in re.split(r"[\s,，;；、]+", text) if word]


def chosen(conn: Connection, estate_id: str, building: str, having: str, rooms: str) -> list[str]:
    """The accounts of the named rooms, or of all that a building and a present scheme leave; Refused for a strange one.

    `having` is the scheme that they have now: a name, empty for none of their own, ANY for whichever.
    """
    homes = wall.households(conn, estate_id)
    wanted = words_of(rooms)
    if wanted:
        by_room = {row.room_id: row.account_id for row in homes}
        if strange := [room for room in wanted if room not in by_room]:
            raise Refused(f"there is no household in {', '.join(strange[:10])}")
        return [by_room[room] for room in wanted]
    schemes = {row["account_id"]: row["scheme_id"] or "" for row in rules.household_rows(conn, estate_id, None)}
    return [
        row.account_id
        for row in homes
        if building in ("", row.building_id) and having in (ANY, schemes.get(row.account_id, ""))
    ]


def entry_said(act: str, value: str, f: Formats, gettext: Any) -> str:
    """What an entry has or is to have, in words; an empty one is none."""
    if not value:
        return str({SCHEME: gettext("as the estate"), KEEP: gettext("as its scheme")}.get(act, gettext("none")))
    if act == PROTECT:
        return f.full(int(value)) if value.isdecimal() else gettext("without an end")
    if act == KEEP:
        return str(gettext(KEEPS.get(value, value)))
    return value


def entries_said(request: Request, estate: pages.EstateFacts, payload: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(room or day, what it has, what it is to have) of a list."""
    f, gettext = pages.formats_of(request, estate), i18n.translations(pages.language_of(request)).gettext
    act = PROTECT if payload["act"] == "unprotect" else payload["act"]
    return [
        (
            one["room"] or one["account"], entry_said(act, one["before"], f, gettext),
            entry_said(act, one["after"], f, gettext),
        )
        for one in payload["change"]
    ]  # fmt: skip
