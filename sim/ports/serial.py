"""A real serial port: the simulator stands in for meters on hardware.

The UART gives every byte its time, so the bus adds none of its own (`takes_time`); parity is the UART's too.
pyserial sets the line, and what it could not set is an error that names the device. A pseudo-terminal in place of
a device has no parity, and refuses to be set to any.
"""

import os
import termios
from typing import ClassVar

import serial

from sim.errors import PortError
from sim.ports.port import READ_BYTES, OnBytes, real
from sim.timing.clock import Environment, RealEnvironment
from sim.wire.uart import LineSettings


class SerialPort:
    """A device such as /dev/ttyUSB0, held exclusively."""

    takes_time: ClassVar[bool] = True

    def __init__(self, path: str, line: LineSettings) -> None:
        self.name = path
        self.dropped_bytes = 0
        self._line = line
        self._serial: serial.Serial | None = None
        self._env: RealEnvironment | None = None

    def open(self, env: Environment, on_bytes: OnBytes) -> None:
        """Open the device with the bus's settings."""
        self._env = real(env, self.name)
        try:
            self._serial = serial.Serial(
                self.name,
                self._line.baud,
                parity="N" if _is_pty(self.name) else self._line.parity,
                stopbits=self._line.stop_bits,
                timeout=0,
                exclusive=True,
            )
        except (OSError, ValueError, termios.error) as error:
            raise PortError(
                f"{self.name}: cannot be opened: {error}; plug it in, free it, or join the group that owns it"
            ) from error
        self._env.watch(self._serial.fileno(), lambda: self._read(on_bytes))

    def write(self, data: bytes) -> None:
        """Hand the bytes to the driver; what it does not take is lost."""
        if self._serial is None:
            return
        try:
            sent = os.write(self._serial.fileno(), data)
        except OSError:
            sent = 0
        self.dropped_bytes += len(data) - sent

    def client_line(self, own: LineSettings) -> LineSettings:
        """A mismatch is settled by the two UARTs themselves."""
        return own

    def close(self) -> None:
        """Give the device back."""
        if self._serial is None:
            return
        if self._env is not None:
            self._env.unwatch(self._serial.fileno())
        self._serial.close()
        self._serial = None

    def _read(self, on_bytes: OnBytes) -> None:
        assert self._serial is not None
        try:
            data = os.read(self._serial.fileno(), READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            on_bytes(data)
        else:
            self.close()  # the adapter was pulled out


def _is_pty(path: str) -> bool:
    return os.path.realpath(path).startswith("/dev/pts/")
