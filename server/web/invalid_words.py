"""What is wrong with a field of a form, in the language of the page; programs are told in English by the checks.

Pages do not let such a form off: this is for browsers that check nothing and for addresses that were typed. A field is
called as on its page where its name is one of `FIELDS`, by its own name otherwise.
"""

import gettext
from collections.abc import Mapping, Sequence
from typing import Any

from server.web.i18n import mark as _

FIELDS = {
    "amount": _("Amount"),
    "room": _("Room"),
    "reason": _("Reason"),
    "note": _("Note"),
    "account": _("Account"),
    "account_id": _("Account"),
    "meter": _("Meter"),
    "meter_id": _("Meter"),
    "day": _("Day"),
    "q": _("Find"),
}
MISSING, FORM = _("must be filled in"), _("cannot be read as it is written")
BOUNDS = {
    "string_too_short": ("min_length", _("has at least %(bound)s characters")),
    "string_too_long": ("max_length", _("has at most %(bound)s characters")),
    "greater_than_equal": ("ge", _("is at least %(bound)s")),
    "less_than_equal": ("le", _("is at most %(bound)s")),
}


def wrong_fields(found: Sequence[Mapping[str, Any]], language: gettext.NullTranslations) -> list[tuple[str, str]]:
    """The name of each field and what is wrong with it; `found` is what FastAPI's checks say."""
    return [(_name(item["loc"], language), _reason(item, language)) for item in found]


def _name(place: Sequence[object], language: gettext.NullTranslations) -> str:
    name = str(place[-1]) if place else ""
    return language.gettext(FIELDS[name]) if name in FIELDS else name


def _reason(item: Mapping[str, Any], language: gettext.NullTranslations) -> str:
    kind, context = item["type"], item.get("ctx") or {}
    bound, text = BOUNDS.get(kind, ("", FORM))
    if kind == "missing" or (kind == "string_too_short" and context.get(bound) == 1):
        return language.gettext(MISSING)
    said = language.gettext(text)
    return said % {"bound": context[bound]} if bound in context else said
