"""Finds the meters on a shared bus by asking shortened addresses; sans-IO, for both editions.

    AA..AA --silence----------------------> nobody speaks this edition here
           --one answer and nothing else--> the meter that it names is asked alone: found
           --noise or several answers-----> the same for 00..99 as its last digits, two more digits each time

Send `next_probe()` while it is not None and tell `heard` what came, frames that answer nothing else included. It
reads only. What it cannot tell is kept: `clashes` are full addresses at which several meters speak, `nameless` the
patterns whose answer hides the address (AA comes back), `doubts` the patterns where more was heard than was found.
Two meters of one address whose registers stand equal, too, answer as one and stay unnoticed.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.dlt645 import edition1997 as old
from core.dlt645.commands import BROADCAST_ADDRESS, READ_ADDRESS, Read, ReadAddress, shortened_address
from core.dlt645.frame import REPLY_BIT, Frame
from core.dlt645.identifiers import ENERGY_TOTAL
from core.dlt645.profiles import EDITION_1997, EDITION_2007
from core.dlt645.values import address_from_bytes

DIGITS = 12
PROBES_MAX = 20_000  # a line that babbles answers every question; a bus of 64 meters needs a few hundred
SURE_TRIES = 3  # a full address is asked so often before noise there counts as two meters


@dataclass(frozen=True, slots=True)
class Heard:
    """What the line brought after one probe: sound frames of any meter, and bytes that belonged to none."""

    frames: tuple[Any, ...] = ()
    garbage_bytes: int = 0
    latency_s: float = 0.0

    @property
    def is_silent(self) -> bool:
        """Whether nothing came at all."""
        return not self.frames and not self.garbage_bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to a pattern that anybody may answer: every reply of its function counts, an echoed pattern too.

    To a full address, only its own answer does.
    """

    request: Frame

    @property
    def address(self) -> str:
        """The pattern that was asked."""
        return self.request.address

    @property
    def expects_reply(self) -> bool:
        """Always: what nobody answers is not asked here."""
        return True

    def to_frame(self) -> Frame:
        """The request."""
        return self.request

    def match(self, reply: Frame) -> bool:
        """Whether a meter speaks, of this function and, where one was named, the one that was asked."""
        fits = not self.address.isdecimal() or self.address in (reply.address, BROADCAST_ADDRESS)
        return fits and reply.is_reply and reply.function == self.request.function


Asking = Generator[Asked, Heard, bool]
Question = Callable[[str], Frame]

# What is asked of a pattern, the surest first, and what of a full address.
_QUESTIONS: Mapping[str, Sequence[Question]] = {
    EDITION_2007: (
        lambda pattern: ReadAddress(pattern).to_frame(),
        lambda pattern: Read(pattern, ENERGY_TOTAL).to_frame(),
    ),
    EDITION_1997: (
        lambda pattern: old.Read97(pattern, old.ENERGY_TOTAL_97).to_frame(),
        lambda pattern: old.Read97(pattern, old.METER_NUMBER_97).to_frame(),
    ),
}
_ALONE: Mapping[str, Question] = {
    EDITION_2007: lambda address: Read(address, ENERGY_TOTAL).to_frame(),
    EDITION_1997: lambda address: old.Read97(address, old.ENERGY_TOTAL_97).to_frame(),
}


class AddressSearch:
    """Searches one edition on a line whose settings are right; the caller tries others with another search.

    `thorough` asks every question even where the first has found somebody, for buses with meters that answer only
    some; it takes twice as long. `tries` is how often silence is asked again.
    """

    def __init__(self, edition: str, *, tries: int = 1, thorough: bool = False, probes_max: int = PROBES_MAX) -> None:
        self.edition = edition
        self.found: list[str] = []
        self.clashes: list[str] = []
        self.nameless: list[str] = []
        self.doubts: list[str] = []
        self.probes = 0
        self.gave_up = False
        self._tries = tries
        self._thorough = thorough
        self._probes_max = probes_max
        self._steps = self._search()
        self._probe: Asked | None = next(self._steps, None)

    def next_probe(self) -> Asked | None:
        """What to ask now, or None when the search is over."""
        return self._probe

    def heard(self, heard: Heard) -> None:
        """Take what came after the probe."""
        self.probes += 1
        if self.probes >= self._probes_max:
            self.gave_up, self._probe = True, None
            return
        try:
            self._probe = self._steps.send(heard)
        except StopIteration:
            self._probe = None

    @property
    def pattern(self) -> str:
        """What is being asked, for a display of progress; empty when the search is over."""
        return "" if self._probe is None else self._probe.address

    def _search(self) -> Asking:
        for question in _QUESTIONS[self.edition]:
            yield from self._branch("", question)
            if (self.found or self.clashes) and not self._thorough:
                return True
        if self.edition == EDITION_1997 and not self._told:
            yield from self._everybody()
        return False

    def _everybody(self) -> Asking:
        """Meters of 1997 need not know shortened addresses, but many answer reads to 99..99: then one names itself."""
        heard = yield from self._ask(old.Read97(BROADCAST_ADDRESS, old.ENERGY_TOTAL_97).to_frame())
        names = {name for frame in heard.frames if (name := name_in(frame)) is not None}
        known = False
        for name in sorted(names - {BROADCAST_ADDRESS}):
            known |= yield from self._alone(name)
        if not heard.is_silent and not (known and len(heard.frames) == 1 and not heard.garbage_bytes):
            self.doubts.append(BROADCAST_ADDRESS)
        return known

    def _branch(self, digits: str, question: Question) -> Asking:
        """Ask the meters whose address ends in `digits`; whether anybody spoke."""
        if len(digits) == DIGITS:
            return (yield from self._alone(digits))
        pattern = shortened_address(digits)
        heard = yield from self._ask(question(pattern))
        if heard.is_silent:
            return False
        names = {name for frame in heard.frames if (name := name_in(frame)) is not None}
        known = False
        for name in sorted(names):
            known |= yield from self._alone(name)
        one_speaker = len(heard.frames) == 1 and not heard.garbage_bytes
        if one_speaker and known:
            return True
        if one_speaker and not names and not heard.frames[0].address.isdecimal():
            yield from self._unveil(pattern)
            return True
        yield from self._descend(digits, question)
        return True

    def _descend(self, digits: str, question: Question) -> Asking:
        before = self._told
        for pair in range(100):
            yield from self._branch(f"{pair:02d}{digits}", question)
        below = {one for one in (*self.found, *self.clashes) if one.endswith(digits)}
        if len(below) < 2 and self._told - before < 2:
            self.doubts.append(shortened_address(digits))
        return True

    @property
    def _told(self) -> int:
        return len(self.found) + len(self.clashes) + len(self.nameless) + len(self.doubts)

    def _unveil(self, pattern: str) -> Asking:
        """A meter that sends the pattern back may tell its number; that it is its address, only itself can say."""
        if self.edition == EDITION_1997:
            heard = yield from self._ask(old.Read97(pattern, old.METER_NUMBER_97).to_frame())
            names = [name for frame in heard.frames if (name := name_in(frame)) is not None]
            if len(names) == 1 and (yield from self._alone(names[0])):
                return True
        self.nameless.append(pattern)
        return False

    def _alone(self, address: str) -> Asking:
        """Ask one full address; whether one meter, or more than one, speaks there."""
        if address in self.found or address in self.clashes:
            return True
        noisy = False
        for _ in range(SURE_TRIES):
            heard = yield from self._ask(_ALONE[self.edition](address))
            own = [frame for frame in heard.frames if frame.address == address]
            if len(own) == len(heard.frames) == 1 and not heard.garbage_bytes:
                self.found.append(address)
                return True
            if heard.is_silent and not noisy:
                return False
            noisy = True
        self.clashes.append(address)
        return True

    def _ask(self, request: Frame) -> Generator[Asked, Heard, Heard]:
        heard = Heard()
        for _ in range(self._tries):
            heard = yield Asked(request)
            if not heard.is_silent:
                break
        return heard


def name_in(reply: Frame) -> str | None:
    """The address of the meter that speaks, or None where it is hidden or says two different things."""
    told: str | None = None
    if reply.control == READ_ADDRESS | REPLY_BIT and len(reply.data) == DIGITS // 2:
        told = address_from_bytes(reply.data)
    elif old.identifier_97(reply) == old.METER_NUMBER_97:
        told = address_from_bytes(reply.data[2:])
        if reply.address.isdecimal():
            told = reply.address  # a number need not be the address, and here the address is known
    elif reply.address.isdecimal():
        told = reply.address
    if told is None or len(told) != DIGITS or not told.isdecimal():
        return None
    return told if not reply.address.isdecimal() or reply.address == told else None  # a collision mixes the two
