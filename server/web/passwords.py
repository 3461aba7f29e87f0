"""Checking of passwords with a bound on what strangers can make it cost.

A hash takes about 35 ms of one core. Two run at a time and 20 may wait; more are refused. An unknown login costs the
same as a known one.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from server.hashing import fits, hash_password
from server.web.errors import TooManyRequests

RUNNING_MAX = 2
WAITING_MAX = 20

_UNKNOWN = hash_password("nobody has this password")


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
            right = await asyncio.get_running_loop().run_in_executor(self._pool, fits, stored or _UNKNOWN, password)
        finally:
            self.busy -= 1
        return right and stored is not None

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)
