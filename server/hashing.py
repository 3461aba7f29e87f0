"""Hashes of people's passwords: Argon2id with 19 MiB, two passes, one lane."""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

TIME_COST = 2
MEMORY_KIB = 19 * 1024
LANES = 1

_hasher = PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=LANES, type=Type.ID)


def hash_password(password: str) -> str:
    """The text to store for `password`."""
    return _hasher.hash(password)


def fits(stored: str, password: str) -> bool:
    """Whether `password` has this hash."""
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
