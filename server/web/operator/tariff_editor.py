"""The form in which a tariff is drafted, with a preview beside it: the price over a day, and bills of a month.

Without the script the form is sent and answered as a whole; with it the preview and the errors follow what is typed.
The text of an estate file stands beside the form, for what the form cannot say.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, Query, Request
from sqlalchemy import Connection
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse, Response

from core.tariff import Tariff, TariffError, TariffVersion, tariff_from_dict, tariff_to_dict, version_at
from core.tariff_windows import DAY_KINDS, RATE_NAMES
from core.units import NF_PER_FEN
from server.clock import Now
from server.domain.tariff_drafts import tariff_of_text
from server.domain.tariff_preview import Day, days_of, month_nf
from server.errors import EstateError, NotFound, Refused
from server.flows import tariffs as flows
from server.price_lists import PriceList, price_lists
from server.store import tariff_drafts as kept
from server.store.estates import get_estate
from server.store.tariffs import get_tariff, load_tariffs
from server.store.unit import Deed
from server.web import i18n, pages
from server.web.deps import Reader, State, need
from server.web.operator.shell import staff_page
from server.web.principal import Principal
from server.web.tariff_form import TIERS, FormReader, SeasonForm, TariffForm, form_of, read_form

router = APIRouter(include_in_schema=False)
Editor = Annotated[Principal, Depends(need("tariff.edit"))]
Id = Annotated[str, Query(max_length=64)]
Document = Annotated[str, Form(max_length=100_000, pattern=r"^[^\x00]+$")]
MONTH_WH = (200_000, 400_000)
PLOT_HEIGHT = 100
NOT_ACCEPTED = 422


def _document_text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2)


def _begin(conn: Connection, who: Principal, now: Now, start: str, tariff_id: str, draft_id: str) -> tuple[str, str]:
    """The text that an editor begins with, and the draft that it goes on with."""
    if draft_id:
        row = kept.get(conn, who.estate_id, draft_id)
        if row is None:
            raise NotFound(f"no draft {draft_id}")
        return row["document"], draft_id if row["status"] == "draft" else ""
    if tariff_id:
        return _document_text(_next_of(get_tariff(conn, who.estate_id, tariff_id), now.world_s)), ""
    found = price_lists().get(start)
    return ("" if found is None else _document_text(found.document())), ""


def _next_of(tariff: Tariff, now_s: int) -> dict[str, Any]:
    """The newest version of a tariff once more, from the first day of the next month on."""
    version = tariff_to_dict(tariff)["versions"][-1]
    local = datetime.fromtimestamp(now_s, UTC).astimezone(ZoneInfo(tariff.time_zone))
    year, month = local.year + local.month // 12, local.month % 12 + 1
    del version["valid_from_s"]
    head = {"id": tariff.tariff_id, "name": tariff.name, "time_zone": tariff.time_zone}
    return head | {"versions": [{"valid_from": f"{year}-{month:02d}-01", **version}]}


def _form_of_text(text: str) -> TariffForm | None:
    """The form of a document's last version; None where a form cannot say it, TariffError for what is no tariff."""
    tariff = tariff_of_text(text)
    return form_of(tariff, tariff.versions[-1])


def _reader_of(request: Request, form: TariffForm) -> FormReader:
    return FormReader(form, i18n.translations(pages.language_of(request)).gettext)


def _read(data: FormData) -> TariffForm:
    return read_form(data, data.getlist)


def _judge(conn: Connection, who: Principal, now: Now, document: Mapping[str, Any], form: TariffForm) -> None:
    """What the rules say of a document that its fields had nothing against."""
    if not form.errors:
        try:
            flows.checked(conn, who.estate_id, json.dumps(document), now)
        except Refused as error:
            form.errors["form"] = str(error)


def _preview(
    request: Request, conn: Connection, who: Principal, now: Now, document: Mapping[str, Any]
) -> dict[str, Any]:
    """The days and the bills of a document, beside the version in force; nothing where it is unsound."""
    try:
        tariff = tariff_from_dict(document)
    except TariffError:
        return {"days": [], "bills": []}
    version = tariff.versions[-1]
    return {
        "days": plots_of(version),
        "bills": list(_bills(load_tariffs(conn, who.estate_id).get(tariff.tariff_id), tariff, now.world_s)),
    }


def plots_of(version: TariffVersion) -> list[tuple[Day, list[tuple[int, int, int, int]]]]:
    """The days of a version with the bars of each."""
    return [(day, _plot(day)) for day in days_of(version)]


def _plot(day: Day) -> list[tuple[int, int, int, int]]:
    """Bars of a day: begin and width in minutes, height out of 100 by price, rate."""
    top = max(piece.price_nf_per_wh for piece in day.pieces) or 1
    return [
        (piece.start_minute, piece.end_minute - piece.start_minute,
         max(4, PLOT_HEIGHT * piece.price_nf_per_wh // top), piece.rate)
        for piece in day.pieces
    ]  # fmt: skip


def _bills(
    stored: Tariff | None, draft: Tariff, now_s: int
) -> list[tuple[tuple[int, ...], int, int | None, int | None]]:
    """Rows of (months, energy, fen by the version in force, fen by the draft)."""
    version, rows = draft.versions[-1], []
    for season in version.seasons:
        for energy_wh in MONTH_WH:
            old = None
            if stored is not None and season.months:
                try:
                    present, _ = version_at(stored, now_s)
                    old = month_nf(present, present.season_of(season.months[0]), energy_wh)
                except TariffError:
                    old = None
            rows.append((season.months, energy_wh, _fen(old), _fen(month_nf(version, season, energy_wh))))
    return rows


def _fen(nf: int | None) -> int | None:
    return None if nf is None else (nf + NF_PER_FEN // 2) // NF_PER_FEN


def _page(
    request: Request, conn: Connection, who: Principal, now: Now, form: TariffForm | None, text: str,
    *, start: PriceList | None = None, text_error: str = "", status: int = 200,
) -> HTMLResponse:  # fmt: skip
    form_known = form is not None
    form = form or TariffForm()
    errors, document = dict(form.errors), _reader_of(request, form).document()
    form.errors = errors
    return staff_page(
        request,
        conn,
        "operator/tariff_editor.html",
        "tariffs",
        status_code=status,
        form=form,
        form_known=form_known,
        text=text or _document_text(document),
        text_error=text_error,
        lists=price_lists(),
        start=start,
        tiers=range(TIERS if any(one.prices[1][3] or one.prices[0][3] for one in form.seasons) else TIERS - 1),
        kinds=DAY_KINDS,
        rates=RATE_NAMES,
        cap=get_estate(conn, who.estate_id)["price_cap_nf_per_wh"],
        **_preview(request, conn, who, now, document),
    )


@router.get("/tariffs/editor")
def editor_page(
    request: Request, state: State, conn: Reader, who: Editor,
    start: Annotated[str, Query(alias="list", max_length=64)] = "", tariff: Id = "", draft: Id = "",
) -> HTMLResponse:  # fmt: skip
    """A new draft; begun with a published list, with a tariff of the estate, or going on with a draft."""
    now = state.clock.now()
    text, replaces = _begin(conn, who, now, start, tariff, draft)
    form = _form_of_text(text) if text else TariffForm()
    if form is not None:
        form.head["replaces"] = replaces
    return _page(request, conn, who, now, form, text, start=price_lists().get(start))


@router.post("/tariffs/editor")
async def edit(request: Request, state: State, conn: Reader, who: Editor) -> Response:
    """Add or remove a season, or check and keep the draft."""
    data, now = await request.form(), state.clock.now()
    form, act = _read(data), str(data.get("act", "keep"))
    if act == "season":
        form.seasons.append(SeasonForm(set(), *_copied(form.seasons[0])))
    elif act.startswith("drop-") and len(form.seasons) > 1:
        form.seasons.pop(min(len(form.seasons) - 1, max(1, int(act[5:]) if act[5:].isdecimal() else 1)))
    if act != "keep":
        return _page(request, conn, who, now, form, "")
    document = _reader_of(request, form).document()
    _judge(conn, who, now, document, form)
    if form.errors:
        return _page(request, conn, who, now, form, "", status=NOT_ACCEPTED)
    draft_id = state.writer.run(
        Deed(
            flows.save_draft, who.estate_id, _document_text(document), note=form["note"], actor=who.login, now=now,
            replaces=form["replaces"],
        )
    )  # fmt: skip
    return RedirectResponse(f"/tariffs/drafts/{draft_id}", 303)


def _copied(one: SeasonForm) -> tuple[list[list[str]], list[str], dict[str, list[tuple[str, str]]]]:
    """Prices, limits and windows of a season, to begin another one with."""
    return [list(row) for row in one.prices], list(one.limits), {kind: list(rows) for kind, rows in one.windows.items()}


@router.post("/tariffs/editor/preview")
async def preview(request: Request, state: State, conn: Reader, who: Editor) -> HTMLResponse:
    """The preview of what is typed, and what is wrong with it beside each field."""
    form, now = _read(await request.form()), state.clock.now()
    document = _reader_of(request, form).document()
    _judge(conn, who, now, document, form)
    shown = {} if form.errors.keys() - {"form", "tariff_id", "valid_from"} else document
    return staff_page(
        request,
        conn,
        "operator/tariff_preview.html",
        "tariffs",
        form=form,
        **_preview(request, conn, who, now, shown),
    )


@router.post("/tariffs/editor/text")
def edit_text(
    request: Request, state: State, conn: Reader, who: Editor, document: Document, act: str = Form("keep"),
    note: Annotated[str, Form(max_length=500)] = "", replaces: Annotated[str, Form(max_length=64)] = "",
) -> Response:  # fmt: skip
    """The text of a draft: taken over into the form, or checked and kept as it is."""
    now = state.clock.now()
    try:
        if act != "keep":
            form = _form_of_text(document)
            if form is not None:
                form.head |= {"note": note, "replaces": replaces}
            return _page(request, conn, who, now, form, document)
        draft_id = state.writer.run(
            Deed(flows.save_draft, who.estate_id, document, note=note, actor=who.login, now=now, replaces=replaces)
        )
    except (TariffError, EstateError) as error:
        return _page(request, conn, who, now, None, document, text_error=str(error), status=NOT_ACCEPTED)
    return RedirectResponse(f"/tariffs/drafts/{draft_id}", 303)
