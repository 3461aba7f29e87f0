"""What a head-end says, read: readings, charges, relay states and alarms, as JSON Lines, a JSON array or CSV.

Every object has `what`. Times are world epoch seconds, energies Wh, money fen. In CSV the first line names the columns;
a list is written with spaces between its numbers. Unknown fields are passed over, so that an export may carry more.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from sim.auditor.truth_file import objects
from sim.errors import RecordingError

TOLERANCE_S = 60
END_OF_TIME_S = 253_370_764_800
"""1 January 9999: no time zone leads past the calendar from here."""
MISSING = (None, "")
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
    held: list[Reading] = field(default_factory=list)  # read, not believed, and nothing charged by them
    from_s: float | None = None
    until_s: float | None = None
    charged_from_s: float | None = None
    charged_until_s: float | None = None
    every_s: int | None = None
    tolerance_s: int = TOLERANCE_S

    @property
    def is_bounded(self) -> bool:
        """Whether it says for which time it is whole; then what is left out altogether is judged too."""
        given = self.from_s, self.until_s, self.charged_from_s, self.charged_until_s
        return any(moment_s is not None for moment_s in given)


def read_view(path: Path) -> View:
    """Read a view; RecordingError names the file, the object and what is missing."""
    view = View()
    rows = _csv(path) if path.suffix == ".csv" else objects(path)
    for number, row in enumerate(rows, start=1):
        try:
            _take(view, row)
        except ValueError as error:
            raise RecordingError(f"{path}: object {number}: {error}; in {row}") from error
    return view


def _take(view: View, row: Mapping[str, Any]) -> None:
    what = _given(row, "what")
    if what == "view":
        _take_frame(view, row)
    elif what == "reading":
        view.readings.append(Reading(_named(row, "meter"), _at_s(row, "at_s"), _whole(row, "register_wh")))
    elif what == "held":
        view.held.append(Reading(_named(row, "meter"), _at_s(row, "at_s"), _whole(row, "register_wh")))
    elif what == "charge":
        exact = row.get("charge_nf")
        ways = (_whole(row, "from_wh"), _whole(row, "to_wh"), _whole(row, "charge_fen"))
        exact_nf = None if exact in MISSING else _whole(row, "charge_nf")
        view.charges.append(Charge(_named(row, "meter"), _at_s(row, "at_s"), *ways, exact_nf))
    elif what == "relay":
        if _given(row, "state") not in ("open", "closed"):
            raise ValueError(f"state is {row['state']!r}; allowed: open, closed")
        view.relays.append(RelayState(_named(row, "meter"), _at_s(row, "at_s"), row["state"]))
    elif what == "alarm":
        place = next((place for place in CLASSES_OF_PLACES if row.get(place)), None)
        if place is None:
            raise ValueError("an alarm names a meter, a gate or a bus")
        view.alarms.append(Alarm(_named(row, "class"), place, str(row[place]), _at_s(row, "at_s")))
    else:
        raise ValueError(f"what is {what!r}; allowed: view, reading, held, charge, relay, alarm")


def _take_frame(view: View, row: Mapping[str, Any]) -> None:
    """What the view is of, and how it is to be judged."""
    for name in ("from_s", "until_s", "charged_from_s", "charged_until_s"):
        if row.get(name) not in MISSING:
            setattr(view, name, _at_s(row, name))
    if row.get("every_s") not in MISSING:
        view.every_s = _whole(row, "every_s", 1)
    if row.get("tolerance_s") not in MISSING:
        view.tolerance_s = _whole(row, "tolerance_s", 0)


def _given(row: Mapping[str, Any], key: str) -> Any:
    value = row.get(key)
    if value in MISSING:
        raise ValueError(f"{key} is missing")
    return value


def _named(row: Mapping[str, Any], key: str) -> str:
    return str(_given(row, key))


def _at_s(row: Mapping[str, Any], key: str) -> float:
    """A moment; the calendar ends with the year 9999."""
    value = _given(row, key)
    try:
        at_s = float(str(value))
    except ValueError:
        at_s = -1.0
    if not 0 <= at_s < END_OF_TIME_S:
        raise ValueError(f"{key}: {value!r} is no time; allowed: world epoch seconds from 0 to {END_OF_TIME_S}")
    return at_s


def _whole(row: Mapping[str, Any], key: str, least: int | None = None) -> int:
    value = _given(row, key)
    try:
        number = Fraction(str(value))
        fits = number.denominator == 1 and (least is None or number >= least)
    except (ValueError, ZeroDivisionError):
        fits = False
    if not fits:
        raise ValueError(f"{key}: {value!r} is no whole number{'' if least is None else f' of at least {least}'}")
    return int(number)


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            yield from csv.DictReader(lines)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{path}: cannot be read: {error}") from error
