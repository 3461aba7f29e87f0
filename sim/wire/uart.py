"""What two UARTs make of each other: bits on a line, noise that flips them, and a receiver set differently.

A byte is a start bit (0), eight data bits from the lowest, a parity bit where there is one, and stop bits (1);
between bytes the line rests at 1. The receiver waits for a 0, then samples the middle of each bit by its own
baud. A stop bit that reads 0 makes the byte a framing error, and what follows is searched from there. A byte
with wrong parity is lost where the receiver is told (`parity_checked`), and passed on, wrong, where the path
drops that information, as many serial servers do. Time is counted in whole ticks of which a sender's bit has
as many as the receiver's baud and the other way round, so that no rounding moves a sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

DATA_BITS = 8
PPM = 1_000_000
PARITY_SEED = {"E": 0, "O": 1}


@dataclass(frozen=True, slots=True)
class LineSettings:
    """How one end sends and listens; `parity` is N, E or O."""

    baud: int
    parity: str = "E"
    stop_bits: int = 1

    @property
    def bits_per_byte(self) -> int:
        """Bits that one byte takes."""
        return bits_per_byte(self.parity, self.stop_bits)


def bits_per_byte(parity: str, stop_bits: int) -> int:
    """Bits that one byte takes on a line that is set so, start and stop included."""
    return 1 + DATA_BITS + (parity != "N") + stop_bits


def to_bits(data: bytes, sender: LineSettings) -> list[int]:
    """The levels of the line while `data` is sent, one per bit time."""
    bits: list[int] = []
    for byte in data:
        value = [byte >> position & 1 for position in range(DATA_BITS)]
        parity = [] if sender.parity == "N" else [sum(value) + PARITY_SEED[sender.parity] & 1]
        bits += [0, *value, *parity, *[1] * sender.stop_bits]
    return bits


def from_bits(
    bits: Sequence[int] | NDArray[Any], sender_baud: int, receiver: LineSettings, *, parity_checked: bool = True
) -> bytes:
    """What a receiver reads from levels that were sent at `sender_baud`."""
    bit_ticks, sample_ticks = receiver.baud, sender_baud
    end = len(bits) * bit_ticks

    def level(tick: int) -> int:
        return int(bits[tick // bit_ticks]) if tick < end else 1

    read = bytearray()
    tick = 0
    while (start := _next_start(bits, tick, bit_ticks)) is not None:
        sample = (start + offset * sample_ticks + sample_ticks // 2 for offset in count())
        if level(next(sample)):
            tick = start + bit_ticks  # a spike shorter than half a bit
            continue
        value = [level(next(sample)) for _ in range(DATA_BITS)]
        sound = receiver.parity == "N" or (
            (sum(value) + level(next(sample)) + PARITY_SEED[receiver.parity]) % 2 == 0 or not parity_checked
        )
        stop_at = next(sample)
        if level(stop_at) and sound:
            read.append(sum(bit << position for position, bit in enumerate(value)))
        tick = stop_at
    return bytes(read)


def _next_start(bits: Sequence[int] | NDArray[Any], tick: int, bit_ticks: int) -> int | None:
    """The first tick from `tick` on at which the line is low."""
    index = tick // bit_ticks
    while index < len(bits):
        if not bits[index]:
            return max(tick, index * bit_ticks)
        index += 1
    return None


class Noise:
    """Flips bits at random: each with a chance of `errors_ppm` in a million."""

    def __init__(self, errors_ppm: int, draws: np.random.Generator) -> None:
        self.errors_ppm = errors_ppm
        self.flipped_bits = 0
        self._draws = draws

    def hits(self, data: bytes, settings: LineSettings) -> list[int] | None:
        """The levels of `data` with some of them flipped, or None when it comes through unharmed."""
        total = len(data) * settings.bits_per_byte
        flips = int(self._draws.binomial(total, self.errors_ppm / PPM)) if self.errors_ppm else 0
        if not flips:
            return None
        bits = to_bits(data, settings)
        for index in self._draws.choice(total, flips, replace=False):
            bits[index] ^= 1
        self.flipped_bits += flips
        return bits
