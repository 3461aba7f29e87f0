"""Ports: 8E1 that survives reopening on a pty, exclusive use, bytes both ways, and errors that say what to do."""

import asyncio
import os
import pty
import socket
import stat
import termios
import tty
from contextlib import contextmanager

import pytest

from server.collect import serial_port
from server.collect.port import LineSettings, PortError
from server.collect.ports import check_world, open_port
from server.collect.serial_port import SerialPort
from server.collect.tcp_port import TcpPort
from server.errors import ConfigError

EVEN = LineSettings(9600, "E", 1)


@contextmanager
def pseudo_terminal():
    """A raw pty; its slave stays open, so that termios survive between openers."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    try:
        yield master, os.ttyname(slave)
    finally:
        os.close(master)
        os.close(slave)


def ignore(_):
    pass


def open_error(port):
    with pytest.raises(PortError) as caught:
        asyncio.run(port.open(ignore, ignore))
    return str(caught.value)


def test_8e1_opens_twenty_times_on_one_pty_and_tells_the_truth_about_parity():
    with pseudo_terminal() as (master, path):

        async def open_all():
            for _ in range(20):
                port = SerialPort(path, EVEN)
                await port.open(ignore, ignore)
                assert port.status.is_open
                assert port.status.parity_effective is False  # a pty keeps no parity
                port.close()
                assert not port.status.is_open

        asyncio.run(open_all())
        assert termios.tcgetattr(master)[0] & termios.INPCK  # the other side can see that parity is wanted


def test_each_line_setting_opens_and_reopens_on_a_pty():
    with pseudo_terminal() as (master, path):
        for settings in [EVEN, LineSettings(2400, "N", 1), LineSettings(9600, "O", 2), EVEN, EVEN]:
            port = SerialPort(path, settings)
            asyncio.run(port.open(ignore, ignore))
            attributes = termios.tcgetattr(master)
            assert attributes[4] == getattr(termios, f"B{settings.baud}")
            assert bool(attributes[0] & termios.INPCK) == (settings.parity != "N")
            assert bool(attributes[2] & termios.CSTOPB) == (settings.stop_bits == 2)
            port.close()


def test_bytes_travel_both_ways_and_none_is_changed():
    everything = bytes(range(256)) * 8

    async def talk(master, path):
        got, complete = bytearray(), asyncio.Event()

        def take(data):
            got.extend(data)
            if len(got) >= len(everything):
                complete.set()

        def echo():
            os.write(master, os.read(master, 4096))

        loop = asyncio.get_running_loop()
        loop.add_reader(master, echo)
        port = SerialPort(path, EVEN)
        await port.open(take, ignore)
        for start in range(0, len(everything), 256):
            await port.write(everything[start : start + 256])
        await asyncio.wait_for(complete.wait(), 20)
        loop.remove_reader(master)
        port.close()
        assert bytes(got) == everything

    with pseudo_terminal() as (master, path):
        asyncio.run(talk(master, path))


def test_a_line_that_takes_no_bytes_is_an_error_and_no_hang(monkeypatch):
    monkeypatch.setattr(serial_port, "WRITE_TIMEOUT_S", 0.2)

    async def flood(path):
        port = SerialPort(path, EVEN)
        await port.open(ignore, ignore)
        try:
            with pytest.raises(PortError, match="took no bytes for"):
                await port.write(bytes(1 << 20))
        finally:
            port.close()

    with pseudo_terminal() as (_, path):
        asyncio.run(flood(path))


def test_a_port_whose_other_side_goes_away_is_lost_and_can_be_told():
    async def lose():
        master, slave = pty.openpty()
        lost = asyncio.get_running_loop().create_future()
        port = SerialPort(os.ttyname(slave), EVEN)
        await port.open(ignore, lost.set_result)
        os.close(slave)
        os.close(master)
        reason = await asyncio.wait_for(lost, 20)
        assert "plug it in again" in reason
        assert not port.status.is_open
        with pytest.raises(PortError):
            await port.write(b"x")

    asyncio.run(lose())


def test_a_missing_device_is_named():
    message = open_error(SerialPort("/dev/ttyUSB93", EVEN))
    assert message.startswith("/dev/ttyUSB93: no such device; plug the adapter in")


def test_a_busy_port_is_named_and_free_again_after_close():
    async def two(path):
        first, second = SerialPort(path, EVEN), SerialPort(path, EVEN)
        await first.open(ignore, ignore)
        with pytest.raises(PortError, match="busy; stop the other program"):
            await second.open(ignore, ignore)
        assert "busy" in second.status.failure
        first.close()
        await second.open(ignore, ignore)
        second.close()

    with pseudo_terminal() as (_, path):
        asyncio.run(two(path))


def test_the_lock_is_the_one_that_pyserial_respects():
    import serial

    async def hold(path):
        port = SerialPort(path, LineSettings(9600, "N", 1))
        await port.open(ignore, ignore)
        with pytest.raises(serial.SerialException, match="exclusively lock"):
            serial.Serial(path, 9600, exclusive=True)
        port.close()

    with pseudo_terminal() as (_, path):
        asyncio.run(hold(path))


def test_no_permission_says_which_group_to_join(monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    port = SerialPort("/dev/ttyS0", EVEN)
    monkeypatch.setattr(serial_port.os, "open", refuse)
    assert "dialout" in open_error(port)


def test_a_file_is_no_serial_port(tmp_path):
    path = tmp_path / "meter"
    path.write_text("")
    assert "not a serial port; name a tty" in open_error(SerialPort(str(path), EVEN))


def test_a_real_uart_that_does_not_take_parity_is_an_error(monkeypatch):
    monkeypatch.setattr(serial_port, "set_line", lambda fd, settings: False)
    monkeypatch.setattr(serial_port, "is_pty", lambda fd: False)
    with pseudo_terminal() as (_, path):
        assert "the driver did not take parity E" in open_error(SerialPort(path, EVEN))
        asyncio.run(_open_and_close(SerialPort(path, LineSettings(9600, "N", 1))))


async def _open_and_close(port):
    await port.open(ignore, ignore)
    port.close()


def test_einval_of_a_real_uart_is_not_tolerated(monkeypatch):
    def refuse(*_):
        raise termios.error(22, "Invalid argument")

    monkeypatch.setattr(serial_port.termios, "tcsetattr", refuse)
    with pseudo_terminal() as (_, path):
        asyncio.run(_open_and_close(SerialPort(path, EVEN)))
        monkeypatch.setattr(serial_port, "is_pty", lambda fd: False)
        assert "Invalid argument" in open_error(SerialPort(path, EVEN))


def test_a_scaled_world_is_refused_on_a_real_port_and_allowed_on_a_pty(monkeypatch):
    with pseudo_terminal() as (_, path):
        asyncio.run(_open_and_close(SerialPort(path, EVEN, factor=120)))
        monkeypatch.setattr(serial_port, "is_pty", lambda fd: False)
        monkeypatch.setattr(serial_port, "set_line", lambda fd, settings: True)
        assert "this world runs x120" in open_error(SerialPort(path, EVEN, factor=120))
        asyncio.run(_open_and_close(SerialPort(path, EVEN, factor=1)))


@pytest.mark.parametrize(
    "settings", [LineSettings(9601, "E", 1), LineSettings(9600, "X", 1), LineSettings(9600, "E", 3)], ids=str
)
def test_impossible_line_settings_name_the_possible_ones(settings):
    with pytest.raises(PortError, match="allowed are baud 600, 1200, 2400"):
        SerialPort("/dev/ttyS0", settings)


def test_a_scaled_world_is_refused_on_a_serial_server_elsewhere():
    check_world(120, 600, "tcp://127.0.0.1:4196")
    check_world(1, 600, "tcp://10.0.0.17:4196")
    with pytest.raises(ConfigError, match=r"10\.0\.0\.17"):
        check_world(120, 600, "tcp://10.0.0.17:4196")


def test_check_world_refuses_what_cannot_work(monkeypatch):
    check_world(120, 600, "/dev/ttyUSB93")
    check_world(1, 120, "tcp://127.0.0.1:4001")
    with pytest.raises(ConfigError, match=r"command_ttl_s = 120 lasts 1\.00 s of machine time at factor 120"):
        check_world(120, 120, "tcp://127.0.0.1:4001")
    with pytest.raises(ConfigError, match="a factor up to 60, or a lifetime from 240"):
        check_world(120, 120, "tcp://127.0.0.1:4001")
    with pseudo_terminal() as (_, path):
        check_world(120, 600, path)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(ConfigError, match="a real serial port runs in real time"):
        check_world(120, 600, "/dev/null")
    check_world(1, 600, "/dev/null")


@pytest.mark.parametrize("url", ["tcp://", "tcp://host", "tcp://host:0", "tcp://host:99999", "foo://x:1", ""])
def test_a_url_that_names_no_port_is_refused_with_the_way_to_write_it(url):
    with pytest.raises(PortError, match="tcp://host:port"):
        open_port(url, EVEN)


def test_open_port_chooses_by_url():
    assert isinstance(open_port("tcp://127.0.0.1:4001", EVEN), TcpPort)
    assert isinstance(open_port("tcp://[::1]:4001", EVEN), TcpPort)
    assert isinstance(open_port("/dev/ttyUSB0", EVEN), SerialPort)


def test_tcp_carries_bytes_and_notices_the_end():
    async def talk():
        async def echo(reader, writer):
            writer.write(await reader.readexactly(4))
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        loop = asyncio.get_running_loop()
        got, lost = loop.create_future(), loop.create_future()
        port = TcpPort("127.0.0.1", server.sockets[0].getsockname()[1])
        await port.open(got.set_result, lost.set_result)
        assert port.status.is_open
        assert port.status.parity_effective is None
        await port.write(b"\x68\x16\xfe\x00")
        assert await asyncio.wait_for(got, 20) == b"\x68\x16\xfe\x00"
        assert "closed" in await asyncio.wait_for(lost, 20)
        assert not port.status.is_open
        with pytest.raises(PortError, match="closed"):
            await port.write(b"x")
        port.close()
        server.close()
        await server.wait_closed()

    asyncio.run(talk())


def test_tcp_refused_says_what_to_do():
    with socket.socket() as deaf:  # bound, so that nobody else listens there meanwhile
        deaf.bind(("127.0.0.1", 0))
        port = TcpPort(*deaf.getsockname())
        assert "connection refused; start the serial server" in open_error(port)
