"""Two recordings of a bus side by side: same questions, same answers, same times?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from sim.wire.recording import NS, Exchange


@dataclass(frozen=True, slots=True)
class Difference:
    """Exchange number (from 1), what differs (request, answer, time, missing, surplus), and both sides in words."""

    number: int
    kind: str
    ours: str
    theirs: str


def compare(ours: Sequence[Exchange], theirs: Sequence[Exchange], tolerance_ns: int | None) -> Iterator[Difference]:
    """Differences in order; times are those from request to the end of the answer, and left out without tolerance."""
    for number, (left, right) in enumerate(zip_longest(ours, theirs), start=1):
        if left is None or right is None:
            kind = "surplus" if left is None else "missing"
            yield Difference(number, kind, _request(left), _request(right))
        elif left.request != right.request:
            yield Difference(number, "request", _hex(left.request), _hex(right.request))
        elif left.answer_bytes != right.answer_bytes:
            yield Difference(number, "answer", _hex(left.answer_bytes), _hex(right.answer_bytes))
        elif tolerance_ns is not None and abs(took_ns(left) - took_ns(right)) > tolerance_ns:
            yield Difference(number, "time", _ms(took_ns(left)), _ms(took_ns(right)))


def took_ns(exchange: Exchange) -> int:
    """From the request to the last byte of the answer; 0 without one."""
    return exchange.answer[-1].at_ns - exchange.asked_ns if exchange.answer else 0


def _request(exchange: Exchange | None) -> str:
    return _hex(b"" if exchange is None else exchange.request)


def _hex(data: bytes) -> str:
    return data.hex(" ").upper() or "nothing"


def _ms(ns: int) -> str:
    return f"{ns * 1000 / NS:.3f} ms"
