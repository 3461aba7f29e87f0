"""Trip and close on a spare meter that a person has named: the only part of a commissioning that moves anything.

A trip that comes too late must be refused, since that is what keeps a cut from happening after the debt is paid. Then
the relay is opened and closed, each believed only when it is read back. A meter through which power flows, or one that
keeps the power on, is not touched; and whatever happens after the first command, the power is given back at the end.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from time import monotonic

from core.dlt645.commands import Password
from core.dlt645.identifiers import COMMAND_OPEN, KEEP_POWER, RELAY_OPEN
from core.errors import CoreError, MeterRefused
from server.cli.commission.meter_checks import ATTEMPTS, CLOCK_OFF_MAX_S, NOT_ANSWERED
from server.cli.commission.proofs import Proof
from server.cli.commission.tries import Tries, are_left, counted_here
from server.cli.languages import heard
from server.cli.languages import mark as _
from server.collect.control import describe, is_satisfied
from server.collect.line import BusLine
from server.collect.readout import MeterState, Readout
from server.collect.work import Action, Clocks

POWER_MAX_MW = 20_000  # more, and somebody uses this meter
LIFETIME_S = 60
LATE_S = 3600
MOVE_MAX_S = 20.0  # from the command to the contacts; a trip delay longer than this fails the question
LOOK_EVERY_S = 0.5
TRIED = _(
    "not tried: the meter has refused a password %(times)d times today (counted in %(where)s), and many meters lock at "
    "the fifth until midnight; find the right password and try it tomorrow"
)
RELAY_QUESTIONS = ("late_command", "trip", "close")


class RelayChecks:
    """The checks of one spare meter; `secret` opens its relay commands."""

    def __init__(
        self, line: BusLine, clocks: Clocks, meter: MeterState, secret: Password, tries: Tries | None = None
    ) -> None:
        self._line = line
        self._clocks = clocks
        self._meter = meter
        self._secret = secret
        self._readout = Readout(line, clocks)
        self._tries = tries or counted_here(meter.meter_id, lambda: clocks.civil(clocks.world_now()))
        self._locked_out = False  # the password was refused and nothing has moved: a close would be refused as well

    async def run(self) -> AsyncIterator[Proof]:
        """Ask the three questions, or say why they are left open."""
        try:
            reason = self._tried() or await self._unfit()
        except CoreError as error:
            reason = (NOT_ANSWERED, {"reason": heard(str(error))})
        if reason is not None:
            for question in RELAY_QUESTIONS:
                yield Proof(question, self._meter.meter_id, "open", *reason)
            return
        try:
            late = await self._late()
            trip = await self._switch("trip", "trip")
        finally:
            closing = self._spared() if self._locked_out else await self._switch("close", "close")
        for proof in _as_far_as_shown(late, trip, closing):
            yield proof

    def _tried(self) -> tuple[str, dict[str, int | str]] | None:
        """Why no password is tried any more today, or None."""
        if are_left(self._tries):
            return None
        return TRIED, {"times": self._tries.today(), "where": self._tries.where}

    async def _unfit(self) -> tuple[str, dict[str, int | str]] | None:
        """Why this meter is not touched, or None."""
        meter = self._meter
        if refusal := meter.dialect.cannot_switch("trip"):
            return _("not tried: %(reason)s"), {"reason": heard(refusal)}
        if not meter.dialect.has_deadline:
            return _("not tried: its commands have no deadline"), {}
        status = await self._readout.status(meter, ATTEMPTS)
        if status is None or status.status3 & (RELAY_OPEN | COMMAND_OPEN | KEEP_POWER):
            word = "-" if status is None else heard(describe(status.status3))
            return _("not tried: the relay is not plainly closed (%(word)s)"), {"word": word}
        power_mw = (await self._readout.variables(meter, ATTEMPTS)).power_mw
        if power_mw is None or abs(power_mw) > POWER_MAX_MW:
            shown = "-" if power_mw is None else f"{power_mw / 1000:.1f}"
            return _("not tried: power flows through it (%(power)s W), so it is no spare meter"), {"power": shown}
        off_s = await self._readout.clock_offset(meter, ATTEMPTS)
        if off_s is None or abs(off_s) > CLOCK_OFF_MAX_S:
            return _("not tried: its clock must be set first"), {}
        return None

    async def _send(self, action: Action, lifetime_s: int) -> None:
        at_s = self._clocks.world_now() + (self._meter.clock_offset_s or 0)
        deadline = self._clocks.civil(at_s) + timedelta(seconds=lifetime_s)
        await self._line.quiet()
        await self._line.ask(self._meter.dialect.switch(action, deadline, self._secret))

    def _count(self, err: int) -> bool:
        """Whether a refusal may count for the meter as a wrong password; then it counts here too, at once."""
        wrong = self._meter.dialect.refuses_password(err)
        if wrong:
            self._tries.refused()
        return wrong

    def _spared(self) -> Proof:
        return Proof(
            "close", self._meter.meter_id, "open", _("not sent: the relay is closed, and the meter counts tries")
        )

    async def _late(self) -> Proof:
        """Send a trip whose deadline is an hour past; it must be refused, and nothing may move."""
        name = self._meter.meter_id
        try:
            await self._send("trip", -LATE_S)
        except MeterRefused as refusal:
            said = self._meter.dialect.refusal(refusal.err)
            self._count(refusal.err)
        except CoreError as error:
            said = str(error)
        else:
            self._tries.accepted()
            return Proof(
                "late_command", name, "failed", _("it accepted a trip an hour after its deadline: never cut it")
            )
        try:
            status = await self._readout.status(self._meter, ATTEMPTS)
        except CoreError as error:
            return Proof("late_command", name, "failed", NOT_ANSWERED, {"reason": heard(str(error))})
        if status is None or is_satisfied("trip", status.status3):
            return Proof("late_command", name, "failed", _("it refused and opened the relay all the same"))
        return Proof("late_command", name, "passed", _("refused: %(said)s"), {"said": heard(said)})

    async def _switch(self, question: str, action: Action) -> Proof:
        """Send one command and look at the relay until it has moved or the time is over."""
        name, began = self._meter.meter_id, monotonic()
        try:
            await self._send(action, LIFETIME_S)
        except CoreError as error:
            refusal = f"{error}"
            err = error.err if isinstance(error, MeterRefused) else 0
            wrong_password = self._count(err)
        else:
            refusal, wrong_password = "", False
            self._tries.accepted()
        word = ""
        while monotonic() - began < MOVE_MAX_S:
            try:
                status = await self._readout.status(self._meter, ATTEMPTS)
            except CoreError as error:
                return Proof(
                    question, name, "failed", _("the relay is unknown: %(reason)s"), {"reason": heard(str(error))}
                )
            word = "" if status is None else heard(describe(status.status3))
            if status is not None and _has_moved(action, status.status3):
                taken_ms = round((monotonic() - began) * 1000)
                text = _("after %(taken_ms)d ms: %(word)s")
                return Proof(question, name, "passed", text, {"taken_ms": taken_ms, "word": word})
            if refusal:
                self._locked_out = (
                    question == "trip" and wrong_password and status is not None
                    and not status.status3 & (RELAY_OPEN | COMMAND_OPEN)
                )  # fmt: skip
                break
            await asyncio.sleep(LOOK_EVERY_S)
        text = _("the relay did not move; %(word)s; %(reason)s")
        if self._locked_out:
            text = _(
                "the password was refused; with the late command that makes %(times)d times today (counted in "
                "%(where)s), and many meters lock at the fifth until midnight: put the right one into "
                "--password-file; %(word)s; %(reason)s"
            )
        figures: dict[str, int | str] = {"word": word, "reason": heard(refusal) if refusal else "-"}
        if self._locked_out:
            figures |= {"times": self._tries.today(), "where": self._tries.where}
        return Proof(question, name, "failed", text, figures)


def _as_far_as_shown(late: Proof, trip: Proof, closing: Proof) -> tuple[Proof, Proof, Proof]:
    """A meter that opens for no trip shows nothing by refusing a late one, nor by being closed at the end."""
    if trip.outcome == "passed" or late.outcome == "failed":
        return late, trip, closing
    name = trip.subject
    late = Proof(late.question, name, "open", _("refused, but so was a trip in time: this shows nothing"))
    if closing.outcome == "passed":
        closing = Proof(closing.question, name, "open", _("the relay had not opened, so this shows nothing"))
    return late, trip, closing


def _has_moved(action: Action, status3: int) -> bool:
    """A trip has opened the contacts; a close has closed them. The command bit alone is a promise."""
    return bool(status3 & RELAY_OPEN) if action == "trip" else is_satisfied(action, status3)
