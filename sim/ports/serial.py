"""A real serial port: the simulator stands in for meters on hardware.

The UART gives every byte its time, so the bus adds none of its own (`takes_time`); parity is the UART's too.
pyserial sets the line, and what it could not set is an error that names the device. A pseudo-terminal in place of
a device has no parity, and refuses to be set to any. An adapter may be pulled out while the estate runs: then its bus
is silent, that is said once, and the device is looked for until it is back.
"""

import os
import termios
from typing import ClassVar

import serial

from sim.errors import PortError
from sim.ports.port import READ_BYTES, OnBytes, PortState, real, say
from sim.timing.clock import Environment, RealEnvironment
from sim.wire.uart import LineSettings

REOPEN_S = 1.0
"""Between two looks for a device that has gone; udev needs about as long to give it its name and group."""


class SerialPort:
    """A device such as /dev/ttyUSB0, held exclusively."""

    takes_time: ClassVar[bool] = True

    def __init__(self, path: str, line: LineSettings) -> None:
        self.name = path
        self.state = PortState()
        self._line = line
        self._serial: serial.Serial | None = None
        self._env: RealEnvironment | None = None
        self._on_bytes: OnBytes | None = None

    def open(self, env: Environment, on_bytes: OnBytes) -> None:
        """Open the device with the bus's settings."""
        self._env, self._on_bytes = real(env, self.name), on_bytes
        try:
            self._open()
        except (OSError, ValueError, termios.error) as error:
            raise PortError(
                f"{self.name}: cannot be opened: {error}; plug it in, free it, or join the group that owns it"
            ) from error

    def write(self, data: bytes) -> None:
        """Hand the bytes to the driver; what it does not take is lost."""
        if self._serial is None:
            self.state.dropped_bytes += len(data)
            return
        try:
            sent = os.write(self._serial.fileno(), data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            sent = 0
            self._lose(os.strerror(error.errno or 0))
        self.state.dropped_bytes += len(data) - sent

    def client_line(self, own: LineSettings) -> LineSettings:
        """A mismatch is settled by the two UARTs themselves."""
        return own

    def cut(self) -> None:
        """Nobody stands between a UART and its line."""

    def mend(self) -> None:
        """Nobody stands between a UART and its line."""

    def close(self) -> None:
        """Give the device back and look for it no more."""
        self._on_bytes = None
        self._release()

    def _open(self) -> None:
        assert self._env is not None
        self._serial = serial.Serial(
            self.name,
            self._line.baud,
            parity="N" if _is_pty(self.name) else self._line.parity,
            stopbits=self._line.stop_bits,
            timeout=0,
            exclusive=True,
        )
        self._env.watch(self._serial.fileno(), self._read)

    def _release(self) -> None:
        held, self._serial = self._serial, None
        if held is None:
            return
        if self._env is not None:
            self._env.unwatch(held.fileno())
        held.close()

    def _read(self) -> None:
        assert self._serial is not None
        try:
            data = os.read(self._serial.fileno(), READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(os.strerror(error.errno or 0))
            return
        if not data:
            self._lose("hung up")
        elif self._on_bytes is not None:
            self._on_bytes(data)

    def _lose(self, reason: str) -> None:
        """The adapter was pulled out: say so, and look for it."""
        self._release()
        self.state.up = False
        self.state.losses += 1
        say(f"{self.name}: gone ({reason}), its bus is silent; plug it in again, it is opened as soon as it is back")
        self._look_later()

    def _look_later(self) -> None:
        assert self._env is not None
        self._env.call_at(self._env.time_s + REOPEN_S, self._look)

    def _look(self) -> None:
        """Open the device if it is there again, else look later."""
        if self._on_bytes is None:
            return
        try:
            self._open()
        except (OSError, ValueError, termios.error):
            self._look_later()
            return
        self.state.up = True
        say(f"{self.name}: back, its bus answers again")


def _is_pty(path: str) -> bool:
    return os.path.realpath(path).startswith("/dev/pts/")
