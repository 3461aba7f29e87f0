"""A serial line on termios and the loop's own readiness callbacks; no thread, one descriptor.

The line is raw, 8 data bits, exclusive by flock (the lock that pyserial takes too). With parity on, INPCK makes
the driver check it: a wrong byte arrives as zero and the frame's sum refuses it. A pty never keeps PARENB: a call
that changes nothing else fails there with EINVAL, which is tolerated on Unix98 ptys and nowhere else. On a real
UART, parity that did not take is an error, and `parity_effective` always tells what was read back.
"""

import asyncio
import errno
import fcntl
import os
import termios
from collections.abc import Callable

from server.collect import held_io
from server.collect.port import LineSettings, PortError, PortStatus
from server.collect.rs485 import switch_by_driver

WRITE_TIMEOUT_S = 5.0  # a frame of 300 bytes takes 2.8 s at 1200 baud
UNIX98_MAJORS = range(136, 144)
BAUDS = (600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
PARITY_FLAGS = {"N": 0, "E": termios.PARENB, "O": termios.PARENB | termios.PARODD}
STOP_FLAGS = {1: 0, 2: termios.CSTOPB}

_CAUSES = {
    errno.ENOENT: "no such device; plug the adapter in or correct the url of the bus (see /dev/serial/by-id)",
    errno.EACCES: "no permission; add this user to the group that owns the device (often dialout) and log in again",
    errno.EPERM: "no permission; add this user to the group that owns the device (often dialout) and log in again",
    errno.EBUSY: "busy; stop the other program that holds it (fuser names it)",
    errno.EWOULDBLOCK: "busy; stop the other program that holds it (fuser names it)",
    errno.ENOTTY: "not a serial port; name a tty such as /dev/ttyUSB0, or tcp://host:port",
    errno.EISDIR: "a directory; name a tty such as /dev/ttyUSB0, or tcp://host:port",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n, LimitNOFILE= in a systemd unit)",
    errno.EIO: "the device is there but does not work (unplugged, or its other side is closed); plug it in again",
}


def is_pty(fd: int) -> bool:
    """Whether `fd` is a Unix98 pseudo-terminal."""
    return os.major(os.fstat(fd).st_rdev) in UNIX98_MAJORS


def set_line(fd: int, settings: LineSettings) -> bool:
    """Make the line raw with these settings; returns whether parity is really on, as read back.

    `termios.error` when the driver refuses; EINVAL is tolerated on a Unix98 pty, whose PARENB never sticks.
    """
    attributes = termios.tcgetattr(fd)
    parity = PARITY_FLAGS[settings.parity]
    speed = getattr(termios, f"B{settings.baud}")
    attributes[0] = termios.INPCK if parity else 0
    attributes[1] = 0
    attributes[2] = termios.CS8 | termios.CREAD | termios.CLOCAL | parity | STOP_FLAGS[settings.stop_bits]
    attributes[3] = 0
    attributes[4] = attributes[5] = speed
    characters = attributes[6]
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    try:
        termios.tcsetattr(fd, termios.TCSANOW, attributes)
    except termios.error as error:
        if error.args[0] != errno.EINVAL or not is_pty(fd):
            raise
    return bool(termios.tcgetattr(fd)[2] & termios.PARENB)


def _explain(path: str, number: int | None) -> PortError:
    cause = _CAUSES.get(number or 0, f"{os.strerror(number or 0)}; check the device and the url of the bus")
    return PortError(f"{path}: {cause}")


class SerialPort:
    """One tty. Implements `Port`; a scaled world is refused on anything but a pty."""

    def __init__(self, path: str, settings: LineSettings, *, factor: int = 1) -> None:
        if settings.baud not in BAUDS or settings.parity not in PARITY_FLAGS or settings.stop_bits not in STOP_FLAGS:
            raise PortError(
                f"{path}: line {settings.baud} 8{settings.parity}{settings.stop_bits} is not possible; allowed are baud"
                f" {', '.join(map(str, BAUDS))}, parity N, E or O, stop bits 1 or 2"
            )
        self._path = path
        self._settings = settings
        self._factor = factor
        self._fd = -1
        self._parity_effective: bool | None = None
        self._failure = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_data: Callable[[bytes], None] = _ignore_data
        self._on_lost: Callable[[str], None] = _ignore_loss

    @property
    def status(self) -> PortStatus:
        """What the line does, as read back."""
        return PortStatus(self._path, self._fd >= 0, self._parity_effective, self._failure)

    async def open(self, on_data: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        """Open, lock and set the line, then deliver bytes; `PortError` says what to do."""
        self.close()
        self._loop = asyncio.get_running_loop()
        self._on_data, self._on_lost = on_data, on_lost
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise self._failed(_explain(self._path, error.errno)) from error
        try:
            self._prepare(fd)
        except BaseException:
            os.close(fd)
            raise
        self._fd, self._failure = fd, ""
        self._loop.add_reader(fd, self._readable)

    async def write(self, data: bytes) -> None:
        """Hand all of `data` to the driver; `PortError` when the port is gone or takes nothing."""
        rest = data[self._write_some(data) :]
        if not rest:  # nearly always: a frame is smaller than any driver's buffer
            return
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                while rest:
                    rest = rest[self._write_some(rest) :]
                    if rest:
                        await self._writable()
        except TimeoutError as error:
            message = f"{self._path}: took no bytes for {WRITE_TIMEOUT_S:g} s; check flow control and the adapter"
            raise PortError(message) from error

    def close(self) -> None:
        """Close and release the lock; safe to call twice."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(fd)
            self._loop.remove_writer(fd)
        os.close(fd)

    def _prepare(self, fd: int) -> None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.isatty(fd):
                raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
            self._parity_effective = set_line(fd, self._settings)
            switched = self._settings.rs485 and switch_by_driver(fd)
            termios.tcflush(fd, termios.TCIFLUSH)
        except (OSError, termios.error) as error:
            raise self._failed(_explain(self._path, error.args[0])) from error
        if is_pty(fd):
            return
        if self._factor > 1:
            raise self._failed(scaled_world_error(self._path, self._factor))
        if self._settings.rs485 and not switched:
            reason = "its driver has no RS-485 mode; set rs485 = false if the adapter switches by itself"
            raise self._failed(PortError(f"{self._path}: {reason}"))
        if self._settings.parity != "N" and not self._parity_effective:
            reason = f"the driver did not take parity {self._settings.parity}; use another adapter, or parity N"
            raise self._failed(PortError(f"{self._path}: {reason} if the meters are 8N1"))

    def _failed(self, error: PortError) -> PortError:
        self._failure = str(error)
        return error

    def _write_some(self, data: bytes) -> int:
        if self._fd < 0:
            raise PortError(f"{self._path}: the port is closed")
        try:
            return held_io.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise _explain(self._path, error.errno) from error

    async def _writable(self) -> None:
        loop, fd = asyncio.get_running_loop(), self._fd
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_writer(fd, _settle, ready)
        try:
            await ready
        finally:
            if self._fd == fd:
                loop.remove_writer(fd)

    def _readable(self) -> None:
        try:
            data = held_io.read(self._fd)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(str(_explain(self._path, error.errno)))
            return
        if data:
            self._on_data(data)
        else:
            self._lose(str(_explain(self._path, errno.EIO)))

    def _lose(self, reason: str) -> None:
        self._failure = reason
        self.close()
        self._on_lost(reason)


def scaled_world_error(path: str, factor: int) -> PortError:
    """Why a real line cannot be read in a scaled world."""
    return PortError(
        f"{path}: a real serial port runs in real time, this world runs x{factor};"
        " use a simulated port, or a clock anchor with factor 1"
    )


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _ignore_data(_data: bytes) -> None:
    """Nobody listens before `open`."""


def _ignore_loss(_reason: str) -> None:
    """Nobody listens before `open`."""
