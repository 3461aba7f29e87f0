"""A TCP server, as transparent serial servers are: every client hears everything, as on a real line."""

import socket
from typing import ClassVar

from sim.errors import PortError
from sim.ports.port import READ_BYTES, OnBytes, host_port, real
from sim.timing.clock import Environment, RealEnvironment
from sim.wire.uart import LineSettings

BACKLOG = 16


class TcpPort:
    """tcp://HOST:PORT; port 0 takes a free one and `name` then tells it."""

    takes_time: ClassVar[bool] = False

    def __init__(self, url: str) -> None:
        self.name = url
        self.dropped_bytes = 0
        self._clients: dict[int, socket.socket] = {}
        self._server: socket.socket | None = None
        self._env: RealEnvironment | None = None

    def open(self, env: Environment, on_bytes: OnBytes) -> None:
        """Bind and listen."""
        self._env = real(env, self.name)
        host, port = host_port(self.name)
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

    def client_line(self, own: LineSettings) -> LineSettings:
        """A socket shows no line settings: the serial server is set like the bus."""
        return own

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
