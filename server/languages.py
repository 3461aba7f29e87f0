"""Both languages of commands and of estate files: a message is its English text, the catalogue has the Chinese.

They have a catalogue of their own beside that of the pages.
"""

from collections.abc import Mapping
from functools import cache
from gettext import NullTranslations
from pathlib import Path

from server.errors import ConfigError

LANGUAGES = ("both", "en", "zh")
CATALOGUE = Path(__file__).parent / "locale" / "zh_CN" / "LC_MESSAGES" / "commands.po"


def said(en: str, zh: str, lang: str) -> str:
    """Text in the language asked for; both with a stroke between them, once where they are the same."""
    chosen = {"en": (en,), "zh": (zh,)}.get(lang, (en, zh))
    return " / ".join(dict.fromkeys(text for text in chosen if text))


def mark(message: str) -> str:
    """Mark a text for the catalogue where it is defined; it is translated where it is said."""
    return message


class Word(str):
    """A field of a message that is itself a message."""

    __slots__ = ()


class Paired(str):
    """A field that has its Chinese with it, as words of the pages have."""

    __slots__ = ("in_chinese",)
    in_chinese: str

    def __new__(cls, english: str, in_chinese: str) -> "Paired":
        """Both at once."""
        made = super().__new__(cls, english)
        made.in_chinese = in_chinese
        return made


class Filled(str):
    """A field that is itself a message with fields."""

    __slots__ = ("fields", "message")
    message: str
    fields: Mapping[str, object]

    def __new__(cls, message: str, **fields: object) -> "Filled":
        """A message of the catalogue, and what its places hold."""
        made = super().__new__(cls, message % fields)
        made.message, made.fields = message, fields
        return made

    @property
    def in_chinese(self) -> str:
        """The same in Chinese; looked up only when it is said."""
        return chinese(self.message) % {name: _field_in_chinese(one) for name, one in self.fields.items()}


def _field_in_chinese(one: object) -> object:
    if isinstance(one, Paired | Filled):
        return one.in_chinese
    return chinese(one) if isinstance(one, Word) else one


def told(message: str, lang: str, **fields: object) -> str:
    """A message of the catalogue with its fields, in the language asked for; `Word`, `Paired`, `Filled` among them."""
    in_chinese = {name: _field_in_chinese(one) for name, one in fields.items()}
    return said(message % fields, chinese(message) % in_chinese, lang)


def wrong(message: str, **fields: object) -> ConfigError:
    """What is wrong with a file of the operator, in English, with the Chinese as a note of the error."""
    error = ConfigError(message % fields)
    in_chinese = {name: _field_in_chinese(one) for name, one in fields.items()}
    error.add_note(chinese(message) % in_chinese)
    return error


def chinese(message: str) -> str:
    """A message in Chinese."""
    return _chinese().gettext(message)


@cache
def _chinese() -> NullTranslations:
    from server.catalogue import catalogue_of  # of the extra `server`, which not every command needs

    return catalogue_of(CATALOGUE, "zh_CN")
