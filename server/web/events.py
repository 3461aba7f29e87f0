"""Live updates: which things have changed, as server-sent events; the page then asks for what it shows.

The bell rings on the writer's thread after a commit and is handed to the event loop. Each stream gathers topics and
keys and sends them at most twice a second. A ring may be lost without harm: pages also refresh on their own.
Residents hear only of their own household.
"""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from sqlalchemy import Connection
from starlette.responses import StreamingResponse

from server.store.engine import reader
from server.store.meters import meters_of_account
from server.store.unit import UNNAMED
from server.web.deps import SIGNED_IN, State
from server.web.errors import TooManyRequests
from server.web.principal import Principal
from server.web.state import Announcements

BATCH_EVERY_S = 0.5
HEARTBEAT_S = 15.0
STREAM_S_MAX = 600.0  # then the browser connects again and its session is checked anew
STREAMS_MAX = 200
KEYS_MAX = 2000
RETRY_MS = 3000
EVERYTHING = "*"
UNSEEN = frozenset({UNNAMED, "seal"})  # rings that no page shows by themselves

router = APIRouter(include_in_schema=False)
Wanted = Callable[[str, str], bool]


@dataclass(eq=False, slots=True)
class Stream:
    """What one client has not been told yet."""

    wanted: Wanted
    pending: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    rung: asyncio.Event = field(default_factory=asyncio.Event)

    def ring(self, topic: str, key: str) -> None:
        """Note a change, if this client may hear of it; too many keys become "everything"."""
        if not self.wanted(topic, key):
            return
        keys = self.pending[topic]
        keys.add(key)
        if len(keys) > KEYS_MAX or EVERYTHING in keys:
            self.pending[topic] = {EVERYTHING}
        self.rung.set()

    def take(self) -> str:
        """What is pending as events of the wire format."""
        pending, self.pending = self.pending, defaultdict(set)
        self.rung.clear()
        return "".join(f"event: {topic}\ndata: {json.dumps(sorted(keys))}\n\n" for topic, keys in pending.items())


class LiveHub:
    """All open streams of this process."""

    def __init__(self) -> None:
        self._streams: set[Stream] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rung: deque[tuple[str, str]] = deque()
        self.closing = False

    def start(self, bell: Announcements) -> Callable[[], None]:
        """Listen to the bell from the running event loop; returns the way to stop."""
        loop = self._loop = asyncio.get_running_loop()

        def listener(topic: str, key: str) -> None:
            if not self._streams or topic in UNSEEN:
                return
            self._rung.append((topic, key))
            if len(self._rung) == 1:  # else the loop is on its way
                with suppress(RuntimeError):  # the loop has ended; nobody listens any more
                    loop.call_soon_threadsafe(self._ring)

        stop_listening = bell.listen("*", listener)

        def stop() -> None:
            stop_listening()
            self.close()

        return stop

    def _ring(self) -> None:
        """Tell the streams what has rung since the loop was last called."""
        while self._rung:
            topic, key = self._rung.popleft()
            for stream in self._streams:
                stream.ring(topic, key)

    def close(self) -> None:
        """End all streams; may be called from any thread, and must be before the server waits for connections."""
        self.closing = True
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for stream in self._streams:
            stream.rung.set()

    def admit(self) -> None:
        """Raise TooManyRequests when no further stream may open."""
        if len(self._streams) >= STREAMS_MAX:
            raise TooManyRequests("too many live pages are open; the page refreshes on its own")

    async def serve(self, wanted: Wanted) -> AsyncIterator[str]:
        """One client's stream until it leaves, grows old or the server ends."""
        stream = Stream(wanted)
        self._streams.add(stream)
        try:
            yield f"retry: {RETRY_MS}\n\n: open\n\n"
            deadline = asyncio.get_running_loop().time() + STREAM_S_MAX
            while not self.closing and asyncio.get_running_loop().time() < deadline:
                try:
                    await asyncio.wait_for(stream.rung.wait(), HEARTBEAT_S)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                yield stream.take()
                await asyncio.sleep(BATCH_EVERY_S)
        finally:
            self._streams.discard(stream)


def audience(principal: Principal, conn: Connection) -> Wanted:
    """Which rings a principal hears: staff all, a resident those of the own account, a kiosk none."""
    if principal.role == "kiosk":
        return lambda topic, key: False
    if principal.role != "resident":
        return lambda topic, key: True
    account_id = principal.account_id or ""
    meters = meters_of_account(conn, principal.estate_id, account_id)
    own = {("balance", account_id), ("notice", account_id)}
    own |= {("meter", meter.meter_id) for meter in meters} | {("supply", meter.bus_id) for meter in meters}
    return lambda topic, key: (topic, key) in own


def _audience(state: State, principal: Annotated[Principal, Depends(SIGNED_IN)]) -> Wanted:
    with reader(state.engine) as conn:
        return audience(principal, conn)


@router.get("/events", dependencies=[Depends(SIGNED_IN)])
async def events(request: Request, wanted: Annotated[Wanted, Depends(_audience)]) -> StreamingResponse:
    """The live stream of whoever is signed in."""
    hub: LiveHub = request.app.state.live
    hub.admit()
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(hub.serve(wanted), media_type="text/event-stream", headers=headers)
