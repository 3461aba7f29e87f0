"""One virtual clock for a simulated estate and the real collector: bytes take their time, and nobody waits for it.

The collector runs on an asyncio loop whose clock is SimPy's. Where the loop would sleep, the simulated world goes on
instead, event by event, and whatever a meter says wakes the loop at its instant. Worker threads become plain calls,
so one seed is one history.
"""

import asyncio
import selectors
from concurrent.futures import Executor, Future
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from core.dlt645.commands import RELAY
from core.dlt645.frame import FrameDecoder
from server.clock import Now
from server.collect.port import PortStatus
from sim.ports import MemoryPort

MACHINE_MS = 1_700_000_000_000


class Stuck(Exception):
    """The loop waits for ever and nothing in the world is left to happen."""


class _Selector(selectors.BaseSelector):
    """Looks at real descriptors (the loop's own pipe) at once, and lets virtual time pass in the place of waiting."""

    def __init__(self, env):
        self._real = selectors.DefaultSelector()
        self._env = env
        self.loop = None

    def select(self, timeout=None):
        env = self._env
        ready = self._real.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        until_s = float("inf") if timeout is None else env.now + timeout
        while (at_s := env.peek()) <= until_s:
            if at_s == float("inf"):
                raise Stuck
            env.step()
            if self.loop._ready:
                return []
        env._now = max(env._now, until_s)
        return []

    def register(self, fileobj, events, data=None):
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj):
        return self._real.unregister(fileobj)

    def modify(self, fileobj, events, data=None):
        return self._real.modify(fileobj, events, data)

    def get_map(self):
        return self._real.get_map()

    def close(self):
        self._real.close()


class OneLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in the time of a SimPy environment."""

    def __init__(self, env):
        self._env = env
        selector = _Selector(env)
        super().__init__(selector)
        selector.loop = self

    def time(self):
        return self._env.now


class AtOnce(Executor):
    """Calls in the place of threads."""

    def submit(self, fn, /, *args, **kwargs):
        done = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


class SharedClock:
    """The head-end's clock on the world's; `jump_s` is how far the machine's wall clock has been set wrong."""

    def __init__(self, world):
        self._world = world
        self.jump_s = 0.0
        start = datetime.fromtimestamp(world.origin_ms / 1000, UTC)
        self.anchor = SimpleNamespace(factor=1, machine_utc=start, world_utc=start)

    def steady_s(self):
        return self._world.env.now

    def wall_s(self):
        return MACHINE_MS / 1000 + self._world.env.now + self.jump_s

    def now(self):
        return Now(int(self.world_seconds()), int(self.wall_s() * 1000))

    def world_seconds(self):
        return self._world.now_ms / 1000 + self.jump_s

    def world(self):
        return datetime.fromtimestamp(0, UTC) + timedelta(seconds=self.now().world_s)


class SimulatedLine(MemoryPort):
    """Both ends of one line: the simulator's port, and the collector's.

    `fate` is asked for each frame of a relay command and says when its bytes arrive, in seconds from now; `heard`
    keeps (machine second, frame) of each such frame as it left the head-end.
    """

    def __init__(self, name):
        super().__init__(name)
        self._loop = None
        self._tell = None
        self._env = None
        self.heard = []
        self.fate = lambda frame: [0.0]
        self.swallowing = False
        self.asked = 0

    # the simulator's end

    def open(self, env, on_bytes):
        self._env = env
        super().open(env, on_bytes)

    def write(self, data):
        if self._tell is not None and not self.swallowing:
            self._loop.call_soon(self._say, bytes(data))

    def _say(self, data):
        if self._tell is not None:
            self._tell(data)

    # the collector's end

    def plugged_into(self, loop):
        self._loop = loop
        return _HeadEnd(self)

    def attach(self, tell):
        self._tell = tell

    def send(self, data):
        self.asked += 1
        self.swallowing = False
        frames = FrameDecoder().feed(data)
        if not frames or frames[0].control != RELAY:
            self.feed(data)
            return
        self.heard.append((self._env.now, frames[0]))
        for delay_s in self.fate(frames[0]):
            if delay_s:
                self._env.call_at(self._env.now + delay_s, lambda: self.feed(data))
            else:
                self.feed(data)


class _HeadEnd:
    """A `server.collect.port.Port`."""

    def __init__(self, line):
        self._line = line
        self._open = False

    @property
    def status(self):
        return PortStatus(self._line.name, self._open, None)

    async def open(self, on_data, on_lost):
        self._open = True
        self._line.attach(on_data)

    async def write(self, data):
        self._line.send(data)

    def close(self):
        self._open = False
        self._line.attach(None)
