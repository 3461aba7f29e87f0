"""Whether the clock by which cuts are judged is steady, for pages: the process that knows is asked once a second."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Annotated

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

SANE_FOR_S = 1.0  # a page may be so old; whoever acts asks `WebState.clock_sane`


class SteadyClock:
    """What was answered last, for a second."""

    def __init__(self, ask: Callable[[], bool]) -> None:
        """`ask` may wait for another process."""
        self._ask = ask
        self._asking = asyncio.Lock()
        self._sane, self._until = False, 0.0

    async def sane(self) -> bool:
        """Whether it is steady; a thread waits for the answer, and of many who ask at once one."""
        if monotonic() >= self._until:
            async with self._asking:
                if monotonic() >= self._until:
                    self._sane = await run_in_threadpool(self._ask)
                    self._until = monotonic() + SANE_FOR_S
        return self._sane


async def _sane(request: Request) -> bool:
    steady: SteadyClock = request.app.state.steady
    return await steady.sane()


Sane = Annotated[bool, Depends(_sane)]
