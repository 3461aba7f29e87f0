"""A line whose bits flip, in virtual time and without a loop: one meter, one frame out, one frame back.

Each byte travels as start bit, eight data bits, parity where the line has it, and a stop bit. With parity a byte with
an odd number of flipped bits is taken out, as a UART's driver does; without it the byte comes as it fell. A flipped
start or stop bit loses the byte. What is left goes through the session that the head-end uses.
"""

import random

from core.dlt645.frame import FrameDecoder, encode
from core.errors import NoReply
from core.session import BusSession, RefusedByMeter, ReplyReceived, TimedOut, Timing
from server.collect.dialect import payload
from server.collect.doubt import Doubt
from server.collect.line import Answer

DATA_BITS = 8


class Noise:
    """Flips bits of bytes at an error rate; most bytes stay, so whole gaps between errors are drawn at once."""

    def __init__(self, seed, bit_error_rate, *, parity):
        self.random = random.Random(seed)
        self.rate, self.parity = bit_error_rate, parity
        self.bits = 1 + DATA_BITS + parity + 1
        self.left = self._gap()

    def _gap(self):
        """Bits until the next error."""
        return int(self.random.expovariate(self.rate)) if self.rate else 1 << 62

    def spoil(self, wire):
        """The bytes as they arrive; the same object where nothing happened."""
        total = len(wire) * self.bits
        if self.left >= total:
            self.left -= total
            return wire
        flipped = {}
        at = self.left
        while at < total:
            byte, bit = divmod(at, self.bits)
            flipped.setdefault(byte, []).append(bit)
            at += 1 + self._gap()
        self.left = at - total
        return b"".join(
            bytes((value,)) if place not in flipped else self._fallen(value, flipped[place])
            for place, value in enumerate(wire)
        )

    def _fallen(self, value, bits):
        if 0 in bits or self.bits - 1 in bits:
            return b""
        if self.parity and len(bits) % 2:
            return b""
        for bit in bits:
            if 1 <= bit <= DATA_BITS:
                value ^= 1 << bit - 1
        return bytes((value,))


class NoisyLine:
    """`ask` as a bus line has it; `answer(frame)` is the meter. `sees_parity` is what the port would say of itself."""

    def __init__(self, answer, noise, *, sees_parity=False, timing=None):
        self._answer, self._noise = answer, noise
        self._timing = timing or Timing(baud=9600, reply_delay_max_s=0.5)
        self._session = BusSession(self._timing)
        self._sees_parity = sees_parity
        self._doubt = Doubt()
        self.now_s = 0.0
        self.exchanges = 0

    @property
    def is_doubtful(self):
        return self._doubt.is_noisy and not self._sees_parity

    async def let_late_pass(self):
        self.now_s += 1

    async def ask(self, command):
        self.exchanges += 1
        session = self._session
        self.now_s = max(self.now_s, session.ready_at(command)) + 0.001
        wire = session.request(command, self.now_s)
        self.now_s += self._timing.wire_time_s(len(wire))
        asked, heard = command.to_frame(), self._noise.spoil(wire)
        if heard is wire or asked in FrameDecoder().feed(heard):
            said = self._noise.spoil(encode(self._answer(asked), 4))
            self.now_s += 0.02 + self._timing.wire_time_s(len(said))
            session.receive_data(said, self.now_s)
        while True:
            while (event := session.next_event()) is None:
                self.now_s = session.get_timer()
                session.handle_timer(self.now_s)
            if isinstance(event, TimedOut):
                self._doubt.note(session.bad_sums, event.garbage_bytes)
                raise NoReply("no reply")
            if isinstance(event, ReplyReceived | RefusedByMeter):
                self._doubt.note(session.bad_sums)
                return Answer(payload(command, event.frame), self.now_s)
