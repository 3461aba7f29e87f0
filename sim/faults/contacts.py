"""Relays that do not do what they say: welded, burnt away, inert, or showing what is not so.

An alarm can be expected only once the relay was used: a welded contact shows itself when energy flows behind a relay
that is shown open, an inert one when an order has no effect.
"""

from sim.faults.fault import METER, Fault
from sim.kinds import SWITCHING_KINDS
from sim.loads.load import MWMS_PER_WH


class RelayFault(Fault):
    """A relay that is wrong."""

    group = METER
    meters = SWITCHING_KINDS
    severity = "critical"
    alarm = "relay"


class RelayStuckClosed(RelayFault):
    """The relay obeys and shows it, the contacts stay closed."""

    name = "relay_stuck_closed"

    def begin(self, at_ms: int) -> None:
        """Welded."""
        self._began_ms = at_ms
        self.place.meter.set_stuck_closed(at_ms, True)

    def end(self, at_ms: int) -> None:
        """Loose: the contacts follow what is shown."""
        self.place.meter.set_stuck_closed(at_ms, False)

    def lost_mwms(self, at_ms: int) -> int:
        """What flowed while the relay showed open contacts."""
        flowed, opened_ms = 0, None
        for event in self.place.meter.relay.events:
            if event.to == "open":
                opened_ms = event.at_ms
            elif opened_ms is not None:
                flowed += self._between(opened_ms, min(event.at_ms, at_ms))
                opened_ms = None
        return flowed if opened_ms is None else flowed + self._between(opened_ms, at_ms)

    def expected(self, at_ms: int) -> tuple[str | None, int]:
        """Only what flowed shows it."""
        return (self.alarm if self.lost_mwms(at_ms) >= MWMS_PER_WH else None), self.within_s

    def _between(self, from_ms: int, until_ms: int) -> int:
        from_ms = max(from_ms, self._began_ms)
        supply = self.place.household.supply
        return supply.energy(until_ms) - supply.energy(from_ms) if until_ms > from_ms else 0


class RelayStuckOpen(RelayFault):
    """The contacts have burnt away: closed is shown, nothing flows."""

    name = "relay_stuck_open"
    also = ("drop",)

    def begin(self, at_ms: int) -> None:
        """Gone."""
        self.place.meter.set_stuck_open(at_ms, True)

    def end(self, at_ms: int) -> None:
        """Mended: the contacts follow what is shown."""
        self.place.meter.set_stuck_open(at_ms, False)


class RelayInert(RelayFault):
    """The relay acknowledges orders and moves nothing, and shows that."""

    name = "relay_inert"

    def begin(self, at_ms: int) -> None:
        """It sticks."""
        self.place.meter.own().relay_inert = True

    def end(self, at_ms: int) -> None:
        """It moves again, with the next order."""
        self.place.meter.own().relay_inert = False

    def expected(self, _at_ms: int) -> tuple[str | None, int]:
        """Only an order that is open shows it."""
        relay = self.place.meter.relay
        return (self.alarm if relay.command_open != relay.shown_open else None), self.within_s


class FalseTripped(RelayFault):
    """Status word 3 says open while the contacts are closed and nobody ordered anything."""

    name = "false_tripped"

    def begin(self, at_ms: int) -> None:
        """Shown."""
        self.place.meter.own().shows_open = True

    def end(self, at_ms: int) -> None:
        """Not shown."""
        self.place.meter.own().shows_open = False


KINDS: tuple[type[Fault], ...] = (RelayStuckClosed, RelayStuckOpen, RelayInert, FalseTripped)
