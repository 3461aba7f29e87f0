"""Renders pages: one Jinja environment a language, the filters for figures, and what every page carries.

A handler calls `render(request, "operator/wall.html", ...)`. Every page knows the language, who is signed in, the
CSRF token, the estate, both clocks (`f` formats instants in the estate's zone) and the addresses of the built assets.
Templates have no logic beyond choosing words; autoescape is on everywhere.
"""

import json
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import DictLoader, Environment, StrictUndefined, nodes
from markupsafe import Markup
from sqlalchemy.exc import SQLAlchemyError

from server.errors import ConfigError, EstateError
from server.store.direct import Row
from server.store.engine import reader
from server.store.estates import get_estate
from server.web import formats, i18n, words
from server.web.details import detail_said
from server.web.folding import Folding
from server.web.formats import Formats
from server.web.notice_words import channel_word
from server.web.refusal_words import refusal_said

HERE = Path(__file__).parent
DIST = HERE / "assets" / "dist"
FILTERS = (
    "yuan", "signed_yuan", "amount", "signed_amount", "whole_yuan", "round_yuan", "kwh", "kwh_figure", "kwh_exact",
    "kw_figure", "volts", "amperes", "price", "price_exact", "price_trimmed", "fen_exact", "nf_yuan",
    "nf_signed_yuan", "nf_amount", "nf_signed_amount", "seconds", "masked_name",
    "masked_phone", "meter_number", "months_said",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class EstateFacts:
    """What every page says of the estate; `known` is False when the database could not be read."""

    estate_id: str = ""
    name: str = ""
    time_zone: str = "Asia/Shanghai"
    mode: str = "observe"
    breaker: str = "closed"
    stopped: int = 0
    phone: str = ""
    close_policy: str = "allow"
    reading_cycle_s: int = 900
    grace_s: int = 86400
    protected_from_min: int = 1020
    protected_to_min: int = 540
    trips_per_hour_max: int | None = None
    trips_per_day_max: int | None = None
    breaker_reason: str = ""
    known: bool = False


@cache
def manifest() -> dict[str, str]:
    """Plain name -> built name of every asset; empty before `python -m server.web.build_assets` has run."""
    path = DIST / "manifest.json"
    if not path.is_file():
        return {}
    names: dict[str, str] = json.loads(path.read_text("utf-8"))
    return names


def refuse_without_assets() -> None:
    """ConfigError unless the style sheets and scripts of the pages are there, as a source tree may lack them."""
    lost = [name for name in manifest().values() if not (DIST / name).is_file()]
    if lost or not manifest():
        raise ConfigError(
            f"{DIST / (lost or ['manifest.json'])[0]} is missing, so no page could be shown; "
            "run `make assets` in the source tree, or install a wheel that `python -m build` made"
        )


def asset(name: str) -> str:
    """The address of an asset; its name carries a hash of the content, so it may be kept for ever."""
    return f"/assets/{manifest().get(name, name)}"


class Templates(Environment):
    """Templates of one language.

    They see what is global as one dict: a chain of dicts is looked through again at every import.
    """

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """The tree of a template, with what is known already in it."""
        tree = super()._parse(source, name, filename)
        Folding(self, tree, i18n.translations(str(self.globals["language"])).gettext).visit(tree)
        return tree

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """The globals as they are when a template is loaded."""
        return {**self.globals, **(d or {})}


@cache
def sources() -> dict[str, str]:
    """Every template by its name, as it was when the site was made.

    An upgrade replaces the files of a server that runs; new templates would ask its old code for what it does not know.
    """
    folder = HERE / "templates"
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*.html")}


@cache
def environment(language: str) -> Environment:
    """The templates of one language."""
    env = Templates(
        loader=DictLoader(sources()),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
        auto_reload=False,
    )
    translations = i18n.translations(language)
    env.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]
    env.filters.update({name: getattr(formats, name) for name in FILTERS})
    env.globals.update(asset=asset, language=language, lang=i18n.TAGS[language], languages=i18n.TAGS)
    env.globals.update(words.said_in(translations.gettext))
    return env


def language_of(request: Request) -> str:
    """The language of this request's pages."""
    principal = getattr(request.state, "principal", None)
    own = principal.language if principal is not None else None
    return i18n.choose(request.cookies.get(i18n.COOKIE), own, request.app.state.web.config.language)


def estate_facts(request: Request) -> EstateFacts:
    """The estate's facts, or a stand-in while the database cannot be read."""
    state = request.app.state.web
    try:
        with reader(state.engine) as connection:
            row = get_estate(connection, state.estate_id)
    except (EstateError, SQLAlchemyError):
        return EstateFacts()
    return facts_from(row)


def facts_from(row: Row) -> EstateFacts:
    """The facts from the estate's row."""
    return EstateFacts(**{name: row[name] for name in EstateFacts.__dataclass_fields__ if name != "known"}, known=True)


PARTS = Markup("<!--parts-->")  # no text of people has it, since it would be escaped


def render(
    request: Request, name: str, *, status_code: int = 200, parts: Sequence[bytes] = (), **context: Any
) -> HTMLResponse:
    """Render a template for this request; `estate` may be given by a handler that has read it already.

    `parts` are pieces of the page that are ready to be sent; the template has one place for all of them.
    """
    state = request.app.state.web
    language = language_of(request)
    env = environment(language)
    estate = context.pop("estate", None) or estate_facts(request)
    now = context.pop("now", None) or state.clock.now()
    principal = getattr(request.state, "principal", None)
    gettext = i18n.translations(language).gettext
    f = Formats(gettext, estate.time_zone, now.world_s)
    html = env.get_template(name).render(
        request=request,
        path=request.url.path,
        principal=principal,
        csrf=principal.csrf if principal is not None else "",
        may=principal.may if principal is not None else _nothing,
        estate=estate,
        now=now,
        factor=state.clock.anchor.factor,
        f=f,
        detail_said=lambda detail: detail_said(detail, f, gettext),
        refusal_said=lambda detail: refusal_said(detail, f, gettext),
        channel_said=lambda notice: gettext(channel_word(notice, state.message_channel)),
        parts=PARTS,
        **context,
    )
    body = html.encode()
    if parts:
        body = body.replace(PARTS.encode(), b"".join(parts))
    return HTMLResponse(body, status_code, headers={"Content-Language": i18n.TAGS[language], "Vary": "Cookie"})


def _nothing(_verb: str) -> bool:
    """What somebody may do who has not signed in."""
    return False


def formats_of(request: Request, estate: EstateFacts) -> Formats:
    """The formats of this request, for answers that are no page (tiles as JSON, files)."""
    translations = i18n.translations(language_of(request))
    return Formats(translations.gettext, estate.time_zone, request.app.state.web.clock.now().world_s)
