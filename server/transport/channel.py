"""One end of the line between two processes of a server: questions with answers, and tellings without.

    caller -> ask() -> [sending thread] ===socket pair=== [receiving thread] -> handler -> Future -> answer

A handler runs on the receiving thread and must not block; what takes time gives a Future, whose outcome is the answer.
Tellings that are gathered travel together, at most `GATHER_S` later, each once, and ahead of every answer that was
given after them. Only the sending thread waits for a slow other side. The line ends when either process does.
"""

import logging
import socket
import struct
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from functools import partial
from itertools import count
from threading import Condition, Lock, Thread, current_thread
from time import monotonic
from typing import Any, BinaryIO

from core.errors import CoreError
from server.errors import EstateError, NoAnswer
from server.transport.parcel import NotCarried, pack, unpack

HEAD = struct.Struct("<IBQ")  # bytes that follow, kind, number of the question
ASK, DONE, FAILED, DROP, TELL = range(5)
GATHER_S = 0.05
GATHERED_MAX = 200_000  # untold things: several for each meter of a large estate; who takes none is let go
JOIN_S = 5.0

Handler = Callable[..., Any]
log = logging.getLogger("estate645.transport")


class Fault(Exception):
    """The other process failed in a way that is no answer for people; its log has the traceback."""


class Channel:
    """One end; both ends have handlers by name, and either may ask."""

    def __init__(self, line: socket.socket, handlers: Mapping[str, Handler], on_end: Callable[[], None]) -> None:
        """`on_end` is called once, from the receiving thread, when the other process has let go of the line."""
        self._line = line
        self._handlers = handlers
        self._on_end = on_end
        self._numbers = count(1)
        self._lock = Lock()
        self._asked: dict[int, Future[Any]] = {}  # by us, of the other side
        self._working: dict[int, Future[Any]] = {}  # by the other side, of us
        self._wake = Condition()
        self._outgoing: deque[Callable[[], bytes]] = deque()
        self._gathered: dict[tuple[str, Any], None] = {}
        self._gathered_since = 0.0
        self._ended = False
        self._threads = [
            Thread(target=self._receive, name="channel receiving", daemon=True),
            Thread(target=self._send, name="channel sending", daemon=True),
        ]

    def start(self) -> None:
        """Begin to take messages."""
        for thread in self._threads:
            thread.start()

    def ask(self, name: str, *arguments: object) -> Future[Any]:
        """Have the other side run handler `name`; fails with what it raised, NotCarried, or NoAnswer when it ends."""
        body = pack((name, arguments))
        number, promise = next(self._numbers), Future[Any]()
        with self._lock:
            if self._ended:
                promise.set_exception(_gone())
                return promise
            self._asked[number] = promise
        self._put(partial(_message, ASK, number, body))
        promise.add_done_callback(lambda done: self._put(partial(_message, DROP, number)) if done.cancelled() else None)
        return promise

    def tell(self, name: str, *arguments: object) -> None:
        """Have the other side run handler `name`; nobody hears what became of it."""
        self._put(partial(_message, TELL, 0, pack((name, arguments))))

    def gather(self, name: str, item: object) -> None:
        """Tell `name(items)` soon, with all that was gathered meanwhile."""
        with self._wake:
            if self._ended:
                return
            if not self._gathered:
                self._gathered_since = monotonic()
                self._wake.notify()
            self._gathered[name, item] = None
            if len(self._gathered) > GATHERED_MAX:
                log.error("another process of this server takes no messages; it is let go")
                self._end()

    def close(self) -> None:
        """Let go of the line; returns when both threads have ended."""
        self._end()
        for thread in self._threads:
            if thread is not current_thread() and thread.is_alive():
                thread.join(JOIN_S)
        self._line.close()

    def _put(self, message: Callable[[], bytes]) -> None:
        with self._wake:
            if not self._ended:
                self._outgoing.append(message)
                self._wake.notify()

    def _end(self) -> None:
        with self._wake:
            self._ended = True
            self._outgoing.clear()
            self._gathered.clear()
            self._wake.notify_all()
        try:
            self._line.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the other side was quicker

    def _send(self) -> None:
        try:
            while (messages := self._next()) is not None:
                self._line.sendall(b"".join([message() for message in messages]))
        except OSError as error:
            log.debug("the other process does not read any more: %s", error)
        except Exception:
            log.exception("nothing can be sent to the other process any more; it is let go")
        self._end()  # or it would wait for answers that never come

    def _next(self) -> list[Callable[[], bytes]] | None:
        """What is to be sent now; None at the end."""
        with self._wake:
            while not self._ended:
                left_s = self._gathered_since + GATHER_S - monotonic() if self._gathered else None
                if self._outgoing or (left_s is not None and left_s <= 0):
                    messages = [*self._told(), *self._outgoing]
                    self._outgoing.clear()
                    return messages
                self._wake.wait(left_s)
        return None

    def _told(self) -> list[Callable[[], bytes]]:
        """What was gathered, as one telling for each name."""
        items: dict[str, list[Any]] = {}
        for name, item in self._gathered:
            items.setdefault(name, []).append(item)
        self._gathered.clear()
        return [partial(_telling, name, found) for name, found in items.items()]

    def _receive(self) -> None:
        try:
            with self._line.makefile("rb") as stream:
                while (head := _whole(stream, HEAD.size)) is not None:
                    length, kind, number = HEAD.unpack(head)
                    body = _whole(stream, length)
                    if body is None:
                        break
                    self._take(kind, number, body)
        except OSError as error:
            log.debug("the line to the other process broke: %s", error)
        finally:
            self._forget()
            self._on_end()

    def _forget(self) -> None:
        """Nobody answers any more."""
        with self._lock, self._wake:
            self._ended = True
            self._wake.notify_all()
            lost, self._asked = list(self._asked.values()), {}
        for promise in lost:
            if promise.set_running_or_notify_cancel():
                promise.set_exception(_gone())

    def _take(self, kind: int, number: int, body: bytes) -> None:
        if kind in (DONE, FAILED):
            self._answered(kind, number, body)
        elif kind == DROP:
            working = self._working.get(number)
            if working is not None:
                working.cancel()
        else:
            self._work(kind, number, body)

    def _answered(self, kind: int, number: int, body: bytes) -> None:
        promise = self._asked.pop(number, None)
        if promise is None or not promise.set_running_or_notify_cancel():
            return
        try:
            value = unpack(body)
        except Exception as error:
            log.exception("an answer was not understood")
            promise.set_exception(error)
            return
        if kind == DONE:
            promise.set_result(value)
        else:
            promise.set_exception(value)

    def _work(self, kind: int, number: int, body: bytes) -> None:
        working: Future[Any]
        try:
            name, arguments = unpack(body)
            found = self._handlers[name](*arguments)
        except Exception as error:
            if kind == TELL:
                log.exception("a telling of the other process failed")
            working = Future()
            working.set_exception(error)
        else:
            working = found if isinstance(found, Future) else _done(found)
        if kind == ASK:
            self._working[number] = working
            working.add_done_callback(partial(self._answer, number))

    def _answer(self, number: int, done: Future[Any]) -> None:
        self._working.pop(number, None)
        self._put(partial(_answer, number, done))


def _whole(stream: BinaryIO, size: int) -> bytes | None:
    """So many bytes, or None at the end of the line."""
    data = stream.read(size)
    return data if len(data) == size else None


def _done(value: object) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future


def _gone() -> NoAnswer:
    return NoAnswer("another process of this server has ended; what it was asked may have been done, so look first")


def _message(kind: int, number: int, body: bytes = b"") -> bytes:
    return HEAD.pack(len(body), kind, number) + body


def _telling(name: str, items: list[Any]) -> bytes:
    return _message(TELL, 0, pack((name, (items,))))


def _answer(number: int, done: Future[Any]) -> bytes:
    """The message with the outcome; what cannot travel is answered with an error that can."""
    error = CancelledError() if done.cancelled() else done.exception()
    if error is None:
        try:
            return _message(DONE, number, pack(done.result()))
        except NotCarried as unable:
            log.exception("an answer does not travel")
            error = unable
    return _message(FAILED, number, _packed_error(error))


def _packed_error(error: BaseException) -> bytes:
    """The error itself where both sides know it; else its text, and the traceback stays in the log here."""
    if isinstance(error, EstateError | CoreError | CancelledError | NotCarried):
        try:
            body = pack(error)
            unpack(body)
        except Exception:
            log.exception("an error does not travel")
        else:
            return body
    log.error("a question of another process failed", exc_info=error)
    return pack(Fault(f"{type(error).__name__}: {error}"))
