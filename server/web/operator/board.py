"""The tiles of the wall in one language, kept from look to look: only what has changed is made anew.

A tile depends on its household's row, on open cases, and, while its meter is silent, on the time. Its markup and its
JSON are kept with it, and those of whole buildings as the bytes that are sent, since a wall of ten thousand tiles is
looked at more often than it changes. A meter on the edge of silence comes and goes, so what a tile was before is kept.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
from fastapi import Request
from markupsafe import escape

from server.domain.states import CONTACT_CYCLES_MAX, state_of
from server.web import i18n, pages
from server.web.columns import Bools, Power
from server.web.operator.tiles import STATES, Building, Floor, Tile, buildings_of, flags_of, tile_of
from server.web.overview import Households
from server.web.words import said_in

_Key = tuple[str, int, int, bool]


class Drawn:
    """A tile with what it depends on, and its markup and JSON once somebody has asked for them."""

    __slots__ = ("json", "key", "markup", "tile")

    def __init__(self, tile: Tile, key: _Key | None = None) -> None:
        self.tile, self.key = tile, key
        self.markup: str | None = None
        self.json: str | None = None


class Section:
    """A building: what stands before its power, between that and its floors, and after them; the floors last drawn."""

    __slots__ = ("begin", "building", "drawn", "end", "middle")

    def __init__(self, building: Building, begin: str, middle: str, end: str) -> None:
        self.building, self.begin, self.middle, self.end = building, begin.encode(), middle, end
        self.drawn: tuple[int, bytes] | None = None  # of which revision


class Board:
    """Tiles in the order of the households; may be used from any thread."""

    def __init__(self, words: Mapping[str, str], draw: Any) -> None:
        """`draw` has the macros `tile`, `row` (its ends) and `building` (its ends and the place of its power)."""
        self._words, self._draw = words, draw
        self._lock = Lock()
        self._households: Households | None = None
        self._cases: frozenset[str] = frozenset()
        self._silent: Bools = np.zeros(0, np.bool_)
        self._now: list[Drawn] = []
        self._before: list[Drawn] = []
        self._rooms: dict[str, int] = {}
        self._revisions: list[int] = []
        self._counts: Counter[str] = Counter()
        self._sections: tuple[Section, ...] = ()
        self._ends: dict[tuple[int, int], list[str]] = {}
        self._shapes: dict[tuple[object, ...], list[str]] = {}

    def shown(self, households: Households, case_rooms: frozenset[str], now_s: int, cycle_s: int) -> "Shown":
        """All tiles as they are now."""
        with self._lock:
            before = self._households
            if before is not None and households.look < before.look:
                households = before  # another look was quicker
            silent = households.columns.contact_at < now_s - CONTACT_CYCLES_MAX * cycle_s
            if before is None or households.version != before.version:
                self._begin(households)
                places: Iterable[int] = range(len(households.rows))
            else:
                moved = (households.columns.changed > before.look) | (silent != self._silent)
                cases = (self._rooms[room] for room in case_rooms ^ self._cases if room in self._rooms)
                places = {*np.flatnonzero(moved).tolist(), *cases}
            for place in places:
                self._look(place, households, case_rooms, now_s, cycle_s)
            self._households, self._cases, self._silent = households, case_rooms, silent
            return Shown(self, tuple(self._now), self._sections, tuple(self._revisions), self._counts.copy())

    def _begin(self, households: Households) -> None:
        rows = households.rows
        self._now, self._before = [Drawn(_NO_TILE)] * len(rows), [Drawn(_NO_TILE)] * len(rows)
        self._rooms = {row.room_id: place for place, row in enumerate(rows)}
        drawn = ((one, str(self._draw.building(one)).split(_PLACE)) for one in buildings_of(rows))
        self._sections = tuple([Section(one, *parts) for one, parts in drawn])
        self._revisions = [0] * len(self._sections)
        self._counts = Counter({"all": len(rows)} | dict.fromkeys(STATES, 0))

    def _look(self, place: int, households: Households, cases: frozenset[str], now_s: int, cycle_s: int) -> None:
        row, old = households.rows[place], self._now[place]
        key = (state_of(row, now_s, cycle_s), row.balance_fen, row.protected, row.room_id in cases)
        if old.key == key:
            return
        new = self._before[place]
        if new.key != key:
            new = Drawn(tile_of(row, key[0], flags_of(row, cases), self._words, first=place == 0), key)
        self._now[place], self._before[place] = new, old
        self._revisions[households.columns.building[place]] += 1
        if old.key is not None:
            self._counts.subtract((old.tile.state, *old.tile.flags))
        self._counts.update((new.tile.state, *new.tile.flags))

    def floors(self, section: Section, revision: int, tiles: Sequence[Drawn], selected: str) -> bytes:
        """The floors of a building as they are sent; kept until one of its tiles changes, unless one is selected."""
        known = None if selected else section.drawn
        if known is None or known[0] != revision:
            drawn = [self._floor(section.building, one, tiles, selected) for one in section.building.floors]
            known = revision, "".join((section.middle, *drawn, section.end)).encode()
            if not selected:
                section.drawn = known
        return known[1]

    def _floor(self, building: Building, floor: Floor, tiles: Sequence[Drawn], selected: str) -> str:
        key = floor.number, building.columns
        ends = self._ends.get(key)
        if ends is None:
            ends = self._ends[key] = str(self._draw.row(*key)).split(_PLACE)
        return "".join((ends[0], *[self._tile(tiles, place, selected) for place in floor.places], ends[1]))

    def _tile(self, tiles: Sequence[Drawn], place: int | None, selected: str) -> str:
        """The markup of a tile, or of an empty place."""
        one = _NOBODY if place is None else tiles[place]
        if selected and one.tile.room == selected:
            return str(self._draw.tile(one.tile, selected=True))
        if one.markup is None:
            one.markup = str(self._draw.tile(None)) if one is _NOBODY else self._filled(one.tile)
        return one.markup

    def _filled(self, tile: Tile) -> str:
        """The markup of a tile: drawn once for each state, and filled in for each household."""
        key = tile.state, tile.flags, tile.first
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = _MARKS.split(str(self._draw.tile(replace(tile, **_MARKED))))
        return "".join([escape(getattr(tile, one)) if one in _MARKED else one for one in shape])


_NO_TILE = Tile("", "", "", "normal", (), "", "", "")
_NOBODY = Drawn(_NO_TILE)
_MARKED: dict[str, Any] = {name: f"\ue000{name}\ue001" for name in ("account_id", "room", "figure", "label", "version")}
_MARKS = re.compile("\ue000(\\w+)\ue001")
_PLACE = "<!--here-->"  # no text of people has it, since it would be escaped


class Shown:
    """One look at the board: its tiles in the order of the households, and the buildings as they are drawn."""

    def __init__(
        self, board: Board, drawn: tuple[Drawn, ...], sections: tuple[Section, ...], revisions: tuple[int, ...],
        counts: Counter[str],
    ) -> None:  # fmt: skip
        """`counts` are households by state and by flag, and all of them."""
        self._board, self._drawn, self._sections, self._revisions = board, drawn, sections, revisions
        self.counts = counts

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """In the order of the households."""
        return tuple([one.tile for one in self._drawn])

    def parts(self, powers: Mapping[str, Power], selected: str = "") -> list[bytes]:
        """The buildings with their floors, as they are sent; the tile of room `selected` is marked."""
        found: list[bytes] = []
        for section, revision in zip(self._sections, self._revisions, strict=True):
            own = selected if selected and self._has(section.building, selected) else ""
            floors = self._board.floors(section, revision, self._drawn, own)
            found += (section.begin, powers[section.building.building_id].figure.encode(), floors)
        return found

    def _has(self, building: Building, room: str) -> bool:
        return any(self._drawn[place].tile.room == room for place in building.places)

    def as_json(self) -> str:
        """All tiles as a JSON list."""
        for one in self._drawn:
            if one.json is None:
                one.json = json.dumps(one.tile.as_json(), ensure_ascii=False, separators=(",", ":"))
        return f"[{','.join([one.json or '' for one in self._drawn])}]"


def board_of(request: Request) -> Board:
    """The board in the language of the request."""
    boards: dict[str, Board] = request.app.state.boards
    language = pages.language_of(request)
    if language not in boards:
        boards[language] = _board(language)
    return boards[language]


def _board(language: str) -> Board:
    translations = i18n.translations(language)
    words = {**said_in(translations.gettext)["state_words"], "comma": "，" if language == "zh_CN" else ", "}
    return Board(words, pages.environment(language).get_template("operator/tile.html").module)
