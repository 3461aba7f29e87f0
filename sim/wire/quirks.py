"""What can be wrong with how a line or a meter hears and answers, applied between the meters and the wire.

A quirk sits on one meter or on the whole line and may change what is heard, one meter's reply, and the parts in which
an answer goes out: how long after the moment when it should have begun, and which bytes. A line without quirks never
gets here. A stranger is a meter that is set otherwise than its line: it hears with its own UART, understands only a
client that is set like it, and everybody else gets garbage from it. A double is a meter that answers to the address
of another one, and no longer to its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from core.dlt645.frame import Frame
from sim.meters import Meter
from sim.wire.ear import Ear, Reply
from sim.wire.line import Line
from sim.wire.uart import LineSettings


class Part(NamedTuple):
    """Bytes of an answer, how many machine seconds after its beginning they begin, and a sender set otherwise."""

    after_s: float
    wire: bytes
    sender: LineSettings | None = None


class Quirk:
    """Nothing wrong; kinds of faults override what they spoil."""

    def hears(self, data: bytes) -> bytes:
        """What arrives of the master's bytes."""
        return data

    def reply(self, request: Any, reply: Reply) -> Reply:
        """What one meter says."""
        return reply

    def preamble(self, bytes_: int) -> int:
        """How many FE lead it."""
        return bytes_

    def parts(self, parts: list[Part]) -> list[Part]:
        """How it goes out; no parts are silence."""
        return parts


@dataclass(slots=True)
class Stranger:
    """A meter whose UART is set otherwise than the line."""

    meter: Meter
    settings: LineSettings
    ear: Ear


class Oddities:
    """All quirks of one bus."""

    def __init__(self) -> None:
        self._line: list[Quirk] = []
        self._meters: dict[int, list[Quirk]] = {}
        self.strangers: dict[int, Stranger] = {}
        self.doubles: dict[int, str] = {}

    def __bool__(self) -> bool:
        return bool(self._line or self._meters or self.strangers or self.doubles)

    def add(self, quirk: Quirk, index: int | None) -> None:
        """A quirk begins, of the meter with this index or of the line."""
        (self._line if index is None else self._meters.setdefault(index, [])).append(quirk)

    def remove(self, quirk: Quirk, index: int | None) -> None:
        """A quirk is over."""
        if index is None:
            self._line.remove(quirk)
            return
        self._meters[index].remove(quirk)
        if not self._meters[index]:
            del self._meters[index]

    def hear(self, data: bytes) -> bytes:
        """What arrives at the meters."""
        for quirk in self._line:
            data = quirk.hears(data)
        return data

    def understood(self, data: bytes, line: Line, silence_s: float) -> Iterator[tuple[Stranger, Any]]:
        """What strangers understand of the master's bytes."""
        data = self.hear(data)
        for stranger in self.strangers.values():
            heard = line.carry(data, line.client, stranger.settings)
            for request in stranger.ear.hear(heard, silence_s):
                yield stranger, request

    def hearers(self, request: Any, addressed: list[Meter], meters: dict[int, Meter]) -> list[tuple[Meter, Any]]:
        """The meters that take a request for theirs, each with the request as it sees it."""
        found = [(m, request) for m in addressed if m.index not in self.strangers and m.index not in self.doubles]
        for index, address in self.doubles.items():
            if address == request.address and index in meters:
                found.append((meters[index], replace(request, address=meters[index].line_address)))
        return found

    def said(self, meter: Meter, request: Any, reply: Reply, preamble: int) -> list[Part]:
        """How the reply of one meter to a request (as the master sent it) goes out."""
        if meter.index in self.doubles and isinstance(reply, Frame):
            reply = replace(reply, address=request.address)
        quirks = [*self._meters.get(meter.index, ()), *self._line]
        for quirk in quirks:
            reply, preamble = quirk.reply(request, reply), quirk.preamble(preamble)
        stranger = self.strangers.get(meter.index)
        parts = [Part(0.0, reply.to_wire(preamble), None if stranger is None else stranger.settings)]
        for quirk in quirks:
            parts = quirk.parts(parts)
        return [part for part in parts if part.wire]
