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
from server.web.operator.tiles import STATES, Building, Tile, buildings_of, flags_of, tile_of
from server.web.overview import Households, Overview
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
    """A building: what stands before its power, then what stands around its tiles, and its floors as last drawn."""

    __slots__ = ("around", "begin", "building", "drawn", "places")

    def __init__(self, building: Building, begin: str, around: list[str], places: list[int]) -> None:
        """There is one more text around tiles than there are tiles."""
        self.building, self.begin, self.around, self.places = building, begin.encode(), around, places
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
        self._shapes: dict[tuple[object, ...], list[str]] = {}

    def has_drawn(self, version: int) -> bool:
        """Whether the buildings stand as in this version of the households: then only what moved is drawn."""
        return self._households is not None and self._households.version == version

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
        self._sections = tuple([self._section(one) for one in buildings_of(rows)])
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
        counts = self._counts
        if old.key is not None:
            for name in (old.tile.state, *old.tile.flags):
                counts[name] -= 1
        for name in (new.tile.state, *new.tile.flags):
            counts[name] += 1

    def _section(self, building: Building) -> Section:
        """A building with everything around its tiles drawn, empty places too."""
        begin, text, end = str(self._draw.building(building)).split(_PLACE)
        empty, around, places = str(self._draw.tile(None)), [], []
        for floor in building.floors:
            ends = str(self._draw.row(floor.number, building.columns)).split(_PLACE)
            text += ends[0]
            for place in floor.places:
                if place is None:
                    text += empty
                else:
                    around.append(text)
                    places.append(place)
                    text = ""
            text += ends[1]
        return Section(building, begin, [*around, text + end], places)

    def floors(self, section: Section, revision: int, tiles: Sequence[Drawn], selected: str) -> bytes:
        """The floors of a building as they are sent; kept until one of its tiles changes, unless one is selected."""
        known = None if selected else section.drawn
        if known is None or known[0] != revision:
            pieces = [""] * (2 * len(section.places) + 1)
            pieces[::2] = section.around
            pieces[1::2] = [tiles[place].markup or self._marked_up(tiles[place]) for place in section.places]
            if selected:
                chosen = next(at for at, place in enumerate(section.places) if tiles[place].tile.room == selected)
                pieces[2 * chosen + 1] = str(self._draw.tile(tiles[section.places[chosen]].tile, selected=True))
            known = revision, "".join(pieces).encode()
            if not selected:
                section.drawn = known
        return known[1]

    def _marked_up(self, one: Drawn) -> str:
        """The markup of a tile, kept with it."""
        one.markup = self._filled(one.tile)
        return one.markup

    def _filled(self, tile: Tile) -> str:
        """The markup of a tile: drawn once for each state, and filled in for each household."""
        key = tile.state, tile.flags, tile.first
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = _MARKS.split(str(self._draw.tile(replace(tile, **_MARKED))))
        return "".join([escape(getattr(tile, one)) if one in _MARKED else one for one in shape])


_NO_TILE = Tile("", "", "", "normal", (), "", "", "")
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
            own = selected if selected and self._has(section, selected) else ""
            floors = self._board.floors(section, revision, self._drawn, own)
            found += (section.begin, powers[section.building.building_id].figure.encode(), floors)
        return found

    def _has(self, section: Section, room: str) -> bool:
        return any(self._drawn[place].tile.room == room for place in section.places)

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


def draws_brief(request: Request) -> bool:
    """Whether a page with the board needs milliseconds: `at_once_if(draws_brief)`."""
    overview: Overview = request.app.state.overview
    return overview.brief() and board_of(request).has_drawn(overview.version)


def _board(language: str) -> Board:
    translations = i18n.translations(language)
    words = {**said_in(translations.gettext)["state_words"], "comma": "，" if language == "zh_CN" else ", "}
    return Board(words, pages.environment(language).get_template("operator/tile.html").module)
