"""Foreign software on the other end of the wire: pymodbus as meter for our session, pymodbus as master for our frames.

The meter's registers are packed by `struct`, so that nothing of ours says what a value looks like.
"""

import asyncio
import os
import pty
import struct
import tty
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import pytest
from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from core.modbus.commands import reply_registers
from core.modbus.maps import read_of, reads, switch_relay, values_of, write_of
from core.modbus.meters import DDS238, DDSU666, SDM630
from core.modbus.rtu import READ_HOLDING, RtuDecoder, exception_reply, registers_reply, written_reply
from core.session import BusSession, RefusedByMeter, ReplyReceived, Timing

TIMING = Timing(baud=9600, reply_delay_max_s=5.0, frame_gap_s=0.0)


def words(packed: bytes) -> list[int]:
    return list(struct.unpack(f">{len(packed) // 2}H", packed))


def held(at: int, packed: bytes) -> SimData:
    return SimData(at, values=words(packed), datatype=DataType.REGISTERS)


def chint() -> SimDevice:
    live = struct.pack(">8f", 230.2, 5.25, 1.2085, 0.1, 0.0, 0.998, 0.0, 50.01)
    energy = struct.pack(">6f", 123456.78, 0, 0, 0, 0, 12.5)
    return SimDevice(id=1, simdata=[held(0x2000, live), held(0x4000, energy)])


def hiking() -> SimDevice:
    block = struct.pack(">I12xIIHHhhHH", 7342, 1267, 6075, 2424, 493, -1192, -110, 995, 5000)
    return SimDevice(id=2, simdata=[held(0, block), held(0x12, struct.pack(">3xxxxBBxxxxxxxxH", 2, 1, 1))])


def eastron() -> SimDevice:
    live = struct.pack(">100f", *(float(number) for number in range(100)))
    parameters = struct.pack(">15f", *(60.0 for _ in range(15)))
    no_bits = [SimData(0, values=[False], datatype=DataType.BITS)]
    return SimDevice(id=3, simdata=(no_bits, no_bits, [held(0, parameters)], [held(0, live)]))


class Line:
    """Our session over a pair of asyncio streams or file descriptors."""

    def __init__(self, write: Callable[[bytes], Any], read: Callable[[], Awaitable[bytes]], piece: int = 64) -> None:
        self.session = BusSession(TIMING)
        self._write, self._read, self._piece = write, read, piece

    async def ask(self, command: Any) -> ReplyReceived[Any] | RefusedByMeter[Any]:
        await asyncio.sleep(max(0.0, self.session.ready_at(command) - monotonic()))
        self._write(self.session.request(command, monotonic()))
        while (event := self.session.next_event()) is None:
            data = await asyncio.wait_for(self._read(), 10)
            for at in range(0, len(data), self._piece):
                self.session.receive_data(data[at : at + self._piece], monotonic())
        return event

    async def read_all(self, unit: int, meter: Any, quantities: Any) -> dict[Any, int]:
        got: dict[Any, int] = {}
        for command in reads(unit, meter, quantities):
            got |= values_of(meter, command, (await self.ask(command)).frame)
        return got


async def with_tcp_meters(use: Callable[[Line], Awaitable[None]], piece: int = 64) -> None:
    server = ModbusTcpServer([chint(), hiking()], framer=FramerType.RTU, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await use(Line(writer.write, lambda: reader.read(64), piece))
    finally:
        writer.close()
        await server.shutdown()


@pytest.mark.parametrize("piece", [1, 64])
def test_our_session_reads_and_switches_foreign_meters(piece: int) -> None:
    async def use(line: Line) -> None:
        got = {one.di: value for one, value in (await line.read_all(1, DDSU666, DDSU666.quantities)).items()}
        assert got == {
            0x02010100: 230_200, 0x02020100: 5_250, 0x02030000: 1_208_500, 0x02040000: 100_000, 0x02060000: 998,
            0x02800002: 50_010, 0x00010000: 123_456_781, 0x00020000: 12_500,
        }  # fmt: skip
        got = await line.read_all(2, DDS238, [one for one in DDS238.quantities if one.register < 0x12])
        assert {one.di: value for one, value in got.items()} == {
            0x00000000: 73_420, 0x00020000: 12_670, 0x00010000: 60_750, 0x02010100: 242_400, 0x02020100: 4_930,
            0x02030000: -1_192_000, 0x02040000: -110_000, 0x02060000: 995, 0x02800002: 50_000,
        }  # fmt: skip
        for closed in (False, True):
            command = switch_relay(2, DDS238, closed=closed)
            assert reply_registers(command, (await line.ask(command)).frame) == ()
            answer = await line.ask(read_of(2, DDS238.relay))
            assert answer.frame.registers == (int(closed),)
        refused = await line.ask(read_of(1, DDS238.relay))
        assert (type(refused), refused.err) == (RefusedByMeter, 2)
        assert (line.session.garbage_bytes, line.session.counters.strays) == (0, 0)

    asyncio.run(with_tcp_meters(use, piece))


def test_our_session_reads_a_foreign_meter_over_a_pty() -> None:
    async def use() -> None:
        ours, theirs = pty.openpty()
        tty.setraw(ours)
        server = ModbusSerialServer([eastron()], framer=FramerType.RTU, port=os.ttyname(theirs), baudrate=9600)
        await server.serve_forever(background=True)
        loop, came = asyncio.get_running_loop(), asyncio.Queue[bytes]()
        loop.add_reader(ours, lambda: came.put_nowait(os.read(ours, 64)))
        try:
            line = Line(lambda data: os.write(ours, data), came.get, piece=1)
            wanted = [one for one in SDM630.quantities if one.function == 4 and one.register < 200]
            got = await line.read_all(3, SDM630, wanted)
            assert {one.register: value for one, value in got.items()} == {
                one.register: one.register // 2 * 1000 for one in wanted
            }
            command = write_of(3, SDM630.named("demand period"), 15)
            assert isinstance(await line.ask(command), ReplyReceived)
            answer = await line.ask(read_of(3, SDM630.named("demand period")))
            assert answer.frame.registers == tuple(words(struct.pack(">f", 15)))
            assert line.session.garbage_bytes == 0
        finally:
            loop.remove_reader(ours)
            await server.shutdown()
            os.close(ours)
            os.close(theirs)

    asyncio.run(use())


async def our_meter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, store: dict[int, int]) -> None:
    """A meter made of our decoder and our replies, for unit 5."""
    decoder = RtuDecoder(requests=True)
    while data := await reader.read(64):
        for request in decoder.feed(data):
            if request.unit != 5:
                continue
            span = range(request.register, request.register + request.count)
            if any(register not in store for register in span):
                answer = exception_reply(request, 2)
            elif request.function == READ_HOLDING:
                answer = registers_reply(request, [store[register] for register in span])
            else:
                store |= dict(zip(span, request.registers, strict=True))
                answer = written_reply(request)
            writer.write(answer.to_wire(0))
    writer.close()
    await writer.wait_closed()


def test_a_foreign_master_reads_and_writes_through_our_frames() -> None:
    async def use() -> None:
        store = dict(enumerate(range(0x1B)))
        gone = asyncio.Event()

        async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await our_meter(reader, writer, store)
            gone.set()

        server = await asyncio.start_server(meet, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = AsyncModbusTcpClient("127.0.0.1", port=port, framer=FramerType.RTU, timeout=5)
        try:
            assert await client.connect()
            answer = await client.read_holding_registers(0, count=0x1B, device_id=5)
            assert answer.registers == list(range(0x1B))
            assert not (await client.write_registers(0x1A, [7], device_id=5)).isError()
            assert store[0x1A] == 7
            refused = await client.read_holding_registers(0x20, count=1, device_id=5)
            assert (refused.isError(), refused.exception_code) == (True, 2)
        finally:
            client.close()
            await asyncio.wait_for(gone.wait(), 5)
            server.close()
            await server.wait_closed()

    asyncio.run(use())
