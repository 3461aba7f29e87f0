"""What one meter notes down beyond registers and relay, and what most meters never have.

A fleet shares one blank page; a meter gets its own when something happens to it for the first time (`Meter.own`). Every
value here is immutable and replaced whole, so that the blank page cannot be changed by accident, and own notes hold
only what differs: attributes that were never set are read from the class.
"""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from sim.meters.prepaid import Account
    from sim.meters.reverse import Mark

NOTHING: Mapping[Any, Any] = MappingProxyType({})
"""Shared by all notes that have none of some kind."""


class ClockSpan(NamedTuple):
    """From world time `from_ms` the clock is `offset_ms` ahead and gains `drift_ms_per_day` (negative: loses)."""

    from_ms: int
    offset_ms: int
    drift_ms_per_day: int


class Event(NamedTuple):
    """One thing that happened, in world time; `end_ms` is None while it goes on. `detail` belongs to its kind."""

    begin_ms: int
    end_ms: int | None = None
    operator: str = "00000000"
    detail: bytes = b""


class EventLog(NamedTuple):
    """All happenings of one kind: how many ever, how many whole minutes of the ended ones, and the last records."""

    total: int = 0
    minutes: int = 0
    records: tuple[Event, ...] = ()


class FreezePattern(NamedTuple):
    """From `from_ms` the timed freeze follows this; None leaves a field open."""

    from_ms: int
    month: int | None
    day: int | None
    hour: int | None
    minute: int


class Notes:
    """The rare state of one meter. Instants are world epoch milliseconds."""

    clock: tuple[ClockSpan, ...] = ()
    synced_day: date | None = None
    parameters: Mapping[int, bytes] = NOTHING
    passwords: Mapping[int, str] = NOTHING
    wrong_passwords: int = 0
    wrong_day: date | None = None
    events: Mapping[int, EventLog] = NOTHING
    operator: str = "00000000"
    relay_noted: int = 0
    freeze_patterns: tuple[FreezePattern, ...] = ()
    instant_freezes_ms: tuple[int, ...] = ()
    cleared_ms: int | None = None
    demand_cleared_ms: int | None = None
    demand_found: Mapping[Any, Any] = NOTHING
    pages: tuple[int, bytes] | None = None
    reports: Mapping[int, int] = NOTHING
    address: str | None = None
    baud: int | None = None
    terminal: int = 0
    programming: bool = False
    mains_cuts: int = 0
    """How many causes keep the mains away at once."""
    account: "Account | None" = None
    reverse_mark: "Mark | None" = None
    stuck_open: bool = False
    """The contacts have burnt away: open, whatever is shown."""
    relay_inert: bool = False
    """The relay takes commands and does not move."""
    shows_open: bool = False
    """Status word 3 says open, whatever is so."""
    neutral_permille: int | None = None
    """What share of the live current returns through the neutral, where that is not all."""
    flipped_bit: int | None = None
    """Bit of an energy answer (0: lowest of its first byte) that the memory has wrong."""
    part_bytes: int | None = None
    """Longest part of an answer, where the meter does not fill its frames."""
    registers: Mapping[int, int] = NOTHING
    """What a master has written into parameters of a Modbus meter."""
    peak: tuple[int, int, int] | None = None
    """Of a Modbus meter: the window in ms, until when it was looked for, and the most energy in one."""
    voltage_permille: Mapping[int, tuple[tuple[int, int], ...]] = NOTHING
    """By phase: from when on the voltage was what share of normal, oldest first."""

    @property
    def mains_off(self) -> bool:
        """Whether anything keeps the mains away."""
        return self.mains_cuts > 0


BLANK = Notes()
