"""One half-duplex RS-485 line: who hears what, and when each byte is on the wire.

Bytes of a burst arrive one after another: a request is complete when the last of its bytes has had its bit times at
the bus's baud. The meter answers Td later and its bytes take their time again, sent in chunks, each written when its
last byte would have arrived, never earlier. All deadlines are absolute, so nothing drifts. Every meter hears every
byte, through the ear of its protocol (`sim.wire.ear`); several answers at once garble each other (bits pull the line
low, so the bytes are and-ed); a request that is on the line together with an answer, whichever began first, is
destroyed and destroys it. With wire = "none" answers come at once and no event is needed.

The line's ideal time (request + Td + answer) is added up, so that any run can say how much of the possible it
used.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sim.errors import RecordingError
from sim.estate import BusConfig
from sim.meters import Meter
from sim.ports import Port
from sim.timing.clock import Environment
from sim.wire.delay import Delays
from sim.wire.ear import Ear
from sim.wire.line import Line
from sim.wire.quirks import Oddities, Part
from sim.wire.recording import MASTER, METERS, Recorder
from sim.wire.uart import LineSettings


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
    recordings_failed: int = 0


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
        ears: Sequence[Ear],
    ) -> None:
        self.config = config
        self.port = port
        self.counters = BusCounters()
        self._ears = tuple(ears)
        self._at_once = ears[0].at_once if len(ears) == 1 and not config.byte_true and not config.echo else None
        self._env = env
        self._world_ms = world_ms
        self._delays = Delays(config.delay_spread, delays)
        self.line = Line(config, port, noise)
        self._recorder: Recorder | None = None
        self._rate_changes = False
        self._received_s = 0.0
        self._spoiled_s = 0.0, 0.0
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
            self._note(now_s, MASTER, data)
        if self._rate_changes:
            self._follow_rate()
        heard = self.line.to_meters(data)
        if self.odd:
            heard = self.odd.hear(heard)
        elif self._at_once is not None and (wire := self._at_once(heard, self._world_ms(now_s))) is not None:
            self._said_at_once(wire, now_s)
            return
        silence_s = now_s - self._received_s
        if silence_s > 0:
            self._received_s = now_s
        if self.config.byte_true:
            self._received_s += self._wire_s(len(data))
        if self.config.echo:
            self._put(data)
        if now_s < self._talking_until_s:
            self._collide()
            return
        understood = [(ear, request) for ear in self._ears for request in ear.hear(heard, silence_s)]
        for ear, request in understood:
            self._hear(ear, request, now_s)
        if self.odd.strangers:
            for stranger, request in self.odd.understood(data, self.line, silence_s):
                self._hear(stranger.ear, request, now_s, stranger.meter)

    def _said_at_once(self, wire: bytes, now_s: float) -> None:
        """The one question that had just come was understood, and is answered without an event."""
        self._received_s = max(self._received_s, now_s)
        self._unheard_bytes = 0
        counters = self.counters
        counters.requests += 1
        self._put(self.line.to_master(wire))
        counters.answers += 1
        counters.bytes_out += len(wire)

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
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        try:
            recorder.close()
        except RecordingError as error:
            self._give_up(error)

    def _note(self, at_s: float, sender: int, data: bytes) -> None:
        """Record one write; a full disk ends the recording, never the wire."""
        assert self._recorder is not None
        try:
            self._recorder.note(at_s, sender, data)
        except RecordingError as error:
            recorder, self._recorder = self._recorder, None
            with suppress(RecordingError):
                recorder.close()
            self._give_up(error)

    def _give_up(self, error: RecordingError) -> None:
        self.counters.recordings_failed += 1
        sys.stderr.write(f"estate645-sim: {self.config.bus_id}: recording ended: {error}\n")

    def close(self) -> None:
        """Finish the recording and give the port back."""
        self.stop_recording()
        self.port.close()

    def blurt(self, data: bytes) -> None:
        """Bytes that nobody asked for."""
        self._put(self.line.to_master(data))

    def come_back(self, banner: bytes) -> None:
        """The device between line and network is up again and says something."""
        self.port.mend()
        self.blurt(banner)

    def _put(self, data: bytes) -> None:
        """Hand bytes to the port and note them."""
        if self._recorder is not None and data:
            self._note(self._env.time_s, METERS, data)
        self.port.write(data)

    def _collide(self) -> None:
        """Somebody speaks into an answer: neither is understood."""
        self.counters.collisions += 1
        for ear in self._ears:
            ear.reset()
        self._speech += 1
        self._talking_until_s = 0.0

    def _hear(self, ear: Ear, request: Any, now_s: float, stranger: Meter | None = None) -> None:
        unheard_bytes, self._unheard_bytes = self._unheard_bytes, 0
        if request.is_reply:
            return
        self.counters.requests += 1
        if not self.config.byte_true:
            if len(self._ears) > 1:
                for other in self._ears:
                    other.rest()
            self._say(ear, request, 0.0, now_s, stranger)
            return
        least_ms, most_ms = ear.reply_delay_ms(request)
        asked_s = self.config.wire_s(ear.length(request, unheard_bytes)) + least_ms / 1000
        delay_ms = self._delays.draw_ms(request.address, least_ms, most_ms)
        ends_s = self._received_s
        begins_s = ends_s + delay_ms / 1000
        self._env.call_at(begins_s, lambda: self._say_if_whole(ear, request, asked_s, ends_s, begins_s, stranger))

    def _say_if_whole(
        self, ear: Ear, request: Any, asked_s: float, ends_s: float, begins_s: float, stranger: Meter | None
    ) -> None:
        """Let the meters answer, unless somebody spoke into the request; then nobody has understood it."""
        since_s, until_s = self._spoiled_s
        if since_s < ends_s <= until_s:
            self.counters.unanswered += 1
        else:
            self._say(ear, request, asked_s, begins_s, stranger)

    def _say(self, ear: Ear, request: Any, asked_s: float, begins_s: float, stranger: Meter | None = None) -> None:
        """Let the meters answer at the moment when the answer begins; `asked_s` is the least time until then."""
        if self.odd:
            self._say_oddly(ear, request, asked_s, begins_s, stranger)
            return
        said = ear.answers(request, self._world_ms(begins_s))
        if ear.baud_changed:
            self._note_rate(ear)
        wire = said[0] if len(said) == 1 else _garble(said)
        if wire:
            self._speak(wire, asked_s, begins_s)
        else:
            self.counters.unanswered += 1

    def _say_oddly(self, ear: Ear, request: Any, asked_s: float, begins_s: float, stranger: Meter | None) -> None:
        """Let the meters answer with all that is wrong with them, at once or later, whole or in parts."""
        parts = self._odd_answers(ear, request, self._world_ms(begins_s), stranger)
        if not parts:
            self.counters.unanswered += 1
        for part in parts:
            if part.after_s:
                due_s = begins_s + part.after_s
                self._env.call_at(due_s, partial(self._speak, part.wire, asked_s, due_s, part.sender))
            else:
                self._speak(part.wire, asked_s, begins_s, part.sender)

    def _odd_answers(self, ear: Ear, request: Any, at_ms: int, stranger: Meter | None) -> list[Part]:
        """The parts of the one answer, or what several answers at once make of each other."""
        if stranger is None:
            everybody = {meter.index: meter for meter in ear.everybody()} if self.odd.doubles else {}
            hearers = self.odd.hearers(request, ear.addressed(request), everybody)
        else:
            hearers = [(stranger, request)]
        said = []
        for meter, heard in hearers:
            reply = ear.answer(meter, heard, at_ms)
            if reply is not None:
                said.append(self.odd.said(meter, request, reply, ear.preamble(meter)))
        if ear.baud_changed:
            self._note_rate(ear)
        if len(said) == 1:
            return said[0]
        wire = _garble([b"".join(part.wire for part in parts) for parts in said])
        return [Part(0.0, wire)] if wire else []

    def _speak(self, wire: bytes, asked_s: float, begins_s: float, sender: LineSettings | None = None) -> None:
        """Put an answer on the line, unless somebody is on it."""
        if begins_s < self._talking_until_s:
            self._collide()
            return
        if self.config.byte_true and begins_s < self._received_s:
            self._spoiled_s = begins_s, self._received_s
            self._collide()
            return
        if not self.config.byte_true:
            self._put(self.line.to_master(wire, sender))
            self._count_answer(0.0, wire)
            return
        wire_s = self.config.wire_s(len(wire))
        ideal_s = asked_s + wire_s
        self._talking_until_s = begins_s + wire_s
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

    def _note_rate(self, ear: Ear) -> None:
        """A meter was given another rate; it holds once its answer is over."""
        ear.baud_changed, self._rate_changes = False, True

    def _follow_rate(self) -> None:
        """The line goes at another rate once all its meters do; until then those that changed are deaf."""
        self._rate_changes = False
        rates = set().union(*(ear.rates() for ear in self._ears))
        if len(rates) == 1:
            self.config = replace(self.config, baud=rates.pop())
            self.line.meters_at(self.config)
        for ear in self._ears:
            ear.line_at(self.config.baud)

    def learn_editions(self) -> None:
        """A meter of the line speaks another edition than before."""
        for ear in self._ears:
            ear.learn_editions()

    def meters(self) -> Iterator[Meter]:
        """All meters of the line, whatever they speak."""
        return (meter for ear in self._ears for meter in ear.everybody())

    @property
    def garbage_bytes(self) -> int:
        """Bytes that no protocol of the line made sense of."""
        first, *others = self._ears
        return max(0, first.garbage_bytes - sum(ear.taken_bytes for ear in others))

    def summary(self, elapsed_s: float) -> Mapping[str, float | int | str]:
        """Counters with the share of the elapsed machine time that the wire could not have done without."""
        counters = self.counters
        return {
            "bus": self.config.bus_id,
            "meters": sum(len(ear) for ear in self._ears),
            "requests": counters.requests,
            "answers": counters.answers,
            "unanswered": counters.unanswered,
            "collisions": counters.collisions,
            "bad_sums": self._ears[0].bad_sums,
            "garbage_bytes": self.garbage_bytes,
            "bytes_in": counters.bytes_in,
            "bytes_out": counters.bytes_out,
            "port_up": self.port.state.up,
            "port_losses": self.port.state.losses,
            "refused_clients": self.port.state.refused_clients,
            "dropped_bytes": self.port.state.dropped_bytes,
            "flipped_bits": self.line.flipped_bits,
            "mismatched_bytes": self.line.mismatched_bytes,
            "recordings_failed": counters.recordings_failed,
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
