"""One relay transaction: status, clock, generation, command, read-back.

    read 04000503 --already as wanted--> done, nothing sent
       | a meter that shows "keep power" is never tripped: what was just read counts, not what is stored
       | read the meter's clock; a trip needs it within half the command's lifetime of world time
       | re-check the generation           --superseded or expired--> nothing sent
       | has this process stood still since? --then nothing is sent, and all is checked anew
       | send 1CH with deadline = meter's clock at the check + lifetime; exactly once
       | read 04000503 back, whatever the answer was

Only the read-back says what the relay does. "Accepted" never does, and silence means unknown: the next try begins
with reading the status again, so 1CH is never repeated blindly. Trips are refused on any doubt about time; closes
are sent as well as the clock is known. Where the protocol's command has no deadline, no clock is read; its dialect says
whether the command may be sent at all. The password is opened just before the frame, and forgotten with it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from time import monotonic

from core.dlt645.commands import Password
from core.dlt645.identifiers import COMMAND_OPEN, KEEP_POWER, RELAY_OPEN
from core.errors import CoreError, MeterRefused, NoReply
from server.collect.line import BusLine
from server.collect.passwords import Passwords
from server.collect.port import PortError
from server.collect.readout import MeterState, Readout
from server.collect.work import Action, Clocks, ControlOrder, Step, StepReport, Switch, Unlock
from server.domain.readings import StatusRead
from server.errors import SecretLocked

LIFETIME_MAX_S = 600
CLOCK_FRESH_S = 6 * 3600  # world time for which a known clock offset serves a close
SECOND_LOOK_S = 0.3  # a contactor takes some 100 ms
CHECK_HOLDS_S = 2.0  # machine time; who was stopped for longer between check and frame must not send it
RETRY_MIN_S = 2.0
RETRY_MAX_S = 60.0


def is_satisfied(action: Action, status3: int) -> bool:
    """Whether status word 3 shows what the command would do; bit 6 is the command, bit 4 the relay, bit 12 keep."""
    match action:
        case "trip":
            return bool(status3 & COMMAND_OPEN)
        case "allow":
            return not status3 & COMMAND_OPEN
        case "close":
            return not status3 & (COMMAND_OPEN | RELAY_OPEN)
        case "keep":
            return bool(status3 & KEEP_POWER)
        case "free":
            return not status3 & KEEP_POWER


def describe(status3: int) -> str:
    """Status word 3 in hexadecimal and words."""
    relay = "open" if status3 & RELAY_OPEN else "closed"
    command = "open" if status3 & COMMAND_OPEN else "closed"
    keeps = ", keeps the power on" if status3 & KEEP_POWER else ""
    return f"status {status3:04X}: relay {relay}, command {command}{keeps}"


@dataclass(slots=True)
class _Attempts:
    gen: int
    count: int
    not_before: float


class RelayLane:
    """Carries out control orders of one bus, one at a time."""

    def __init__(
        self,
        line: BusLine,
        readout: Readout,
        clocks: Clocks,
        *,
        is_current: Callable[[ControlOrder, bool], Awaitable[bool]],
        hand_over: Callable[[StatusRead | StepReport, bool], Awaitable[None]],
        unlock: Unlock,
    ) -> None:
        self._line = line
        self._readout = readout
        self._clocks = clocks
        self._is_current = is_current
        self._hand_over = hand_over
        self._passwords = Passwords.over(unlock, lambda: clocks.civil(clocks.world_now()))
        self._attempts: dict[tuple[str, Switch], _Attempts] = {}

    def is_ready(self, order: ControlOrder, now: float) -> bool:
        """Whether this order may be tried now; repeated tries of one generation are spread out."""
        past = self._attempts.get((order.meter_id, order.switch))
        return past is None or past.gen != order.gen or now >= past.not_before

    def not_before(self, order: ControlOrder) -> float:
        """Machine time before which this order is not tried again."""
        past = self._attempts.get((order.meter_id, order.switch))
        return past.not_before if past is not None and past.gen == order.gen else float("-inf")

    def note_attempt(self, order: ControlOrder, now: float) -> None:
        """Count a try and put the next one off."""
        past = self._attempts.get((order.meter_id, order.switch))
        count = past.count + 1 if past is not None and past.gen == order.gen else 1
        delay_s = min(RETRY_MAX_S, RETRY_MIN_S * 2 ** min(count - 1, 8))
        self._attempts[order.meter_id, order.switch] = _Attempts(order.gen, count, now + delay_s)

    async def carry_out(self, order: ControlOrder, meter: MeterState, attempts: int) -> StatusRead | None:
        """Do all of it and report every step; the status read back, None when it is unknown.

        `attempts` is how often each read is tried. `PortError` when the port goes away meanwhile.
        """
        try:
            offset_s = await self._prepare(order, meter, attempts)
        except CoreError as error:
            await self._report(order, "no_reply", f"not sent: {error}")
            return None
        if isinstance(offset_s, StatusRead):
            return offset_s
        if offset_s is None or not await self._send(order, meter, offset_s):
            return None
        return await self._read_back(order, meter, attempts)

    async def _prepare(self, order: ControlOrder, meter: MeterState, attempts: int) -> int | StatusRead | None:
        """The clock offset to reckon with; or the status that makes the command needless; or None: reported."""
        if not await self._may_send(order):
            return None
        status = await self._readout.status(meter, attempts)
        if status is not None and is_satisfied(order.action, status.status3):
            await self._report(order, "read_back", f"not sent: already {describe(status.status3)}")
            await self._hand_over(status, True)
            return status
        if reason := meter.dialect.cannot_switch(order.action):
            await self._report(order, "refused", f"not sent: {reason}")
            return None
        if order.action == "trip":
            return await self._offset_for_trip(order, meter, status, attempts)
        return await self._offset_for_close(meter, attempts)

    async def _offset_for_trip(
        self, order: ControlOrder, meter: MeterState, status: StatusRead | None, attempts: int
    ) -> int | None:
        if status is None:
            await self._report(order, "refused", "not sent: the meter has no status word to read back")
            return None
        if status.status3 & KEEP_POWER:
            await self._refuse(order, status, f"the meter keeps the power on: {describe(status.status3)}")
            return None
        if not meter.dialect.has_deadline:
            return 0
        allowed_s = _lifetime_s(order) // 2
        offset_s = await self._readout.clock_offset(meter, attempts, sane_s=allowed_s)
        if offset_s is not None and abs(offset_s) <= allowed_s:
            return offset_s
        what = "cannot be read" if offset_s is None else f"is off by {offset_s} s, allowed are {allowed_s} s"
        await self._refuse(order, replace(status, clock_offset_s=offset_s), f"the meter's clock {what}")
        return None

    async def _refuse(self, order: ControlOrder, seen: StatusRead, why: str) -> None:
        """Report a trip that is not sent, and hand over what spoke against it, so that the next decision knows."""
        await self._report(order, "refused", f"not sent: {why}")
        await self._hand_over(seen, True)

    async def _offset_for_close(self, meter: MeterState, attempts: int) -> int:
        """A close takes the best offset there is: known, read now, or none at all."""
        if not meter.dialect.has_deadline:
            return 0
        if meter.clock_offset_s is not None and self._clocks.world_now() - meter.clock_at <= CLOCK_FRESH_S:
            return meter.clock_offset_s
        try:
            return await self._readout.clock_offset(meter, attempts) or 0
        except CoreError:
            return 0

    async def _may_send(self, order: ControlOrder, *, sending: bool = False) -> bool:
        if not await self._is_current(order, sending):
            doubt = ", or something now speaks against a cut" if order.action == "trip" else ""
            await self._report(order, "superseded", f"not sent: a newer wish exists{doubt}")
            return False
        if order.action == "trip" and self._clocks.world_now() >= order.expires_at:
            await self._report(order, "expired", "not sent: the wish to trip is too old")
            return False
        return True

    async def _send(self, order: ControlOrder, meter: MeterState, offset_s: int) -> bool:
        """Send 1CH once if the generation still holds; whether the relay is looked at after it.

        So it is behind a password that cannot be sent: a relay that nobody can move is to be seen as one.
        """
        await self._line.quiet()
        now, asked = self._clocks.world_now(), monotonic()  # a pause after the check eats into the frame's lifetime
        if not await self._may_send(order, sending=True):
            return False
        lifetime_s: float = _lifetime_s(order)
        if order.action == "trip":
            lifetime_s = min(lifetime_s, order.expires_at - now)
        deadline = self._clocks.civil(now + offset_s + lifetime_s)
        said = f"{order.action} until {deadline:%Y-%m-%d %H:%M:%S} of the meter's clock"
        if not meter.dialect.has_deadline:
            said = f"{order.action}, without a deadline"
        try:
            code = self._passwords(order.meter_id, order.password, closing=order.action in ("allow", "close"))
            secret = Password(order.password_level, code)
            command = meter.dialect.switch(order.action, deadline, secret)
            if (paused_s := monotonic() - asked) > CHECK_HOLDS_S:
                await self._report(order, "refused", f"not sent: {paused_s:.0f} s have passed since the check")
                return False
            await self._line.ask(command)
        except NoReply as error:
            await self._report_both(order, said, "no_reply", str(error))
        except MeterRefused as refusal:
            meter.clock_at = float("-inf")
            if meter.dialect.refuses_password(refusal.err):
                self._passwords.refused(order.meter_id, order.password)
            await self._report_both(order, said, "refused", meter.dialect.refusal(refusal.err))
        except PortError as error:
            await self._report_both(order, said, "no_reply", f"the port went away: {error}")
            raise
        except SecretLocked as error:
            await self._report(order, "refused", f"not sent: {error}")
        except CoreError as error:
            await self._report(order, "refused", f"not sent: {error}")
            return False
        else:
            self._passwords.accepted(order.meter_id)
            await self._report_both(order, said, "accepted", "the meter has accepted; the relay is read back")
        return True

    async def _read_back(self, order: ControlOrder, meter: MeterState, attempts: int) -> StatusRead | None:
        try:
            status = await self._readout.status(meter, attempts)
            if status is not None and not is_satisfied(order.action, status.status3):
                await asyncio.sleep(SECOND_LOOK_S)
                status = await self._readout.status(meter, attempts)
        except CoreError as error:
            await self._report(order, "no_reply", f"read-back failed, the relay's state is unknown: {error}")
            return None
        if status is None:
            await self._report(order, "no_reply", "the meter has no status word: the relay's state is unknown")
            return None
        await self._report(order, "read_back", describe(status.status3))
        await self._hand_over(status, True)
        return status

    async def _report(self, order: ControlOrder, step: Step, detail: str) -> None:
        await self._hand_over(StepReport(order.meter_id, order.gen, step, detail, order.switch), False)

    async def _report_both(self, order: ControlOrder, said: str, step: Step, detail: str) -> None:
        await self._report(order, "sent", said)
        await self._report(order, step, detail)


def _lifetime_s(order: ControlOrder) -> int:
    return min(order.command_ttl_s, LIFETIME_MAX_S)
