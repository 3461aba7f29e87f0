"""What went over a bus, with times, in a file that Wireshark opens.

The format is pcap with nanosecond times and the link type 250 (RTAC serial): each packet is one write of either end,
behind 12 bytes of header: time again in seconds and microseconds, event type (1: the master sent, 2: the meters
sent), control lines, two reserved bytes. Times are machine time since the start, laid on the world time at the
start, so that two virtual runs of one seed give the same file to the byte. Each packet is handed to the kernel at
once: whoever kills the simulator loses none. Reading stops quietly at a packet
that a killed simulator did not finish.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from core.dlt645.frame import FrameDecoder
from sim.errors import RecordingError

MAGIC_NS = 0xA1B23C4D
LINK_TYPE = 250
SNAP_BYTES = 65_535
NS = 1_000_000_000
REQUEST_GAP_NS = NS // 2
MASTER, METERS = 1, 2
_FILE = struct.Struct("<IHHiIII")
_PACKET = struct.Struct("<IIII")
_SERIAL = struct.Struct(">IIBBH")


@dataclass(frozen=True, slots=True)
class Packet:
    """One write: nanoseconds since the epoch, who sent it (MASTER or METERS), and the bytes."""

    at_ns: int
    sender: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the master sent in one go, and what came back before it sent again, with the time of each packet."""

    request: bytes
    asked_ns: int
    answer: tuple[Packet, ...]

    @property
    def answer_bytes(self) -> bytes:
        """The whole answer."""
        return b"".join(packet.data for packet in self.answer)


class Recorder:
    """Writes one bus to one file; `origin_us` is the world time of machine second 0."""

    def __init__(self, path: Path, origin_us: int) -> None:
        self.path = path
        self._origin_ns = origin_us * 1000
        try:
            self._file: BinaryIO = path.open("wb")
        except OSError as error:
            raise RecordingError(f"{path}: cannot be written: {error.strerror}") from error
        self._file.write(_FILE.pack(MAGIC_NS, 2, 4, 0, 0, SNAP_BYTES, LINK_TYPE))
        with suppress(OSError):  # a full disk is told with the first packet, or at the end
            self._file.flush()

    def note(self, at_s: float, sender: int, data: bytes) -> None:
        """One write at machine second `at_s`; RecordingError when the disk does not take it."""
        at_ns = self._origin_ns + round(at_s * NS)
        seconds, rest_ns = divmod(at_ns, NS)
        length = _SERIAL.size + len(data)
        head = _PACKET.pack(seconds, rest_ns, length, length)
        with self._told():
            self._file.write(head + _SERIAL.pack(seconds, rest_ns // 1000, sender, 0, 0) + data)
            self._file.flush()

    def close(self) -> None:
        """Finish the file; may be called twice. RecordingError, and closed, when the rest of it found no room."""
        with self._told():
            self._file.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RecordingError(f"{self.path}: cannot be written on: {error.strerror}") from error


def read_recording(path: Path) -> list[Packet]:
    """All packets of a file; RecordingError when it is not one of ours."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) < _FILE.size:
        raise RecordingError(f"{path}: not a recording: {len(content)} bytes, fewer than the header of a pcap file")
    magic, *_versions, link_type = _FILE.unpack_from(content)
    if magic != MAGIC_NS or link_type != LINK_TYPE:
        raise RecordingError(
            f"{path}: not a recording: allowed is pcap with nanoseconds and link type {LINK_TYPE}, "
            f"this is {magic:08x} with link type {link_type}"
        )
    return list(_packets(content))


def _packets(content: bytes) -> Iterator[Packet]:
    offset = _FILE.size
    while offset + _PACKET.size <= len(content):
        seconds, rest_ns, kept, _length = _PACKET.unpack_from(content, offset)
        offset += _PACKET.size
        if kept < _SERIAL.size or offset + kept > len(content):
            return
        sender = _SERIAL.unpack_from(content, offset)[2]
        if sender in (MASTER, METERS):
            yield Packet(seconds * NS + rest_ns, sender, content[offset + _SERIAL.size : offset + kept])
        offset += kept


def exchanges(packets: list[Packet]) -> list[Exchange]:
    """Packets as requests with their answers; what meters said before any request is left out.

    A request is complete with its frame, its answer, or a silence of `REQUEST_GAP_NS` (Modbus has no end mark).
    """
    found: list[Exchange] = []
    decoder = FrameDecoder()
    request, asked_ns, whole = b"", 0, False
    answer: list[Packet] = []
    for packet in packets:
        if packet.sender == METERS:
            answer.append(packet)
            continue
        if request and (answer or whole or packet.at_ns - asked_ns > REQUEST_GAP_NS):
            found.append(Exchange(request, asked_ns, tuple(answer)))
            request = b""
            decoder.reset()
        answer = []
        request += packet.data
        asked_ns = packet.at_ns
        whole = bool(decoder.feed(packet.data))
    if request:
        found.append(Exchange(request, asked_ns, tuple(answer)))
    return found
