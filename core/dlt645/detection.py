"""Finds out by asking which edition a meter speaks and which habits it has.

Sans-IO: send `next_step()` at its baud while it is not None, then call `answered` or `silent`. A meter of 2007 is
silent to, or refuses, the reads of 1997, and a meter of 1997 is silent to those of 2007. Any answer, a refusal too,
names the edition; then the energy block and the money left are tried. One meter on the line is needed for a wildcard.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from core.dlt645 import edition1997 as old
from core.dlt645.commands import ANY_ADDRESS, Command, Read, ReadAddress
from core.dlt645.frame import Frame
from core.dlt645.identifiers import ENERGY_BLOCK, ENERGY_TOTAL, REMAINING_AMOUNT
from core.dlt645.profiles import EDITION_1997, EDITION_2007
from core.dlt645.values import address_from_bytes
from core.errors import ProtocolMisuse

BAUDS = (2400, 9600, 1200, 4800)


@dataclass(frozen=True, slots=True)
class Step:
    """One question and the line rate to ask it at."""

    baud: int
    edition: str
    command: Command


@dataclass(frozen=True, slots=True)
class Found:
    """What the meter has shown; None is what was not learned. `latency_s` is the longest seen."""

    edition: str
    baud: int
    address: str | None = None
    energy_block: bool | None = None
    remaining_amount: bool | None = None
    latency_s: float = 0.0


class Detection:
    """Asks one meter; `address` AA..AA for the only one on the line."""

    def __init__(self, address: str = ANY_ADDRESS, bauds: Sequence[int] = BAUDS) -> None:
        if not bauds:
            raise ProtocolMisuse("name at least one baud rate to try")
        self._address = address
        self._questions = self._editions(bauds)
        self._habits: list[int] = []
        self._step: Step | None = next(self._questions)
        self.found: Found | None = None

    def next_step(self) -> Step | None:
        """What to ask now, or None when done; `found` is None then if nobody ever answered."""
        return self._step

    def answered(self, reply: Frame, latency_s: float = 0.0) -> None:
        """Take the reply to the current question, a refusal included; `ProtocolMisuse` if it is to another."""
        step = self._step
        if step is None or not step.command.match(reply):
            raise ProtocolMisuse(f"reply {reply.control:02X}H of {reply.address} answers no question of ours")
        if self.found is None:
            self.found = Found(step.edition, step.baud)
            self._habits = [] if step.edition == EDITION_1997 else [ENERGY_BLOCK, REMAINING_AMOUNT]
        else:
            self._learn(not reply.abnormal)
        address = _named(reply) or self.found.address
        self.found = replace(self.found, address=address, latency_s=max(self.found.latency_s, latency_s))
        self._ask_habit()

    def silent(self) -> None:
        """The current question got no answer in time."""
        if self._step is None:
            raise ProtocolMisuse("nothing was asked")
        if self.found is None:
            self._step = next(self._questions, None)
            return
        self._learn(None)
        self._ask_habit()

    def _editions(self, bauds: Sequence[int]) -> Iterator[Step]:
        for baud in bauds:
            if self._address == ANY_ADDRESS:
                yield Step(baud, EDITION_2007, ReadAddress(ANY_ADDRESS))
            yield Step(baud, EDITION_2007, Read(self._address, ENERGY_TOTAL))
            for di in (old.ENERGY_TOTAL_97, old.METER_NUMBER_97):
                yield Step(baud, EDITION_1997, old.Read97(self._address, di))

    def _learn(self, has: bool | None) -> None:
        if self.found is None or not self._habits:
            return
        if self._habits.pop(0) == ENERGY_BLOCK:
            self.found = replace(self.found, energy_block=has)
        else:
            self.found = replace(self.found, remaining_amount=has)

    def _ask_habit(self) -> None:
        found = self.found
        if found is None or not self._habits:
            self._step = None
            return
        address = found.address or self._address
        self._step = Step(found.baud, found.edition, Read(address, self._habits[0]))


def _named(reply: Frame) -> str | None:
    """The meter's own address in a reply; meters that echo AA tell it in 93H and with the meter number at most."""
    if reply.address.isdecimal() and reply.address != "9" * 12:
        return reply.address
    stated = b""
    if reply.control == 0x93:
        stated = reply.data
    elif old.identifier_97(reply) == old.METER_NUMBER_97:
        stated = reply.data[2:]
    text = address_from_bytes(stated)
    return text if len(text) == 12 and text.isdecimal() else None
