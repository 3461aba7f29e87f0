"""Energy as a function of time, exact and lazy: nothing is integrated until somebody reads.

`Loads` holds the loads of a whole estate as arrays and answers "how much until t" for one of them (`curve`) or for
many at the boundaries of a day's quarter-hours. The unit is mW x ms (3.6e9 of them make one Wh), so no remainder is
ever lost. Curves are strictly increasing, which makes the inverse ("when was this reached") well defined. Habits
follow the civil day of the estate's standard time. What roofs give back is a second set of curves.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim._load import LoadTable
from sim.estate import LOADS
from sim.loads.habits import CONSTANT, MEAN_MW_PER_UNIT, REPLAY, draw_keys, draw_traits
from sim.loads.weather import Weather

if TYPE_CHECKING:
    from sim.scenario.columns import Households

MWMS_PER_WH = 3_600_000_000
SLOT_MS = 900_000
SLOTS = 96
KIND, SIZE_PPM, SOLAR_W, LEVEL = 0, 1, 11, 13
NO_PROFILES = np.zeros((1, 1), np.int32)
REPLAY_SIZE_PPM = 1_000_000
SIZE_PPM_MAX = 1_000_000_000


class Curve:
    """The load of one household that is always switched on."""

    __slots__ = ("_index", "_table")

    def __init__(self, table: LoadTable, index: int) -> None:
        self._table = table
        self._index = index

    def energy(self, at_ms: int) -> int:
        """mW x ms from the world's origin to world time `at_ms`."""
        return self._table.energy(self._index, at_ms)

    def reached_ms(self, energy: int) -> int:
        """First world millisecond at which `energy(t) >= energy`."""
        return self._table.reached_ms(self._index, energy)

    def power_mw(self, at_ms: int) -> int:
        """Power in mW at world time `at_ms`."""
        return self._table.power_mw(self._index, at_ms)


class Loads:
    """All loads of an estate; `table` takes from the grid, `given_back` feeds into it."""

    def __init__(
        self,
        seed: int,
        households: "Households",
        weather: Weather,
        *,
        origin_ms: int,
        offset_ms: int,
        profiles: NDArray[np.int32] | None = None,
    ) -> None:
        self.keys = draw_keys(seed, households.ids)
        shapes = NO_PROFILES if profiles is None else profiles
        self.traits = traits = household_traits(self.keys, households, shapes)
        self.offset_ms = offset_ms
        self.solar = traits[:, SOLAR_W] > 0
        shared: tuple[Any, ...] = (self.keys, traits, shapes, weather.table)
        self.table = LoadTable(*shared, origin_ms=origin_ms, offset_ms=offset_ms)
        self.given_back = LoadTable(*shared, origin_ms=origin_ms, offset_ms=offset_ms, export=True)

    def curve(self, index: int) -> Curve:
        """What a household takes."""
        return Curve(self.table, index)

    def export_curve(self, index: int) -> Curve | None:
        """What a household's roof gives back, or None without one."""
        return Curve(self.given_back, index) if self.solar[index] else None

    def boundaries(self, indices: NDArray[np.int32], day: int, *, given_back: bool = False) -> NDArray[np.int64]:
        """Energy at the 97 boundaries of a day (since 1970, standard time): int64[m, 97]."""
        out = np.empty((len(indices), SLOTS + 1), np.int64)
        (self.given_back if given_back else self.table).boundaries(indices, day, out)
        return out


def household_traits(
    keys: NDArray[np.uint64], households: "Households", profiles: NDArray[np.int32]
) -> NDArray[np.int32]:
    """What the scenario says about loads laid over what was drawn: int32[n, TRAITS]."""
    rows = households.rows
    traits = draw_traits(keys, LOADS, rows["load"], rows["max_current_a"])
    wanted_mw = rows["mean_power_w"].astype(np.int64) * 1000
    for kind, mean_mw in MEAN_MW_PER_UNIT.items():
        chosen = (rows["load"] == LOADS.index(kind)) & (wanted_mw > 0)
        traits[chosen, SIZE_PPM] = wanted_mw[chosen] * 1_000_000 // mean_mw
    flat = np.isin(rows["load"], [LOADS.index("constant"), LOADS.index("vacant")])
    traits[rows["load"] == LOADS.index("constant"), KIND] = CONSTANT
    traits[flat & (wanted_mw > 0), LEVEL] = wanted_mw[flat & (wanted_mw > 0)]
    replayed = rows["load"] == LOADS.index("replay")
    traits[replayed, KIND] = REPLAY
    traits[replayed, LEVEL] = rows["profile"][replayed]
    means_mw = np.maximum(profiles.astype(np.int64).sum(axis=1) // profiles.shape[1], 1)[rows["profile"][replayed]]
    wanted = wanted_mw[replayed] * REPLAY_SIZE_PPM // means_mw
    traits[replayed, SIZE_PPM] = np.where(wanted > 0, np.minimum(wanted, SIZE_PPM_MAX), REPLAY_SIZE_PPM)
    traits[:, SOLAR_W] = rows["solar_w"]
    return traits
