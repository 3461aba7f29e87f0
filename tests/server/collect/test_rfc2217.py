"""RFC 2217 against pyserial's own server, and against servers that refuse, lie, dawdle or cut everything in pieces."""

import asyncio
import socket
import threading
from contextlib import contextmanager

import pytest
import serial
from serial.rfc2217 import PortManager

from server.collect import rfc2217_port
from server.collect.port import LineSettings, PortError
from server.collect.ports import open_port
from server.collect.telnet import COM_PORT, DO, DONT, IAC, SB, SE, SET_PARITY, WILL, TelnetLine

EVERY_BYTE = bytes(range(256)) * 3


class ForeignServer:
    """pyserial's PortManager before a line that loops back, on a thread of its own."""

    def __init__(self, piece=4096):
        self.line = serial.serial_for_url("loop://", timeout=0.01)
        self.piece = piece
        self.received = bytearray()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"rfc2217://127.0.0.1:{self._listener.getsockname()[1]}"
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        connection, _ = self._listener.accept()
        self.connection = connection
        connection.settimeout(0.01)

        class Out:
            def write(self, data):
                connection.sendall(data)

        manager = PortManager(self.line, Out())
        while not self._end.is_set():
            try:
                data = connection.recv(self.piece)
            except TimeoutError:
                data = None
            except OSError:
                break
            if data == b"":
                break
            if data:
                said = b"".join(manager.filter(data))
                self.received += said
                self.line.write(said)
            if self.line.in_waiting:
                back = b"".join(manager.escape(self.line.read(self.line.in_waiting)))
                for at in range(0, len(back), self.piece):
                    connection.sendall(back[at : at + self.piece])
        connection.close()

    def stop(self):
        self._end.set()
        self._thread.join(20)
        self._listener.close()
        self.line.close()


@contextmanager
def foreign(**options):
    server = ForeignServer(**options)
    try:
        yield server
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("baud", "parity", "stop_bits", "effective"),
    [(2400, "E", 1, True), (9600, "N", 1, False), (19200, "O", 2, True)],
)
def test_pyserials_server_has_the_line_that_we_asked_for(baud, parity, stop_bits, effective):
    async def scenario(server):
        port = open_port(server.url, LineSettings(baud, parity, stop_bits))
        await port.open(lambda _: None, lambda _: None)
        assert (server.line.baudrate, server.line.parity, server.line.stopbits) == (baud, parity, stop_bits)
        assert (port.status.is_open, port.status.parity_effective) == (True, effective)
        port.close()
        await asyncio.sleep(0.01)
        assert not port.status.is_open

    with foreign() as server:
        asyncio.run(scenario(server))


@pytest.mark.parametrize("piece", [1, 4096])
def test_every_byte_goes_there_and_back_in_pieces_of_any_size(piece):
    async def scenario(server):
        got, complete = bytearray(), asyncio.Event()

        def take(data):
            got.extend(data)
            if len(got) >= len(EVERY_BYTE):
                complete.set()

        port = open_port(server.url, LineSettings(9600, "E", 1))
        await port.open(take, lambda _: None)
        await port.write(EVERY_BYTE)
        await asyncio.wait_for(complete.wait(), 20)
        assert bytes(got) == EVERY_BYTE
        assert bytes(server.received) == EVERY_BYTE
        port.close()
        await asyncio.sleep(0.01)

    with foreign(piece=piece) as server:
        asyncio.run(scenario(server))


def test_a_server_that_goes_away_is_a_lost_port():
    async def scenario(server):
        lost = asyncio.get_running_loop().create_future()
        port = open_port(server.url, LineSettings(9600, "E", 1))
        await port.open(lambda _: None, lost.set_result)
        server._end.set()
        assert (await asyncio.wait_for(lost, 20)).startswith("rfc2217://")
        with pytest.raises(PortError):
            await port.write(b"x")

    with foreign() as server:
        asyncio.run(scenario(server))


async def against(answer, monkeypatch):
    """Open a port to a server that answers each piece with `answer(data)`; the error."""
    monkeypatch.setattr(rfc2217_port, "SETTLE_TIMEOUT_S", 0.5)

    async def serve(reader, writer):
        while data := await reader.read(4096):
            writer.write(answer(data))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        try:
            line = open_port(f"rfc2217://{host}:{port}", LineSettings(2400, "E", 1))
            with pytest.raises(PortError) as caught:
                await line.open(lambda _: None, lambda _: None)
            assert not line.status.is_open
        finally:
            await asyncio.sleep(0.02)
    return str(caught.value)


def accepting(made):
    """A server that takes everything and says that it has set `made`."""

    def answer(data):
        said = bytes((IAC, DO, COM_PORT)) if bytes((IAC, WILL, COM_PORT)) in data else b""
        if bytes((IAC, SB, COM_PORT, SET_PARITY)) in data:
            for command, value in made.items():
                said += bytes((IAC, SB, COM_PORT, command + 100)) + value + bytes((IAC, SE))
        return said

    return answer


def test_a_server_that_sets_another_parity_is_found_out(monkeypatch):
    made = {1: (2400).to_bytes(4, "big"), 2: b"\x08", 3: b"\x01", 4: b"\x01"}
    message = asyncio.run(against(accepting(made), monkeypatch))
    assert "the server has set 2400 8N1, not 2400 8E1" in message


@pytest.mark.parametrize("answer", [lambda _: b"", lambda _: b"login: ", lambda _: bytes((IAC, DONT, COM_PORT))])
def test_a_server_that_knows_no_com_port_option_is_named(monkeypatch, answer):
    assert "does not speak RFC 2217; write tcp://" in asyncio.run(against(answer, monkeypatch))


def test_a_subnegotiation_without_end_fills_nothing():
    line = TelnetLine(2400, "E", 1)
    line.receive(bytes((IAC, SB, COM_PORT)))
    for _ in range(100):
        line.receive(b"x" * 100)
    assert line.refused
    assert len(line._held) <= 2048
