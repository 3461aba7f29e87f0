"""What a head-end says, read: readings, charges, relay states and alarms, as JSON Lines, a JSON array or CSV.

Every object has `what`. Times are world epoch seconds, energies Wh, money fen. In CSV the first line names the columns;
a list is written with spaces between its numbers. Unknown fields are passed over, so that an export may carry more.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.auditor.truth_file import objects
from sim.errors import RecordingError

TOLERANCE_S = 60
CLASSES_OF_PLACES = ("meter", "gate", "bus")


@dataclass(frozen=True, slots=True)
class Reading:
    """The head-end took this register for the meter's at a time."""

    meter: str
    at_s: float
    register_wh: int


@dataclass(frozen=True, slots=True)
class Charge:
    """One posting: the way between two registers, and what it cost; `charge_nf` where the head-end knows it exactly."""

    meter: str
    at_s: float
    from_wh: int
    to_wh: int
    charge_fen: int
    charge_nf: int | None = None


@dataclass(frozen=True, slots=True)
class RelayState:
    """From this time on the head-end took the relay for open or closed."""

    meter: str
    at_s: float
    state: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """The head-end alarmed somebody about a meter, a main meter or a bus."""

    alarm_class: str
    place: str
    name: str
    at_s: float


@dataclass(slots=True)
class View:
    """All of it; `every_s` says how often each meter is to be read (None: not judged)."""

    readings: list[Reading] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    relays: list[RelayState] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    from_s: float | None = None
    until_s: float | None = None
    every_s: int | None = None
    tolerance_s: int = TOLERANCE_S


def read_view(path: Path) -> View:
    """Read a view; RecordingError names the file, the object and what is missing."""
    view = View()
    rows = _csv(path) if path.suffix == ".csv" else objects(path)
    for number, row in enumerate(rows, start=1):
        try:
            _take(view, row)
        except (KeyError, TypeError, ValueError) as error:
            raise RecordingError(f"{path}: object {number}: {type(error).__name__}: {error}; in {row}") from error
    return view


def _take(view: View, row: Mapping[str, Any]) -> None:
    what = row["what"]
    if what == "view":
        view.from_s, view.until_s = _seconds(row.get("from_s")), _seconds(row.get("until_s"))
        view.every_s = int(row["every_s"]) if row.get("every_s") else None
        view.tolerance_s = int(row.get("tolerance_s") or TOLERANCE_S)
    elif what == "reading":
        view.readings.append(Reading(str(row["meter"]), float(row["at_s"]), int(row["register_wh"])))
    elif what == "charge":
        exact = row.get("charge_nf")
        ways = (int(row["from_wh"]), int(row["to_wh"]), int(row["charge_fen"]))
        view.charges.append(Charge(str(row["meter"]), float(row["at_s"]), *ways, int(exact) if exact else None))
    elif what == "relay":
        if row["state"] not in ("open", "closed"):
            raise ValueError("state is open or closed")
        view.relays.append(RelayState(str(row["meter"]), float(row["at_s"]), row["state"]))
    elif what == "alarm":
        place = next((place for place in CLASSES_OF_PLACES if row.get(place)), None)
        if place is None:
            raise ValueError("an alarm names a meter, a gate or a bus")
        view.alarms.append(Alarm(str(row["class"]), place, str(row[place]), float(row["at_s"])))
    else:
        raise ValueError(f"what is {what!r}; allowed: view, reading, charge, relay, alarm")


def _seconds(value: object) -> float | None:
    return None if value in (None, "") else float(str(value))


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            yield from csv.DictReader(lines)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{path}: cannot be read: {error}") from error
