"""Figures of all households as columns, so that a sum over ten thousand of them takes microseconds.

A column is never changed: the next look gets another one, in which the rows that commits have touched are replaced.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.store.wall import DARK, HouseholdRow
from server.web.formats import kw_figure

NEVER = np.iinfo(np.int64).min  # an instant that no household has
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


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
class Columns:
    """int64[n] and bool[n] in the order of the households; world seconds (NEVER: unknown), mW (0: unknown)."""

    contact_at: Ints
    reading_at: Ints
    power_mw: Ints
    knows_power: Bools
    dark: Bools
    bus: Ints  # which of `buses`
    building: Ints  # which of `buildings`
    changed: Ints  # the look that changed the row last
    buses: Mapping[str, int]
    buildings: Mapping[str, int]

    @property
    def off(self) -> int:
        """Households whose relay was read back as open or permitted."""
        return int(np.count_nonzero(self.dark))

    @property
    def oldest_at(self) -> int | None:
        """The oldest of their newest readings; None where nobody was read."""
        known = self.reading_at[self.reading_at != NEVER]
        return int(known.min()) if known.size else None

    @property
    def power(self) -> Power:
        """Of all together."""
        return Power(int(self.power_mw.sum()), int(np.count_nonzero(self.knows_power)), len(self.power_mw))

    def fresh(self, since: int) -> int:
        """How many meters gave a reading from world second `since` on."""
        return int(np.count_nonzero(self.reading_at >= since))

    def by_bus(self, since: int) -> Iterator[tuple[str, int, int]]:
        """(bus, meters read from `since` on, meters), by name."""
        count = len(self.buses)
        meters = np.bincount(self.bus, minlength=count).tolist()
        fresh = np.bincount(self.bus[self.reading_at >= since], minlength=count).tolist()
        return ((name, fresh[at], meters[at]) for name, at in sorted(self.buses.items()) if meters[at])

    def by_building(self) -> dict[str, Power]:
        """Power of each building."""
        count = len(self.buildings)
        sums = np.zeros(count, np.int64)
        np.add.at(sums, self.building, self.power_mw)
        known = np.bincount(self.building[self.knows_power], minlength=count)
        households = np.bincount(self.building, minlength=count)
        each = zip(sums.tolist(), known.tolist(), households.tolist(), strict=True)
        return dict(zip(self.buildings, (Power(*one) for one in each), strict=True))

    def with_rows(self, places: Sequence[int], rows: Sequence[HouseholdRow], look: int) -> "Columns":
        """The columns after look number `look` has found these rows in these places; their buildings stay."""
        buses = dict(self.buses)
        new = _cells(rows, buses)
        found = {name: getattr(self, name).copy() for name in (*new, "changed")}
        for name, cells in new.items():
            found[name][places] = cells
        found["changed"][places] = look
        return Columns(**found, building=self.building, buses=buses, buildings=self.buildings)


def columns_of(rows: Sequence[HouseholdRow], look: int) -> Columns:
    """The columns of all households; `look` is the number of the look that found them."""
    buses: dict[str, int] = {}
    buildings = {name: at for at, name in enumerate(dict.fromkeys(row.building_id for row in rows))}
    building = np.array([buildings[row.building_id] for row in rows], np.int64)
    changed = np.full(len(rows), look, np.int64)
    return Columns(**_cells(rows, buses), building=building, changed=changed, buses=buses, buildings=buildings)


def _cells(rows: Sequence[HouseholdRow], buses: dict[str, int]) -> dict[str, Any]:
    """What rows say, by column; a bus that is new gets the next number."""
    return {
        "contact_at": _instants([row.contact_at for row in rows]),
        "reading_at": _instants([row.reading_at for row in rows]),
        "power_mw": np.array([row.power_mw or 0 for row in rows], np.int64),
        "knows_power": np.array([row.power_mw is not None for row in rows], np.bool_),
        "dark": np.array([row.relay in DARK for row in rows], np.bool_),
        "bus": np.array([buses.setdefault(row.bus_id, len(buses)) for row in rows], np.int64),
    }


def _instants(values: Sequence[int | None]) -> Ints:
    return np.array([NEVER if one is None else one for one in values], np.int64)
