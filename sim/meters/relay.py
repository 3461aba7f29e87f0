"""The relay of a prepaid meter: contacts, command, keep-power, delay, alarm, and the button.

Status word 3 shows two different things: bit 6 is the command (0 close, 1 open) and bit 4 the contacts
(0 closed, 1 open). After an allow-close the command bit clears at once while the contacts stay open until
somebody presses the button; "closing is permitted" is exactly that combination. A trip may wait (trip delay);
a second trip before that restarts the wait. Keep-power refuses trips. A relay that is stuck closed shows
everything as ordered while the contacts stay where they are; an inert one takes commands and moves nothing.
Times are world milliseconds and arguments. A relay is a view: its state lies in the fleet.
"""

from collections.abc import Sequence

from core.dlt645 import identifiers as ids
from sim.fleet.fleet import ALARM, COMMAND_OPEN, KEEP_POWER, SHOWN_OPEN, Fleet, RelayEvent
from sim.meters.notes import BLANK, Notes

__all__ = ["Relay", "RelayEvent"]


class Relay:
    """The relay of one meter; `shown_open` is what the meter believes of its contacts."""

    __slots__ = ("_fleet", "_index")

    def __init__(self, fleet: Fleet, index: int) -> None:
        self._fleet = fleet
        self._index = index

    @property
    def shown_open(self) -> bool:
        """Whether the meter believes its contacts to be open."""
        return self._fleet.has(self._index, SHOWN_OPEN)

    @property
    def command_open(self) -> bool:
        """Whether the last command was to open."""
        return self._fleet.has(self._index, COMMAND_OPEN)

    @property
    def keep_power(self) -> bool:
        """Whether trips are refused."""
        return self._fleet.has(self._index, KEEP_POWER)

    @property
    def alarm(self) -> bool:
        """Whether the alarm before a trip is on."""
        return self._fleet.has(self._index, ALARM)

    @alarm.setter
    def alarm(self, on: bool) -> None:
        self._fleet.put(self._index, ALARM, on)

    @property
    def trip_due_ms(self) -> int | None:
        """When a delayed trip is due, or None."""
        memory = self._fleet.recall(self._index)
        return memory.trip_due_ms if memory is not None else None

    @property
    def restore_due_ms(self) -> int | None:
        """When a trip restores itself, or None."""
        memory = self._fleet.recall(self._index)
        return memory.restore_due_ms if memory is not None else None

    @property
    def due_ms(self) -> int | None:
        """When something happens by itself: a delayed trip, or closing after a trip that restores itself."""
        return min((due for due in (self.trip_due_ms, self.restore_due_ms) if due is not None), default=None)

    @property
    def events(self) -> Sequence[RelayEvent]:
        """Every movement of the shown contacts so far."""
        memory = self._fleet.recall(self._index)
        return memory.relay_events if memory is not None else []

    @property
    def pressed_ms(self) -> Sequence[int]:
        """When somebody pressed the button."""
        memory = self._fleet.recall(self._index)
        return memory.pressed_ms if memory is not None else []

    @property
    def status_bits(self) -> int:
        """The relay's share of status word 3."""
        return (
            (ids.RELAY_OPEN if self.shown_open or self._notes.shows_open else 0)
            | (ids.COMMAND_OPEN if self.command_open else 0)
            | (ids.KEEP_POWER if self.keep_power else 0)
            | (ids.PRE_TRIP_ALARM if self.alarm else 0)
        )

    @property
    def permits_close(self) -> bool:
        """Whether pressing the button would close the contacts."""
        return self.shown_open and not self.command_open

    def trip(self, at_ms: int, delay_ms: int, restore_ms: int | None = None) -> bool:
        """Order the contacts open, at once or after a delay; False when keep-power refuses."""
        if self.keep_power:
            return False
        self._fleet.put(self._index, COMMAND_OPEN, True)
        if restore_ms != self.restore_due_ms:
            self._fleet.remember(self._index).restore_due_ms = restore_ms
        if self.shown_open:
            return True
        if delay_ms:
            self._fleet.remember(self._index).trip_due_ms = at_ms + delay_ms
        else:
            self._move(at_ms, True, "trip")
        return True

    def run_delay(self, at_ms: int) -> None:
        """Open the contacts if a delayed trip is due; close them if a trip restores itself now."""
        due_ms, restore_ms = self.trip_due_ms, self.restore_due_ms
        if due_ms is not None and at_ms >= due_ms:
            self._move(at_ms, True, "delayed trip")
        if restore_ms is not None and at_ms >= restore_ms:
            self._withdraw_command()
            self._move(at_ms, False, "auto-restore")

    def allow_close(self) -> None:
        """Permit closing by button; cancels a trip that still waits (under keep-power there is none)."""
        self._withdraw_command()

    def close(self, at_ms: int) -> None:
        """Close the contacts at once."""
        self._withdraw_command()
        self._move(at_ms, False, "close")

    def start_keep_power(self) -> None:
        """Refuse trips from now on; contacts that are open may then be closed by button."""
        self._fleet.put(self._index, KEEP_POWER, True)
        self._withdraw_command()

    def end_keep_power(self) -> None:
        """Obey trips again."""
        self._fleet.put(self._index, KEEP_POWER, False)

    def press_button(self, at_ms: int) -> bool:
        """The resident presses; whether the contacts closed because of it."""
        self._fleet.remember(self._index).pressed_ms.append(at_ms)
        if not self.permits_close:
            return False
        self._move(at_ms, False, "button")
        return True

    @property
    def _notes(self) -> Notes:
        return self._fleet.notes.get(self._index, BLANK)

    def _withdraw_command(self) -> None:
        self._fleet.put(self._index, COMMAND_OPEN, False)
        self._forget_delay()
        memory = self._fleet.recall(self._index)
        if memory is not None:
            memory.restore_due_ms = None

    def _forget_delay(self) -> None:
        memory = self._fleet.recall(self._index)
        if memory is not None:
            memory.trip_due_ms = None

    def _move(self, at_ms: int, to_open: bool, cause: str) -> None:
        self._forget_delay()
        if self.shown_open != to_open and not self._notes.relay_inert:
            self._fleet.put(self._index, SHOWN_OPEN, to_open)
            event = RelayEvent(at_ms, "open" if to_open else "closed", cause)
            self._fleet.remember(self._index).relay_events.append(event)
