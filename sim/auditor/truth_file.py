"""The truth export, read: what each meter had counted at any instant, and what it showed.

Between two points energy grows evenly. The register is the floor to steps of 10 Wh; what is shown lags behind and rolls
over at 10^9 Wh. `at_ms` counts from the start of the export, as in the file.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sim.errors import RecordingError

MWMS_PER_WH = 3_600_000_000
STEP_WH = 10
FULL_WH = 10**9
FORMAT = 2
KEYS = {
    "estate": ("format", "from_s", "until_s", "time_zone", "holidays", "versions"),
    "meter": ("meter", "bus", "start_wh", "energy", "lags_wh"),
    "label": (
        "id", "kind", "class", "household", "meter", "gate", "bus", "start_s", "end_s", "alarm", "alarm_within_s",
        "also", "sizes",
    ),
}  # fmt: skip
"""What each object of an export must have."""
ADVICE = "make a truth export with --truth-export"
SPOILING_BURSTS = ("noise_bytes", "partial_writes")
UNREADABLE = ("power_cut", "maintenance")
HARMLESS = ("preamble", "noise_bytes", "partial_writes", "follow_up", "wildcard_echo")
"""Oddities of the line that deserve no alarm: a sound reader gets its readings all the same."""


@dataclass(slots=True)
class MeterTruth:
    """One meter."""

    address: str
    bus: str
    household: str | None
    gate: str | None
    start_wh: int
    times: list[int]
    energies: list[int]
    lags: list[tuple[int, int]]
    tier_used_wh: int = 0
    protocol: str = ""
    relay: list[tuple[int, str, str]] = field(default_factory=list)
    contacts: list[tuple[int, str]] = field(default_factory=list)

    def total_wh(self, at_ms: int) -> int:
        """True total in whole steps, without roll-over."""
        number = bisect_right(self.times, at_ms) - 1
        if number < 0:
            energy = 0
        elif number == len(self.times) - 1:
            energy = self.energies[-1]
        else:
            (t0, t1), (e0, e1) = self.times[number : number + 2], self.energies[number : number + 2]
            energy = e0 + (e1 - e0) * (at_ms - t0) // (t1 - t0)
        return (self.start_wh + energy // MWMS_PER_WH) // STEP_WH * STEP_WH

    def reached_ms(self, total_wh: int) -> int | None:
        """First instant at which the true total was at least this; None if it never was."""
        if self.total_wh(self.times[-1]) < total_wh:
            return None
        low, high = self.times[0], self.times[-1]
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.total_wh(middle) >= total_wh else (middle + 1, high)
        return low

    def spans(self) -> Iterator[tuple[int, int, int]]:
        """From, until and lag of each span of what is shown."""
        ends = [*(from_ms for from_ms, _ in self.lags[1:]), self.times[-1] + 1]
        for (from_ms, lag_wh), until_ms in zip(self.lags, ends, strict=True):
            yield from_ms, until_ms, lag_wh

    def shown_wh(self, at_ms: int) -> int:
        """What the meter showed."""
        lag_wh = [lag for from_ms, lag in self.lags if from_ms <= max(at_ms, 0)][-1]
        return (self.total_wh(at_ms) - lag_wh) % FULL_WH

    def located(self, shown_wh: int, near_ms: int) -> tuple[int, int] | None:
        """True total and first instant behind a shown register, the nearest to an instant; None if never shown."""
        found = []
        for from_ms, until_ms, lag_wh in self.spans():
            total_wh = (shown_wh + lag_wh) % FULL_WH
            while total_wh <= self.total_wh(until_ms - 1):
                begun, ended = self.reached_ms(total_wh), self.reached_ms(total_wh + STEP_WH)
                if total_wh >= self.start_wh // STEP_WH * STEP_WH and begun is not None and begun < until_ms:
                    last = until_ms if ended is None else min(ended, until_ms)
                    if last > max(begun, from_ms):
                        found.append((_distance(near_ms, max(begun, from_ms), last), total_wh, max(begun, from_ms)))
                total_wh += FULL_WH
        if not found:
            return None
        _, total_wh, begun = min(found)
        return total_wh, begun


@dataclass(slots=True)
class Truth:
    """The whole export."""

    estate: Mapping[str, Any]
    meters: dict[str, MeterTruth]
    labels: list[Mapping[str, Any]]

    @property
    def zone(self) -> ZoneInfo:
        """Of the estate."""
        return ZoneInfo(self.estate["time_zone"])

    def ms(self, at_s: float) -> int:
        """Milliseconds since the start."""
        return round((at_s - float(self.estate["from_s"])) * 1000)

    def at_s(self, at_ms: int) -> float:
        """World epoch seconds."""
        return float(self.estate["from_s"]) + at_ms / 1000

    def said(self, at_s: float) -> str:
        """A moment for people, in the estate's time."""
        return f"{datetime.fromtimestamp(at_s, UTC).astimezone(self.zone):%Y-%m-%d %H:%M:%S}"

    def labels_at(self, meter: MeterTruth, from_s: float, until_s: float) -> list[Mapping[str, Any]]:
        """Labels that were on at a meter, its line or its main meter in a span."""
        return [
            label
            for label in self.labels
            if label["start_s"] <= until_s
            and (label["end_s"] is None or label["end_s"] >= from_s)
            and self.concerns(label, meter)
        ]

    def unreadable_at(self, meter: MeterTruth, from_s: float, until_s: float) -> list[Mapping[str, Any]]:
        """Those of them that let nothing sound be read from it."""
        return [
            label
            for label in self.labels_at(meter, from_s, until_s)
            if label["kind"] in UNREADABLE or (label["class"] == "communication" and not _is_harmless(label, meter))
        ]

    def concerns(self, label: Mapping[str, Any], meter: MeterTruth) -> bool:
        """Whether a label is about a meter: its own, a partner's, its line's, that of all behind its main meter."""
        if label["meter"] == meter.address:
            return True
        if label["sizes"].get("with") is not None and label["sizes"]["with"] == meter.household:
            return True
        if label["meter"] is None:
            return bool(label["bus"] == meter.bus)
        return label["household"] is None and label["kind"] == "power_cut" and label["gate"] == meter.gate


def read_truth(path: Path) -> Truth:
    """Read an export; RecordingError names the file when it is none."""
    estates: list[Mapping[str, Any]] = []
    meters: list[MeterTruth] = []
    labels: list[Mapping[str, Any]] = []
    behind: dict[str, str] = {}
    for number, line in enumerate(objects(path), start=1):
        what = line.get("what")
        where = f"{path}: object {number} ({what})"
        missing = [key for key in KEYS.get(str(what), ()) if key not in line]
        if missing:
            raise RecordingError(f"{where}: {missing[0]} is missing; {ADVICE}")
        try:
            if what == "estate":
                estates.append(_estate(path, line))
            elif what == "label":
                labels.append(line)
            elif what == "meter":
                meters.append(_meter(line))
                if "members" in line:
                    behind |= dict.fromkeys(line["members"], line["gate"])
        except KeyError as error:
            raise RecordingError(f"{where}: {error.args[0]} is missing; {ADVICE}") from error
        except (TypeError, ValueError) as error:
            raise RecordingError(f"{where}: a value is not as exports have it; {ADVICE}") from error
    if not estates:
        raise RecordingError(f'{path}: no truth export: no object in it has "what": "estate"; {ADVICE}')
    for meter in meters:
        meter.gate = meter.gate or behind.get(meter.address)
    return Truth(estates[0], {meter.address: meter for meter in meters}, labels)


def _estate(path: Path, line: Mapping[str, Any]) -> Mapping[str, Any]:
    if line["format"] != FORMAT:
        raise RecordingError(f"{path}: format {line['format']}; this auditor reads format {FORMAT}")
    return line


def objects(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file: JSON Lines, or one JSON array."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path}: cannot be read: {error}") from error
    try:
        found: Iterable[Any] = _array(path, text) if text.lstrip().startswith("[") else _lines(path, text)
        for one in found:
            if not isinstance(one, dict):
                raise RecordingError(f"{path}: {one!r:.200} is no object")
            yield one
    except RecursionError as error:
        raise RecordingError(f"{path}: nested too deeply; an object here holds plain values and short lists") from error


def _array(path: Path, text: str) -> list[Any]:
    try:
        found: list[Any] = json.loads(text)
    except ValueError as error:
        raise RecordingError(f"{path}: not JSON: {error}") from error
    return found


def _lines(path: Path, text: str) -> Iterator[Any]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as error:
                raise RecordingError(f"{path}:{number}: not JSON: {error}") from error


def _is_harmless(label: Mapping[str, Any], meter: MeterTruth) -> bool:
    """A frame of Modbus is a whole burst: pauses and strange bytes spoil it, where DL/T 645 looks for its marks."""
    return label["kind"] in HARMLESS and not (meter.protocol == "modbus" and label["kind"] in SPOILING_BURSTS)


def _meter(line: Mapping[str, Any]) -> MeterTruth:
    return MeterTruth(
        address=str(line["meter"]),
        bus=line["bus"],
        household=line.get("household"),
        gate=line.get("gate"),
        start_wh=line["start_wh"],
        times=[at_ms for at_ms, _ in line["energy"]],
        energies=[energy for _, energy in line["energy"]],
        lags=[(from_ms, lag_wh) for from_ms, lag_wh in line["lags_wh"]],
        protocol=line.get("protocol", ""),
        tier_used_wh=line.get("tier_used_wh", 0),
        relay=[(at_ms, to, cause) for at_ms, to, cause in line.get("relay", [])],
        contacts=[(at_ms, to) for at_ms, to in line.get("contacts", [])],
    )


def _distance(wanted: int, begun: int, ended: int) -> int:
    return begun - wanted if wanted < begun else max(0, wanted - ended)
