"""A DTU: it dials in to the head-end, says who it is, keeps the line alive, and dials again when it is cut off.

The registration packet goes out first on every connection; the heartbeat is sent when nothing was sent for a
while, and lands between answers in the same stream, as real modems do it. Times are machine seconds.
"""

import errno
import socket
from typing import Any, ClassVar

from sim.errors import PortError
from sim.estate import Dialling
from sim.ports.port import READ_BYTES, OnBytes, PortState, host_port, real
from sim.timing.clock import Environment, RealEnvironment
from sim.wire.uart import LineSettings


class DialOutPort:
    """dtu://HOST:PORT, where the head-end listens."""

    takes_time: ClassVar[bool] = False

    def __init__(self, url: str, dialling: Dialling) -> None:
        self.name = url
        self.state = PortState(up=False)
        self.connections = 0
        self._dialling = dialling
        self._family = socket.AF_INET
        self._address: Any = None
        self._on_bytes: OnBytes | None = None
        self._env: RealEnvironment | None = None
        self._socket: socket.socket | None = None
        self._cut = False
        self._greeting: bytes | None = None
        self._spoke_s = 0.0
        self._turn = 0

    def open(self, env: Environment, on_bytes: OnBytes) -> None:
        """Dial for the first time; that nobody listens yet is no error."""
        self._env = real(env, self.name)
        self._on_bytes = on_bytes
        host, number = host_port(self.name)
        try:
            found = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
        except OSError as error:
            raise PortError(f"{self.name}: {host} is not known: {error.strerror}; allowed: dtu://HOST:PORT") from error
        self._family, self._address = found[0], found[4]
        self._dial()

    def write(self, data: bytes) -> None:
        """Send; without a connection the bytes are lost, as in a real DTU."""
        if self._greeting is not None:
            self._greeting = self._greeting or data
            return
        if self._socket is None or not self.state.up or self._env is None:
            self.state.dropped_bytes += len(data)
            return
        self._spoke_s = self._env.time_s
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent = 0
            self._hang_up()
        self.state.dropped_bytes += len(data) - sent

    def client_line(self, own: LineSettings) -> LineSettings:
        """The DTU is set like its bus; the head-end's settings do not reach it."""
        return own

    def cut(self) -> None:
        """The DTU is down: it hangs up and does not dial."""
        self._cut = True
        self._drop()

    def mend(self) -> None:
        """The DTU is up again and dials; what it says first waits for the connection."""
        if self._cut:
            self._cut, self._greeting = False, b""
            self._dial()

    def close(self) -> None:
        """Hang up and never dial again."""
        self._on_bytes = None
        self._drop()

    def _dial(self) -> None:
        if self._on_bytes is None or self._env is None or self._cut:
            return
        line = socket.socket(self._family)
        line.setblocking(False)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = line
        self._turn += 1
        if line.connect_ex(self._address) in (0, errno.EINPROGRESS):
            self._env.watch_writable(line.fileno(), self._connected)
        else:
            self._hang_up()

    def _connected(self) -> None:
        assert self._socket is not None
        assert self._env is not None
        self._env.unwatch(self._socket.fileno())
        if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._hang_up()
            return
        self.state.up = True
        self.connections += 1
        self._env.watch(self._socket.fileno(), self._read)
        greeting, self._greeting = self._greeting, None
        self.write(self._dialling.registration)
        if greeting:
            self.write(greeting)
        self._keep_alive(self._turn)

    def _keep_alive(self, turn: int) -> None:
        """Send the heartbeat once nothing was sent for its interval, then wait for the next one."""
        if self._env is None or turn != self._turn or not self.state.up or not self._dialling.heartbeat:
            return
        if self._env.time_s >= self._spoke_s + self._dialling.heartbeat_s:
            self.write(self._dialling.heartbeat)
        self._env.call_at(self._spoke_s + self._dialling.heartbeat_s, lambda: self._keep_alive(turn))

    def _read(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._hang_up()
        elif self._on_bytes is not None:
            self._on_bytes(data)

    def _hang_up(self) -> None:
        """The line is gone: dial again after a while."""
        self._drop()
        if self._env is not None and self._on_bytes is not None:
            turn = self._turn
            self._env.call_at(self._env.time_s + self._dialling.redial_s, lambda: self._redial(turn))

    def _redial(self, turn: int) -> None:
        """Dial, unless that has happened meanwhile."""
        if turn == self._turn:
            self._dial()

    def _drop(self) -> None:
        if self._socket is not None and self._env is not None:
            self._env.unwatch(self._socket.fileno())
            self._socket.close()
        self.state.losses += self.state.up
        self._socket, self.state.up = None, False
