"""Dialects: requests and values of each protocol, against pymodbus' own server, and what a late or busy meter does."""

import asyncio
from datetime import datetime
from time import monotonic

import pytest
from pymodbus import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from core.dlt645 import identifiers as di
from core.dlt645.commands import Password
from core.errors import MeterRefused, ProtocolMisuse
from core.modbus.rtu import encode as encode_rtu
from core.modbus.rtu import exception_reply, parse, registers_reply
from core.session import Timing
from server.collect.dialect import dialect_of
from server.collect.line import BusLine
from server.collect.port import PortStatus
from server.collect.readout import MeterState, Readout
from server.collect.tally import Tally
from server.collect.tcp_port import TcpPort
from server.collect.work import MeterPlan
from tests.server.collect.fake_bus import World

METER = "202600000001"
NEVER = datetime(2026, 1, 1)  # noqa: DTZ001 - a meter's civil time
FAST = Timing(baud=115200, reply_delay_max_s=0.1, byte_gap_max_s=0.05, frame_gap_s=0.001, margin_s=0.05)


def modbus(model="hiking-dds238-2", unit=7, **options):
    return MeterPlan(METER, protocol="modbus", model=model, unit=unit, **options)


def read_with(port, scenario, plan):
    async def run():
        line = BusLine(port, FAST, World().clocks(), Tally(), lambda: None)
        await line.open()
        try:
            return await scenario(Readout(line, World().clocks()), MeterState(plan), line)
        finally:
            line.close()
            await asyncio.sleep(0.01)

    return run()


def test_a_meter_of_pymodbus_is_read_and_switched():
    registers = [0] * 27
    registers[0x00:0x02] = [0x0001, 0xE240]  # total 123456 counts of 10 Wh
    registers[0x0A:0x0C] = [0x0001, 0xE000]  # import 122880 counts
    registers[0x0C], registers[0x0D], registers[0x0E] = 2301, 1250, 0xFFFE  # 230.1 V, 12.50 A, -2 W
    registers[0x1A] = 1

    async def scenario():
        device = SimDevice(id=7, simdata=[SimData(0, values=registers, datatype=DataType.REGISTERS)])
        server = ModbusTcpServer([device], framer=FramerType.RTU, address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        try:
            port = TcpPort(*server.transport.sockets[0].getsockname())
            return await read_with(port, read_all, modbus(trips_without_deadline=True))
        finally:
            await server.shutdown()

    async def read_all(readout, meter, line):
        reading = await readout.energy(meter, 1, with_reverse=True)
        assert (reading.total_wh, reading.rates_wh, reading.reverse_wh) == (1_228_800, None, 0)
        variables = await readout.variables(meter, 1)
        assert (variables.voltage_mv, variables.current_ma, variables.power_mw) == (230_100, 12_500, -2000)
        assert (await readout.status(meter, 1)).status3 == 0
        await line.ask(meter.dialect.switch("trip", NEVER, Password()))
        assert (await readout.status(meter, 1)).status3 == di.RELAY_OPEN | di.COMMAND_OPEN
        await line.ask(meter.dialect.switch("allow", NEVER, Password()))
        assert (await readout.status(meter, 1)).status3 == 0
        assert await readout.clock_offset(meter, 1) is None

    asyncio.run(scenario())


class Scripted:
    """A Modbus meter whose every answer a test writes: (delay, registers or an exception code)."""

    status = PortStatus("memory", True, None)

    def __init__(self, script):
        self.script = list(script)
        self.asked = []

    async def open(self, on_data, on_lost):
        self._on_data = on_data

    def close(self):
        self._on_data = lambda _: None

    async def write(self, data):
        request = parse(data)
        self.asked.append((monotonic(), request.register))
        delay_s, said = self.script.pop(0)
        frame = exception_reply(request, said) if isinstance(said, int) else registers_reply(request, said)
        asyncio.get_running_loop().call_later(delay_s, lambda: self._on_data(encode_rtu(frame)))


def test_a_late_answer_of_a_first_try_is_not_taken_for_the_next_quantity():
    # each answer comes after the longest delay, so the first one answers the second try, and the second one is due
    # just when the current is asked, with a reply of the same length
    port = Scripted([(0.2, (2300,)), (0.12, (2301,)), (0.09, (500,)), (0.001, (10,))])

    async def scenario(readout, meter, _):
        return await readout.variables(meter, 2)

    row = asyncio.run(read_with(port, scenario, modbus()))
    assert (row.voltage_mv, row.current_ma, row.power_mw) == (230_000, 5_000, 10_000)


def test_a_busy_meter_is_asked_again_and_one_without_the_register_is_not():
    async def scenario(readout, meter, _):
        with pytest.raises(MeterRefused, match="device busy"):
            await readout.energy(meter, 1)
        assert await readout.status(meter, 1) is None
        assert (await readout.status(meter, 1)).status3 == 0
        assert (await readout.variables(meter, 1)).voltage_mv is None
        assert (await readout.variables(meter, 1)).voltage_mv is None

    port = Scripted([(0.001, said) for said in (6, 6, (1,), 2, (10,), (1,), (10,), (1,))])
    asyncio.run(read_with(port, scenario, modbus()))
    assert [register for _, register in port.asked] == [0x0A, 0x1A, 0x1A, 0x0C, 0x0D, 0x0E, 0x0D, 0x0E]


def test_a_relay_register_that_is_neither_open_nor_closed_is_no_status():
    async def scenario(readout, meter, _):
        with pytest.raises(Exception, match="neither 1"):
            await readout.status(meter, 1)

    asyncio.run(read_with(Scripted([(0.001, (2,))]), scenario, modbus()))


@pytest.mark.parametrize(
    ("plan", "action", "reason"),
    [
        (MeterPlan(METER), "trip", ""),
        (MeterPlan(METER, protocol="1997"), "trip", "no relay command"),
        (MeterPlan(METER, protocol="1997"), "close", "no relay command"),
        (modbus(), "trip", "no deadline"),
        (modbus(), "allow", "no deadline"),
        (modbus(), "close", ""),
        (modbus(trips_without_deadline=True), "trip", ""),
        (modbus("eastron-sdm630", trips_without_deadline=True), "close", "no register of the Eastron SDM630"),
    ],
)
def test_who_may_be_switched(plan, action, reason):
    dialect = dialect_of(plan)
    said = dialect.cannot_switch(action)
    assert reason in said
    assert bool(said) == bool(reason)
    if reason:
        with pytest.raises(ProtocolMisuse):
            dialect.switch(action, NEVER, Password())


@pytest.mark.parametrize("plan", [modbus("unheard-of"), modbus(unit=None), MeterPlan(METER, protocol="knx")])
def test_what_nobody_speaks_is_refused(plan):
    with pytest.raises(ProtocolMisuse, match="are not known"):
        dialect_of(plan)


def test_a_meter_that_speaks_otherwise_now_is_asked_everything_again():
    meter = MeterState(MeterPlan(METER))
    meter.unsupported.add(di.ENERGY_BLOCK)
    meter.replan(MeterPlan(METER, kind="gate"))
    assert meter.unsupported == {di.ENERGY_BLOCK}
    meter.replan(MeterPlan(METER, protocol="1997"))
    assert meter.unsupported == set()
    assert not meter.dialect.has_deadline
