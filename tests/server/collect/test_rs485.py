"""RS-485 by the driver: asked of a pty it is unsupported and no trouble, of a UART without it an error."""

import errno
import struct

import pytest

from server.collect import rs485, serial_port
from server.collect.port import LineSettings, PortError
from server.collect.rs485 import switch_by_driver
from server.collect.serial_port import SerialPort
from tests.server.collect.test_ports import asyncio, ignore, open_error, pseudo_terminal

WITH = LineSettings(9600, "N", 1, rs485=True)


def test_a_pty_knows_no_such_mode_and_opens_all_the_same():
    with pseudo_terminal() as (_, path):
        port = SerialPort(path, WITH)
        asyncio.run(port.open(ignore, ignore))
        assert port.status.is_open
        port.close()


def test_a_uart_that_was_asked_and_cannot_is_an_error(monkeypatch):
    monkeypatch.setattr(serial_port, "is_pty", lambda _: False)
    with pseudo_terminal() as (_, path):
        assert "its driver has no RS-485 mode; set rs485 = false" in open_error(SerialPort(path, WITH))
        port = SerialPort(path, LineSettings(9600, "N", 1))
        asyncio.run(port.open(ignore, ignore))
        port.close()


class Driver:
    """The ioctls of a serial core that can, or that only says so."""

    def __init__(self, obeys=True):
        self.obeys, self.flags = obeys, 1 << 4  # a flag of its own, to be kept

    def ioctl(self, _fd, request, argument):
        assert len(argument) == 32
        if request == 0x542F and self.obeys:
            self.flags = struct.unpack("=8I", argument)[0]
        return struct.pack("=8I", self.flags, *[0] * 7)


def test_the_mode_is_set_and_read_back(monkeypatch):
    driver = Driver()
    monkeypatch.setattr(rs485.fcntl, "ioctl", driver.ioctl)
    assert switch_by_driver(3)
    assert driver.flags == 1 << 4 | 1 | 2
    monkeypatch.setattr(rs485.fcntl, "ioctl", Driver(obeys=False).ioctl)
    assert not switch_by_driver(3)


def test_other_trouble_is_not_taken_for_unsupported(monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, "gone")

    monkeypatch.setattr(rs485.fcntl, "ioctl", broken)
    with pseudo_terminal() as (_, path), pytest.raises(PortError, match="plug it in again"):
        asyncio.run(SerialPort(path, WITH).open(ignore, ignore))
