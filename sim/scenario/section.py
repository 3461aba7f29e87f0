"""Reading one table of a scenario, key by key, with errors that say where and what is allowed.

A `Section` hands out typed values and remembers which keys were asked for; `finish` refuses the rest, so that
a misspelt key is an error and not a silently used default.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any
from unicodedata import category

from sim.errors import ScenarioError
from sim.scenario.places import Places, Trail

_MISSING = object()
UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Controls, marks without a width, and line ends: what a terminal or a log would obey instead of showing."""
NAME_MAX = 64
"""Characters of an id or a name: it stands in labels, file names and columns of a terminal."""


class Section:
    """A TOML table named `where` of file `path`; with `places` and its `trail`, messages name the line too."""

    def __init__(self, path: str, where: str, table: object, places: Places | None = None, trail: Trail = ()) -> None:
        self.path = path
        self.where = where
        self._places = places
        self._trail = trail
        if not isinstance(table, Mapping):
            raise ScenarioError(f"{self._at()}: {where} must be a table, not {table!r}")
        self._table: Mapping[str, Any] = table
        self._asked: set[str] = set()
        self._known: set[str] = set()

    def wrong(self, key: str, allowed: str) -> ScenarioError:
        """The error to raise about the value of a key; it says what is allowed."""
        shown = f"is {self._table[key]!r}" if key in self._table else "is missing"
        return ScenarioError(f"{self._at(key)}: {self.where}: {key} {shown}; allowed: {allowed}")

    def refuse(self, key: str, message: str) -> ScenarioError:
        """The error to raise when a key asks for too much or for what is not there."""
        return ScenarioError(f"{self._at(key)}: {self.where}: {message}")

    def place(self, key: str = "") -> str:
        """Where the table, or one of its keys, stands: file, line, table, key."""
        return f"{self._at(*([key] if key else []))}: {self.where}" + (f": {key}" if key else "")

    def has(self, key: str) -> bool:
        """Whether the table gives the key, which may be there."""
        self._known.add(key)
        return key in self._table

    def raw(self, key: str, default: object = None) -> Any:
        """The value as it stands."""
        self._asked.add(key)
        return self._table.get(key, default)

    def text(self, key: str, default: object = _MISSING) -> str:
        """A text that is not empty."""
        value = self.raw(key, default)
        if not isinstance(value, str) or not value:
            raise self.wrong(key, "a text that is not empty")
        return value

    def name(self, key: str, default: object = _MISSING) -> str:
        """An id or a name for people: not empty, not too long, and nothing that a terminal would obey."""
        value = self.text(key, default)
        if len(value) > NAME_MAX or value != value.strip() or any(category(each) in UNSEEN for each in value):
            raise self.wrong(key, f"1 to {NAME_MAX} characters that can be seen, without blanks around them")
        return value

    def choice(self, key: str, allowed: Sequence[str], default: object = _MISSING) -> str:
        """One of several words."""
        value = self.raw(key, default)
        if value not in allowed:
            raise self.wrong(key, ", ".join(allowed))
        return str(value)

    def whole(self, key: str, low: int, high: int, default: object = _MISSING) -> int:
        """A whole number within [low, high]."""
        value = self.raw(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(key, f"a whole number from {low} to {high}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self.raw(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def digits(self, key: str, count: int, default: object = _MISSING) -> str:
        """A text of exactly `count` decimal digits (leading zeros count, so it is never a number)."""
        value = self.raw(key, default)
        if not isinstance(value, str) or len(value) != count or not (value.isascii() and value.isdigit()):
            raise self.wrong(key, f"a text of exactly {count} digits, in quotes")
        return value

    def span(self, key: str, low: int, high: int, default: tuple[int, int]) -> tuple[int, int]:
        """A whole number, or [least, most], each within [low, high]."""
        value = self.raw(key, list(default))
        pair = [value, value] if isinstance(value, int) else value
        fits = (
            isinstance(pair, list)
            and len(pair) == 2
            and all(isinstance(v, int) and not isinstance(v, bool) for v in pair)
            and low <= pair[0] <= pair[1] <= high
        )
        if not fits:
            raise self.wrong(key, f"a whole number or [least, most], from {low} to {high}")
        return pair[0], pair[1]

    def wholes(self, key: str, low: int, high: int, default: Sequence[int] = ()) -> tuple[int, ...]:
        """A list of whole numbers within [low, high]."""
        value = self.raw(key, list(default))
        fits = isinstance(value, list) and all(
            isinstance(v, int) and not isinstance(v, bool) and low <= v <= high for v in value
        )
        if not fits:
            raise self.wrong(key, f"a list of whole numbers from {low} to {high}")
        return tuple(value)

    def moment(self, key: str, default: object = _MISSING) -> datetime:
        """A date and time, with or without an offset, as TOML value or ISO 8601 text."""
        value = self.raw(key, default)
        if isinstance(value, str):
            try:
                return datetime.fromisoformat(value)
            except ValueError as error:
                raise self.wrong(key, "a date and time such as 2026-10-13T09:40") from error
        if not isinstance(value, datetime):
            raise self.wrong(key, "a date and time such as 2026-10-13T09:40")
        return value

    def sections(self, key: str) -> list["Section"]:
        """An array of tables; empty when the key is not there."""
        value = self.raw(key, [])
        if not isinstance(value, list):
            raise self.wrong(key, f"an array of tables, [[{key}]]")
        prefix = "" if self.where == "the file" else f"{self.where}."
        return [
            Section(self.path, f"{prefix}{key}[{n + 1}]", table, self._places, (*self._trail, key, n))
            for n, table in enumerate(value)
        ]

    def section(self, key: str) -> "Section":
        """A table; an empty one when the key is not there."""
        return Section(self.path, f"[{key}]", self.raw(key, {}), self._places, (*self._trail, key))

    def inner(self, key: str) -> "Section":
        """A table within this one; an empty one when the key is not there."""
        return Section(self.path, f"{self.where}.{key}", self.raw(key, {}), self._places, (*self._trail, key))

    def finish(self) -> None:
        """Refuse keys that nobody asked for."""
        unknown = sorted(set(self._table) - self._asked)
        if unknown:
            allowed = self._asked | self._known
            alike = get_close_matches(unknown[0], sorted(allowed - {unknown[0]}), 1)
            hint = f" (did you mean {alike[0]}?)" if alike else ""
            raise ScenarioError(
                f"{self._at(unknown[0])}: {self.where}: unknown key {', '.join(unknown)}{hint}; "
                f"allowed: {', '.join(sorted(allowed - {*unknown}))}"
            )

    def _at(self, *key: str) -> str:
        """The file, with the line where the key or its table stands."""
        line = self._places.line((*self._trail, *key)) if self._places is not None else None
        return self.path if line is None else f"{self.path}:{line}"
