"""Finds out by asking which edition a meter speaks, which habits it has, and which known profile that is.

Sans-IO: send `next_step()` at its baud while it is not None, then call `answered` or `silent`. A meter of 2007 is
silent to, or refuses, the reads of 1997, and a meter of 1997 is silent to those of 2007. Any answer, a refusal too,
names the edition; then its habits are tried with reads alone, nothing is ever written. One meter on the line is
needed for a wildcard.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from core.dlt645 import edition1997 as old
from core.dlt645.commands import ANY_ADDRESS, BROADCAST_ADDRESS, Command, Read, ReadAddress
from core.dlt645.frame import Frame
from core.dlt645.identifiers import ENERGY_BLOCK, ENERGY_TOTAL, REMAINING_AMOUNT
from core.dlt645.profiles import EDITION_1997, EDITION_2007, PROFILES, Profile
from core.dlt645.values import address_from_bytes
from core.errors import ProtocolMisuse

BAUDS = (2400, 9600, 1200, 4800)
COMBINED_BLOCK = 0x0000FF00
SETTLED_BLOCK = 0x0001FF01
TRAITS_MIN = 2  # a profile is named only when so many of its habits were seen and none was contradicted

# Habit and what is read for it; the broadcast read only where the meter is alone on the line.
_HABITS_2007 = (
    ("energy_block", ENERGY_BLOCK), ("combined_block", COMBINED_BLOCK), ("settled_block", SETTLED_BLOCK),
    ("remaining_amount", REMAINING_AMOUNT),
)  # fmt: skip
_HABITS_1997 = (("energy_block", old.ENERGY_BLOCK_97), ("reads_to_broadcast", old.ENERGY_TOTAL_97))
_TRAITS = ("energy_block", "combined_block", "settled_block", "reads_to_broadcast", "reply_preamble")


@dataclass(frozen=True, slots=True)
class Step:
    """One question and the line rate to ask it at."""

    baud: int
    edition: str
    command: Command


@dataclass(frozen=True, slots=True)
class Found:
    """What the meter has shown; None is what was not learned. `latency_s` is the longest seen.

    `reply_preamble` are the waking bytes before its replies; the habits mean what they mean in a `Profile`, and
    `remaining_amount` whether it serves 00900200.
    """

    edition: str
    baud: int
    address: str | None = None
    energy_block: bool | None = None
    remaining_amount: bool | None = None
    latency_s: float = 0.0
    combined_block: bool | None = None
    settled_block: bool | None = None
    reads_to_broadcast: bool | None = None
    reply_preamble: int | None = None

    @property
    def profile(self) -> Profile:
        """The one known profile that fits best, or the standard of the edition where none stands out."""
        scores = {name: score for name, one in PROFILES.items() if (score := _score(one, self)) >= TRAITS_MIN}
        best = [name for name, score in scores.items() if score == max(scores.values())]
        return PROFILES[best[0] if len(best) == 1 else f"standard-{self.edition}"]


def _score(profile: Profile, found: Found) -> int:
    """How many habits of the profile were seen; 0 where the edition, a habit or the haste contradicts it."""
    if profile.edition != found.edition or 0 < found.latency_s < (profile.reply_delay_min_s or 0):
        return 0
    known = [(getattr(profile, name), getattr(found, name)) for name in _TRAITS]
    both = [(stated, seen) for stated, seen in known if stated is not None and seen is not None]
    return len(both) if all(stated == seen for stated, seen in both) else 0


class Detection:
    """Asks one meter; `address` AA..AA for the only one on the line."""

    def __init__(self, address: str = ANY_ADDRESS, bauds: Sequence[int] = BAUDS) -> None:
        if not bauds:
            raise ProtocolMisuse("name at least one baud rate to try")
        self._address = address
        self._questions = self._editions(bauds)
        self._habits: list[tuple[str, int]] = []
        self._step: Step | None = next(self._questions)
        self.found: Found | None = None

    def next_step(self) -> Step | None:
        """What to ask now, or None when done; `found` is None then if nobody ever answered."""
        return self._step

    def answered(self, reply: Frame, latency_s: float = 0.0, preamble: int | None = None) -> None:
        """Take the reply to the current question, a refusal included; `ProtocolMisuse` if it is to another.

        preamble: how many waking bytes came before it, where the line tells.
        """
        step = self._step
        if step is None or not step.command.match(reply):
            raise ProtocolMisuse(f"reply {reply.control:02X}H of {reply.address} answers no question of ours")
        if self.found is None:
            self.found = Found(step.edition, step.baud)
            self._habits = self._habits_of(step.edition)
        else:
            self._learn(not reply.abnormal)
        address = _named(reply) or self.found.address
        latency_s = max(self.found.latency_s, latency_s)
        preamble = self.found.reply_preamble if preamble is None else preamble
        self.found = replace(self.found, address=address, latency_s=latency_s, reply_preamble=preamble)
        self._ask_habit()

    def silent(self) -> None:
        """The current question got no answer in time."""
        if self._step is None:
            raise ProtocolMisuse("nothing was asked")
        if self.found is None:
            self._step = next(self._questions, None)
            return
        self._learn(False if self._habits[:1] == [_HABITS_1997[1]] else None)
        self._ask_habit()

    def _habits_of(self, edition: str) -> list[tuple[str, int]]:
        if edition == EDITION_2007:
            return list(_HABITS_2007)
        return list(_HABITS_1997 if self._address == ANY_ADDRESS else _HABITS_1997[:1])

    def _editions(self, bauds: Sequence[int]) -> Iterator[Step]:
        for baud in bauds:
            if self._address == ANY_ADDRESS:
                yield Step(baud, EDITION_2007, ReadAddress(ANY_ADDRESS))
            yield Step(baud, EDITION_2007, Read(self._address, ENERGY_TOTAL))
            for di in (old.ENERGY_TOTAL_97, old.METER_NUMBER_97):
                yield Step(baud, EDITION_1997, old.Read97(self._address, di))

    def _learn(self, has: bool | None) -> None:
        if self.found is not None and self._habits:
            name, _di = self._habits.pop(0)
            self.found = replace(self.found, **{name: has})  # type: ignore[arg-type]

    def _ask_habit(self) -> None:
        found = self.found
        if found is None or not self._habits:
            self._step = None
            return
        name, di = self._habits[0]
        address = BROADCAST_ADDRESS if name == "reads_to_broadcast" else found.address or self._address
        command: Command = Read(address, di) if found.edition == EDITION_2007 else old.Read97(address, di)
        self._step = Step(found.baud, found.edition, command)


def _named(reply: Frame) -> str | None:
    """The meter's own address in a reply; those of 1997 that echo a wildcard tell it with the meter number at most."""
    if reply.address.isdecimal() and reply.address != BROADCAST_ADDRESS:
        return reply.address
    text = address_from_bytes(reply.data[2:]) if old.identifier_97(reply) == old.METER_NUMBER_97 else ""
    return text if len(text) == 12 and text.isdecimal() else None
