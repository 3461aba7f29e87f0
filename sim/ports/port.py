"""What every port of a bus offers, and what it may know of the client's line settings."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol
from urllib.parse import urlsplit

from sim.errors import PortError
from sim.timing.clock import Environment, RealEnvironment
from sim.wire.uart import LineSettings

READ_BYTES = 4096
OnBytes = Callable[[bytes], None]


@dataclass(slots=True)
class PortState:
    """How a port fares: `up` is false while a device is pulled out, or a DTU or serial server has no way out."""

    up: bool = True
    losses: int = 0
    dropped_bytes: int = 0
    refused_clients: int = 0


class Port(Protocol):
    """One end of a bus: gives bytes to `open`'s callback, takes bytes by `write`."""

    name: str
    state: PortState
    takes_time: ClassVar[bool]
    """Whether bytes take their time on this port by themselves, as on a real UART."""

    def open(self, env: Environment, on_bytes: OnBytes) -> None:
        """Start to listen; PortError when the port cannot be had."""

    def write(self, data: bytes) -> None:
        """Send without waiting; what nobody takes is dropped and counted, as on a wire."""

    def client_line(self, own: LineSettings) -> LineSettings:
        """How the client has set its line; what the port does not show counts as set like `own`."""

    def cut(self) -> None:
        """The device between line and network goes down; on a port without one nothing happens."""

    def mend(self) -> None:
        """That device is up again."""

    def close(self) -> None:
        """Give everything back; may be called twice."""


def say(text: str) -> None:
    """One line on standard error about a port."""
    sys.stderr.write(f"estate645-sim: {text}\n")
    sys.stderr.flush()


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
