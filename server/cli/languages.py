"""What commands say in both languages: the words of `server.languages`, and errors.

What flows and reads raise is English; of those that a command shows, the sentence is known by its form.
"""

from server.cli.error_words import known_in_chinese
from server.languages import LANGUAGES, Filled, Paired, Word, chinese, mark, said, told, wrong

__all__ = [
    "LANGUAGES",
    "Filled",
    "Paired",
    "Word",
    "chinese",
    "error_in_chinese",
    "heard",
    "in_chinese",
    "mark",
    "said",
    "told",
    "wrong",
]


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


def heard(text: str) -> Paired:
    """What a meter or a line said, as a field of a message in both languages."""
    return Paired(text, in_chinese(text))


def _in_chinese(text: str) -> str:
    """The words of the commands, and of pages for refusals, ports and details; nothing if unknown."""
    from markupsafe import Markup

    from server.web.formats import Formats
    from server.web.i18n import translations
    from server.web.refusal_words import refusal_said

    gettext = translations("zh_CN").gettext
    refusal = refusal_said(text, Formats(gettext, "Asia/Shanghai", 0), gettext)
    return known_in_chinese(text) or ("" if refusal is None else Markup.escape(refusal).striptags())
