"""The room wall as data: tiles by building and floor, counts by state, ages of readings.

The state of a tile comes from `domain.states`; the words come from the language of the page. The same tiles are sent
as JSON for changes in place; `version` tells the page which tiles differ.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from server.domain.states import state_of
from server.store.wall import HouseholdRow
from server.web.figures import Segment, share_bar
from server.web.formats import kw_figure, whole_yuan, yuan

STATES = ("normal", "low", "vlow", "over", "cut", "allow", "lost", "keep", "case")
COLUMNS_MAX = 16
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
    """A floor with one place a door; an empty place is None."""

    number: int
    tiles: tuple[Tile | None, ...]


@dataclass(frozen=True, slots=True)
class Power:
    """Power of some households, mW: the sum of the last values of those that are known."""

    power_mw: int
    known: int
    households: int

    @property
    def figure(self) -> str:
        """In kW, or a dash while no meter has told its power."""
        return kw_figure(self.power_mw) if self.known else "—"


@dataclass(frozen=True, slots=True)
class Building:
    """A building from the top floor down."""

    building_id: str
    name: str
    households: int
    power: "Power"
    columns: int
    doors: tuple[str, ...]
    floors: tuple[Floor, ...]


@dataclass(frozen=True, slots=True)
class Age:
    """How many readings are of an age."""

    name: str
    word: str
    count: int
    late: bool


def flags_of(row: HouseholdRow, case_rooms: set[str]) -> tuple[str, ...]:
    """Flags that sit on the state and never hide it."""
    return tuple(name for name, on in (("keep", row.protected), ("case", row.room_id in case_rooms)) if on)


def tile_of(
    row: HouseholdRow, state: str, flags: tuple[str, ...], words: Mapping[str, str], *, first: bool = False
) -> Tile:
    """The tile of a household; its accessible name is room, state, balance, flags."""
    comma = words.get("comma", ", ")
    said = [row.room_id, words[state], yuan(row.balance_fen), *(words[flag] for flag in flags)]
    figure = whole_yuan(row.balance_fen)
    version = f"{state}:{figure}:{row.balance_fen}:{'+'.join(flags)}"
    return Tile(row.account_id, row.room_id, row.door, state, flags, figure, comma.join(said), version, first)


def buildings_of(rows: Sequence[HouseholdRow], tiles: Mapping[str, Tile]) -> list[Building]:
    """Rows (by building, floor down, door) as buildings with a place for every door that exists."""
    found: list[Building] = []
    for building_id in dict.fromkeys(row.building_id for row in rows):
        here = [row for row in rows if row.building_id == building_id]
        doors = tuple(sorted({row.door for row in here}))[:COLUMNS_MAX]
        floors = tuple(
            Floor(number, _places([tiles[row.account_id] for row in here if row.floor == number], doors))
            for number in dict.fromkeys(row.floor for row in here)
        )
        power = power_of(here)
        found.append(Building(building_id, here[0].building_name, len(here), power, max(1, len(doors)), doors, floors))
    return found


def power_of(rows: Collection[HouseholdRow]) -> Power:
    """Power of these households together."""
    known = [row.power_mw for row in rows if row.power_mw is not None]
    return Power(sum(known), len(known), len(rows))


def power_by_building(rows: Iterable[HouseholdRow]) -> dict[str, Power]:
    """Power of each building."""
    found: dict[str, list[HouseholdRow]] = {}
    for row in rows:
        found.setdefault(row.building_id, []).append(row)
    return {building_id: power_of(here) for building_id, here in found.items()}


def _places(tiles: Iterable[Tile], doors: Sequence[str]) -> tuple[Tile | None, ...]:
    by_door = {tile.door: tile for tile in tiles}
    return tuple(by_door.get(door) for door in doors)


def tiles_of(
    rows: Sequence[HouseholdRow], case_rooms: set[str], words: Mapping[str, str], now_s: int, cycle_s: int
) -> list[Tile]:
    """Tiles of all rows, in their order; the first takes the one tab stop."""
    return [
        tile_of(row, state_of(row, now_s, cycle_s), flags_of(row, case_rooms), words, first=index == 0)
        for index, row in enumerate(rows)
    ]


def counts_of(tiles: Sequence[Tile]) -> Counter[str]:
    """Households by state and by flag, and all of them."""
    counts = Counter({"all": len(tiles)} | dict.fromkeys(STATES, 0))
    counts.update(tile.state for tile in tiles)
    counts.update(flag for tile in tiles for flag in tile.flags)
    return counts


def ages_of(rows: Sequence[HouseholdRow], now_s: int, cycle_s: int, span: Callable[[int], str]) -> list[Age]:
    """How old the readings are, in steps of the reading cycle; never read counts as oldest."""
    found = []
    for name, low, high in AGES:
        low_s, high_s = low * cycle_s, None if high is None else high * cycle_s
        count = sum(1 for row in rows if _within(row.reading_at, now_s, low_s if low else None, high_s))
        word = f"≤ {span(high_s)}" if high_s is not None else f"> {span(low_s)}"
        found.append(Age(name, word, count, late=name == "stale"))
    return found


def _within(at: int | None, now_s: int, low_s: int | None, high_s: int | None) -> bool:
    if at is None:
        return high_s is None
    age = now_s - at
    return (low_s is None or age > low_s) and (high_s is None or age <= high_s)


def age_bar(ages: Sequence[Age]) -> list[Segment]:
    """The freshness bar."""
    return share_bar([(AGE_TONES[age.name], age.count) for age in ages])
