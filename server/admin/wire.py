"""What travels over the admin socket: JSON lines, and frames in hex.

    server: {"estate645": "admin", "version": 1, "operations": [...]}      once, at the start
    client: {"op": NAME, ...}          server: {"done": ...} or {"error": TEXT, "kind": NAME}
    client: {"op": "trace", "bus": ID} server: {"sent": BOOL, "bytes": HEX, "ms": N} until the client goes

The socket lies beside the SQLite file, `FILE.admin`, and belongs to the server's user alone. A longer path than a
socket address holds is reached through its folder's descriptor.
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import make_url

from core.dlt645.frame import parse
from core.dlt645.search import Asked
from core.errors import FrameError
from core.framing import BusFrame
from core.modbus.commands import ReadRegisters
from core.modbus.rtu import READ_HOLDING, READ_INPUT, RtuFrame
from core.modbus.rtu import parse as parse_rtu
from server.errors import Refused

VERSION = 1
LINE_MAX = 64 * 2**20  # bytes; an estate file of 10,000 households has some 2 MB
PATH_MAX = 100  # bytes; the address of a unix socket holds 107
READS = frozenset((0x01, 0x02, 0x11, 0x12, 0x13))  # of both editions; everything else could change a meter


def socket_path(database_url: str) -> Path | None:
    """Where the admin socket of this database is; None for a database that has none (PostgreSQL)."""
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    return Path(f"{url.database}.admin")


@contextmanager
def address_of(path: Path) -> Iterator[str]:
    """An address by which the socket at `path` can be bound or reached, however long the path is."""
    if len(os.fsencode(path)) <= PATH_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def send(connection: socket.socket, message: dict[str, Any]) -> None:
    """Write one line."""
    connection.sendall(json.dumps(message, ensure_ascii=False).encode() + b"\n")


def lines(stream: BinaryIO) -> Iterator[dict[str, Any]]:
    """Read lines until the other side ends; `Refused` for what is no line of ours."""
    while text := stream.readline(LINE_MAX):
        try:
            message = json.loads(text)
        except ValueError as error:
            raise Refused("not a line of JSON") from error
        if not isinstance(message, dict):
            raise Refused("not an object of JSON")
        yield message


def question_of(wire: str) -> Asked | ReadRegisters:
    """The question in these bytes; `Refused` for anything but a read."""
    try:
        data = bytes.fromhex(wire)
    except ValueError as error:
        raise Refused("the question is not hexadecimal") from error
    frame = frame_of(data)
    if isinstance(frame, RtuFrame):
        if frame.is_reply or frame.function not in (READ_HOLDING, READ_INPUT):
            raise Refused("only reads are asked for others; this is no Modbus read")
        return ReadRegisters(frame.unit, frame.register, frame.count, frame.function)
    asked = Asked(parse(data))
    if asked.request.control not in READS:
        raise Refused(f"only reads are asked for others; control code {asked.request.control:02X}H is none")
    return asked


def frame_of(data: bytes) -> BusFrame:
    """One frame of either protocol; `Refused` for none."""
    try:
        return parse(data)
    except FrameError:
        try:
            return parse_rtu(data)
        except FrameError as error:
            raise Refused("neither a frame of DL/T 645 nor of Modbus") from error
