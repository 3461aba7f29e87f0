"""Finds out by asking which edition a meter speaks, which habits it has, and which known profile that is.

Sans-IO: send `next_step()` at its baud while it is not None, then call `answered` or `silent`. A normal answer decides
the edition. A refusal does not: a meter of 2007 may refuse the reads of 1997, a locked or foreign one may refuse any.
So after a refusal both editions are tried at that rate, and where nothing but refusals came the edition is the likelier
one and said to be uncertain. Then its habits are tried with reads alone, nothing is ever written. One meter on the line
is needed for a wildcard.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from core.dlt645 import edition1997 as old
from core.dlt645.commands import ANY_ADDRESS, BROADCAST_ADDRESS, NO_SUCH_DATA, Command, Read, ReadAddress
from core.dlt645.frame import Frame
from core.dlt645.identifiers import ENERGY_BLOCK, ENERGY_TOTAL, REMAINING_AMOUNT
from core.dlt645.profiles import EDITION_1997, EDITION_2007, PROFILES, Profile, standard_of
from core.dlt645.values import address_from_bytes
from core.errors import ProtocolMisuse

BAUDS = (2400, 9600, 1200, 4800)
COMBINED_BLOCK = 0x0000FF00
SETTLED_BLOCK = 0x0001FF01
NORMAL, REFUSED, SILENT = "normal", "refused", "silent"

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
class Evidence:
    """What one question brought: `outcome` is normal, refused (with the meter's `err`) or silent."""

    step: Step
    outcome: str
    err: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What the meter has shown; None is what was not learned. `latency_s` is the longest seen.

    `reply_preamble` are the waking bytes before its replies; the habits mean what they mean in a `Profile`, and
    `remaining_amount` whether it serves 00900200. `edition_known` is False where nothing but refusals came; `evidence`
    is every question at its rate and what that brought.
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
    edition_known: bool = True
    evidence: tuple[Evidence, ...] = ()

    @property
    def profile(self) -> Profile:
        """The known profile where the evidence fits no other; else the standard with the habits that were seen."""
        named = [one for one in PROFILES.values() if self.edition_known and _is_sure(one, self)]
        return named[0] if len(named) == 1 else self._standard()

    def _standard(self) -> Profile:
        standard = standard_of(self.edition)
        seen = {name: getattr(self, name) for name in _TRAITS if getattr(self, name) is not None}
        delay_max_s = max(self.latency_s, standard.reply_delay_max_s or 0.0) or None
        return replace(standard, baud=self.baud, reply_delay_max_s=delay_max_s, **seen)


def _is_sure(profile: Profile, found: Found) -> bool:
    """Whether all that the profile states was seen, and one trait at least is shared by no other of its edition.

    What another profile does not state it may share, unless the standard's habit differs. A reply that came sooner
    than the profile's meters were ever seen to answer contradicts it; the time of bytes on the line only adds.
    """
    stated = {name: value for name in _TRAITS if (value := getattr(profile, name)) is not None}
    seen_all = all(getattr(found, name) == value for name, value in stated.items())
    if profile.edition != found.edition or not seen_all or found.latency_s < (profile.reply_delay_min_s or 0):
        return False
    others = [one for one in PROFILES.values() if one.edition == profile.edition and one.name != profile.name]
    return any(all(_habit(one, name) not in (None, value) for one in others) for name, value in stated.items())


def _habit(profile: Profile, name: str) -> object:
    """What the profile states, or else the standard of its edition; None where that leaves it to the meter."""
    stated = getattr(profile, name)
    return getattr(standard_of(profile.edition), name) if stated is None else stated


class Detection:
    """Asks one meter; `address` AA..AA for the only one on the line."""

    def __init__(self, address: str = ANY_ADDRESS, bauds: Sequence[int] = BAUDS) -> None:
        if not bauds:
            raise ProtocolMisuse("name at least one baud rate to try")
        self._address = address
        self._questions = self._editions(bauds)
        self._habits: list[tuple[str, int]] = []
        self._step: Step | None = next(self._questions)
        self._heard = Found(edition="", baud=0)
        self._is_decided = False

    @property
    def found(self) -> Found | None:
        """What the meter has shown so far; None until its edition is decided."""
        return self._heard if self._is_decided else None

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
        self._note(Evidence(step, REFUSED, reply.err) if reply.abnormal else Evidence(step, NORMAL))
        self._heard = replace(
            self._heard,
            address=_named(reply) or self._heard.address,
            latency_s=max(self._heard.latency_s, latency_s),
            reply_preamble=self._heard.reply_preamble if preamble is None else preamble,
            edition_known=self._heard.edition_known or not reply.abnormal,
        )
        if self._is_decided:
            self._learn(None if reply.abnormal and not reply.err & NO_SUCH_DATA else not reply.abnormal)
            self._ask_habit()
        elif reply.abnormal:
            self._ask_edition(step.baud)
        else:
            self._decide(step.edition, step.baud, known=True)

    def silent(self) -> None:
        """The current question got no answer in time."""
        step = self._step
        if step is None:
            raise ProtocolMisuse("nothing was asked")
        self._note(Evidence(step, SILENT))
        if not self._is_decided:
            self._ask_edition(step.baud)
            return
        self._learn(False if self._habits[:1] == [_HABITS_1997[1]] else None)
        self._ask_habit()

    def _note(self, evidence: Evidence) -> None:
        self._heard = replace(self._heard, evidence=(*self._heard.evidence, evidence))

    def _ask_edition(self, baud: int) -> None:
        """The next question; at the end of a rate at which a meter refused, that is its rate and no other is tried."""
        self._step = next(self._questions, None)
        if self._step is not None and self._step.baud == baud:
            return
        refusing = {one.step.edition for one in self._heard.evidence if one.outcome == REFUSED}
        if refusing:  # those of 1997 are silent to the reads of 2007, so who refuses these is of 2007
            self._decide(EDITION_2007 if EDITION_2007 in refusing else EDITION_1997, baud, known=False)
        else:
            self._heard = replace(self._heard, evidence=())

    def _decide(self, edition: str, baud: int, known: bool) -> None:
        self._heard = replace(self._heard, edition=edition, baud=baud, edition_known=known)
        self._is_decided = True
        self._habits = self._habits_of(edition)
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
        if self._habits:
            name, _di = self._habits.pop(0)
            self._heard = replace(self._heard, **{name: has})  # type: ignore[arg-type]

    def _ask_habit(self) -> None:
        if not self._habits:
            self._step = None
            return
        name, di = self._habits[0]
        heard = self._heard
        address = BROADCAST_ADDRESS if name == "reads_to_broadcast" else heard.address or self._address
        command: Command = Read(address, di) if heard.edition == EDITION_2007 else old.Read97(address, di)
        self._step = Step(heard.baud, heard.edition, command)


def _named(reply: Frame) -> str | None:
    """The meter's own address in a reply; those of 1997 that echo a wildcard tell it with the meter number at most."""
    if reply.address.isdecimal() and reply.address != BROADCAST_ADDRESS:
        return reply.address
    text = address_from_bytes(reply.data[2:]) if old.identifier_97(reply) == old.METER_NUMBER_97 else ""
    return text if len(text) == 12 and text.isdecimal() else None
