"""Random streams by name: every meter, bus or day has its own, so that adding one changes no other.

A stream is keyed by the seed and by words (such as a household's id and a purpose), hashed with BLAKE2 and
given to a counter-based generator. It depends on nothing else: not on the order of creation, not on other
streams, not on Python's hash seed.
"""

from hashlib import blake2b

import numpy as np


def stream(seed: int, *words: str | int) -> np.random.Generator:
    """The random stream of a seed and some words."""
    name = "\x1f".join(map(str, (seed, *words))).encode()
    key = int.from_bytes(blake2b(name, digest_size=16).digest(), "little")
    return np.random.Generator(np.random.Philox(key=key))


def draw(seed: int, least: int, most: int, *words: str | int) -> int:
    """One whole number from [least, most], drawn from a stream of its own."""
    return int(stream(seed, *words).integers(least, most, endpoint=True))
