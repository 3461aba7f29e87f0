"""Makes inputs out of inputs: small edits from a seeded generator, and frames mended so that they pass the checks.

Without mending nearly every changed frame dies at its sum and nothing behind the sum would be tried.
"""

from random import Random

INTERESTING = (0x00, 0x01, 0x16, 0x33, 0x68, 0x7F, 0x80, 0x91, 0xAA, 0xCC, 0xFE, 0xFF)
LENGTH_MAX = 320
HEAD, OVERHEAD = 10, 12
START, END = 0x68, 0x16


def mutate(pool: list[bytes], random: Random) -> bytes:
    """A new input: one of the pool with up to eight edits, half of the time mended afterwards."""
    data = bytearray(random.choice(pool))
    for _ in range(1 << random.randrange(4)):
        _EDITS[random.randrange(len(_EDITS))](data, random, pool)
    if random.randrange(2):
        mend(data, random)
    return bytes(data[:LENGTH_MAX])


def mend(data: bytearray, random: Random) -> None:
    """Give one place the marks, the length, the sum and the end of a frame; too short data stays as it is."""
    if len(data) < OVERHEAD:
        return
    starts = [i for i, byte in enumerate(data[: len(data) - OVERHEAD + 1]) if byte == START]
    at = random.choice(starts) if starts and random.randrange(8) else random.randrange(len(data) - OVERHEAD + 1)
    data[at] = data[at + 7] = START
    if at + OVERHEAD + data[at + 9] > len(data) or not random.randrange(4):
        data[at + 9] = random.randrange(min(256, len(data) - at - OVERHEAD + 1))
    end = at + HEAD + data[at + 9]
    data[end : end + 2] = bytes((sum(data[at:end]) & 0xFF, END))


def _set(data: bytearray, random: Random, _pool: list[bytes]) -> None:
    if data:
        data[random.randrange(len(data))] = random.choice(INTERESTING)


def _flip(data: bytearray, random: Random, _pool: list[bytes]) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _insert(data: bytearray, random: Random, _pool: list[bytes]) -> None:
    at = random.randrange(len(data) + 1)
    data[at:at] = random.randbytes(random.randrange(1, 5))


def _remove(data: bytearray, random: Random, _pool: list[bytes]) -> None:
    at = random.randrange(len(data) + 1)
    del data[at : at + random.randrange(1, 9)]


def _splice(data: bytearray, random: Random, pool: list[bytes]) -> None:
    other = random.choice(pool)
    at = random.randrange(len(data) + 1)
    data[at : at + random.randrange(len(other) + 1)] = other[random.randrange(len(other) + 1) :]
    del data[LENGTH_MAX:]


_EDITS = (_set, _flip, _insert, _remove, _splice)
