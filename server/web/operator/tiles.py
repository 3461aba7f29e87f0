"""The room wall as data: tiles by building and floor, ages of readings.

The state of a tile comes from `domain.states`; the words come from the language of the page. The same tiles are sent
as JSON for changes in place; `version` tells the page which tiles differ.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from server.store.wall import HouseholdRow
from server.web.columns import Columns
from server.web.figures import Segment, share_bar
from server.web.formats import whole_yuan, yuan

STATES = ("normal", "low", "vlow", "over", "cut", "allow", "lost", "keep", "case")
COLUMNS_MAX = 16
FIGURE_MAX = 6  # so many characters fit on a tile; the label has every digit
AGES = (("fresh", 0, 1), ("late", 1, 2), ("later", 2, 4), ("stale", 4, None))  # in reading cycles
AGE_TONES = {"fresh": "f1", "late": "f1s", "later": "f3", "stale": "fo"}


@dataclass(frozen=True, slots=True)
class Tile:
    """One household on the wall."""

    account_id: str
    room: str
    door: str
    state: str
    flags: tuple[str, ...]
    figure: str
    label: str
    version: str
    first: bool = False

    def as_json(self) -> dict[str, object]:
        """What the page needs to repaint it."""
        return {
            "room": self.room,
            "state": self.state,
            "flags": list(self.flags),
            "figure": self.figure,
            "label": self.label,
            "version": self.version,
        }


@dataclass(frozen=True, slots=True)
class Floor:
    """A floor with one place a door: where its tile stands among all, or None for an empty place."""

    number: int
    places: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Building:
    """A building from the top floor down; `places` are those of its households among all."""

    building_id: str
    name: str
    places: tuple[int, ...]
    doors: tuple[str, ...]
    floors: tuple[Floor, ...]

    @property
    def columns(self) -> int:
        """How many doors a floor shows."""
        return max(1, len(self.doors))


@dataclass(frozen=True, slots=True)
class Age:
    """How many readings are of an age."""

    name: str
    word: str
    count: int
    late: bool


def flags_of(row: HouseholdRow, case_rooms: Collection[str]) -> tuple[str, ...]:
    """Flags that sit on the state and never hide it."""
    return tuple(name for name, on in (("keep", row.protected), ("case", row.room_id in case_rooms)) if on)


def fitting(figure: str) -> str:
    """A figure as a tile shows it: one that is too long begins, and is seen to go on."""
    return figure if len(figure) <= FIGURE_MAX else f"{figure[: FIGURE_MAX - 2]}…"


def tile_of(
    row: HouseholdRow, state: str, flags: tuple[str, ...], words: Mapping[str, str], *, first: bool = False
) -> Tile:
    """The tile of a household; its accessible name is room, state, balance, flags."""
    comma = words.get("comma", ", ")
    said = [row.room_id, words[state], yuan(row.balance_fen), *(words[flag] for flag in flags)]
    figure = fitting(whole_yuan(row.balance_fen))
    version = f"{state}:{figure}:{row.balance_fen}:{'+'.join(flags)}"
    return Tile(row.account_id, row.room_id, row.door, state, flags, figure, comma.join(said), version, first)


def buildings_of(rows: Sequence[HouseholdRow]) -> tuple[Building, ...]:
    """Rows (by building, floor down, door) as buildings with a place for every door that exists."""
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row.building_id, []).append(place)
    return tuple(_building(rows, building_id, here) for building_id, here in places.items())


def _building(rows: Sequence[HouseholdRow], building_id: str, here: Sequence[int]) -> Building:
    doors = tuple(sorted({rows[place].door for place in here}))[:COLUMNS_MAX]
    by_floor: dict[int, dict[str, int]] = {}
    for place in here:
        by_floor.setdefault(rows[place].floor, {})[rows[place].door] = place
    floors = tuple(Floor(number, tuple(map(by_door.get, doors))) for number, by_door in by_floor.items())
    return Building(building_id, rows[here[0]].building_name, tuple(here), doors, floors)


def ages_of(columns: Columns, now_s: int, cycle_s: int, span: Callable[[int], str]) -> list[Age]:
    """How old the readings are, in steps of the reading cycle; never read counts as oldest."""
    found, younger = [], 0
    for name, low, high in AGES:
        upto = len(columns.reading_at) if high is None else columns.fresh(now_s - high * cycle_s)
        word = f"≤ {span(high * cycle_s)}" if high is not None else f"> {span(low * cycle_s)}"
        found.append(Age(name, word, upto - younger, late=name == "stale"))
        younger = upto
    return found


def age_bar(ages: Sequence[Age]) -> list[Segment]:
    """The freshness bar."""
    return share_bar([(AGE_TONES[age.name], age.count) for age in ages])
