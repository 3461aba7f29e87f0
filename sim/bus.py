"""One half-duplex RS-485 line: who hears what, and when each byte is on the wire.

Bytes of a burst arrive one after another: a request is complete when the last of its bytes has had its bit
times at the bus's baud. The meter answers Td later and its bytes take their time again, sent in chunks, each
written when its last byte would have arrived, never earlier. All deadlines are absolute, so nothing drifts.
Every meter hears every request; several answers at once garble each other (bits pull the line low, so the
bytes are and-ed); a request that lands while an answer is still on the line destroys both. With wire = "none"
answers come at once and no event is needed.

The line's ideal time (request + Td + answer) is added up, so that any run can say how much of the possible it
used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from core.dlt645.frame import OVERHEAD, Frame, FrameDecoder, encode
from sim.clock import Environment
from sim.delay import Delays
from sim.estate import BusConfig
from sim.line import Line
from sim.members import BusMeters
from sim.meters import Meter
from sim.meters.dlt645 import answer
from sim.ports import Port
from sim.quirks import Oddities, Part
from sim.recording import MASTER, METERS, Recorder
from sim.uart import LineSettings

BYTE_GAP_S = 0.5
"""Tb: after this silence a half frame is dropped (DL/T 645-2007)."""
CHANGES = (0x14, 0x15, 0x17)
"""Commands after which a meter may have another address or another rate."""


@dataclass(slots=True)
class BusCounters:
    """What happened on one line since the start; times in machine seconds."""

    requests: int = 0
    answers: int = 0
    unanswered: int = 0
    collisions: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    ideal_s: float = 0.0


class Bus:
    """The actor of one line. `world_ms` turns machine seconds into world milliseconds."""

    def __init__(
        self,
        env: Environment,
        config: BusConfig,
        port: Port,
        world_ms: Callable[[float], int],
        delays: np.random.Generator,
        noise: np.random.Generator,
        meters: BusMeters,
    ) -> None:
        self.config = config
        self.port = port
        self.meters = meters
        self.counters = BusCounters()
        self.decoder = FrameDecoder()
        self._env = env
        self._world_ms = world_ms
        self._delays = Delays(config.delay_spread, delays)
        self.line = Line(config, port, noise)
        self._recorder: Recorder | None = None
        self._renamed: dict[str, str] = {}
        self._rates_differ = self._rate_changes = False
        self._received_s = 0.0
        self._unheard_bytes = 0
        self.odd = Oddities()
        self._talking_until_s = 0.0
        self._speech = 0

    def on_bytes(self, data: bytes) -> None:
        """Bytes from the master arrived just now."""
        now_s = self._env.time_s
        self.counters.bytes_in += len(data)
        self._unheard_bytes += len(data)
        if self._recorder is not None:
            self._recorder.note(now_s, MASTER, data)
        if self._rate_changes:
            self._follow_rate()
        heard = self.line.to_meters(data)
        if self.odd:
            heard = self.odd.hear(heard)
        if self.decoder.pending and now_s - self._received_s > BYTE_GAP_S:
            self.decoder.reset()
        self._received_s = max(self._received_s, now_s) + self._wire_s(len(data))
        if self.config.echo:
            self._put(data)
        if now_s < self._talking_until_s:
            self._collide()
            return
        for frame in self.decoder.feed(heard):
            self._hear(frame)
        if self.odd.strangers:
            for meter, frame in self.odd.understood(data, self.line):
                self._hear(frame, meter)

    def _wire_s(self, count: int) -> float:
        """The time that we have to give `count` bytes; a UART gives it by itself."""
        return 0.0 if self.port.takes_time else self.config.wire_s(count)

    def record(self, path: Path, origin_us: int) -> None:
        """Write everything from now on to a file; RecordingError when it cannot be written."""
        self.stop_recording()
        self._recorder = Recorder(path, origin_us)

    @property
    def recording(self) -> Path | None:
        """The file that is being written, if any."""
        return None if self._recorder is None else self._recorder.path

    def stop_recording(self) -> None:
        """Finish the file, if there is one."""
        if self._recorder is not None:
            self._recorder.close()
            self._recorder = None

    def close(self) -> None:
        """Finish the recording and give the port back."""
        self.stop_recording()
        self.port.close()

    def blurt(self, data: bytes) -> None:
        """Bytes that nobody asked for."""
        self._put(self.line.to_master(data))

    def _put(self, data: bytes) -> None:
        """Hand bytes to the port and note them."""
        if self._recorder is not None and data:
            self._recorder.note(self._env.time_s, METERS, data)
        self.port.write(data)

    def _collide(self) -> None:
        """Somebody speaks into an answer: neither is understood."""
        self.counters.collisions += 1
        self.decoder.reset()
        self._speech += 1
        self._talking_until_s = 0.0

    def _hear(self, frame: Frame, stranger: Meter | None = None) -> None:
        length = OVERHEAD + len(frame.data)
        length += min(max(0, self._unheard_bytes - length), self.config.preamble)
        self._unheard_bytes = 0
        if frame.is_reply:
            return
        self.counters.requests += 1
        if not self.config.byte_true:
            self._say(frame, length, self._env.time_s, stranger)
            return
        delay_ms = self._delays.draw_ms(frame.address, *self._reply_delay_ms(frame))
        begins_s = self._received_s + delay_ms / 1000
        self._env.call_at(begins_s, lambda: self._say(frame, length, begins_s, stranger))

    def _say(self, frame: Frame, length: int, begins_s: float, stranger: Meter | None = None) -> None:
        """Let the meters answer a request of `length` bytes at the moment when the answer begins."""
        if self.odd:
            self._say_oddly(frame, length, begins_s, stranger)
            return
        wire = self._answers(frame, self._world_ms(begins_s))
        if wire:
            self._speak(frame, wire, length, begins_s)
        else:
            self.counters.unanswered += 1

    def _say_oddly(self, frame: Frame, length: int, begins_s: float, stranger: Meter | None) -> None:
        """Let the meters answer with all that is wrong with them, at once or later, whole or in parts."""
        parts = self._odd_answers(frame, self._world_ms(begins_s), stranger)
        if not parts:
            self.counters.unanswered += 1
        for part in parts:
            if part.after_s:
                due_s = begins_s + part.after_s
                self._env.call_at(due_s, partial(self._speak, frame, part.wire, length, due_s, part.sender))
            else:
                self._speak(frame, part.wire, length, begins_s, part.sender)

    def _odd_answers(self, frame: Frame, at_ms: int, stranger: Meter | None) -> list[Part]:
        """The parts of the one answer, or what several answers at once make of each other."""
        if stranger is None:
            everybody = {meter.index: meter for meter in self.meters.values()} if self.odd.doubles else {}
            hearers = self.odd.hearers(frame, self._addressed(frame.address), everybody)
        else:
            hearers = [(stranger, frame)]
        said = []
        for meter, heard in hearers:
            reply = answer(meter, heard, at_ms)
            if reply is not None:
                said.append(self.odd.said(meter, frame, reply, self._preamble(meter)))
                if frame.control in CHANGES:
                    self._note_change(meter)
        if len(said) == 1:
            return said[0]
        wire = _garble([b"".join(part.wire for part in parts) for parts in said])
        return [Part(0.0, wire)] if wire else []

    def _speak(
        self, frame: Frame, wire: bytes, length: int, begins_s: float, sender: LineSettings | None = None
    ) -> None:
        """Put an answer on the line, unless somebody is on it."""
        if begins_s < self._talking_until_s:
            self._collide()
            return
        if not self.config.byte_true:
            self._put(self.line.to_master(wire, sender))
            self._count_answer(0.0, wire)
            return
        ideal_s = self.config.wire_s(length + len(wire)) + self._reply_delay_ms(frame)[0] / 1000
        self._talking_until_s = begins_s + self.config.wire_s(len(wire))
        self._speech += 1
        self._send(self._speech, wire, 0, begins_s, ideal_s, sender)

    def _count_answer(self, ideal_s: float, wire: bytes) -> None:
        """Only an answer that went out whole counts, with the least time that its transaction needs."""
        self.counters.answers += 1
        self.counters.bytes_out += len(wire)
        self.counters.ideal_s += ideal_s

    def _send(
        self, speech: int, wire: bytes, start: int, begins_s: float, ideal_s: float, sender: LineSettings | None
    ) -> None:
        """Send the next chunk when its last byte has had its time, then the one after it."""
        end = len(wire) if self.port.takes_time else min(start + (self.config.chunk_bytes or len(wire)), len(wire))

        def write_chunk() -> None:
            if speech != self._speech:
                return
            self._put(self.line.to_master(wire[start:end], sender))
            if end < len(wire):
                self._send(speech, wire, end, begins_s, ideal_s, sender)
            else:
                self._talking_until_s = 0.0
                self._count_answer(ideal_s, wire)

        self._env.call_at(begins_s + self._wire_s(end), write_chunk)

    def _answers(self, frame: Frame, at_ms: int) -> bytes:
        said = []
        for meter in self._addressed(frame.address):
            reply = answer(meter, frame, at_ms)
            if reply is not None:
                said.append(encode(reply, self._preamble(meter)))
                if frame.control in CHANGES:
                    self._note_change(meter)
        return said[0] if len(said) == 1 else _garble(said)

    def _preamble(self, meter: Meter) -> int:
        own = meter.profile.preamble
        return self.config.preamble if own is None else own

    def _reply_delay_ms(self, frame: Frame) -> tuple[int, int]:
        """Td of the meter that is asked, where its vendor has one; otherwise the line's."""
        meter = self.meters.named(frame.address)
        own = None if meter is None else meter.profile.reply_delay_ms
        return self.config.reply_delay_ms if own is None else own

    def _addressed(self, address: str) -> list[Meter]:
        meter = self.meters.named(self._renamed.get(address, address))
        if meter is not None:
            return [meter] if not self._rates_differ or self._at_rate(meter) else []
        if address.isdecimal() and address != "9" * 12:
            return []
        return [meter for meter in self.meters.values() if not self._rates_differ or self._at_rate(meter)]

    def _note_change(self, meter: Meter) -> None:
        """A meter has got another address or another rate; a new rate holds once its answer is over."""
        if meter.address != meter.config.address:
            self._renamed[meter.address] = meter.config.address
        if meter.notes.baud is not None:
            self._rate_changes = True

    def _at_rate(self, meter: Meter) -> bool:
        """A meter that was told another rate is deaf on a line that stays at the old one."""
        return meter.notes.baud in (None, self.config.baud)

    def _follow_rate(self) -> None:
        """The line goes at another rate once all its meters do; until then those that changed are deaf."""
        self._rate_changes = False
        rates = {meter.notes.baud or self.config.baud for meter in self.meters.values()}
        if len(rates) == 1:
            self.config = replace(self.config, baud=rates.pop())
            self.line.meters_at(self.config)
        self._rates_differ = any(not self._at_rate(meter) for meter in self.meters.values())

    def summary(self, elapsed_s: float) -> Mapping[str, float | int | str]:
        """Counters with the share of the elapsed machine time that the wire could not have done without."""
        counters = self.counters
        return {
            "bus": self.config.bus_id,
            "meters": len(self.meters),
            "requests": counters.requests,
            "answers": counters.answers,
            "unanswered": counters.unanswered,
            "collisions": counters.collisions,
            "bad_sums": self.decoder.bad_sums,
            "garbage_bytes": self.decoder.garbage_bytes,
            "bytes_in": counters.bytes_in,
            "bytes_out": counters.bytes_out,
            "dropped_bytes": self.port.dropped_bytes,
            "flipped_bits": self.line.flipped_bits,
            "mismatched_bytes": self.line.mismatched_bytes,
            "ideal_s": round(counters.ideal_s, 6),
            "utilisation": round(counters.ideal_s / elapsed_s, 4) if elapsed_s > 0 else 0.0,
        }


def _garble(said: list[bytes]) -> bytes:
    """Several meters at once: the line is low where any of them pulls it low; nobody at all is silence."""
    length = max(map(len, said), default=0)
    line = bytearray(b"\xff" * length)
    for wire in said:
        for index, byte in enumerate(wire):
            line[index] &= byte
    return bytes(line)
