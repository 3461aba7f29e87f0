"""Languages: zh-CN and en through gettext; the English text is the message id.

The catalogue is read from its `.po` when the process starts, so there is no compiled copy that could be stale.
A person's choice stands in a cookie; without one the user's own language counts, then the server's setting.
"""

import gettext
from functools import cache
from pathlib import Path

from server.catalogue import catalogue_of

LOCALE = Path(__file__).parent / "locale"
COOKIE = "estate645_language"
COOKIE_AGE_S = 31_536_000
TAGS = {"zh_CN": "zh-CN", "en": "en"}


@cache
def translations(language: str) -> gettext.NullTranslations:
    """The messages of `language` (a key of TAGS); English needs no catalogue."""
    return catalogue_of(LOCALE / language / "LC_MESSAGES" / "messages.po", language)


def choose(cookie: str | None, own: str | None, fallback: str) -> str:
    """The language of a page: the cookie's choice, the person's own, or the server's; unknown names do not count."""
    for language in (cookie, own, fallback):
        if language in TAGS:
            return language
    return "en"


def mark(message: str) -> str:
    """Mark a text for the catalogue where it is defined; it is translated where it is shown."""
    return message
