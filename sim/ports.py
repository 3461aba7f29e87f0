"""Where the bytes of a bus come out: a pseudo-terminal, a TCP server, or memory.

A fresh pty is cooked and echoes, so it is made raw before anybody can know its name; one descriptor of the
slave stays open, so that the master never hangs up between two clients. Its name is a symlink in the run
directory, put in place by rename. A pty takes any baud and drops parity, so line timing is never its business
(`sim.bus`). On TCP every client hears everything, as on a real line.
"""

import os
import pty
import socket
import tty
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from sim.clock import Environment, RealEnvironment
from sim.errors import PortError

READ_BYTES = 4096
BACKLOG = 16
OnBytes = Callable[[bytes], None]


class Port(Protocol):
    """One end of a bus: gives bytes to `open`'s callback, takes bytes by `write`."""

    name: str
    dropped_bytes: int

    def open(self, env: Environment, on_bytes: OnBytes) -> None:
        """Start to listen; PortError when the port cannot be had."""

    def write(self, data: bytes) -> None:
        """Send without waiting; what nobody takes is dropped and counted, as on a wire."""

    def close(self) -> None:
        """Give everything back; may be called twice."""


class PtyPort:
    """A pseudo-terminal published as a symlink."""

    def __init__(self, link: Path) -> None:
        self.name = str(link)
        self.dropped_bytes = 0
        self._link = link
        self._fds: tuple[int, int] | None = None
        self._env: RealEnvironment | None = None

    def open(self, env: Environment, on_bytes: OnBytes) -> None:
        """Make the pair raw, then publish its name."""
        self._env = _real(env, self.name)
        try:
            master, slave = pty.openpty()
        except OSError as error:
            raise PortError(
                f"no pseudo-terminal for {self._link}: {error.strerror}; see /proc/sys/kernel/pty/max and `ulimit -n`"
            ) from error
        self._fds = (master, slave)
        tty.setraw(slave)
        os.set_blocking(master, False)
        self._env.watch(master, lambda: self._read(on_bytes))
        _publish(os.ttyname(slave), self._link)

    def write(self, data: bytes) -> None:
        """Send; a full buffer means that nobody reads, and the rest is lost."""
        if self._fds is None:
            return
        try:
            sent = os.write(self._fds[0], data)
        except BlockingIOError:
            sent = 0
        self.dropped_bytes += len(data) - sent

    def close(self) -> None:
        """Unpublish and close both ends."""
        if self._fds is None:
            return
        if self._link.is_symlink():
            self._link.unlink(missing_ok=True)
        if self._env is not None:
            self._env.unwatch(self._fds[0])
        for fd in self._fds:
            os.close(fd)
        self._fds = None

    def _read(self, on_bytes: OnBytes) -> None:
        assert self._fds is not None
        try:
            data = os.read(self._fds[0], READ_BYTES)
        except (BlockingIOError, OSError):
            # EIO would mean that no slave is open; ours is, so there is nothing to read and nothing lost.
            return
        if data:
            on_bytes(data)


class TcpPort:
    """A TCP server, tcp://HOST:PORT; port 0 takes a free one and `name` then tells it."""

    def __init__(self, url: str) -> None:
        self.name = url
        self.dropped_bytes = 0
        self._clients: dict[int, socket.socket] = {}
        self._server: socket.socket | None = None
        self._env: RealEnvironment | None = None

    def open(self, env: Environment, on_bytes: OnBytes) -> None:
        """Bind and listen."""
        self._env = _real(env, self.name)
        host, port = _host_port(self.name)
        try:
            server = socket.create_server((host, port), backlog=BACKLOG)
        except OSError as error:
            raise PortError(
                f"{self.name}: cannot listen: {error.strerror}; stop whoever holds it or take port 0"
            ) from error
        server.setblocking(False)
        self._server = server
        self.name = f"tcp://{host}:{server.getsockname()[1]}"
        self._env.watch(server.fileno(), lambda: self._accept(on_bytes))

    def write(self, data: bytes) -> None:
        """Send to every client; one that does not read loses the bytes."""
        for fd, client in list(self._clients.items()):
            try:
                sent = client.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._drop(fd)
                continue
            self.dropped_bytes += len(data) - sent

    def close(self) -> None:
        """Close the server and all clients."""
        for fd in list(self._clients):
            self._drop(fd)
        if self._server is not None and self._env is not None:
            self._env.unwatch(self._server.fileno())
            self._server.close()
            self._server = None

    def _accept(self, on_bytes: OnBytes) -> None:
        assert self._server is not None
        assert self._env is not None
        try:
            client, _address = self._server.accept()
        except OSError:
            return
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        fd = client.fileno()
        self._clients[fd] = client
        self._env.watch(fd, lambda: self._read(fd, on_bytes))

    def _read(self, fd: int, on_bytes: OnBytes) -> None:
        try:
            data = self._clients[fd].recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            on_bytes(data)
        else:
            self._drop(fd)

    def _drop(self, fd: int) -> None:
        client = self._clients.pop(fd, None)
        if client is not None and self._env is not None:
            self._env.unwatch(fd)
            client.close()


class MemoryPort:
    """A port without descriptors: tests and scripts call `feed` and read `sent`."""

    def __init__(self, name: str) -> None:
        self.name = f"memory:{name}"
        self.dropped_bytes = 0
        self.sent = bytearray()
        self._on_bytes: OnBytes | None = None

    def open(self, env: Environment, on_bytes: OnBytes) -> None:
        """Remember whom to call."""
        self._on_bytes = on_bytes

    def feed(self, data: bytes) -> None:
        """Bytes from the master arrive now."""
        if self._on_bytes is not None:
            self._on_bytes(data)

    def write(self, data: bytes) -> None:
        """Keep what the bus sends."""
        self.sent += data

    def take(self) -> bytes:
        """Everything sent since the last call."""
        data = bytes(self.sent)
        self.sent.clear()
        return data

    def close(self) -> None:
        """Stop taking bytes."""
        self._on_bytes = None


def _real(env: Environment, name: str) -> RealEnvironment:
    if not isinstance(env, RealEnvironment):
        raise PortError(f"{name}: virtual time has no descriptors; allowed there: memory ports")
    return env


def _publish(target: str, link: Path) -> None:
    """Put a symlink in place atomically; an older one of the same name is replaced."""
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(link)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise PortError(f"{link}: cannot be put in place: {error.strerror}; clear the run directory") from error


def _host_port(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None:
        raise PortError(f"{url}: not an address; allowed: tcp://HOST:PORT, such as tcp://127.0.0.1:0")
    return host, port
