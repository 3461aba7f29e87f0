"""What commands say in both languages: the words of `server.languages`, and errors.

What flows and reads raise is English; of those that a command shows, the sentence is known here by its form.
"""

import re

from server.languages import LANGUAGES, Paired, Word, chinese, mark, said, told, wrong

__all__ = ["LANGUAGES", "Paired", "Word", "chinese", "error_in_chinese", "mark", "said", "told", "wrong"]

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
)
_FIELD = re.compile(r"%\\\((\w+)\\\)s")
_KNOWN = tuple((re.compile(_FIELD.sub(r"(?P<\1>.+)", re.escape(one)), re.DOTALL), one) for one in _ERRORS)


def error_in_chinese(error: Exception) -> str:
    """The error as far as it is known in Chinese; otherwise as it is."""
    from server.web.i18n import translations
    from server.web.port_words import port_said

    notes = " ".join(getattr(error, "__notes__", ()))
    text = str(error)
    return notes or port_said(text, translations("zh_CN").gettext) or _known(text) or text


def _known(text: str) -> str:
    for pattern, message in _KNOWN:
        if (found := pattern.fullmatch(text)) is not None:
            return chinese(message) % found.groupdict()
    return ""
