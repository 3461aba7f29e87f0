"""[replay]: load profiles of real homes from a file, repeated for ever.

An .npz or .npy file gives an array [homes, intervals], a .csv file one column a home and one row an interval (a first
row that is not numbers is taken for names). Values are Wh in each interval or mean W, of 15, 30 or 60 minutes; they
become mW by quarter-hour. Weeks stay weeks: the profile is laid so that its first day falls on `first_weekday`.
The replayed home is clipped to its meter's maximum current and never quite zero, so that registers rise.
"""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.loads.load import NO_PROFILES, SLOTS
from sim.scenario.section import Section

INTERVALS_MIN = (15, 30, 60)
UNITS = ("wh", "w")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
THURSDAY = 3
"""1970-01-01, from which profiles count, was a Thursday."""
MW_MAX = 2**31 - 1
HOMES_MAX = 100_000


def read_profiles(section: Section, folder: Path) -> NDArray[np.int32]:
    """int32[homes, quarter-hours] in mW; one row of zeros when the scenario has no [replay]."""
    if not section.has("file"):
        section.finish()
        return NO_PROFILES
    path = folder / section.text("file")
    values = _values(section, path, section.text("array", "wh"))
    interval_min = section.whole("interval_min", 15, 60, 15)
    if interval_min not in INTERVALS_MIN:
        raise section.wrong("interval_min", ", ".join(map(str, INTERVALS_MIN)))
    unit = section.choice("unit", UNITS, "wh")
    first = WEEKDAYS.index(section.choice("first_weekday", WEEKDAYS, "monday"))
    section.finish()
    per_day = SLOTS * 15 // interval_min
    if values.ndim != 2 or not 1 <= len(values) <= HOMES_MAX or not values.shape[1] or values.shape[1] % (7 * per_day):
        raise section.refuse(
            "file", f"{path} has the shape {values.shape}; allowed: homes x whole weeks of {per_day} a day"
        )
    if not np.isfinite(values).all() or values.min() < 0:
        raise section.refuse(
            "file", f"{path} has values that are negative or no numbers; mend or leave out those homes"
        )
    mw = values.astype(np.float64) * (60_000 / interval_min if unit == "wh" else 1000)
    slots = np.repeat(np.minimum(np.rint(mw), MW_MAX).astype(np.int32), interval_min // 15, axis=1)
    return np.roll(slots, (first - THURSDAY) % 7 * SLOTS, axis=1)


def _values(section: Section, path: Path, array: str) -> NDArray[Any]:
    """The numbers of the file, however they are kept."""
    try:
        if path.suffix == ".csv":
            return _csv(path)
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        with np.load(path, allow_pickle=False) as archive:
            return np.asarray(archive[array])
    except (OSError, ValueError, KeyError, EOFError, AttributeError, TypeError) as error:
        raise section.refuse(
            "file", f"{path}: {error}; allowed: .npz (with `array`), .npy or .csv of numbers"
        ) from error


def _csv(path: Path) -> NDArray[Any]:
    with path.open(newline="", encoding="utf-8-sig") as lines:
        rows = [row for row in csv.reader(lines) if row]
    if rows and not rows[0][0].replace(".", "", 1).isdecimal():
        del rows[0]
    return np.array(rows, np.float64).T
