"""Styled text in character cells: widths with Chinese in them, bars, sparks, and rows that fit exactly.

A row is a list of spans; its width is counted in cells before any colour is put in, so nothing is ever cut inside an
escape sequence, and a wide character is never halved.
"""

import math
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

PLAIN, BOLD, DIM, GOOD, WARN, BAD, ACCENT = "", "1", "2", "32", "33", "1;31", "36"
"""Styles as SGR parameters."""
WIDE = ("W", "F")
EIGHTHS = 8


class Span(NamedTuple):
    """A text in one style."""

    text: str
    style: str = PLAIN


Row = Sequence[Span]


class Glyphs(NamedTuple):
    """The characters that a terminal can show."""

    bar: str
    track: str
    sparks: str
    rule: str
    dot: str
    times: str
    runs: str
    stands: str
    leaps: str
    arrows: str
    dash: str


UNICODE = Glyphs("█", "░", "▁▂▃▄▅▆▇█", "─", "·", "×", "▶", "■", "»", "↑↓", "–")
ASCII = Glyphs("#", ".", "_.-=+*%#", "-", "|", "x", ">", "=", ">>", "up/down", "-")


def cells(text: str) -> int:
    """How many columns a text takes."""
    return sum(_cells_of(character) for character in text)


def fit(text: str, width: int) -> str:
    """The text cut or filled to exactly so many columns."""
    kept, used = [], 0
    for character in text:
        if used + _cells_of(character) > width:
            break
        kept.append(character)
        used += _cells_of(character)
    return "".join(kept) + " " * (width - used)


def right(text: str, width: int) -> str:
    """The text at the right end of so many columns."""
    return " " * max(0, width - cells(text)) + text if cells(text) <= width else fit(text, width)


def bar(share: float, width: int, glyphs: Glyphs) -> Row:
    """A bar of which a share is full; anything above nothing shows at least one cell."""
    full = min(width, max(round(share * width), 1 if share > 0 else 0))
    return [Span(glyphs.bar * full, ACCENT), Span(glyphs.track * (width - full), DIM)]


def sparks(values: Sequence[float], width: int, glyphs: Glyphs) -> Row:
    """The newest values as small columns, the highest of them full."""
    shown = list(values)[-width:]
    most = max(shown, default=0.0)
    levels = [max(0, math.ceil(value / most * EIGHTHS) - 1) if most > 0 else 0 for value in shown]
    return [Span("".join(glyphs.sparks[level] for level in levels), ACCENT)]


def width_of(row: Row) -> int:
    """Columns that a row takes."""
    return sum(cells(span.text) for span in row)


def spread(left: Row, end: Row, width: int) -> Row:
    """One row at the left, another at the right end; the right one goes first when both do not fit."""
    gap = width - width_of(left) - width_of(end)
    return [*left, Span(" " * gap), *end] if gap >= 1 else clip(left, width)


def clip(row: Row, width: int) -> Row:
    """A row of exactly so many columns."""
    kept: list[Span] = []
    room = width
    for span in row:
        if cells(span.text) > room:
            kept.append(Span(fit(span.text, room), span.style))
            return kept
        kept.append(span)
        room -= cells(span.text)
    return [*kept, Span(" " * room)]


def painted(row: Row, *, colour: bool) -> str:
    """A row as text for a terminal."""
    if not colour:
        return "".join(span.text for span in row)
    return "".join(f"\x1b[{span.style}m{span.text}\x1b[0m" if span.style else span.text for span in row)


def joined(rows: Iterable[Row], between: str, width: int) -> Row:
    """Several pieces with something dim between them, as many as fit whole."""
    made: list[Span] = []
    for row in rows:
        longer = [*made, *([Span(between, DIM)] if made else []), *row]
        if width_of(longer) > width:
            break
        made = longer
    return made


def _cells_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in WIDE else 1
