"""`pymodbus` as master and Debian's `mbpoll` read our Modbus meters: over TCP with RTU frames, and on a pty at 8N1.

What they must read comes from the simulator's truth and from `struct`. `mbpoll` must be installed (`apt-get install
mbpoll`): without it the test fails, since it is the only master here that shares no code with ours.
"""

import asyncio
import shutil
import struct
import subprocess

import pytest
from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

from tests.core.modbus_oracle import crc
from tests.sim.rig import simulator

ESTATE = """
[estate]
id = "cuihu"
[tariff]
price = "0.5"
[[bus]]
id = "bus-1"
port = "PORT"
parity = "N"
[[household]]
id = "1-0101"
meter = "202600010101"
bus = "bus-1"
protocol = "modbus"
model = "ddsu666"
unit = 1
start_register_wh = 123456780
load = "constant"
mean_power_w = 1000
[[household]]
id = "1-0102"
meter = "202600010102"
bus = "bus-1"
protocol = "modbus"
model = "dds238"
unit = 2
start_register_wh = 73420
load = "constant"
mean_power_w = 500
[[household]]
id = "1-0103"
meter = "202600010103"
bus = "bus-1"
protocol = "modbus"
model = "ddsy1352"
unit = 247
start_register_wh = 1000000
load = "constant"
mean_power_w = 250
[[gate]]
id = "gate-1"
meter = "202600019999"
bus = "bus-1"
prefix = "1-"
protocol = "modbus"
model = "sdm630"
unit = 100
"""
TOTAL_W = 1750


def singles(registers):
    return struct.unpack(f">{len(registers) // 2}f", struct.pack(f">{len(registers)}H", *registers))


def truth(sim, number):
    return sim.get("/truth")["households"][number]


async def read_all(client, sim):
    """Every model by a foreign master; the values beside the truth."""
    assert await client.connect()
    try:
        energy = singles((await client.read_holding_registers(0x4000, count=2, device_id=1)).registers)[0]
        shown = truth(sim, 0)["register_wh"] / 1000
        assert energy in [struct.unpack(">f", struct.pack(">f", shown - step / 100))[0] for step in range(3)]
        live = singles((await client.read_holding_registers(0x2000, count=8, device_id=1)).registers)
        assert live[0] == pytest.approx(220, abs=4.1)
        assert live[1] == pytest.approx(1000 / live[0], abs=0.001)
        assert live[2:] == (1.0, 0.0)

        block = (await client.read_holding_registers(0, count=18, device_id=2)).registers
        assert 7342 <= block[0] << 16 | block[1] <= truth(sim, 1)["register_wh"] // 10
        assert block[14] == 500
        rates = (await client.read_holding_registers(0, count=10, device_id=247)).registers
        counts = [rates[at] << 16 | rates[at + 1] for at in range(0, 10, 2)]
        assert sum(counts[1:]) == counts[0] >= 100_000

        watts = singles((await client.read_input_registers(0x0C, count=6, device_id=100)).registers)
        assert sum(watts) == pytest.approx(TOTAL_W, abs=0.01)
        assert singles((await client.read_holding_registers(0x0A, count=2, device_id=100)).registers) == (3.0,)
        await refused(client, sim)
    finally:
        client.close()


async def refused(client, sim):
    """Exceptions and the relay."""
    for asked, code in (
        (client.read_holding_registers(0x5000, count=1, device_id=1), 2),
        (client.read_input_registers(0x2000, count=2, device_id=1), 1),
        (client.read_input_registers(0, count=82, device_id=100), 3),
        (client.write_register(0x1A, 0, device_id=2), 1),
        (client.read_coils(0, count=1, device_id=2), 1),
    ):
        answer = await asked
        assert (answer.isError(), answer.exception_code) == (True, code)
    for closed in (0, 1):
        assert not (await client.write_registers(0x1A, [closed], device_id=2)).isError()
        assert (await client.read_holding_registers(0x1A, count=1, device_id=2)).registers == [closed]
        assert truth(sim, 1)["relay"] == ("closed" if closed else "open")


def test_pymodbus_reads_and_switches_over_tcp(tmp_path):
    with simulator(tmp_path, ESTATE.replace("PORT", "tcp://127.0.0.1:0")) as sim:
        host, _, port = sim.ready["ports"]["bus-1"].removeprefix("tcp://").partition(":")

        async def use():
            await read_all(AsyncModbusTcpClient(host, port=int(port), framer=FramerType.RTU, timeout=10), sim)

        asyncio.run(use())


def test_pymodbus_reads_and_switches_on_a_pty(tmp_path):
    with simulator(tmp_path, ESTATE.replace("PORT", "pty")) as sim:

        async def use():
            name = sim.ready["ports"]["bus-1"]
            await read_all(AsyncModbusSerialClient(name, framer=FramerType.RTU, baudrate=9600, timeout=10), sim)

        asyncio.run(use())


def mbpoll(sim, unit, register, *options):
    """The exit code of one poll or write, the values that were read, and all that it printed."""
    assert shutil.which("mbpoll"), "mbpoll is missing: apt-get install mbpoll"
    command = ["mbpoll", "-m", "rtu", "-b", "9600", "-P", "none", "-a", str(unit), "-0", "-r", str(register), "-o", "5"]
    flags = [option for option in options if option.startswith("-")]
    values = [option for option in options if not option.startswith("-")]
    command += [*flags, *([] if values else ["-1"]), sim.ready["ports"]["bus-1"], *values]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines = [line.partition(":")[2].split()[0] for line in done.stdout.splitlines() if line.startswith("[")]
    return done.returncode, lines, done.stdout + done.stderr


def test_mbpoll_reads_and_switches_on_a_pty(tmp_path):
    with simulator(tmp_path, ESTATE.replace("PORT", "pty")) as sim:
        code, lines, said = mbpoll(sim, 1, 0x4000, "-t4:float", "-B")
        assert code == 0, said
        assert float(lines[0]) == pytest.approx(123_456.8, abs=0.2)
        code, lines, said = mbpoll(sim, 2, 0x0A, "-t4:int", "-B")
        assert code == 0, said
        assert 7342 <= int(lines[0]) <= truth(sim, 1)["register_wh"] // 10
        code, lines, said = mbpoll(sim, 100, 0x0C, "-t3:float", "-B", "-c3")
        assert code == 0, said
        assert sum(map(float, lines)) == pytest.approx(TOTAL_W, abs=1)
        code, lines, said = mbpoll(sim, 247, 0x0D, "-t4")
        assert (code, lines) == (0, ["250"]), said
        assert mbpoll(sim, 2, 0x1A, "-t4")[:2] == (0, ["1"])
        _, _, said = mbpoll(sim, 2, 0x1A, "-t4", "0")
        assert "Illegal function" in said, "it writes one register by 06, which a DDS238 does not understand"
        assert truth(sim, 1)["relay"] == "closed"
        code, _, said = mbpoll(sim, 100, 0x02, "-t4:float", "-B", "15")
        assert code == 0, said
        assert mbpoll(sim, 100, 0x02, "-t4:float", "-B")[:2] == (0, ["15"])
        _, _, said = mbpoll(sim, 1, 0x5000, "-t4")
        assert "Illegal data address" in said


def test_a_stepped_exchange_ends_with_the_answer_of_a_modbus_meter(tmp_path):
    options = ("--clock", "stepped", "--world-start", "2026-10-01T00:00:00+08:00")
    with simulator(tmp_path, ESTATE.replace("PORT", "memory"), *options) as sim:
        request = bytes.fromhex("010340000002")
        asked = {"bus": "bus-1", "hex": (request + crc(request)).hex(), "wait_s": 5}
        before, answer = sim.get("/time"), sim.post("/exchange", asked)
        assert answer["hex"].startswith("010304")
        assert len(answer["hex"]) == 18
        wire_s, delay_s = (8 + 9) * 10 / 9600, 0.020
        assert answer["now_s"] - before["now_s"] == pytest.approx(wire_s + delay_s, abs=0.001), "not the whole wait"
