"""On which line of a TOML text a key stands; the parser of the standard library does not tell.

A trail names a table: ("household", 0, "fault") is the table `fault` of the first [[household]]. A key inside an
inline table or a list has no line of its own here; then the line of the nearest key around it is the answer.
"""

import re
from collections.abc import Iterator

Trail = tuple[str | int, ...]
HEADER = re.compile(r"\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
PART = re.compile(r"""\s*("[^"]*"|'[^']*'|[A-Za-z0-9_-]+)\s*""")
TRIPLE = ('"""', "'''")


class Places:
    """The lines of all keys and tables of a text that is known to be TOML."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Trail, int] = {}
        self._counts: dict[Trail, int] = {}
        trail: Trail = ()
        for number, line in _statements(text):
            header = HEADER.match(line)
            if header is not None and (parts := _parts(header[2])):
                trail = self._table(parts, array=header[1] == "[[")
                self._lines.setdefault(trail, number)
            else:
                self._keys(trail, line, number)

    def line(self, trail: Trail) -> int | None:
        """The line of a table or key, or of the nearest thing around it; None when the text has nothing of it."""
        while trail:
            found = self._lines.get(trail)
            if found is not None:
                return found
            trail = trail[:-1]
        return None

    def _table(self, parts: list[str], *, array: bool) -> Trail:
        trail: Trail = ()
        for place, part in enumerate(parts):
            trail = (*trail, part)
            if array and place == len(parts) - 1:
                self._counts[trail] = self._counts.get(trail, 0) + 1
            if trail in self._counts:
                trail = (*trail, self._counts[trail] - 1)
        return trail

    def _keys(self, trail: Trail, line: str, number: int) -> None:
        left, equals, _ = line.partition("=")
        if equals:
            for part in _parts(left):
                trail = (*trail, part)
                self._lines.setdefault(trail, number)


def _parts(dotted: str) -> list[str]:
    """The names of a dotted key."""
    return [part.strip("\"'") for part in PART.findall(dotted)]


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """The first line of every statement with its number; the rest of long lists and texts is passed over."""
    depth, closing = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not depth and not closing and line.strip() and not line.lstrip().startswith("#"):
            yield number, line
            if HEADER.match(line) and "=" not in line:
                continue
        depth, closing = _open_ends(line, depth, closing)


def _open_ends(line: str, depth: int, closing: str) -> tuple[int, str]:
    """How many brackets are open after a line, and the quotes that end a text that is not closed."""
    place = 0
    while place < len(line):
        if closing:
            end = line.find(closing, place)
            if end < 0:
                return depth, closing
            place, closing = end + 3, ""
            continue
        mark = line[place]
        if line[place : place + 3] in TRIPLE:
            closing, place = line[place : place + 3], place + 3
        elif mark in "\"'":
            place = _after_text(line, place)
        elif mark == "#":
            break
        else:
            depth += (mark in "[{") - (mark in "]}")
            place += 1
    return depth, closing


def _after_text(line: str, start: int) -> int:
    """Where a text in one line ends; backslashes escape in double quotes only."""
    place = start + 1
    while place < len(line) and line[place] != line[start]:
        place += 2 if line[place] == "\\" and line[start] == '"' else 1
    return place + 1
