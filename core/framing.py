"""What a bus session asks of a protocol: frames that know their own framing, and a decoder for the answers.

A command makes a frame; the frame says how it is written, how long its answer may be, how much silence it needs
around it and what reads the answer. So one session carries DL/T 645 and Modbus RTU on one pair of wires and
knows neither. Each transaction gets a decoder of its own: bytes of another protocol are garbage to it.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

F = TypeVar("F", bound="BusFrame")
F_co = TypeVar("F_co", bound="BusFrame", covariant=True)


class Decoder(Protocol[F_co]):
    """Finds frames in a stream that may be split, merged or damaged anywhere; holds a bounded number of bytes."""

    garbage_bytes: int
    bad_sums: int

    @property
    def pending(self) -> int:
        """Bytes held that may still become a frame."""

    def feed(self, data: bytes) -> Sequence[F_co]:
        """Take bytes as they come and return the frames that are now whole, in order."""

    def flush(self) -> Sequence[F_co]:
        """Stop waiting for the rest of a candidate and return what hid behind it."""


class BusFrame(Protocol):
    """One sound frame of any protocol, request or reply."""

    @property
    def address(self) -> str:
        """Whom it is for, or who says it."""

    @property
    def is_reply(self) -> bool:
        """Whether a meter speaks."""

    @property
    def abnormal(self) -> bool:
        """Whether the meter refuses."""

    @property
    def err(self) -> int:
        """What the meter refuses with: its error byte, word or exception code."""

    @property
    def reply_sizes(self) -> tuple[int, int]:
        """Bytes of the shortest and of the longest reply to this request, waking bytes included."""

    def to_wire(self, preamble: int) -> bytes:
        """The bytes to write; `preamble` waking bytes in front where the protocol has them."""

    def reply_decoder(self) -> "Decoder[BusFrame]":
        """What reads the line after this request."""

    def quiet_s(self, byte_s: float) -> float:
        """Silence that must separate this frame from its neighbours; `byte_s` is one byte's time on the line."""


class Command(Protocol[F]):
    """What a session can send."""

    @property
    def address(self) -> str:
        """Whom it is for."""

    @property
    def expects_reply(self) -> bool:
        """Whether any meter answers."""

    def to_frame(self) -> F:
        """The request."""

    def match(self, reply: F) -> bool:
        """Whether `reply` answers this request, normally or not."""
