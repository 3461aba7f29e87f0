"""A port without descriptors, for virtual time: whoever holds it feeds bytes and takes what the bus sent."""

from typing import ClassVar

from sim.ports.port import OnBytes, PortState
from sim.timing.clock import Environment
from sim.wire.uart import LineSettings


class MemoryPort:
    """`feed` is the client's writing, `take` its reading; `line` is how it has set its own end, if it differs."""

    takes_time: ClassVar[bool] = False

    def __init__(self, name: str) -> None:
        self.name = f"memory:{name}"
        self.state = PortState()
        self.sent = bytearray()
        self.line: LineSettings | None = None
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

    def client_line(self, own: LineSettings) -> LineSettings:
        """What the holder says, or the bus's own settings."""
        return self.line or own

    def take(self) -> bytes:
        """Everything sent since the last call."""
        data = bytes(self.sent)
        self.sent.clear()
        return data

    def cut(self) -> None:
        """Nothing stands between the holder and the line."""

    def mend(self) -> None:
        """Nothing stands between the holder and the line."""

    def close(self) -> None:
        """Stop taking bytes."""
        self._on_bytes = None
