"""Sans-IO master of one half-duplex bus: at most one request is out, and time is an argument.

The caller writes what `request` returns, passes every received byte to `receive_data`, takes events with
`next_event`, and calls `handle_timer` when `get_timer` is due. Times are float seconds of the caller's
monotonic clock; nothing happens by itself, and received bytes are never judged by their lateness: a reply
that arrives before `handle_timer` has given up still counts, so a busy caller loses nothing.

    idle --request--> waiting --matching reply--> idle      (then the guard gap, see `ready_at`)
                         \\------handle_timer----> idle      (TimedOut)

A reply counts only if its command says so. Everything else that is a frame (echo of our own request, another
meter's late reply) is reported as `Stray` and matches nothing. The session knows no protocol: each frame brings its
own framing (see `framing`), so meters of DL/T 645 and of Modbus RTU can share the line. What is heard is read by the
framing of the last request (DL/T 645 before the first): a late reply of the other protocol is garbage.

What the protocol cannot tell apart, neither can we: refusals and the replies to writes and relay commands name no
identifier, and no Modbus reply to a read names its register. So a late one may end a later request of the same
function to the same meter. Read back what matters.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic

from core.dlt645.frame import FrameDecoder
from core.errors import ProtocolMisuse
from core.framing import BusFrame, Command, Decoder, F


@dataclass(frozen=True, slots=True)
class Timing:
    """How fast a bus is and how long it may take; `reply_delay_max_s` is the longest Td to wait for."""

    baud: int = 2400
    bits_per_byte: int = 11
    reply_delay_max_s: float = 1.0
    byte_gap_max_s: float = 0.5
    frame_gap_s: float = 0.03
    margin_s: float = 0.2

    def __post_init__(self) -> None:
        if self.baud <= 0 or self.bits_per_byte <= 0:
            raise ProtocolMisuse(f"baud {self.baud} and {self.bits_per_byte} bits per byte must be positive")
        waits = (self.reply_delay_max_s, self.byte_gap_max_s, self.frame_gap_s, self.margin_s)
        if min(waits) < 0:
            raise ProtocolMisuse("no wait may be negative")

    def wire_time_s(self, n_bytes: int) -> float:
        """Seconds that `n_bytes` spend on the line."""
        return n_bytes * self.bits_per_byte / self.baud


@dataclass(frozen=True, slots=True)
class ReplyReceived(Generic[F]):
    """The reply to the request; `latency_s` counts from the request's first byte to the reply's last."""

    command: Command[F]
    frame: F
    latency_s: float


@dataclass(frozen=True, slots=True)
class RefusedByMeter(Generic[F]):
    """The meter's abnormal reply to the request."""

    command: Command[F]
    err: int
    frame: F


@dataclass(frozen=True, slots=True)
class TimedOut:
    """No reply came; `garbage_bytes` came instead (noise, a collision, or a frame with a bad sum)."""

    command: Command[Any]
    garbage_bytes: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that nobody answers has been handed over; the bus is free after its wire time."""

    command: Command[Any]


@dataclass(frozen=True, slots=True)
class Stray:
    """A sound frame that answers nothing: `reason` is echo, request, foreign, late or unasked."""

    frame: BusFrame
    reason: str


Event = ReplyReceived[Any] | RefusedByMeter[Any] | TimedOut | Sent | Stray


@dataclass(slots=True)
class Counters:
    """What has happened on the bus since the session began."""

    requests: int = 0
    replies: int = 0
    refusals: int = 0
    timeouts: int = 0
    broadcasts: int = 0
    echoes: int = 0
    strays: int = 0


class BusSession:
    """The state of one bus. Not thread-safe; one caller drives it. `preamble` waking bytes lead a DL/T 645 request."""

    def __init__(self, timing: Timing, preamble: int = 4) -> None:
        self._timing = timing
        self._preamble = preamble
        self._decoder: Decoder[BusFrame] = FrameDecoder()
        self._garbage_of_others = 0
        self._bad_sums_of_others = 0
        self._events: deque[Event] = deque()
        self._command: Command[Any] | None = None
        self._sent_frame: BusFrame | None = None
        self._last: tuple[Command[Any] | None, Any] = (None, None)
        self._sent_at = 0.0
        self._deadline = 0.0
        self._deadline_last = 0.0
        self._gap_deadline: float | None = None
        self._byte_s = timing.wire_time_s(1)
        self._quiet_s = timing.frame_gap_s
        self._quiet_from = float("-inf")
        self._quiet_last = float("-inf")
        self._garbage_before = 0
        self.counters = Counters()

    @property
    def busy(self) -> bool:
        """Whether a request waits for its reply."""
        return self._command is not None

    @property
    def garbage_bytes(self) -> int:
        """Received bytes that belonged to no frame, since the session began."""
        return self._garbage_of_others + self._decoder.garbage_bytes

    @property
    def bad_sums(self) -> int:
        """Candidates with the right marks and the wrong checksum, since the session began."""
        return self._bad_sums_of_others + self._decoder.bad_sums

    def ready_at(self, command: Command[Any] | None = None) -> float:
        """Earliest time for the next request: the line was quiet for the guard gap.

        Pass the command: its framing may need more silence than the bus (Modbus RTU needs 3.5 characters). Noise
        moves it on by at most `byte_gap_max_s` altogether, so that a babbling node cannot silence us.
        """
        if command is None:
            return self._quiet_from + self._quiet_s
        return self._ready_for(self._framed(command))

    def request(self, command: Command[Any], now: float) -> bytes:
        """Begin a transaction and return the bytes to write at once.

        `ProtocolMisuse` while another is out or before `ready_at(command)`.
        """
        if self._command is not None:
            raise ProtocolMisuse(f"the bus still waits for the reply to {self._command!r}")
        frame = self._framed(command)
        ready_at = self._ready_for(frame)
        if now < ready_at:
            raise ProtocolMisuse(f"the line needs quiet until {ready_at:.3f} s, it is {now:.3f} s")
        wire: bytes = frame.to_wire(self._preamble)
        if self._decoder.pending:
            self._take(self._decoder.flush(), now)
        self._listen(frame)
        self.counters.requests += 1
        self._sent_frame, self._sent_at = frame, now
        on_line_until = now + self._timing.wire_time_s(len(wire))
        if not command.expects_reply:
            self.counters.broadcasts += 1
            self._settle(on_line_until)
            self._events.append(Sent(command))
            return wire
        self._command = command
        self._garbage_before = self.garbage_bytes
        self._set_deadlines(on_line_until, *frame.reply_sizes)
        return wire

    def receive_data(self, data: bytes, now: float) -> None:
        """Take received bytes, in any pieces; events may follow."""
        if not data:
            return
        self._take(self._decoder.feed(data), now)
        gap_end = now + self._timing.byte_gap_max_s
        self._gap_deadline = gap_end if self._decoder.pending else None
        if self._command is None:
            self._quiet_from = max(self._quiet_from, min(now, self._quiet_last))
        elif self._decoder.pending:
            self._deadline = min(max(self._deadline, gap_end), self._deadline_last)

    def next_event(self) -> Event | None:
        """The oldest event not taken yet."""
        return self._events.popleft() if self._events else None

    def get_timer(self) -> float | None:
        """When to call `handle_timer`, or None while nothing is awaited."""
        reply = self._deadline if self._command is not None else None
        if reply is None or self._gap_deadline is None:
            return reply if reply is not None else self._gap_deadline
        return min(reply, self._gap_deadline)

    def handle_timer(self, now: float) -> None:
        """Let time pass: drop a frame that stopped in the middle, give up on a reply that did not come."""
        overdue = self._command is not None and now >= self._deadline
        if overdue or (self._gap_deadline is not None and now >= self._gap_deadline):
            self._gap_deadline = None
            self._take(self._decoder.flush(), now)
        if overdue and self._command is not None:
            garbage_bytes = self.garbage_bytes - self._garbage_before
            self.counters.timeouts += 1
            self._events.append(TimedOut(self._command, garbage_bytes))
            self._command = None
            self._settle(now)

    def _framed(self, command: Command[Any]) -> BusFrame:
        """The request; made once for a command that is asked about first and sent then."""
        if self._last[0] is not command:
            self._last = command, command.to_frame()
        frame: BusFrame = self._last[1]
        return frame

    def _ready_for(self, frame: BusFrame) -> float:
        """When the line has been quiet for the bus, for the frame before and for this one."""
        return self._quiet_from + max(self._quiet_s, frame.quiet_s(self._byte_s))

    def _listen(self, frame: BusFrame) -> None:
        """Read the line as this request's framing says, beginning with nothing."""
        self._quiet_s = max(self._timing.frame_gap_s, frame.quiet_s(self._byte_s))
        self._garbage_of_others = self.garbage_bytes
        self._bad_sums_of_others = self.bad_sums
        self._decoder = frame.reply_decoder()
        self._gap_deadline = None

    def _set_deadlines(self, on_line_until: float, shortest: int, longest: int) -> None:
        """The reply must begin by the first deadline; while its bytes come, it may extend to the last one."""
        timing = self._timing
        latest_start = on_line_until + timing.reply_delay_max_s + timing.margin_s
        self._deadline = latest_start + timing.wire_time_s(shortest)
        self._deadline_last = latest_start + timing.wire_time_s(longest) + timing.byte_gap_max_s

    def _settle(self, line_used_until: float) -> None:
        """Begin the guard gap that separates this transaction from the next."""
        self._quiet_from = line_used_until
        self._quiet_last = line_used_until + self._timing.byte_gap_max_s

    def _take(self, frames: Sequence[BusFrame], now: float) -> None:
        for frame in frames:
            command = self._command
            if command is None or not command.match(frame):
                self._stray(frame)
                continue
            self._command = None
            self._settle(now)
            if frame.abnormal:
                self.counters.refusals += 1
                self._events.append(RefusedByMeter(command, frame.err, frame))
            else:
                self.counters.replies += 1
                self._events.append(ReplyReceived(command, frame, now - self._sent_at))

    def _stray(self, frame: BusFrame) -> None:
        """Report a frame that answers nothing."""
        if frame == self._sent_frame:
            reason = "echo"
            self.counters.echoes += 1
        elif not frame.is_reply:
            reason = "request"
        elif self._command is not None:
            reason = "foreign" if frame.address != self._command.address else "unasked"
        else:
            reason = "late"
        self.counters.strays += 1
        self._events.append(Stray(frame, reason))
