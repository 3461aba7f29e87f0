"""Supply rules: schemes with their versions, the estate's choice, alerts, its own holidays, and rules of a household.

A form field that is left empty is a rule that is not said: the layer below holds.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, Request
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse

from core.units import parse_yuan
from server.domain.schemes import Level, level_from
from server.errors import Refused
from server.flows import schemes as flows
from server.store import schemes as kept
from server.store.estates import get_account, get_estate
from server.store.unit import Deed
from server.web import i18n, pages
from server.web.deps import Reader, State, need
from server.web.formats import Formats, yuan
from server.web.i18n import mark as _
from server.web.operator.deeds import done
from server.web.operator.keep import keep_of
from server.web.operator.meters import meters_of_household
from server.web.operator.shell import staff_page
from server.web.principal import Principal

router = APIRouter(include_in_schema=False)
Viewer = Annotated[Principal, Depends(need("supply.view"))]
Editor = Annotated[Principal, Depends(need("supply.rules"))]
Name = Annotated[str, Form(max_length=64, pattern=r"^[^\s\x00-\x1f]*$")]
Text = Annotated[str, Form(max_length=200, pattern=r"^[^\x00]*$")]
HOUR_S = 3600
HERE = "/rules"
FIELDS = {  # rule: (label, example)
    "alarm1": (_("First reminder below"), _("30.00 · 20% · 7 days")),
    "alarm2": (_("Second reminder below"), _("10.00 · 5% · 2 days")),
    "overdraft_fen": (_("Overdraft, yuan"), "0.00"),
    "close_allowed_fen": (_("Power back above, yuan"), "0.00"),
    "grace_s": (_("Grace after the warning, hours"), "24"),
    "quiet_from_min": (_("Reminders wait from"), "22:00"),
    "quiet_to_min": (_("Reminders wait until"), "08:00"),
    "protected_from_min": (_("No cuts from"), "17:00"),
    "protected_to_min": (_("No cuts until"), "09:00"),
    "protect_weekends": (_("No cuts at weekends"), _("yes")),
    "protect_holidays": (_("No cuts on holidays"), _("yes")),
    "protect_alerts": (_("No cuts under alerts"), _("yes")),
    "spread_s": (_("Spread after a protected time, minutes"), "30"),
    "final_notice_s": (_("Final notice before a cut, minutes"), _("40 · 0: none")),
    "keep_power": (_("Meter keeps the power on (only meters of DL/T 645-2007)"), _("protected")),
}
_YES_NO = {"yes": 1, "no": 0, "是": 1, "否": 0}
KEEPS = {"protected": _("protected"), "always": _("always"), "never": _("not at all")}
_KEEPS_READ = {
    **{name: name for name in KEEPS}, "受保护": "protected", "始终": "always", "not at all": "never", "不保电": "never",
}  # fmt: skip


def _minute(text: str) -> int:
    found = re.fullmatch(r"([01]?\d|2[0-4]):([0-5]\d)", text)
    if found is None:
        raise ValueError(text)
    return int(found[1]) * 60 + int(found[2])


def _read(name: str, text: str) -> Any:
    if name.startswith("alarm"):
        return level_from(text)
    if name.endswith("_fen"):
        return parse_yuan(text)
    if name.endswith("_min"):
        return _minute(text)
    if name.startswith("protect_"):
        return _YES_NO[text.lower()]
    if name == "keep_power":
        return _KEEPS_READ[text.lower()]
    return int(text) * (HOUR_S if name == "grace_s" else 60)


def rules_in(form: FormData) -> dict[str, Any]:
    """The rules that a form says; Refused naming the field, as the page calls it, that cannot be read."""
    found: dict[str, Any] = {}
    for name, (label, example) in FIELDS.items():
        text = str(form.get(name, "")).strip()
        if not text:
            continue
        try:
            found[name] = _read(name, text)
        except (ValueError, KeyError) as error:
            raise Refused(f"{label}: {text!r} cannot be read; write it like {example}") from error
    return found


def fields_said(gettext: Callable[[str], str]) -> list[tuple[str, str, str, list[tuple[str, str]]]]:
    """The fields of the form: name, label, example, and the answers where there are only few (value and word)."""
    yes_no = [("yes", gettext("yes")), ("no", gettext("no"))]
    keeps = [(name, gettext(word)) for name, word in KEEPS.items()]
    return [
        (
            name,
            gettext(label),
            gettext(example),
            yes_no if name.startswith("protect_") else keeps if name == "keep_power" else [],
        )
        for name, (label, example) in FIELDS.items()
    ]


def level_said(level: Level, gettext: Callable[[str], str]) -> str:
    """A level in words."""
    if level.kind == "percent":
        return gettext("%(n)s%% of the last top-up") % {"n": level.value}
    if level.kind == "days":
        return gettext("%(n)s days") % {"n": level.value}
    return yuan(level.value)


def rules_said(definition: Mapping[str, Any], f: Formats, gettext: Callable[[str], str]) -> list[tuple[str, str]]:
    """What a definition says, as label and words."""
    return [(gettext(FIELDS[name][0]), _said(name, value, f, gettext)) for name, value in definition.items()]


def _said(name: str, value: Any, f: Formats, gettext: Callable[[str], str]) -> str:
    if name.startswith("alarm"):
        return level_said(Level(*value), gettext)
    if name.endswith("_fen"):
        return yuan(value)
    if name.endswith("_min"):
        return f.minute_of_day(value)
    if name.startswith("protect_"):
        return gettext("yes") if value else gettext("no")
    if name == "keep_power":
        return gettext(KEEPS[value])
    return f.span(value)


def typed(definition: Mapping[str, Any], gettext: Callable[[str], str]) -> dict[str, str]:
    """What a definition says, as it is typed into the form."""

    def field(name: str, value: Any) -> str:
        if name.startswith("alarm"):
            kind, amount = value
            return {"percent": f"{amount}%", "days": gettext("%(n)s days") % {"n": amount}}.get(
                kind, yuan_typed(amount)
            )
        if name.endswith("_fen"):
            return yuan_typed(value)
        if name.endswith("_min"):
            return f"{value // 60:02d}:{value % 60:02d}"
        if name.startswith("protect_"):
            return gettext("yes") if value else gettext("no")
        if name == "keep_power":
            return gettext(KEEPS[value])
        return str(value // (HOUR_S if name == "grace_s" else 60))

    return {name: field(name, value) for name, value in definition.items()}


def yuan_typed(fen: int) -> str:
    """`1234` -> `12.34`."""
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def instant(text: str, time_zone: str) -> int:
    """`2026-10-13T15:00` of the estate's time as world seconds."""
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(time_zone)).timestamp())
    except ValueError as error:
        raise Refused(f"{text!r} is no time; write YYYY-MM-DDThh:mm") from error


@router.get("/rules")
def rules_page(request: Request, state: State, conn: Reader, who: Viewer) -> HTMLResponse:
    """Schemes, alerts and the estate's calendar."""
    f = pages.formats_of(request, pages.facts_from(get_estate(conn, who.estate_id)))
    gettext = i18n.translations(pages.language_of(request)).gettext
    now_s = state.clock.now().world_s
    in_force = kept.in_force(conn, who.estate_id, now_s)
    versions = [
        (
            row,
            rules_said(json.loads(row["definition"]), f, gettext),
            in_force.get(row["scheme_id"]) is not None and in_force[row["scheme_id"]].version == row["version"],
        )
        for row in kept.versions(conn, who.estate_id)
    ]
    return staff_page(
        request,
        conn,
        "operator/rules.html",
        "supply",
        versions=versions,
        schemes=sorted({row["scheme_id"] for row, _said_rules, _holds in versions}),
        chosen=get_estate(conn, who.estate_id)["scheme_id"],
        fields=fields_said(gettext),
        alerts=kept.alerts(conn, who.estate_id, now_s),
        kinds=flows.ALERT_KINDS,
        holidays=kept.holiday_rows(conn, who.estate_id),
    )


@router.post("/rules/versions")
async def add_version(
    request: Request, state: State, conn: Reader, who: Editor, scheme_id: Name, name: Text, valid_from: Text
) -> RedirectResponse:
    """Append a version of a scheme."""
    values = rules_in(await request.form())
    begins = instant(valid_from, get_estate(conn, who.estate_id)["time_zone"])
    if not scheme_id or not name.strip():
        raise Refused("a scheme needs an id and a name")
    now = state.clock.now()
    return done(
        state,
        Deed(flows.save_version, who.estate_id, scheme_id, name.strip(), begins, values, actor=who.login, now=now),
        HERE,
    )


@router.post("/rules/choose")
def choose(state: State, who: Editor, scheme_id: Name = "") -> RedirectResponse:
    """The scheme of households that name none."""
    now = state.clock.now()
    return done(state, Deed(flows.choose, who.estate_id, scheme_id or None, actor=who.login, now=now), HERE)


@router.post("/rules/alerts")
def raise_alert(
    state: State, conn: Reader, who: Editor, kind: Name, until: Text, reason: Text = ""
) -> RedirectResponse:
    """Nobody is cut until then."""
    until_at = instant(until, get_estate(conn, who.estate_id)["time_zone"])
    now = state.clock.now()
    return done(
        state,
        Deed(flows.raise_alert, who.estate_id, kind, until_at=until_at, reason=reason, actor=who.login, now=now),
        HERE,
    )


@router.post("/rules/alerts/{alert_id}/end")
def end_alert(state: State, who: Editor, alert_id: str) -> RedirectResponse:
    """End an alert now."""
    now = state.clock.now()
    return done(state, Deed(flows.end_alert, who.estate_id, alert_id, actor=who.login, now=now), HERE)


@router.post("/rules/holidays")
def set_holiday(state: State, who: Editor, day: Text, kind: Name, name: Text = "") -> RedirectResponse:
    """Put a day into the estate's calendar."""
    now = state.clock.now()
    return done(state, Deed(flows.set_holiday, who.estate_id, day, kind, name, actor=who.login, now=now), HERE)


@router.post("/rules/holidays/{day}/drop")
def drop_holiday(state: State, who: Editor, day: str) -> RedirectResponse:
    """Take a day out of it."""
    now = state.clock.now()
    return done(state, Deed(flows.drop_holiday, who.estate_id, day, actor=who.login, now=now), HERE)


@router.get("/households/{account_id}/rules")
def household_rules_page(request: Request, state: State, conn: Reader, who: Viewer, account_id: str) -> HTMLResponse:
    """The rules of one household: its scheme, what it has otherwise, its protection."""
    row = get_account(conn, who.estate_id, account_id)
    meters = meters_of_household(conn, who.estate_id, account_id)
    gettext = i18n.translations(pages.language_of(request)).gettext
    return staff_page(
        request,
        conn,
        "operator/household_rules.html",
        "wall",
        row=row,
        keeps=[(one.meter_id, keep_of(conn, who.estate_id, one)) for one in meters],
        own=typed(json.loads(row["own_rules"]), gettext),
        schemes=sorted({one["scheme_id"] for one in kept.versions(conn, who.estate_id)}),
        fields=fields_said(gettext),
    )


@router.post("/households/{account_id}/rules")
async def set_household(
    request: Request, state: State, who: Editor, account_id: str, scheme_id: Name = ""
) -> RedirectResponse:
    """Its scheme and its own rules."""
    own = rules_in(await request.form())
    now = state.clock.now()
    return done(
        state,
        Deed(
            flows.set_household,
            who.estate_id,
            account_id,
            scheme_id=scheme_id or None,
            own=own,
            actor=who.login,
            now=now,
        ),
        f"/households/{account_id}",
    )


@router.post("/households/{account_id}/protect")
def protect(state: State, conn: Reader, who: Editor, account_id: str, until: Text, reason: Text) -> RedirectResponse:
    """Promise that it is not cut, until then and for this reason."""
    until_at = instant(until, get_estate(conn, who.estate_id)["time_zone"])
    now = state.clock.now()
    return done(
        state,
        Deed(flows.protect, who.estate_id, account_id, until_at=until_at, reason=reason, actor=who.login, now=now),
        f"/households/{account_id}",
    )


@router.post("/households/{account_id}/unprotect")
def unprotect(state: State, who: Editor, account_id: str, reason: Text) -> RedirectResponse:
    """End the promise, with a reason."""
    now = state.clock.now()
    return done(
        state,
        Deed(flows.unprotect, who.estate_id, account_id, reason=reason, actor=who.login, now=now),
        f"/households/{account_id}",
    )
