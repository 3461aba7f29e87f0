"""The relay of a prepaid meter: contacts, command, keep-power, delay, alarm, and the button.

Status word 3 shows two different things: bit 6 is the command (0 close, 1 open) and bit 4 the contacts
(0 closed, 1 open). After an allow-close the command bit clears at once while the contacts stay open until
somebody presses the button; "closing is permitted" is exactly that combination. A trip may wait (trip delay);
a second trip before that restarts the wait. Keep-power refuses trips. A relay that is stuck closed shows
everything as ordered while the contacts stay where they are. Times are world milliseconds and arguments.
"""

from dataclasses import dataclass, field

from core.dlt645.identifiers import COMMAND_OPEN, KEEP_POWER, PRE_TRIP_ALARM, RELAY_OPEN


@dataclass(frozen=True, slots=True)
class RelayEvent:
    """The shown contacts moved at world time `at_ms` to 'open' or 'closed', because of `cause`."""

    at_ms: int
    to: str
    cause: str


@dataclass(slots=True)
class Relay:
    """State of one relay; `shown_open` is what the meter believes of its contacts."""

    shown_open: bool = False
    command_open: bool = False
    keep_power: bool = False
    alarm: bool = False
    trip_due_ms: int | None = None
    events: list[RelayEvent] = field(default_factory=list)
    pressed_ms: list[int] = field(default_factory=list)

    @property
    def status_bits(self) -> int:
        """The relay's share of status word 3."""
        return (
            (RELAY_OPEN if self.shown_open else 0)
            | (COMMAND_OPEN if self.command_open else 0)
            | (KEEP_POWER if self.keep_power else 0)
            | (PRE_TRIP_ALARM if self.alarm else 0)
        )

    @property
    def permits_close(self) -> bool:
        """Whether pressing the button would close the contacts."""
        return self.shown_open and not self.command_open

    def trip(self, at_ms: int, delay_ms: int) -> bool:
        """Order the contacts open, at once or after a delay; False when keep-power refuses."""
        if self.keep_power:
            return False
        self.command_open = True
        if self.shown_open:
            return True
        if delay_ms:
            self.trip_due_ms = at_ms + delay_ms
        else:
            self._move(at_ms, True, "trip")
        return True

    def run_delay(self, at_ms: int) -> None:
        """Open the contacts if a delayed trip is due."""
        if self.trip_due_ms is not None and at_ms >= self.trip_due_ms:
            self.trip_due_ms = None
            self._move(at_ms, True, "delayed trip")

    def allow_close(self) -> None:
        """Permit closing by button; cancels a trip that still waits (under keep-power there is none)."""
        self._withdraw_command()

    def close(self, at_ms: int) -> None:
        """Close the contacts at once."""
        self._withdraw_command()
        self._move(at_ms, False, "close")

    def start_keep_power(self) -> None:
        """Refuse trips from now on; contacts that are open may then be closed by button."""
        self.keep_power = True
        self._withdraw_command()

    def end_keep_power(self) -> None:
        """Obey trips again."""
        self.keep_power = False

    def press_button(self, at_ms: int) -> bool:
        """The resident presses; whether the contacts closed because of it."""
        self.pressed_ms.append(at_ms)
        if not self.permits_close:
            return False
        self._move(at_ms, False, "button")
        return True

    def _withdraw_command(self) -> None:
        self.command_open = False
        self.trip_due_ms = None

    def _move(self, at_ms: int, to_open: bool, cause: str) -> None:
        self.trip_due_ms = None
        if self.shown_open != to_open:
            self.shown_open = to_open
            self.events.append(RelayEvent(at_ms, "open" if to_open else "closed", cause))
