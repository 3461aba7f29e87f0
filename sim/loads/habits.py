"""What stays the same in a household: its key to all random draws, and its traits.

A key is a hash of seed and household id, so adding a household changes no other. From it come size (spread like
the logarithm of real homes), occupants, rising and sleeping hours, who works, standby, air conditioning and a
heating habit, for many households at once. `sim._load` turns a key and a row of traits into days of power.
Uniform draws are combined by sums and products only, which every machine computes alike.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim._load import TRAITS

LIVING, CONSTANT, REPLAY = range(3)
"""Kinds of rows in the table of traits."""
SIZE_PPM = {"family": 900_000, "single": 540_000, "heavy": 2_050_000}
MEAN_MW_PER_UNIT = {"family": 354_000, "single": 317_000, "heavy": 373_000}
"""Yearly mean power of a household whose size is one (measured), the base of `mean_power_w`."""
VACANT_MW = (4_000, 15_000)
NOMINAL_MV = 220_000
STEP = 0x9E3779B97F4A7C15
Uniform = NDArray[np.floating[Any]]


def draw_keys(seed: int, household_ids: Iterable[str]) -> NDArray[np.uint64]:
    """The key of each household: uint64[n]."""
    digests = b"".join(
        blake2b(f"{seed}\x1f{household_id}\x1fload".encode(), digest_size=8).digest() for household_id in household_ids
    )
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def uniform(keys: NDArray[np.uint64], number: int) -> Uniform:
    """A number from [0, 1) of each key, the same one whenever it is asked for."""
    with np.errstate(over="ignore"):
        x = keys + np.uint64((number + 1) * STEP * STEP % 2**64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


def draw_traits(
    keys: NDArray[np.uint64], loads: Sequence[str], which: NDArray[np.integer[Any]], max_current_a: NDArray[Any]
) -> NDArray[np.int32]:
    """int32[n, TRAITS]; household k is of kind `loads[which[k]]` (columns: see `sim._load`)."""
    u = [uniform(keys, number) for number in range(14)]
    traits = np.zeros((len(keys), TRAITS), np.int32)
    single, heavy = (
        np.isin(which, [n for n, load in enumerate(loads) if load == kind]) for kind in ("single", "heavy")
    )
    spread = 1.0 * (u[0] + u[1] + u[2] - 1.5)
    base = np.array([SIZE_PPM.get(load, 1_000_000) for load in loads])[which]
    traits[:, 1] = base * (1 + spread / 4) ** 4
    traits[:, 2] = np.where(single, 1, np.where(heavy, 3, 2) + (u[3] * 3).astype(int))
    traits[:, 3] = 315 + 180 * u[5]
    traits[:, 4] = 450 + 120 * u[6]
    traits[:, 5] = 930 + 330 * u[7]
    traits[:, 6] = 1275 + 240 * u[8]
    traits[:, 7] = 50 + 90 * u[9]
    traits[:, 8] = np.where(u[10] < 0.85, 500 + 700 * u[11], 0)
    traits[:, 9] = np.where(u[12] < 0.5, 600 + 800 * u[13], 0)
    traits[:, 10] = u[4] < 0.7
    traits[:, 12] = np.minimum(max_current_a.astype(np.int64) * NOMINAL_MV, 2**31 - 1)
    vacant = np.isin(which, [n for n, load in enumerate(loads) if load == "vacant"])
    traits[vacant, 0] = CONSTANT
    traits[:, 13] = VACANT_MW[0] + (VACANT_MW[1] - VACANT_MW[0]) * u[0]
    return traits
