"""What is wanted of the relays of a bus: asked for one bus when its bell rang, otherwise for all buses together.

Hundreds of pollers look for orders every few seconds, since rings may be lost, and nearly always there are none. So
they share one look at the store, which is younger than `AGE_MAX_S` and never older than what the asking bus already
knows; a bus that was woken, or that had orders when it last looked, asks for itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any, Protocol

from server.collect.work import ControlOrder, Orders

AGE_MAX_S = 2.0
NOTHING: tuple[Sequence[ControlOrder], Collection[str]] = ((), ())

Wanted = tuple[Sequence[ControlOrder], Collection[str]]


class Call(Protocol):
    """Runs a blocking function in a worker thread."""

    def __call__(self, function: Callable[[], Any], /) -> Awaitable[Any]: ...


class Counsel:
    """One look at the orders, shared by the pollers of a loop."""

    def __init__(self, orders: Orders, call: Call) -> None:
        self._orders = orders
        self._call = call
        self._began_s = float("-inf")
        self._all: Mapping[str, Wanted] = {}
        self._looking: asyncio.Task[None] | None = None

    async def of_one(self, bus_id: str) -> Wanted:
        """Orders and meters near a threshold of this bus, looked up now."""
        wanted: Wanted = await self._call(partial(self._look_at, bus_id))
        return wanted

    async def shared(self, bus_id: str, known_since_s: float) -> Wanted:
        """The same from a look that all share and that began after `known_since_s` (monotonic)."""
        if self._began_s < max(known_since_s, monotonic() - AGE_MAX_S):
            if self._looking is None:
                self._looking = asyncio.create_task(self._look())
            await asyncio.shield(self._looking)
            if self._began_s < known_since_s:  # that look had begun too early
                return await self.of_one(bus_id)
        return self._all.get(bus_id, NOTHING)

    def _look_at(self, bus_id: str) -> Wanted:
        return self._orders.next(bus_id), self._orders.near(bus_id)

    async def _look(self) -> None:
        began_s = monotonic()
        try:
            self._all = await self._call(self._orders.everywhere)
            self._began_s = began_s
        finally:
            self._looking = None
