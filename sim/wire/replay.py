"""Meters from a recording: what was asked is answered as it was, with the delay it had.

Each request of the recording, without its preamble, is a key; its answers are given in the order in which they were
recorded, and the last one again and again. What was never asked there stays unanswered and is counted, so that a
head-end that asks otherwise than it did is seen.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from sim.errors import RecordingError
from sim.ports import Port
from sim.timing.clock import Environment
from sim.wire.recording import NS, Exchange

PREAMBLE = b"\xfe"
UNKNOWN_SHOWN_BYTES = 32


@dataclass(slots=True)
class ReplayCounters:
    """What happened since the start."""

    answered: int = 0
    unanswered_as_recorded: int = 0
    unknown_bytes: int = 0


class Replay:
    """Answers on one port from the exchanges of one recording."""

    def __init__(self, env: Environment, port: Port, recorded: Sequence[Exchange]) -> None:
        if not recorded:
            raise RecordingError("the recording holds no request; record a bus while a head-end reads it")
        self._env = env
        self._port = port
        self._answers: dict[bytes, deque[Exchange]] = {}
        for exchange in recorded:
            self._answers.setdefault(exchange.request.lstrip(PREAMBLE), deque()).append(exchange)
        self._lengths = sorted({len(key) for key in self._answers}, reverse=True)
        self._heard = bytearray()
        self.counters = ReplayCounters()

    def open(self) -> None:
        """Start to listen."""
        self._port.open(self._env, self.on_bytes)

    @property
    def never_asked(self) -> int:
        """How many recorded exchanges the head-end has not come to yet."""
        return sum(len(waiting) for waiting in self._answers.values()) - len(self._answers)

    def on_bytes(self, data: bytes) -> None:
        """Bytes of the head-end, in any pieces."""
        for byte in data:
            self._heard.append(byte)
            exchange = self._match()
            if exchange is not None:
                self._answer(exchange)
        surplus = len(self._heard) - self._lengths[0]
        if surplus > 0:
            self.counters.unknown_bytes += surplus
            del self._heard[:surplus]

    def _match(self) -> Exchange | None:
        """The recorded exchange whose request has just been completed."""
        for length in self._lengths:
            waiting = self._answers.get(bytes(self._heard[-length:])) if len(self._heard) >= length else None
            if waiting is not None:
                before = bytes(self._heard[:-length])
                self.counters.unknown_bytes += len(before.strip(PREAMBLE))
                self._heard.clear()
                return waiting.popleft() if len(waiting) > 1 else waiting[0]
        return None

    def _answer(self, exchange: Exchange) -> None:
        if not exchange.answer:
            self.counters.unanswered_as_recorded += 1
            return
        self.counters.answered += 1
        now_s = self._env.time_s
        for packet in exchange.answer:
            due_s = now_s + (packet.at_ns - exchange.asked_ns) / NS
            self._env.call_at(due_s, lambda data=packet.data: self._port.write(data))  # type: ignore[misc]
