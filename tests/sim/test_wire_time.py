"""Wire time against a real clock: no answer is ever early, and the mean is that of the line.

The lower bound is strict for every single transaction. The upper bound is on the median, and generous, since
other work on the machine may delay both processes.
"""

import statistics
import time

from core.dlt645.commands import Read
from core.dlt645.frame import encode
from core.dlt645.identifiers import ENERGY_TOTAL
from tests.sim.rig import ADDRESS, PtyMaster, simulator

ESTATE = """
[estate]
id = "cuihu"
[tariff]
price = "0.5"
[[bus]]
id = "bus-1"
baud = 19200
reply_delay_ms = 20
WIRE
[[household]]
id = "1-0101"
meter = "202600010101"
bus = "bus-1"
"""
TRANSACTIONS = 60
IDEAL_S = (20 + 24) * 11 / 19200 + 0.020
REQUEST = encode(Read(ADDRESS, ENERGY_TOTAL).to_frame())


def measure(sim, count):
    with PtyMaster(sim.ready["ports"]["bus-1"]) as line:
        spans = []
        for _ in range(count):
            start_s = time.monotonic()
            line.write(REQUEST)
            assert line.frame() is not None
            spans.append(time.monotonic() - start_s)
        return spans


def test_answers_take_the_time_of_the_line_and_never_less(tmp_path):
    with simulator(tmp_path, ESTATE.replace("WIRE", "")) as sim:
        spans = measure(sim, TRANSACTIONS)
        metrics = sim.get("/metrics")
    assert min(spans) >= IDEAL_S
    assert statistics.median(spans) <= IDEAL_S * 1.25
    assert metrics["transactions"] == TRANSACTIONS
    assert metrics["ideal_wire_s"] == round(TRANSACTIONS * IDEAL_S, 6)


def test_no_wire_limit_is_much_faster(tmp_path):
    with simulator(tmp_path, ESTATE.replace("WIRE", ""), "--wire-limit", "off") as sim:
        assert statistics.median(measure(sim, 200)) < IDEAL_S / 2
