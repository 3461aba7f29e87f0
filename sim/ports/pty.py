"""A pseudo-terminal, published as a symlink in the run directory.

A fresh pty is cooked and echoes, so it is made raw before anybody can know its name; one descriptor of the
slave stays open, so that the master never hangs up between two clients. The line itself takes any baud at once,
so timing is never its business (`sim.wire.bus`); what the client has set can be asked. Of parity it shows odd, and even
only where the client also checks what it reads (INPCK), as ours does; otherwise nothing is known.
"""

import os
import pty
import termios
import tty
from contextlib import suppress
from fcntl import ioctl
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from sim.errors import PortError
from sim.ports.port import READ_BYTES, OnBytes, PortState, real
from sim.timing.clock import Environment, RealEnvironment
from sim.wire.uart import LineSettings

TCGETS = termios.TCGETS
IFLAG, CFLAG, ISPEED, OSPEED = 0, 2, 4, 5
TERMIOS_ROOM_BYTES = 64
"""The kernel's termios is smaller on every architecture."""
BAUD_OF = {getattr(termios, name): int(name[1:]) for name in dir(termios) if name[:1] == "B" and name[1:].isdigit()}
SPEED_OF = {baud: speed for speed, baud in BAUD_OF.items()}


class PtyPort:
    """One pair; `link` is the name under which clients find the slave."""

    takes_time: ClassVar[bool] = False

    def __init__(self, link: Path, line: LineSettings) -> None:
        self.name = str(link)
        self.state = PortState()
        self._link = link
        self._line = line
        self._fds: tuple[int, int] | None = None
        self._env: RealEnvironment | None = None
        self._live, self._seen = bytearray(TERMIOS_ROOM_BYTES), b""
        self._own = line
        self._client = line

    def open(self, env: Environment, on_bytes: OnBytes) -> None:
        """Make the pair raw, then publish its name."""
        self._env = real(env, self.name)
        try:
            master, slave = pty.openpty()
        except OSError as error:
            raise PortError(
                f"no pseudo-terminal for {self._link}: {error.strerror}; see /proc/sys/kernel/pty/max and `ulimit -n`"
            ) from error
        self._fds = (master, slave)
        tty.setraw(slave)
        self._set_speed(slave)
        os.set_blocking(master, False)
        self._env.watch(master, partial(self._read, master, on_bytes))
        _publish(os.ttyname(slave), self._link)

    def write(self, data: bytes) -> None:
        """Send; a full buffer means that nobody reads, and the rest is lost."""
        fds = self._fds
        if fds is None:
            return
        try:
            sent = os.write(fds[0], data)
        except BlockingIOError:
            sent = 0
        if sent != len(data):
            self.state.dropped_bytes += len(data) - sent

    def client_line(self, own: LineSettings) -> LineSettings:
        """The slave's live settings; a speed that has no name counts as our own.

        They are compared as the kernel's own bytes, and taken apart only where those have changed.
        """
        fds, live = self._fds, self._live
        if fds is None:
            return own
        ioctl(fds[0], TCGETS, live)
        if live != self._seen or own is not self._own:
            self._seen, self._own = bytes(live), own
            self._client = self._settings(termios.tcgetattr(fds[0]), own)
        return self._client

    @staticmethod
    def _settings(attributes: list[Any], own: LineSettings) -> LineSettings:
        """Line settings behind a slave's attributes; our own object where they are the same."""
        odd = attributes[CFLAG] & termios.PARODD
        shown_even = attributes[IFLAG] & termios.INPCK and not odd
        unshown = "N" if own.parity == "O" else own.parity
        found = LineSettings(
            BAUD_OF.get(attributes[OSPEED], own.baud),
            "O" if odd else "E" if shown_even else unshown,
            2 if attributes[CFLAG] & termios.CSTOPB else 1,
        )
        return own if found == own else found

    def cut(self) -> None:
        """A pseudo-terminal stays, as the cable of a local converter does."""

    def mend(self) -> None:
        """A pseudo-terminal stays, as the cable of a local converter does."""

    def close(self) -> None:
        """Unpublish and close both ends."""
        if self._fds is None:
            return
        if self._link.is_symlink():
            self._link.unlink(missing_ok=True)
        if self._env is not None:
            self._env.unwatch(self._fds[0])
        for fd in self._fds:
            os.close(fd)
        self._fds = None

    def _set_speed(self, slave: int) -> None:
        """A client that never touches the line finds it set like the bus."""
        attributes = termios.tcgetattr(slave)
        attributes[ISPEED] = attributes[OSPEED] = SPEED_OF[self._line.baud]
        if self._line.stop_bits == 2:
            attributes[CFLAG] |= termios.CSTOPB
        if self._line.parity == "O":
            attributes[CFLAG] |= termios.PARODD
        termios.tcsetattr(slave, termios.TCSANOW, attributes)

    @staticmethod
    def _read(master: int, on_bytes: OnBytes) -> None:
        try:
            data = os.read(master, READ_BYTES)
        except (BlockingIOError, OSError):
            # EIO would mean that no slave is open; ours is, so there is nothing to read and nothing lost.
            return
        if data:
            on_bytes(data)


def _publish(target: str, link: Path) -> None:
    """Put a symlink in place atomically; an older one of the same name is replaced."""
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(link)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise PortError(f"{link}: cannot be put in place: {error.strerror}; clear the run directory") from error
