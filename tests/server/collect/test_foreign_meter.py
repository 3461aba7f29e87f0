"""A meter that is not ours: the server of the PyPI package `dlt645` is read by our poller over TCP.

Known deviations of that package are stepped round, not copied: it wants its address byte-reversed and refuses
block identifiers, so the poller falls back to the total register. It knows no status word of the relay.
"""

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from dlt645 import MeterServerService

from core.dlt645 import identifiers as di
from core.session import Timing
from server.collect.delivery import Delivery
from server.collect.poller import Poller, Services
from server.collect.tcp_port import TcpPort
from server.collect.work import BusPlan, Cadence, MeterPlan
from tests.server.collect.fake_bus import ChangingOrders, RememberingSink, World

ADDRESS = "202600010101"
REVERSED = "010101002620"


@pytest.fixture
def foreign_port():
    before = set(threading.enumerate())
    logging.disable(logging.CRITICAL)
    meter = MeterServerService.new_tcp_server("127.0.0.1", 0, 30)
    meter.set_address(REVERSED)
    meter.set_00(di.ENERGY_TOTAL, 123456.78)
    meter.set_02(di.VOLTAGE_A, 220.1)
    meter.set_02(di.CURRENT_A, 1.234)
    meter.server.start()
    yield meter.server.port
    meter.server.stop()
    logging.disable(logging.NOTSET)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)


def test_a_foreign_meter_is_read_over_tcp(foreign_port):
    async def scenario():
        world, sink, orders = World(factor=900), RememberingSink(), ChangingOrders()
        timing = Timing(baud=9600, reply_delay_max_s=3.0)
        plan = BusPlan("bus-1", "tcp", (MeterPlan(ADDRESS),), timing=timing, cadence=Cadence())
        with ThreadPoolExecutor(2) as executor:
            delivery = Delivery(sink, orders, executor)
            poller = Poller(
                plan, TcpPort("127.0.0.1", foreign_port), Services(world.clocks(), orders, delivery, executor)
            )
            tasks = [asyncio.create_task(delivery.run()), asyncio.create_task(poller.run())]
            try:
                async with asyncio.timeout(30):
                    while len(sink.readings) < 2 or not sink.rows:
                        await asyncio.sleep(0.02)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await asyncio.sleep(0)
        assert {(r.total_wh, r.rates_wh) for r in sink.readings} == {(123_456_780, None)}
        assert (sink.rows[0].voltage_mv, sink.rows[0].current_ma) == (220_100, 1_234)
        assert sink.lost == []

    asyncio.run(scenario())
