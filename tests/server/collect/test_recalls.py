"""The past has its turn: when the bus is idle, and after every eighth question of the present."""

import asyncio

from server.collect.history import Recall
from server.collect.recalls import TURN_AFTER, WAITING_MAX, RecallLane
from server.collect.work import Cadence
from server.domain.readings import MeterReading
from tests.server.collect.fake_bus import TUESDAY, FakeMeter, FakePort, World, bench_test, running

A = "202600000001"


class Told:
    """A history that answers everything, and the delivery of it."""

    def __init__(self):
        self.asked, self.readings = [], []

    async def recall(self, meter, wanted, attempts):
        self.asked.append((meter, wanted.at, attempts))
        return [MeterReading(wanted.meter_id, wanted.at, 1, 10)]

    async def put(self, reading):
        self.readings.append(reading)


def questions(count, meter_id=A):
    return [Recall(meter_id, "hourly", 3600 * n) for n in range(count)]


def test_a_question_waits_for_its_turn_and_is_queued_once():
    told = Told()
    lane = RecallLane(told, told)
    assert not lane.waits
    lane.put(questions(3))
    lane.put(questions(3))
    assert (lane.waits, lane.has_turn) == (True, False)
    for _ in range(TURN_AFTER):
        lane.give_turn()
    assert lane.has_turn
    asyncio.run(lane.serve({A: "meter"}, lambda _meter: 3))
    assert not lane.has_turn
    asyncio.run(lane.serve({A: "meter"}, lambda _meter: 3))
    asyncio.run(lane.serve({A: "meter"}, lambda _meter: 3))
    assert not lane.waits
    assert told.asked == [("meter", 0, 3), ("meter", 3600, 3), ("meter", 7200, 3)]
    assert [one.read_at for one in told.readings] == [0, 3600, 7200]


def test_meters_that_are_gone_or_silent_are_not_asked():
    told = Told()
    lane = RecallLane(told, told)
    lane.put([*questions(1), *questions(1, "202600000009")])
    asyncio.run(lane.serve({A: "meter"}, lambda _meter: 0))
    asyncio.run(lane.serve({A: "meter"}, lambda _meter: 3))
    assert (told.asked, lane.waits) == ([], False)


def test_the_queue_has_an_end():
    told = Told()
    lane = RecallLane(told, told)
    lane.put(questions(WAITING_MAX + 10))
    for _ in range(WAITING_MAX):
        asyncio.run(lane.serve({A: "meter"}, lambda _meter: 1))
    assert not lane.waits


@bench_test
async def test_the_poller_heals_between_its_readings():
    world = World()
    meter = FakeMeter(A, world)
    port = FakePort([meter])
    hour = TUESDAY - 300 - 3600  # 08:00
    async with running(port, world, cadence=Cadence(reading_cycle_s=2, near_cycle_s=1)) as bench:
        await bench.until(lambda: len(bench.sink.readings) > 1)
        bench.poller.recall([Recall(A, "hourly", hour)])
        wanted = 0x05040002
        await bench.until(lambda: any(f.data[:4] == wanted.to_bytes(4, "little") for f in port.requests))
        before = len(bench.sink.readings)
        await bench.until(lambda: len(bench.sink.readings) > before)
