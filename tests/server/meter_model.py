"""A meter with a relay as a few lines of state: frames that may come late, a trip delay, a button, a register.

It follows the clauses on 1CH: a frame past its deadline is refused, bit 6 follows the command at once, bit 4 follows
a trip only after its delay, and after an allow-close only the button closes.
"""

from dataclasses import dataclass, field

from core.dlt645.identifiers import COMMAND_OPEN, KEEP_POWER, RELAY_OPEN


@dataclass
class Frame:
    """A command on its way: it takes effect at `arrives_s` unless its deadline has passed."""

    action: str
    arrives_s: int
    deadline_s: int


@dataclass
class ModelMeter:
    """One household's meter; world seconds, watt-hours."""

    total_wh: int
    trip_delay_s: int = 0
    is_open: bool = False
    commanded_open: bool = False
    keeps_power: bool = False
    opens_at: int | None = None
    frames: list[Frame] = field(default_factory=list)
    trips_done_s: list[int] = field(default_factory=list)

    def take(self, frame: Frame) -> None:
        """A frame has left the head-end."""
        self.frames.append(frame)

    def pass_time(self, now_s: int) -> None:
        """Carry out everything that is due."""
        for frame in sorted(self.frames, key=lambda one: one.arrives_s):
            if frame.arrives_s <= now_s:
                self.frames.remove(frame)
                self._open_if_due(frame.arrives_s)
                if frame.arrives_s <= frame.deadline_s:
                    self._obey(frame)
        self._open_if_due(now_s)

    def _obey(self, frame: Frame) -> None:
        if frame.action == "trip":
            if not self.keeps_power and not self.commanded_open:
                self.commanded_open = True
                self.opens_at = frame.arrives_s + self.trip_delay_s
                self.trips_done_s.append(frame.arrives_s)
            return
        self.commanded_open, self.opens_at = False, None
        if frame.action == "close":
            self.is_open = False

    def _open_if_due(self, now_s: int) -> None:
        if self.opens_at is not None and self.opens_at <= now_s:
            self.is_open, self.opens_at = True, None

    def press_button(self) -> None:
        """The resident closes the relay, if the meter permits it."""
        if not self.commanded_open:
            self.is_open = False

    def status3(self) -> int:
        """Status word 3."""
        return RELAY_OPEN * self.is_open | COMMAND_OPEN * self.commanded_open | KEEP_POWER * self.keeps_power
