"""The server's side of the admin socket: accepts, looks who is there, and answers one line with another.

The socket is bound before anybody could reach it with wider rights, and the kernel says which user speaks: only the
server's own and root are heard. A thread a connection, a few at once. It knows no operation; those are handed in.
"""

import logging
import os
import socket
import stat
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from core.errors import CoreError
from server.admin.wire import VERSION, address_of, lines, send
from server.errors import ConfigError, EstateError, Forbidden, NotFound

CONNECTIONS_MAX = 8
MODE = 0o600
ROOT = 0

Operation = Callable[[Mapping[str, Any]], dict[str, Any] | Iterable[dict[str, Any]]]
"""Answers a message: with one object, or with a stream of them that ends when the client goes."""

log = logging.getLogger("estate645.admin")


class AdminSocket:
    """Listens at `path` from `start` to `stop`."""

    def __init__(self, path: Path, operations: Mapping[str, Operation]) -> None:
        self._path = path
        self._operations = dict(operations)
        self._listener: socket.socket | None = None
        self._connections: set[socket.socket] = set()
        self._lock = Lock()

    def start(self) -> None:
        """Bind and accept; ConfigError when something else lies at the path. A stale socket is taken away."""
        _clear(self._path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o777 & ~MODE)
        try:
            with address_of(self._path) as address:
                listener.bind(address)
        except OSError as error:
            listener.close()
            raise ConfigError(f"{self._path}: the admin socket cannot be made ({error.strerror})") from error
        finally:
            os.umask(before)
        listener.listen(CONNECTIONS_MAX)
        self._listener = listener
        Thread(target=self._accept, args=(listener,), name="admin", daemon=True).start()

    def stop(self) -> None:
        """Hang up and take the socket away; safe to call twice."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        self._path.unlink(missing_ok=True)
        _end(listener)
        with self._lock:
            for connection in self._connections:
                _end(connection)

    def _accept(self, listener: socket.socket) -> None:
        while self._listener is listener:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                full = len(self._connections) >= CONNECTIONS_MAX
                if not full:
                    self._connections.add(connection)
            if full:
                connection.close()
                continue
            Thread(target=self._serve, args=(connection,), name="admin connection", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            _check_peer(connection)
            send(connection, {"estate645": "admin", "version": VERSION, "operations": sorted(self._operations)})
            with connection.makefile("rb") as stream:
                for message in lines(stream):
                    self._answer(connection, message)
        except Forbidden as error:
            log.warning("%s", error)
        except (OSError, EstateError) as error:
            log.debug("a connection ended: %s", error)
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()

    def _answer(self, connection: socket.socket, message: Mapping[str, Any]) -> None:
        try:
            operation = self._operations.get(str(message.get("op")))
            if operation is None:
                raise NotFound(f"this server knows no operation {message.get('op')!r}; restart it with a newer version")
            answer = operation(message)
            for one in (answer,) if isinstance(answer, dict) else answer:
                send(connection, one)
        except (EstateError, CoreError, KeyError, TypeError, ValueError) as error:
            text = f"{error} is missing in the request" if isinstance(error, KeyError) else str(error)
            send(connection, {"error": text, "kind": type(error).__name__})


def _clear(path: Path) -> None:
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise ConfigError(f"{path} is in the way of the admin socket and is no socket; move it away")
    path.unlink()  # of a server that was killed: this process holds the claim of the database


def _check_peer(connection: socket.socket) -> None:
    """Forbidden unless the kernel says that the server's own user, or root, is on the other side."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    if uid not in (ROOT, os.geteuid()):
        raise Forbidden(f"user {uid} may not use the admin socket; only user {os.geteuid()} and root may")


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
