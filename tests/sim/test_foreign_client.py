"""The PyPI packages `dlt645` and `python-dlt645`, written by others, read our meters over TCP and over a pty.

The dialect of `dlt645` differs where it sends addresses in written order (so it is given them byte by byte reversed);
this is its deviation, not ours. On a pty only 8N1 works for both. Both import as `dlt645`, so `python-dlt645` has an
environment of its own, made once and kept in pytest's cache. It ends a frame at the first 16H and drops every FEH, so
it is given a meter without these bytes.
"""

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from dlt645 import MeterClientService

from tests.sim.rig import ADDRESS, simulator

MORNING = ("--factor", "3600", "--world-start", "2026-03-03T06:00:00+08:00")  # `dlt645` takes an hour for a month
REVERSED = bytes.fromhex(ADDRESS)[::-1].hex()
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
start_register_wh = 12345670
load = "constant"
mean_power_w = 1000
"""


@pytest.mark.parametrize("port", ["tcp://127.0.0.1:0", "pty"])
def test_dlt645_client_reads_our_meter(tmp_path, port):
    with simulator(tmp_path, ESTATE.replace("PORT", port)) as sim:
        name = sim.ready["ports"]["bus-1"]
        if port == "pty":
            client = MeterClientService.new_rtu_client(name, 9600, 8, 1, "N", 10.0)
        else:
            host, _, number = name.removeprefix("tcp://").partition(":")
            client = MeterClientService.new_tcp_client(host, int(number), 10.0)
        client.set_address(REVERSED)
        assert client.connect()
        try:
            energy = client.read_00(0x00010000)
            assert round(energy.value * 100) - 1_234_567 in range(6)
            assert client.read_02(0x02010100).value == pytest.approx(220, abs=4.1)
            assert client.read_02(0x02030000).value == pytest.approx(1.0)
            assert client.read_address().value == REVERSED
            date = client.read_04(0x04000101)
            assert date.value[:6] == sim.civil().strftime("%y%m%d")
            assert client.read_04(0x04000401).value == ADDRESS
            assert client.read_02(0x02800002).value == pytest.approx(50)
            assert client.read_02(0x02020100).value == pytest.approx(1000 / 220, rel=0.02)
            counts = [item.value.event for item in client.read_03(0x03010000)]
            assert counts == [("000000", "000000")] * 3
            client.write_04(0x04000103, "30", "02000000")
            assert client.read_04(0x04000103).value == "30"
            assert client.read_03(0x03300000)[0].value == "000001"
            assert client.read_03(0x03300001)[2].value == "04000103"
            client.write_04(0x04000103, "20", "02111111")
            assert client.read_04(0x04000103).value == "30", "a wrong password writes nothing"
        finally:
            client.disconnect()


def test_dlt645_client_reads_a_maximum_demand(tmp_path):
    with simulator(tmp_path, ESTATE.replace("PORT", "tcp://127.0.0.1:0"), *MORNING) as sim:
        host, _, number = sim.ready["ports"]["bus-1"].removeprefix("tcp://").partition(":")
        client = MeterClientService.new_tcp_client(host, int(number), 10.0)
        client.set_address(REVERSED)
        assert client.connect()
        try:
            client.read_02(0x02010100)  # at this speed the first quarter of an hour is over long before
            demand = client.read_01(0x01010000).value
            for _ in range(40):
                if demand.value:
                    break
                demand = client.read_01(0x01010000).value
            assert demand.value == pytest.approx(1.0)
            # it takes the five bytes of the time in the order of the wire, minute first: that is its deviation
            minute, year = demand.time.year - 2000, demand.time.minute
            assert minute % 15 == 0
            assert year == sim.civil().year - 2000
        finally:
            client.disconnect()


@pytest.fixture(scope="session")
def python_dlt645(pytestconfig):
    """The interpreter of an environment that holds `python-dlt645`."""
    home = Path(pytestconfig.cache.mkdir("python-dlt645-0.1.4"))
    python, ready = home / "bin" / "python", home / "ready"
    if not ready.exists():
        venv.create(home, clear=True, with_pip=True)
        wanted = ["python-dlt645==0.1.4", "pyserial>=3.5,<4"]
        options = ["-q", "--disable-pip-version-check"]
        subprocess.run([python, "-m", "pip", "install", *options, *wanted], check=True, timeout=240)
        ready.write_text(sys.version)
    return python


@pytest.mark.parametrize("port", ["tcp://127.0.0.1:0", "pty"])
def test_python_dlt645_reads_our_meter(tmp_path, python_dlt645, port):
    reader = Path(__file__).with_name("python_dlt645_reader.py")
    with simulator(tmp_path, ESTATE.replace("PORT", port)) as sim:
        items = ["00010000", "04000401", "04000204", "02800002", "00020000"]
        command = [python_dlt645, str(reader), sim.ready["ports"]["bus-1"], *items]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
    assert found["address"] == ADDRESS
    assert int(found["read"]["00010000"][:8]) - 1_234_567 in range(20)
    assert found["read"]["04000401"] == ADDRESS + "04000401"
    assert found["read"]["04000204"] == "0404000204"
    assert found["read"]["02800002"] == "500002800002"
    assert found["read"]["00020000"] == "0000000000020000"
