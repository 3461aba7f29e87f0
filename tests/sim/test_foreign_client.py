"""The PyPI package `dlt645`, written by others, reads our meters over TCP and over a pty.

Its dialect differs where it sends addresses in written order (so it is given them byte by byte reversed);
this is its deviation, not ours. On a pty only 8N1 works for it.
"""

import pytest
from dlt645 import MeterClientService

from tests.sim.rig import ADDRESS, simulator

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
            assert date is not None
        finally:
            client.disconnect()
