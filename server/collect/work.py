"""What the collector is told to do, and to whom it hands what it found.

Plans come from the composition root: a bus with its line, its timing and its meters. Results leave through a
`Sink`, wishes for relays come through `Orders`; both are called in a worker thread, so they may touch storage,
which this package never does. Spans of a cadence are world seconds, timings of a line are machine seconds.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol
from zoneinfo import ZoneInfo

from core.dlt645.profiles import EDITION_2007
from core.session import Timing
from server.collect.port import LineSettings
from server.domain.readings import ContactFailure, MeterReading, MeterVariables, StatusRead
from server.errors import NotRead

Action = Literal["trip", "allow", "close", "keep", "free"]
Switch = Literal["relay", "keep"]  # each has generations of its own
Step = Literal["sent", "accepted", "refused", "no_reply", "read_back", "expired", "superseded"]


@dataclass(frozen=True, slots=True)
class MeterPlan:
    """One meter of a bus; `meter_id` is its 12-digit address. A gate has no relay, so its status is not read.

    `protocol` is 2007, 1997 or modbus; a Modbus meter is asked as `unit` by the register map of `model`, and its relay
    is told to trip only with `trips_without_deadline`.
    """

    meter_id: str
    kind: str = "household"
    protocol: str = EDITION_2007
    model: str = ""
    unit: int | None = None
    trips_without_deadline: bool = False


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often each thing is read, in world seconds; `*_every` counts reading cycles.

    Meters near a threshold are read each `near_cycle_s`. With `daily_freeze` what each meter kept at midnight is read
    within two hours of it.
    """

    reading_cycle_s: int = 900
    near_cycle_s: int = 300
    status_every: int = 1
    variables_every: int = 4
    clock_every: int = 24
    reverse_every: int = 96
    daily_freeze: bool = True


@dataclass(frozen=True, slots=True)
class BusPlan:
    """One half-duplex line and everything on it."""

    bus_id: str
    url: str
    meters: tuple[MeterPlan, ...]
    line: LineSettings = field(default_factory=LineSettings)
    timing: Timing = field(default_factory=Timing)
    attempts_max: int = 3
    cadence: Cadence = field(default_factory=Cadence)


def timing_for(line: LineSettings, reply_delay_max_ms: int = 1000, frame_gap_ms: int = 30) -> Timing:
    """The session's timing of a bus with these line settings (start bit, 8 data bits, parity, stop bits)."""
    bits = 9 + (line.parity != "N") + line.stop_bits
    return Timing(
        baud=line.baud,
        bits_per_byte=bits,
        reply_delay_max_s=reply_delay_max_ms / 1000,
        frame_gap_s=frame_gap_ms / 1000,
    )


@dataclass(frozen=True, slots=True)
class ControlOrder:
    """A committed wish for one relay, or for keep-power of a meter, that no read-back has confirmed yet.

    `expires_at` is world time (epoch seconds) after which a trip is void; closes do not expire.
    `command_ttl_s` is how long the meter may still act on the frame, in the meter's clock. The password is as it is
    stored, locked; an `Unlock` opens it just before use.
    """

    meter_id: str
    gen: int
    action: Action
    password: str = field(repr=False)
    password_level: int
    expires_at: int
    command_ttl_s: int

    @property
    def switch(self) -> Switch:
        """Whose generation `gen` is."""
        return "keep" if self.action in ("keep", "free") else "relay"


Unlock = Callable[[str, str], str]
"""From a meter and its stored password to the password; `SecretLocked` says why not."""


def as_stored(_meter_id: str, stored: str) -> str:
    """The `Unlock` of passwords that were never locked."""
    return stored


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step of carrying out an order, as it happened."""

    meter_id: str
    gen: int
    step: Step
    detail: str
    switch: Switch = "relay"


class MeterUnread(NotRead):
    """A read that somebody asked for failed: the meter is silent, refuses, or says what cannot be read."""


class Sink(Protocol):
    """Takes results. Runs in a worker thread; an exception means "not taken" and the batch comes again."""

    def energy(self, readings: Sequence[MeterReading]) -> None: ...

    def variables(self, rows: Sequence[MeterVariables]) -> None: ...

    def status(self, rows: Sequence[StatusRead]) -> None: ...

    def failures(self, rows: Sequence[ContactFailure]) -> None: ...


class Orders(Protocol):
    """Knows which relays are wanted otherwise. Runs in a worker thread."""

    def next(self, bus_id: str) -> Sequence[ControlOrder]:
        """Orders of this bus that no read-back has confirmed, most urgent first."""
        ...

    def everywhere(self) -> Mapping[str, tuple[Sequence[ControlOrder], Collection[str]]]:
        """`next` and `near` of all buses from one consistent look; a bus without either may be absent."""
        ...

    def still_current(self, meter_id: str, gen: int, switch: Switch = "relay", *, sending: bool = False) -> bool:
        """Whether `gen` is still the newest generation of this meter's switch.

        `sending`: the frame goes out at a yes; that of a trip is noted durably before it.
        """
        ...

    def report(self, meter_id: str, gen: int, step: str, detail: str, switch: Switch = "relay") -> None:
        """Take note of one step; an exception means "not taken" and it comes again."""
        ...

    def near(self, bus_id: str) -> Collection[str]:
        """Meters of this bus whose balance is near a threshold and which shall be read more often."""
        ...

    def may_set_clocks(self, bus_id: str) -> bool:
        """Whether the meters of this bus may be told the time now; a yes is given once a day."""
        ...


def _unheard(_meter_id: str, _offset_s: int | None) -> None:
    """Nobody judges our clock by those of the meters."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """Both clocks as the collector sees them; `world_now` gives epoch seconds, `machine_ms` epoch milliseconds.

    `heard` is told of each clock of a meter that was read: its offset, None where it showed no time.
    """

    world_now: Callable[[], float]
    machine_ms: Callable[[], int]
    factor: int = 1
    time_zone: str = "Asia/Shanghai"
    heard: Callable[[str, int | None], None] = _unheard

    def civil(self, world_s: float) -> datetime:
        """World time as a meter of the estate shows it: naive local civil time, whole seconds."""
        return datetime.fromtimestamp(int(world_s), ZoneInfo(self.time_zone)).replace(tzinfo=None)

    def machine_seconds(self, world_seconds: float) -> float:
        """How many machine seconds a span of world seconds takes."""
        return world_seconds / self.factor

    def world_of(self, civil: datetime) -> float:
        """World time at which the estate's clocks show this civil time."""
        return civil.replace(tzinfo=ZoneInfo(self.time_zone)).timestamp()
