"""Web processes of a server: started, told what they need, started again when they end, and ended with it.

Each inherits the listening socket, which stays open here too: while a process is started again, people who connect wait
and are not turned away. What a process that dies had asked for is done or not done as if nobody had waited for the
answer; whoever repeats the request with its key hears what became of it.
"""

import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event
from time import monotonic
from types import FrameType

from server.errors import EstateError
from server.roles.desk import Desk
from server.transport.channel import Channel
from server.transport.memory import Bell

COMMAND = (sys.executable, "-P", "-m", "server.roles.web")
READY_S = 60.0
STOP_S = 8.0  # more than HTTP takes to end its last requests
LOOK_S = 1.0
STEADY_S = 60.0  # who has served so long is started again at once, and others after a pause that doubles
PAUSE_S_MAX = 30.0
SILENT_LOOKS_MAX = 60  # looks and not seconds: a machine that stands still lets nobody be late
FAILURES_COUNTED = 10  # after so many the pause has long been the longest

log = logging.getLogger("estate645.web")


class WebFailed(EstateError):
    """A web process did not come to serve."""


class WebProcess:
    """One child, from its start to its end."""

    def __init__(self, listener: socket.socket) -> None:
        self._line, theirs = socket.socketpair()
        with theirs:
            inherited = (theirs.fileno(), listener.fileno())
            command = [*COMMAND, *map(str, inherited)]
            # A group of its own: Ctrl-C of a terminal reaches the parent alone, which ends it in order.
            try:
                self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=inherited, process_group=0)
            except OSError:
                self._line.close()
                raise
        self._channel: Channel | None = None
        self._deaf: Callable[[], None] = _nothing
        self.ready = Event()
        self.since_s = monotonic()
        self._silent_looks = 0

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it is gone."""
        return self._process.poll() is not None

    @property
    def is_late(self) -> bool:
        """Whether it ought to serve by now and does not."""
        return not self.ready.is_set() and monotonic() - self.since_s > READY_S

    def is_stuck(self) -> bool:
        """Whether it served and has not stirred for so many looks, of which this is one."""
        self._silent_looks += self.ready.is_set()
        return self._silent_looks > SILENT_LOOKS_MAX

    def hear(self) -> None:
        """It stirs."""
        self._silent_looks = 0

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def begin(self, desk: Desk, bell: Bell, on_end: Callable[[], None]) -> None:
        """Tell it what it needs, answer what it asks, and pass on what rings; `on_end` when it has let go."""

        def lost() -> None:
            self._process.kill()  # without its line it can do nothing but wait
            on_end()

        handlers = {**desk.handlers(), "ready": self.ready.set, "beat": self.hear}
        channel = self._channel = Channel(self._line, handlers, lost)
        channel.start()
        channel.tell("begin", desk.boot())
        self._deaf = bell.listen("*", lambda topic, key: channel.gather("ring", (topic, key)))

    def ask_to_end(self) -> None:
        """Let it finish what it is doing."""
        if self._channel is not None:
            self._channel.tell("stop")

    def end(self, timeout_s: float) -> int:
        """Wait for its end, insist after so long, and let go of the line; its exit code."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._deaf()
        if self._channel is not None:
            self._channel.close()
        else:
            self._line.close()
        return code


@dataclass(slots=True)
class _Place:
    """One of the processes that there should be."""

    child: WebProcess | None
    failures: int = 0
    again_at_s: float = 0.0

    def fail(self, now_s: float, *, steady: bool) -> None:
        """Say when another may be started: at once, and later each time that it did not serve for long."""
        self.failures = 1 if steady else self.failures + 1
        pause_s = 2.0 ** (self.failures - 1) - 1 if self.failures < FAILURES_COUNTED else PAUSE_S_MAX
        self.again_at_s = now_s + min(PAUSE_S_MAX, pause_s)


class WebProcesses:
    """All of them; used by the main thread, except for `end`."""

    def __init__(self, count: int, listener: socket.socket) -> None:
        """Start so many; they load while the rest of the server is built."""
        self._listener = listener
        self._places = [_Place(WebProcess(listener)) for _ in range(count)]
        self._look: SimpleQueue[None] = SimpleQueue()  # a signal may put into it while the main thread waits
        self._ending = False
        self._begin: Callable[[WebProcess], None] = _not_yet

    @property
    def pids(self) -> list[int]:
        """Of the children that there are now."""
        return [place.child.pid for place in self._places if place.child is not None]

    def begin(self, desk: Desk, bell: Bell) -> None:
        """Let them serve; returns when all do, or at SIGINT or SIGTERM. WebFailed when one of them ends first."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._obey)
        self._begin = lambda child: child.begin(desk, bell, lambda: self._look.put(None))
        for child in self._children():
            self._begin(child)
        give_up = monotonic() + READY_S
        for child in self._children():
            while not (child.ready.wait(0.05) or self._ending):
                if child.has_ended or monotonic() > give_up:
                    raise WebFailed(f"web process {child.pid} does not serve; what it said stands above")

    def watch(self, on_change: Callable[[list[int]], None]) -> None:
        """Start again what ends, until SIGINT, SIGTERM or `end`; `on_change` hears the ids whenever they are others."""
        known = self.pids
        while not self._ending:
            for place in self._places:
                self._tend(place)
            if self.pids != known:
                known = self.pids
                on_change(known)
            with suppress(Empty):
                self._look.get(timeout=LOOK_S)

    def end(self) -> None:
        """Let `watch` return."""
        self._ending = True
        self._look.put(None)

    def stop(self) -> None:
        """End all, after their last requests; nobody connects any more."""
        self._ending = True
        self._listener.close()
        children = self._children()
        for child in children:
            child.ask_to_end()
        give_up = monotonic() + (STOP_S if self._begin is not _not_yet else 0.0)
        for place in self._places:
            if place.child is not None:
                code = place.child.end(max(0.0, give_up - monotonic()))
                log.debug("web process %d ended with code %d", place.child.pid, code)
                place.child = None

    def _children(self) -> Sequence[WebProcess]:
        return [place.child for place in self._places if place.child is not None]

    def _tend(self, place: _Place) -> None:
        """Take away who has ended, and start another when it is time. Meters are read and charged whatever happens."""
        now_s, child = monotonic(), place.child
        if child is not None and child.is_late:
            log.error("web process %d does not serve after %g s; it is ended", child.pid, READY_S)
            child.kill()
        elif child is not None and child.is_stuck():
            log.error("web process %d has not stirred for %d looks; it is ended", child.pid, SILENT_LOOKS_MAX)
            child.kill()
        if child is not None and child.has_ended:
            place.fail(now_s, steady=now_s - child.since_s > STEADY_S)
            code = child.end(0.0)
            log.error("web process %d ended with code %d; another one is started", child.pid, code)
            place.child = None
        if place.child is None and now_s >= place.again_at_s:
            try:
                place.child = WebProcess(self._listener)
            except OSError as error:
                place.fail(now_s, steady=False)
                log.error("no web process can be started: %s; it is tried again", error.strerror)
            else:
                self._begin(place.child)

    def _obey(self, _number: int, _frame: FrameType | None) -> None:
        self.end()


def _nothing() -> None:
    """It was never told of rings."""


def _not_yet(_child: WebProcess) -> None:
    """What they need is not known yet."""
