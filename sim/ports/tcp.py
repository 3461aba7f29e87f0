"""A TCP server, as transparent serial servers are: every client hears everything, as on a real line.

Like those it serves a few clients only, and waits for none: who does not take what it is sent is disconnected.
"""

import errno
import socket
import termios
from array import array
from fcntl import ioctl
from typing import ClassVar

from sim.errors import PortError
from sim.ports.port import READ_BYTES, OnBytes, PortState, host_port, real, say
from sim.timing.clock import Environment, RealEnvironment
from sim.wire.uart import LineSettings

BACKLOG = 16
CLIENTS_MAX = 8
"""Clients of one port, as many as the larger serial servers take."""
BACKLOG_BYTES_MAX = 65_536
"""Bytes that the kernel keeps for a client that does not read: 68 s of a line at 9600 baud."""
RELISTEN_S = 1.0


class TcpPort:
    """tcp://HOST:PORT; port 0 takes a free one and `name` then tells it."""

    takes_time: ClassVar[bool] = False

    def __init__(self, url: str) -> None:
        self.name = url
        self.state = PortState()
        self._clients: dict[int, socket.socket] = {}
        self._server: socket.socket | None = None
        self._env: RealEnvironment | None = None
        self._on_bytes: OnBytes | None = None
        self._address = ("", 0)
        self._said_full = False
        self._greeting: bytes | None = None
        self._outages = 0

    def open(self, env: Environment, on_bytes: OnBytes) -> None:
        """Bind and listen."""
        self._env, self._on_bytes = real(env, self.name), on_bytes
        host, port = host_port(self.name)
        try:
            server = socket.create_server((host, port), family=_family(host), backlog=BACKLOG)
        except OSError as error:
            held = error.errno == errno.EADDRINUSE
            advice = "stop whoever holds it or take port 0" if held else "take an address and a port of this machine"
            raise PortError(f"{self.name}: cannot listen: {error.strerror}; {advice}") from error
        self._listen(server)
        self.name = f"tcp://{f'[{host}]' if ':' in host else host}:{server.getsockname()[1]}"

    def write(self, data: bytes) -> None:
        """Send to every client; one that does not read is disconnected."""
        if self._greeting is not None:
            self._greeting = self._greeting or data
            return
        for fd, client in list(self._clients.items()):
            try:
                sent = client.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._drop(fd)
                continue
            if sent < len(data):
                self.state.dropped_bytes += len(data) - sent
                say(f"{self.name}: a client has left {_waiting_bytes(client)} bytes or more unread and is disconnected")
                self._drop(fd)

    def client_line(self, own: LineSettings) -> LineSettings:
        """A socket shows no line settings: the serial server is set like the bus."""
        return own

    def cut(self) -> None:
        """The serial server is down: its clients are gone, and nobody gets through to it."""
        if self._on_bytes is None:
            return
        self._outages += 1
        self._greeting = None
        if self._server is not None and self.state.up:
            self.state.up = False
            self.state.losses += 1
            self._address = self._server.getsockname()
        self._close()
        family = _family(self._address[0])
        held = socket.socket(family)
        try:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            held.bind(self._address)  # without listening: connections are refused, and the port stays ours
        except OSError:
            held.close()
        else:
            self._server = held

    def mend(self) -> None:
        """It is up again; what it says first waits for the first client."""
        if self.state.up or self._on_bytes is None:
            return
        self._greeting = b""
        self._listen_again(self._outages)

    def _listen_again(self, outage: int) -> None:
        """Every second until it succeeds, unless the serial server has gone down once more meanwhile."""
        if outage != self._outages or self.state.up or self._on_bytes is None or self._env is None:
            return
        if self._server is not None:
            self._server.close()
            self._server = None
        try:
            server = socket.create_server(self._address, family=_family(self._address[0]), backlog=BACKLOG)
        except OSError as error:
            say(f"{self.name}: cannot listen again: {error.strerror}; free the port, it is tried every second")
            self._env.call_at(self._env.time_s + RELISTEN_S, lambda: self._listen_again(outage))
            return
        self._listen(server)
        self.state.up = True

    def close(self) -> None:
        """Close the server and all clients."""
        self._on_bytes = None
        self._close()

    def _listen(self, server: socket.socket) -> None:
        assert self._env is not None
        server.setblocking(False)
        self._server = server
        self._env.watch(server.fileno(), self._accept)

    def _close(self) -> None:
        for fd in list(self._clients):
            self._drop(fd)
        if self._server is not None and self._env is not None:
            self._env.unwatch(self._server.fileno())
            self._server.close()
            self._server = None

    def _accept(self) -> None:
        assert self._server is not None
        assert self._env is not None
        try:
            client, address = self._server.accept()
        except OSError:
            return
        if len(self._clients) >= CLIENTS_MAX:
            client.close()
            self._say_full(address)
            return
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BACKLOG_BYTES_MAX)
        fd = client.fileno()
        self._clients[fd] = client
        self._env.watch(fd, lambda: self._read(fd))
        greeting, self._greeting = self._greeting, None
        if greeting:
            self.write(greeting)

    def _say_full(self, address: tuple[object, ...]) -> None:
        """Say it once, until somebody has gone: a client that tries again and again must not fill the log."""
        self.state.refused_clients += 1
        if not self._said_full:
            self._said_full = True
            say(
                f"{self.name}: {CLIENTS_MAX} clients are connected, one more from {address[0]} is refused; "
                "disconnect one, or give its meters a bus of their own"
            )

    def _read(self, fd: int) -> None:
        try:
            data = self._clients[fd].recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(fd)
        elif self._on_bytes is not None:
            self._on_bytes(data)

    def _drop(self, fd: int) -> None:
        client = self._clients.pop(fd, None)
        self._said_full = False
        if client is not None and self._env is not None:
            self._env.unwatch(fd)
            client.close()


def _family(host: str) -> socket.AddressFamily:
    """Only addresses of IPv6 have colons."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _waiting_bytes(client: socket.socket) -> int:
    """What the kernel still keeps for a client; what it has handed over without being read is not among it."""
    count = array("i", [0])
    ioctl(client, termios.TIOCOUTQ, count)
    return count[0]
