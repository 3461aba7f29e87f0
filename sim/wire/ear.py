"""What listens on a line: one ear for each protocol that its meters speak.

An ear takes all bytes of the master, finds the requests of its protocol in them, and lets its meters answer. It knows
neither time nor wire: the bus tells it how long the line was silent before some bytes and asks for the answers when
they are due. Bytes of another protocol are noise to it. A request has an `address`, as the line knows it, and says
with `is_reply` whether it is none.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from sim.meters import Meter


class Reply(Protocol):
    """What one meter says, in any protocol."""

    def to_wire(self, preamble: int) -> bytes:
        """Its bytes, `preamble` waking ones in front where the protocol has them."""


class Ear(Protocol):
    """One protocol on one line; `baud_changed` is set after an answer that changed a meter's rate."""

    baud_changed: bool

    def __len__(self) -> int:
        """How many meters speak it."""

    @property
    def bad_sums(self) -> int:
        """Frames whose check did not fit."""

    @property
    def garbage_bytes(self) -> int:
        """Bytes that made no sense to it."""

    @property
    def taken_bytes(self) -> int:
        """Bytes of the frames that it understood; the first ear of a line is not asked."""

    def learn_editions(self) -> None:
        """Some meter speaks another edition than before."""

    def everybody(self) -> Iterable[Meter]:
        """All its meters."""

    def hear(self, data: bytes, silence_s: float) -> Sequence[Any]:
        """The requests that are now whole, after `silence_s` without a byte."""

    def at_once(self, data: bytes, at_ms: int) -> bytes | None:
        """The answer to one whole usual question, as it goes on the wire; None, nothing taken, where it is not that."""

    def length(self, request: Any, unheard_bytes: int) -> int:
        """Bytes of a request on the wire, of `unheard_bytes` since the last one."""

    def reply_delay_ms(self, request: Any) -> tuple[int, int]:
        """Td of whoever is asked: least and most."""

    def addressed(self, request: Any) -> list[Meter]:
        """The meters that take a request for theirs."""

    def answer(self, meter: Meter, request: Any, at_ms: int) -> Reply | None:
        """What one meter says at a world time; None is silence."""

    def preamble(self, meter: Meter) -> int:
        """Waking bytes before its answers."""

    def answers(self, request: Any, at_ms: int) -> list[bytes]:
        """What all addressed meters say as it goes on the wire; more than one garble each other."""

    def rest(self) -> None:
        """A request of any protocol ended here: what was heard so far belongs to no other."""

    def reset(self) -> None:
        """Forget half a frame: somebody spoke into it."""

    def rates(self) -> set[int]:
        """The rates at which the meters of this protocol work."""

    def line_at(self, baud: int) -> None:
        """The line works at this rate from now on."""
