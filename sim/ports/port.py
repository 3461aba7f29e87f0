"""What every port of a bus offers, and what it may know of the client's line settings."""

from collections.abc import Callable
from typing import ClassVar, Protocol
from urllib.parse import urlsplit

from sim.errors import PortError
from sim.timing.clock import Environment, RealEnvironment
from sim.wire.uart import LineSettings

READ_BYTES = 4096
OnBytes = Callable[[bytes], None]


class Port(Protocol):
    """One end of a bus: gives bytes to `open`'s callback, takes bytes by `write`."""

    name: str
    dropped_bytes: int
    takes_time: ClassVar[bool]
    """Whether bytes take their time on this port by themselves, as on a real UART."""

    def open(self, env: Environment, on_bytes: OnBytes) -> None:
        """Start to listen; PortError when the port cannot be had."""

    def write(self, data: bytes) -> None:
        """Send without waiting; what nobody takes is dropped and counted, as on a wire."""

    def client_line(self, own: LineSettings) -> LineSettings:
        """How the client has set its line; what the port does not show counts as set like `own`."""

    def close(self) -> None:
        """Give everything back; may be called twice."""


def real(env: Environment, name: str) -> RealEnvironment:
    """The environment if it serves descriptors; PortError in virtual time."""
    if not isinstance(env, RealEnvironment):
        raise PortError(f"{name}: virtual time has no descriptors; allowed there: memory ports")
    return env


def host_port(url: str) -> tuple[str, int]:
    """Host and port of a URL; PortError when one is missing."""
    try:
        parts = urlsplit(url)
        host, number = parts.hostname, parts.port
    except ValueError:
        host = number = None
    if not host or number is None:
        raise PortError(f"{url}: not an address; allowed: {url.partition('://')[0]}://HOST:PORT")
    return host, number
