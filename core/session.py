"""Sans-IO master of one half-duplex bus: at most one request is out, and time is an argument.

The caller writes what `request` returns, passes every received byte to `receive_data`, takes events with
`next_event`, and calls `handle_timer` when `get_timer` is due. Times are float seconds of the caller's
monotonic clock; nothing happens by itself, and received bytes are never judged by their lateness: a reply
that arrives before `handle_timer` has given up still counts, so a busy caller loses nothing.

    idle --request--> waiting --matching reply--> idle      (then the guard gap, see `ready_at`)
                         \\------handle_timer----> idle      (TimedOut)

A reply counts only if address, control code and identifier match. Everything else that is a frame (echo of
our own request, another meter's late reply) is reported as `Stray` and matches nothing.

What the protocol cannot tell apart, neither can we: refusals and the replies to writes and relay commands name no
identifier, so a late one may end a later request of the same function to the same meter. Read back what matters.
"""

from collections import deque
from dataclasses import dataclass

from core.dlt645.commands import Command
from core.dlt645.frame import FRAME_MAX, OVERHEAD, Frame, FrameDecoder, encode
from core.errors import ProtocolMisuse

REPLY_PREAMBLE = 4  # FE bytes that a meter may send before its reply


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
class ReplyReceived:
    """The reply to the request; `latency_s` counts from the request's first byte to the reply's last."""

    command: Command
    frame: Frame
    latency_s: float


@dataclass(frozen=True, slots=True)
class RefusedByMeter:
    """The meter's abnormal reply to the request."""

    command: Command
    err: int
    frame: Frame


@dataclass(frozen=True, slots=True)
class TimedOut:
    """No reply came; `garbage_bytes` came instead (noise, a collision, or a frame with a bad sum)."""

    command: Command
    garbage_bytes: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that nobody answers has been handed over; the bus is free after its wire time."""

    command: Command


@dataclass(frozen=True, slots=True)
class Stray:
    """A sound frame that answers nothing: `reason` is echo, request, foreign, late or unasked."""

    frame: Frame
    reason: str


Event = ReplyReceived | RefusedByMeter | TimedOut | Sent | Stray


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
    """The state of one bus. Not thread-safe; one caller drives it."""

    def __init__(self, timing: Timing, preamble: int = 4) -> None:
        self._timing = timing
        self._preamble = preamble
        self._decoder = FrameDecoder()
        self._events: deque[Event] = deque()
        self._command: Command | None = None
        self._sent_frame: Frame | None = None
        self._sent_at = 0.0
        self._deadline = 0.0
        self._deadline_last = 0.0
        self._gap_deadline: float | None = None
        self._ready_at = float("-inf")
        self._ready_last = float("-inf")
        self._garbage_before = 0
        self.counters = Counters()

    @property
    def busy(self) -> bool:
        """Whether a request waits for its reply."""
        return self._command is not None

    @property
    def garbage_bytes(self) -> int:
        """Received bytes that belonged to no frame, since the session began."""
        return self._decoder.garbage_bytes

    @property
    def bad_sums(self) -> int:
        """Candidates with the right marks and the wrong checksum, since the session began."""
        return self._decoder.bad_sums

    def ready_at(self) -> float:
        """Earliest time for the next request: the line was quiet for the guard gap.

        Noise moves it on by at most `byte_gap_max_s` altogether, so that a babbling node cannot silence us.
        """
        return self._ready_at

    def request(self, command: Command, now: float) -> bytes:
        """Begin a transaction and return the bytes to write at once.

        `ProtocolMisuse` while another is out or before `ready_at()`.
        """
        if self._command is not None:
            raise ProtocolMisuse(f"the bus still waits for the reply to {self._command!r}")
        if now < self._ready_at:
            raise ProtocolMisuse(f"the line needs quiet until {self._ready_at:.3f} s, it is {now:.3f} s")
        frame = command.to_frame()
        wire = encode(frame, self._preamble)
        self._take(self._decoder.flush(), now)
        self._gap_deadline = None
        self.counters.requests += 1
        self._sent_frame, self._sent_at = frame, now
        on_line_until = now + self._timing.wire_time_s(len(wire))
        if not command.expects_reply:
            self.counters.broadcasts += 1
            self._settle(on_line_until)
            self._events.append(Sent(command))
            return wire
        self._command = command
        self._garbage_before = self._decoder.garbage_bytes
        self._set_deadlines(on_line_until)
        return wire

    def receive_data(self, data: bytes, now: float) -> None:
        """Take received bytes, in any pieces; events may follow."""
        if not data:
            return
        self._take(self._decoder.feed(data), now)
        gap_end = now + self._timing.byte_gap_max_s
        self._gap_deadline = gap_end if self._decoder.pending else None
        if self._command is None:
            quiet_from = now + self._timing.frame_gap_s
            self._ready_at = max(self._ready_at, min(quiet_from, self._ready_last))
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
            garbage_bytes = self._decoder.garbage_bytes - self._garbage_before
            self.counters.timeouts += 1
            self._events.append(TimedOut(self._command, garbage_bytes))
            self._command = None
            self._settle(now)

    def _set_deadlines(self, on_line_until: float) -> None:
        """The reply must begin by the first deadline; while its bytes come, it may extend to the last one."""
        timing = self._timing
        begin = timing.wire_time_s(REPLY_PREAMBLE + OVERHEAD)
        longest = timing.wire_time_s(REPLY_PREAMBLE + FRAME_MAX)
        latest_start = on_line_until + timing.reply_delay_max_s + timing.margin_s
        self._deadline = latest_start + begin
        self._deadline_last = latest_start + longest + timing.byte_gap_max_s

    def _settle(self, line_used_until: float) -> None:
        """Begin the guard gap that separates this transaction from the next."""
        self._ready_at = line_used_until + self._timing.frame_gap_s
        self._ready_last = self._ready_at + self._timing.byte_gap_max_s

    def _take(self, frames: list[Frame], now: float) -> None:
        for frame in frames:
            command = self._command
            if command is None or not command.match(frame):
                self._stray(frame)
                continue
            self._command = None
            self._settle(now)
            if frame.abnormal:
                self.counters.refusals += 1
                err = int.from_bytes(frame.data, "little")
                self._events.append(RefusedByMeter(command, err, frame))
            else:
                self.counters.replies += 1
                self._events.append(ReplyReceived(command, frame, now - self._sent_at))

    def _stray(self, frame: Frame) -> None:
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
