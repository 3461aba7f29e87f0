"""Password hashing with a bound on what strangers can make it cost.

Argon2id with 19 MiB, two passes, one lane: about 35 ms of one core. Two hashes run at a time and 20 may wait; more
are refused. An unknown login costs the same as a known one.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from server.web.errors import TooManyRequests

RUNNING_MAX = 2
WAITING_MAX = 20
TIME_COST = 2
MEMORY_KIB = 19 * 1024
LANES = 1

_hasher = PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=LANES, type=Type.ID)
_UNKNOWN = _hasher.hash("nobody has this password")


def hash_password(password: str) -> str:
    """The text to store for `password`."""
    return _hasher.hash(password)


class PasswordDesk:
    """Verifies passwords for one process; `busy` counts running and waiting ones."""

    def __init__(self, processes: int = 1) -> None:
        """So many processes share what strangers may cost; each has room for one at least."""
        running = max(1, RUNNING_MAX // max(1, processes))
        self._pool = ThreadPoolExecutor(running, thread_name_prefix="password")
        self._busy_max = running + WAITING_MAX // max(1, processes)
        self.busy = 0

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether `password` fits `stored` (None: an unknown login); raises TooManyRequests when the queue is full."""
        if self.busy >= self._busy_max:
            raise TooManyRequests("too many people are signing in at once; try again in a few seconds")
        self.busy += 1
        try:
            fits = await asyncio.get_running_loop().run_in_executor(self._pool, _fits, stored or _UNKNOWN, password)
        finally:
            self.busy -= 1
        return fits and stored is not None

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _fits(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
