"""What a poller does with one bus: order, patience, memory of refusals, and nothing lost on the way out."""

import asyncio
from concurrent.futures import Future
from itertools import pairwise

from core.dlt645 import identifiers as di
from core.dlt645.frame import Frame, encode
from server.collect.work import Cadence
from server.domain.readings import ContactFailure
from server.errors import EstateError
from tests.server.collect.fake_bus import FakeMeter, FakePort, RememberingSink, World, bench_test, running

A, B, C, D = "202600000001", "202600000002", "202600000003", "202600000004"
FACTOR = 2250  # a reading cycle of 900 world seconds lasts 0.4 s


@bench_test
async def test_everything_of_a_meter_reaches_the_sink_with_units_and_world_time():
    world, cadence = World(FACTOR), Cadence(reverse_every=2)
    async with running(FakePort([FakeMeter(A, world), FakeMeter(B, world)]), world, cadence=cadence) as bench:
        await bench.until(lambda: any(r.reverse_wh for r in bench.sink.readings))
        await bench.until(
            lambda: len(bench.sink.rows) >= 2 and any(s.clock_offset_s is not None for s in bench.sink.states)
        )
        reading = next(r for r in bench.sink.readings if r.meter_id == A)
        assert (reading.total_wh, reading.rates_wh) == (12_345_670, (1000, 2000, 3000, 4000))
        assert {r.reverse_wh for r in bench.sink.readings} == {None, 50}  # read now and then
        assert abs(reading.read_at - world.now()) < 20 * FACTOR
        assert reading.raw_hex.startswith("67452301")
        row = bench.sink.rows[0]
        assert (row.voltage_mv, row.current_ma, row.power_mw) == (220_100, 1_234, 271_600)
        assert {s.meter_id for s in bench.sink.states} == {A, B}
        assert bench.port.overlaps == 0


@bench_test
async def test_replies_may_come_byte_by_byte():
    world = World(FACTOR)
    port = FakePort([FakeMeter(A, world)])
    port.byte_by_byte = True
    async with running(port, world) as bench:
        await bench.until(lambda: len(bench.sink.readings) >= 2)
        assert bench.poller.status().failures == 0


@bench_test
async def test_a_late_reply_is_never_taken_for_that_of_another_meter():
    world = World(FACTOR)
    slow, quick = FakeMeter(A, world, total_wh=990), FakeMeter(B, world, total_wh=880)
    port = FakePort([slow, quick])
    port.intercept = lambda frame, reply: [(0.11, encode(reply))] if frame.address == A else None
    async with running(port, world, attempts_max=1) as bench:
        await bench.until(lambda: len([r for r in bench.sink.readings if r.meter_id == B]) >= 3)
        assert {r.total_wh for r in bench.sink.readings if r.meter_id == B} == {880}
        assert {r.total_wh for r in bench.sink.readings if r.meter_id == A} <= {990}
        await bench.until(lambda: bench.poller.status().strays > 0)


@bench_test
async def test_a_refused_block_falls_back_to_the_total_and_is_not_asked_again():
    world = World(FACTOR)
    meter = FakeMeter(A, world)
    meter.unsupported = {di.ENERGY_BLOCK, di.REVERSE_TOTAL, di.CURRENT_A}
    async with running(FakePort([meter]), world, cadence=Cadence(reverse_every=1)) as bench:
        await bench.until(lambda: len(bench.sink.readings) >= 3 and bench.sink.rows)
        assert bench.port.count(identifier=di.REVERSE_TOTAL) == 1
        assert {(r.total_wh, r.rates_wh) for r in bench.sink.readings} == {(12_345_670, None)}
        assert bench.port.count(identifier=di.ENERGY_BLOCK) == 1
        assert bench.sink.rows[0].current_ma is None
        assert bench.sink.lost == []


@bench_test
async def test_a_meter_that_is_only_busy_is_asked_for_the_block_again():
    world = World(FACTOR)
    port = FakePort([FakeMeter(A, world)])
    busy = encode(Frame(A, 0xD1, b"\x01"))
    port.intercept = lambda frame, reply: (
        [(0.001, busy)] if frame.identifier == di.ENERGY_BLOCK and port.count(identifier=di.ENERGY_BLOCK) == 1 else None
    )
    async with running(port, world) as bench:
        await bench.until(lambda: len(bench.sink.readings) >= 2)
        assert [r.rates_wh is None for r in bench.sink.readings[:2]] == [True, False]


@bench_test
async def test_a_value_that_cannot_be_read_costs_only_its_item():
    world = World(FACTOR)
    port = FakePort([FakeMeter(A, world)])
    no_day = encode(Frame(A, 0x91, di.DATE.to_bytes(4, "little") + bytes(4)))
    no_number = encode(Frame(A, 0x91, di.STATUS_WORD_3.to_bytes(4, "little") + b"\x00"))
    scripts = {di.DATE: no_day, di.STATUS_WORD_3: no_number}
    port.intercept = lambda frame, reply: [(0.001, scripts[frame.identifier])] if frame.identifier in scripts else None
    async with running(port, world) as bench:
        await bench.until(lambda: len(bench.sink.readings) >= 3 and bench.sink.rows and bench.sink.lost)
        assert bench.poller.status().silent_meters == 0
        assert bench.sink.lost[0].reason.startswith("unreadable value")
        assert bench.sink.states == []


@bench_test
async def test_silence_is_reported_after_all_attempts_and_then_costs_one():
    world = World(FACTOR)
    meter = FakeMeter(A, world)
    meter.silent = True
    async with running(FakePort([meter]), world, attempts_max=3) as bench:
        await bench.until(lambda: len(bench.sink.lost) >= 1)
        assert bench.port.count(address=A) == 3
        await bench.until(lambda: len(bench.sink.lost) >= 2)
        assert bench.port.count(address=A) == 4
        failure = bench.sink.lost[0]
        assert isinstance(failure, ContactFailure)
        assert failure.meter_id == A
        assert "did not answer" in failure.reason
        assert bench.poller.status().silent_meters == 1


@bench_test
async def test_dead_meters_do_not_slow_the_living():
    world = World(FACTOR)
    living, dead = FakeMeter(A, world), [FakeMeter(m, world) for m in (B, C, D)]
    for meter in dead:
        meter.silent = True
    async with running(FakePort([living, *dead]), world, attempts_max=2) as bench:
        await bench.until(lambda: len([r for r in bench.sink.readings if r.meter_id == A]) >= 7)
        requests = [bench.port.count(address=m) for m in (B, C, D)]
        # two attempts, then single probes after 1, 2, 4, ... cycles: five in seven cycles is already generous
        assert max(requests) <= 6
        assert bench.poller.status().silent_meters == 3


@bench_test
async def test_a_dead_meter_comes_back_and_a_whole_dead_bus_comes_back_at_once():
    world = World(FACTOR)
    meters = [FakeMeter(m, world) for m in (A, B, C)]
    for meter in meters:
        meter.silent = True
    async with running(FakePort(meters), world, attempts_max=1) as bench:
        await bench.until(lambda: len(bench.sink.lost) >= 6)
        for meter in meters:
            meter.silent = False
        await bench.until(lambda: {r.meter_id for r in bench.sink.readings} == {A, B, C})
        times = sorted(r.received_ms for r in {r.meter_id: r for r in bench.sink.readings[:3]}.values())
        assert times[-1] - times[0] < 2000
        await bench.until(lambda: bench.poller.status().silent_meters == 0)


@bench_test
async def test_near_meters_are_read_more_often():
    world = World(FACTOR)
    cadence = Cadence(reading_cycle_s=1800, near_cycle_s=180)
    async with running(FakePort([FakeMeter(A, world), FakeMeter(B, world)]), world, cadence=cadence) as bench:
        bench.orders.near_meters = (A,)
        await bench.until(lambda: len([r for r in bench.sink.readings if r.meter_id == A]) >= 9)
        assert len([r for r in bench.sink.readings if r.meter_id == B]) <= 4


@bench_test
async def test_a_gate_meter_has_no_relay_to_read():
    world = World(FACTOR)
    async with running(FakePort([FakeMeter(A, world)]), world, kinds={A: "gate"}) as bench:
        await bench.until(lambda: len(bench.sink.readings) >= 2 and bench.sink.rows)
        assert bench.port.count(identifier=di.STATUS_WORD_3) == 0


@bench_test
async def test_a_lost_port_is_opened_again_and_reading_goes_on():
    world = World(FACTOR)
    port = FakePort([FakeMeter(A, world)])
    async with running(port, world) as bench:
        await bench.until(lambda: bench.sink.readings)
        port.missing = "memory: no such device; plug it in"
        port.lose("memory: unplugged")
        await bench.until(lambda: "plug it in" in bench.poller.status().last_error)
        assert not bench.poller.status().open
        port.missing = ""
        seen = len(bench.sink.readings)
        await bench.until(lambda: len(bench.sink.readings) > seen)
        assert bench.poller.status().open
        assert bench.poller.status().reconnects == 1


@bench_test
async def test_a_full_queue_slows_the_poller_and_drops_nothing():
    world = World(FACTOR)
    port = FakePort([FakeMeter(f"2026000001{n:02d}", world) for n in range(20)])
    sink = RememberingSink()
    sink.open_gate.clear()
    async with running(port, world, sink=sink, queue_max=4) as bench:
        held = -1
        async with asyncio.timeout(20):
            while held <= 4 or held != len(port.requests):  # until the poller waits
                held = len(port.requests)
                await asyncio.sleep(0.5)
        assert held < 64 + 4 + 130  # a batch on its way, the queue, and up to three requests for one result
        sink.open_gate.set()
        await bench.until(lambda: len(port.requests) > held + 40)
        answered = port.count(identifier=di.ENERGY_BLOCK)
        await bench.until(lambda: len(sink.readings) >= answered)
        times = [r.received_ms for r in sink.readings]
        assert all(a <= b for a, b in pairwise(times))
        assert max(sink.batches) <= 64


@bench_test
async def test_a_failing_sink_gets_the_same_batch_again():
    world = World(FACTOR)
    sink = RememberingSink()
    sink.failures_left = 2
    cadence = Cadence(reverse_every=1000)
    async with running(FakePort([FakeMeter(A, world)]), world, sink=sink, cadence=cadence) as bench:
        await bench.until(lambda: sink.readings)
        assert bench.delivery.retries == 2
        assert bench.delivery.last_error == "OSError: disk full"
        asked = bench.port.count(identifier=di.ENERGY_BLOCK)
        await bench.until(lambda: len(sink.readings) >= asked)  # none was lost, the first one included


@bench_test
async def test_broken_orders_stop_no_reading():
    world = World(FACTOR)
    async with running(FakePort([FakeMeter(A, world)]), world) as bench:
        bench.orders.broken = True
        bench.poller.wake()
        await bench.until(lambda: "orders cannot be fetched" in bench.poller.status().last_error)
        seen = len(bench.sink.readings)
        await bench.until(lambda: len(bench.sink.readings) > seen)


@bench_test
async def test_a_demand_is_read_before_the_schedule_goes_on():
    world = World()
    meters = [FakeMeter(f"2026000001{n:02d}", world) for n in range(60)]
    async with running(FakePort(meters, delay_s=0.02), world) as bench:
        await bench.until(lambda: bench.port.requests)
        promise = Future()
        before = len(bench.port.requests)
        bench.poller.demand(meters[-1].address, promise)
        await bench.until(promise.done)
        reading = promise.result()
        assert (reading.total_wh, reading.source) == (12_345_670, "demand")
        assert reading in bench.sink.readings  # stored before the answer
        assert [row.voltage_mv for row in bench.sink.rows if row.meter_id == meters[-1].address] == [220_100]
        assert bench.port.requests[before + 1].address == meters[-1].address


@bench_test
async def test_a_demand_of_a_silent_meter_or_a_closed_bus_says_why():
    world = World(FACTOR)
    meter = FakeMeter(A, world)
    meter.silent = True
    port = FakePort([meter])
    async with running(port, world) as bench:
        promise = Future()
        bench.poller.demand(A, promise)
        await bench.until(promise.done)
        assert isinstance(promise.exception(), EstateError)
        assert "did not answer" in str(promise.exception())
        port.missing = "memory: gone"
        port.lose()
        await bench.until(lambda: not bench.poller.status().open)
        promise = Future()
        bench.poller.demand(A, promise)
        await bench.until(promise.done)
        assert "bus bus-1 is not open" in str(promise.exception())


@bench_test
async def test_the_moment_of_a_reading_is_when_the_meter_began_to_answer():
    world = World(factor=100)
    port = FakePort([FakeMeter(A, world)])
    stamps = []
    port.before_write = lambda frame: stamps.append(world.now())
    async with running(port, world) as bench:
        await bench.until(lambda: bench.sink.readings)
        assert bench.sink.readings[0].read_at >= int(stamps[0])
        assert bench.sink.readings[0].read_at <= world.now()
