"""The tiles of the wall in one language, kept from look to look: only what has changed is made anew.

A tile depends on its household's row, on open cases, and, while its meter is silent, on the time. Its markup and its
JSON are kept with it, since a wall of ten thousand tiles is looked at more often than it changes.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from typing import Any

from fastapi import Request
from markupsafe import Markup

from server.domain.states import state_of
from server.store.wall import HouseholdRow
from server.web import i18n, pages
from server.web.operator.tiles import Building, Tile, buildings_of, flags_of, tile_of
from server.web.overview import Households
from server.web.words import said_in

_Key = tuple[str, int, int, bool]


class Board:
    """Tiles in the order of the households; may be used from any thread."""

    def __init__(self, words: Mapping[str, str], draw: Callable[..., str], row: Callable[..., str]) -> None:
        self._words, self._draw, self._row = words, draw, row
        self._lock = Lock()
        self._version = -1
        self._moment: tuple[object, ...] = ()
        self._rows: Sequence[HouseholdRow] = ()
        self._keys: list[_Key | None] = []
        self._tiles: list[Tile] = []
        self._drawn: list[str | None] = []
        self._json: list[str | None] = []
        self._buildings: tuple[Building, ...] = ()
        self._grids: list[tuple[tuple[Tile, ...], str] | None] = []

    def shown(self, households: Households, case_rooms: frozenset[str], now_s: int, cycle_s: int) -> "Shown":
        """All tiles as they are now."""
        with self._lock:
            if households.version != self._version:
                self._begin(households)
            rows, before = households.rows, self._rows
            moment = (case_rooms, now_s, cycle_s)
            if moment == self._moment:
                places: Iterable[int] = [p for p, row in enumerate(rows) if row is not before[p]]
            else:
                places = range(len(rows))
            for place in places:
                self._look(place, rows[place], case_rooms, now_s, cycle_s)
            self._rows, self._moment = rows, moment
            return Shown(self, tuple(self._tiles), self._buildings)

    def _begin(self, households: Households) -> None:
        count = len(households.rows)
        self._keys, self._drawn, self._json = [None] * count, [None] * count, [None] * count
        self._tiles = [_NO_TILE] * count
        self._buildings, self._version, self._moment = buildings_of(households.rows), households.version, ()
        self._grids = [None] * len(self._buildings)

    def _look(self, place: int, row: HouseholdRow, case_rooms: frozenset[str], now_s: int, cycle_s: int) -> None:
        key = (state_of(row, now_s, cycle_s), row.balance_fen, row.protected, row.room_id in case_rooms)
        if self._keys[place] != key:
            self._tiles[place] = tile_of(row, key[0], flags_of(row, case_rooms), self._words, first=place == 0)
            self._keys[place], self._drawn[place], self._json[place] = key, None, None

    def grid(self, tiles: Sequence[Tile], building: Building, number: int, selected: str = "") -> Markup:
        """The rows of a building, top floor first; kept while none of its tiles changes, unless one is selected."""
        here = tuple([tiles[place] for place in building.places])
        keep = not selected and number < len(self._buildings) and self._buildings[number] is building
        known = self._grids[number] if keep else None
        if known is None or known[0] != here:
            rows = [
                self._row(floor.number, building.columns, [self._tile(tiles, one, selected) for one in floor.places])
                for floor in building.floors
            ]
            known = here, "".join(rows)
            if keep:
                self._grids[number] = known
        return Markup(known[1])  # noqa: S704  # as the template drew it

    def _tile(self, tiles: Sequence[Tile], place: int | None, selected: str) -> str:
        """The markup of a tile, or of an empty place."""
        if place is None or (selected and tiles[place].room == selected):
            return self._draw(None if place is None else tiles[place], selected=True)
        tile = tiles[place]
        known = self._drawn[place] if tile is self._tiles[place] else None
        if known is None:
            known = self._draw(tile)
            if tile is self._tiles[place]:
                self._drawn[place] = known
        return known

    def as_json(self, tiles: Sequence[Tile]) -> str:
        """All of these tiles as a JSON list."""
        found = []
        for place, tile in enumerate(tiles):
            known = self._json[place] if tile is self._tiles[place] else None
            if known is None:
                known = json.dumps(tile.as_json(), ensure_ascii=False, separators=(",", ":"))
                if tile is self._tiles[place]:
                    self._json[place] = known
            found.append(known)
        return f"[{','.join(found)}]"


_NO_TILE = Tile("", "", "", "normal", (), "", "", "")


class Shown:
    """One look at the board: its tiles in the order of the households, the buildings, and how they are drawn."""

    def __init__(self, board: Board, tiles: tuple[Tile, ...], buildings: tuple[Building, ...]) -> None:
        self._board, self.tiles, self.buildings = board, tiles, buildings

    def grid(self, number: int, selected: str = "") -> Markup:
        """The markup of a building's floors; the tile of room `selected` is marked."""
        building = self.buildings[number]
        if selected and not any(self.tiles[one].room == selected for one in building.places):
            selected = ""
        return self._board.grid(self.tiles, building, number, selected)

    def as_json(self) -> str:
        """All tiles as a JSON list."""
        return self._board.as_json(self.tiles)


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
    drawing: Any = pages.environment(language).get_template("operator/tile.html").module
    return Board(words, drawing.tile, drawing.row)
