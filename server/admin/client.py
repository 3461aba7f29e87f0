"""The commands' side of the admin socket: finds the running server of a database, and asks it.

`Admin.at` gives None where no server answers, so that a command may do its work alone; a server that answers and does
not know the operation is said to be too old.
"""

import socket
from collections.abc import Iterator, Mapping
from typing import Any

from core.dlt645.search import Heard
from core.framing import BusFrame
from server.admin.wire import VERSION, address_of, frame_of, lines, send, socket_path
from server.collect.port import LineSettings
from server.errors import EstateError, Refused

CONNECT_S = 5.0


class AdminError(EstateError):
    """The running server refused, failed or went away; the message is what it said."""


class Admin:
    """One connection to a running server."""

    def __init__(self, connection: socket.socket, where: str) -> None:
        self._connection = connection
        self._where = where
        self._stream = connection.makefile("rb")
        self._lines = lines(self._stream)
        try:
            self._operations = self._greeted()
        except AdminError:
            self.close()
            raise

    def _greeted(self) -> set[str]:
        """The operations that the server names first."""
        hello = self._next()
        where = self._where
        if hello.get("estate645") != "admin" or hello.get("version") != VERSION:
            raise AdminError(
                f"{where}: the running server speaks version {hello.get('version')} of the admin socket, this command "
                f"version {VERSION}; use the same release for both"
            )
        return set(hello.get("operations", ()))

    @classmethod
    def at(cls, database_url: str) -> "Admin | None":
        """The server of this database, or None where none answers. AdminError when it may not be used."""
        path = socket_path(database_url)
        if path is None or not path.exists():
            return None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(CONNECT_S)
        try:
            with address_of(path) as address:
                connection.connect(address)
        except PermissionError as error:
            connection.close()
            raise AdminError(f"{path}: no permission; run this as the user of the server, or as root") from error
        except OSError:
            connection.close()
            return None  # left behind by a server that was killed
        connection.settimeout(None)
        return cls(connection, str(path))

    def knows(self, op: str) -> bool:
        """Whether the server has this operation; one of an older release may not."""
        return op in self._operations

    def ask(self, op: str, **message: object) -> Any:
        """One operation and its answer."""
        self._send(op, message)
        answer = self._next()
        if "error" in answer:
            raise AdminError(str(answer["error"]))
        return answer.get("done")

    def stream(self, op: str, **message: object) -> Iterator[dict[str, Any]]:
        """One operation whose answers do not end."""
        self._send(op, message)
        while True:
            answer = self._next()
            if "error" in answer:
                raise AdminError(str(answer["error"]))
            yield answer

    def close(self) -> None:
        """Hang up."""
        self._stream.close()
        self._connection.close()

    def _send(self, op: str, message: Mapping[str, object]) -> None:
        if op not in self._operations:
            raise AdminError(f"{self._where}: the running server is too old for `{op}`; restart it with this release")
        try:
            send(self._connection, {"op": op, **message})
        except OSError as error:
            raise AdminError(f"{self._where}: the server went away ({error.strerror})") from error

    def _next(self) -> dict[str, Any]:
        try:
            answer = next(self._lines, None)
        except (OSError, Refused) as error:
            raise AdminError(f"{self._where}: the server went away ({error})") from error
        if answer is None:
            raise AdminError(f"{self._where}: the server hung up; it may be stopping, or other commands use it")
        return answer


class ServedBus:
    """A bus of a running server, to be asked like a line of one's own."""

    def __init__(self, admin: Admin, bus: Mapping[str, Any]) -> None:
        self.admin = admin
        self.bus_id = str(bus["bus"])
        self.line = LineSettings(int(bus["baud"]), str(bus["parity"]), int(bus["stop_bits"]))

    async def hear(self, command: Any, linger_s: float = 0.0) -> Heard:
        """Ask through the server, in the lane of the bus."""
        wire: BusFrame = command.to_frame()
        told = self.admin.ask("hear", bus=self.bus_id, wire=wire.to_wire(0).hex(), linger_ms=int(linger_s * 1000))
        frames = tuple(frame_of(bytes.fromhex(one)) for one in told["frames"])
        return Heard(frames, int(told["garbage_bytes"]), told["latency_ms"] / 1000)
