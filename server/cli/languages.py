"""What commands say in both languages: the words of `server.languages`, and errors.

What flows and reads raise is English; of those that a command shows, the sentence is known here by its form.
"""

import re

from server.languages import LANGUAGES, Filled, Paired, Word, chinese, mark, said, told, wrong

__all__ = ["LANGUAGES", "Filled", "Paired", "Word", "chinese", "error_in_chinese", "mark", "said", "told", "wrong"]

_ERRORS = (
    mark("%(name)s names no bill; write ACCOUNT:57, ACCOUNT:2026-10-13 or ACCOUNT:2026-10"),
    mark("%(name)s names no bill: there is no such day"),
    mark("account %(name)s has no charge yet; name a month, as in %(month)s, for what else was booked"),
    mark("there is no bill %(name)s: no account %(account)s in this estate"),
    mark("there is no bill %(name)s: nothing was booked then"),
    mark("bill %(name)s is archived; put the archive back to explain it"),
    mark("the database holds no estate, so there is no bill to explain; name another one"),
    mark(
        "%(port)s is no port, and no server runs on %(url)s that could have a bus of this name; name the server with "
        "--config FILE or --database URL, or write /dev/ttyUSB0 or tcp://host:port"
    ),
    mark("the running server has no bus %(port)s; it has: %(buses)s"),
    mark("bus %(bus)s is not being read"),
    mark("published = %(name)s: there is no such list; known: %(known)s"),
    mark(
        "published = %(name)s is not sure (%(quality)s): %(why)s; compare it with the text of the price authority, and "
        "write unsure = true to take it all the same"
    ),
    mark("published = %(name)s: %(keys)s cannot stand beside it; allowed: %(allowed)s"),
)
_FIELD = re.compile(r"%\\\((\w+)\\\)s")
_KNOWN = tuple((re.compile(_FIELD.sub(r"(?P<\1>.+)", re.escape(one)), re.DOTALL), one) for one in _ERRORS)


def error_in_chinese(error: Exception) -> str:
    """The error as far as it is known in Chinese; otherwise as it is."""
    notes, text, cause = " ".join(getattr(error, "__notes__", ())), str(error), str(error.__cause__ or "")
    if notes:
        return notes
    if cause and text.endswith(f": {cause}") and (said := _in_chinese(cause)):
        return text.removesuffix(cause) + said
    return _in_chinese(text) or text


def in_chinese(text: str) -> str:
    """What flows, meters and ports say in English, as far as it is known in Chinese; otherwise as it is."""
    return _in_chinese(text) or text


def _in_chinese(text: str) -> str:
    """The words of the commands, and of pages for refusals, ports and details; nothing if unknown."""
    from markupsafe import Markup

    from server.web.formats import Formats
    from server.web.i18n import translations
    from server.web.refusal_words import refusal_said

    gettext = translations("zh_CN").gettext
    refusal = refusal_said(text, Formats(gettext, "Asia/Shanghai", 0), gettext)
    return _known(text) or ("" if refusal is None else Markup.escape(refusal).striptags())


def _known(text: str) -> str:
    for pattern, message in _KNOWN:
        if (found := pattern.fullmatch(text)) is not None:
            return chinese(message) % found.groupdict()
    return ""
