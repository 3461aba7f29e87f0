"""One request and its reply on one open port: the sans-IO session joined to bytes and timers.

Exactly one request is out at a time; the session itself refuses a second. Frames that answer nothing are counted
and dropped. The moment a meter took its value is reckoned back from the reply's last byte by the time that the
reply spent on the line, because in a scaled world those milliseconds are seconds.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from core.dlt645.search import Heard
from core.errors import NoReply
from core.framing import BusFrame, Command
from core.session import BusSession, RefusedByMeter, ReplyReceived, Sent, Stray, TimedOut, Timing
from server.collect.dialect import payload
from server.collect.doubt import Doubt
from server.collect.port import Port, PortError, PortStatus
from server.collect.tally import Tally
from server.collect.work import Clocks

Tap = Callable[[bool, bytes], None]
"""Told of all bytes, sent (True) and received, on the collector's loop; it must not block and must not raise."""

BABBLE_S = 2.0  # who listens for what follows an answer waits so long at most for the end of a frame


@dataclass(frozen=True, slots=True)
class Answer:
    """The payload of a normal reply and the world time (epoch seconds) at which the meter began to send it."""

    data: bytes
    at_world: float


class BusLine:
    """An open port with its session. One task uses it."""

    def __init__(self, port: Port, timing: Timing, clocks: Clocks, tally: Tally, on_lost: Callable[[], None]) -> None:
        self._port = port
        self._timing = timing
        self._clocks = clocks
        self._tally = tally
        self._on_lost = on_lost
        self._session = BusSession(timing)
        self._lost: str | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._doubt = Doubt()
        self.taps: set[Tap] = set()

    async def open(self) -> None:
        """Open the port with a fresh session; `PortError` as the port says it."""
        self._session = BusSession(self._timing)
        self._lost = None
        self._doubt.begin()
        await self._port.open(self._take_bytes, self._take_loss)
        self._tally.opens += 1

    def close(self) -> None:
        """Close the port; safe to call twice."""
        self._port.close()

    @property
    def timing(self) -> Timing:
        """How fast the line is and how long it waits."""
        return self._timing

    @property
    def port_status(self) -> PortStatus:
        """What the port says of itself."""
        return self._port.status

    @property
    def lost(self) -> str | None:
        """Why the port has gone, or None while it is there."""
        return self._lost

    @property
    def is_doubtful(self) -> bool:
        """Whether a wrong value may look right here: noise was seen lately, and no parity tells it from a value."""
        return self._doubt.is_noisy and self._port.status.parity_effective is not True

    def wire_time_s(self, n_bytes: int) -> float:
        """Machine seconds that so many bytes take on the line."""
        return self._timing.wire_time_s(n_bytes)

    async def ask(self, command: Command[Any]) -> Answer:
        """Send and wait. `NoReply`, `MeterRefused`, or `PortError` when the port goes away meanwhile."""
        await self.quiet(command)
        self._fail_if_lost()
        wire = self._session.request(command, monotonic())
        self._tally.transactions += 1
        await self._write(wire)
        while True:
            answer = self._take_events(command)
            if answer is not None:
                return answer
            self._fail_if_lost()
            await self._wait_until(self._session.get_timer())
            self._session.handle_timer(monotonic())

    async def hear(self, command: Command[Any], linger_s: float = 0.0) -> Heard:
        """Send and take all that comes: the answer, and what follows within `linger_s` of it. Silence is no error."""
        await self.quiet(command)
        self._fail_if_lost()
        wire = self._session.request(command, monotonic())
        garbage_before = self._session.garbage_bytes
        self._tally.transactions += 1
        await self._write(wire)
        frames: list[Any] = []
        latency_s = 0.0
        until: float | None = None
        while until is None or monotonic() < until or self._is_waiting(until):
            await self._wait_until(
                min((at for at in (until, self._session.get_timer()) if at is not None), default=None)
            )
            self._session.handle_timer(monotonic())
            self._fail_if_lost()
            while (event := self._session.next_event()) is not None:
                if isinstance(event, ReplyReceived | RefusedByMeter):
                    latency_s = event.latency_s if isinstance(event, ReplyReceived) else 0.0
                    frames.append(event.frame)
                    until = monotonic() + linger_s
                elif isinstance(event, TimedOut | Sent):
                    until = monotonic()
                elif event.reason != "echo" and event.frame.is_reply:
                    frames.append(event.frame)
        return Heard(tuple(frames), self._session.garbage_bytes - garbage_before, latency_s)

    def _is_waiting(self, until: float) -> bool:
        """Whether a frame is still coming in; a line that never rests is not waited for."""
        return self._session.get_timer() is not None and monotonic() < until + BABBLE_S

    async def quiet(self, command: Command[Any] | None = None) -> None:
        """Wait until the guard gap of the line has passed, and the silence that `command` needs before it."""
        while (wait_s := self._session.ready_at(command) - monotonic()) > 0:
            await asyncio.sleep(wait_s)

    async def let_late_pass(self) -> None:
        """Wait out the longest delay of a reply, so that one to an earlier try cannot answer what is asked next."""
        await asyncio.sleep(self._timing.reply_delay_max_s + self._timing.margin_s)

    async def _write(self, wire: bytes) -> None:
        self._asked_bytes = len(wire)
        for tap in tuple(self.taps):
            tap(True, wire)
        await self._port.write(wire)

    async def _wait_until(self, deadline: float | None) -> None:
        """Sleep until bytes come, the port is lost, or `deadline` of the monotonic clock."""
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        delay_s = None if deadline is None else max(0.0, deadline - monotonic())
        timer = None if delay_s is None else loop.call_later(delay_s, self._wake)
        try:
            await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take_bytes(self, data: bytes) -> None:
        for tap in tuple(self.taps):
            tap(False, data)
        self._session.receive_data(data, monotonic())
        self._wake()

    def _take_loss(self, reason: str) -> None:
        self._lost = reason
        self._wake()
        self._on_lost()

    def _fail_if_lost(self) -> None:
        if self._lost is not None:
            raise PortError(self._lost)

    def _take_events(self, command: Command[Any]) -> Answer | None:
        """The answer, once the session has it; raises what the session reports instead."""
        while (event := self._session.next_event()) is not None:
            match event:
                case Stray():
                    self._tally.strays += 1
                case Sent():
                    return Answer(b"", self._clocks.world_now())
                case TimedOut(garbage_bytes=garbage_bytes):
                    self._tally.failures += 1
                    self._doubt.note(self._session.bad_sums, garbage_bytes)
                    noise = f", only {garbage_bytes} bytes of noise" if garbage_bytes else ""
                    raise NoReply(f"meter {command.address} did not answer in time{noise}")
                case RefusedByMeter(frame=frame):
                    self._tally.refusals += 1
                    self._tally.last_reply_ms = self._clocks.machine_ms()
                    payload(command, frame)  # raises MeterRefused with the reason in words
                case ReplyReceived():
                    return self._accept(event)
        return None

    def _accept(self, event: ReplyReceived[BusFrame]) -> Answer:
        self._doubt.note(self._session.bad_sums)
        on_line_s = min(event.latency_s, self._timing.wire_time_s(len(event.frame.to_wire(0))))
        asked_s = self._timing.wire_time_s(self._asked_bytes)
        self._tally.replied(event.latency_s, event.latency_s - on_line_s - asked_s, self._clocks.machine_ms())
        at_world = self._clocks.world_now() - on_line_s * self._clocks.factor
        return Answer(payload(event.command, event.frame), at_world)
