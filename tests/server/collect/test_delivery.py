"""The way out: everything put in comes out exactly once, in order, whatever the sink does meanwhile."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from server.collect import delivery as module
from server.collect.delivery import BATCH_MAX, Delivery
from server.collect.work import StepReport
from server.domain.readings import ContactFailure, MeterReading, MeterVariables, StatusRead
from tests.server.collect.fake_bus import ChangingOrders, RememberingSink

A = "202600000001"


def reading(number):
    return MeterReading(A, number, number, number * 10)


def deliver(results, sink, orders=None, queue_max=256):
    """Put all results and let the delivery finish."""

    async def scenario():
        with ThreadPoolExecutor(2) as executor:
            out = Delivery(sink, orders or ChangingOrders(), executor, queue_max=queue_max, batch_wait_s=0.02)
            running = asyncio.create_task(out.run())
            for result in results:
                await out.put(result)
            await out.finish()
            await asyncio.wait_for(running, 30)
            return out

    return asyncio.run(scenario())


@pytest.mark.parametrize("queue_max", [1, 7, 256])
def test_batches_keep_order_and_size(queue_max):
    sink = RememberingSink()
    deliver([reading(n) for n in range(500)], sink, queue_max=queue_max)
    assert [r.read_at for r in sink.readings] == list(range(500))
    assert max(sink.batches) <= BATCH_MAX


def test_a_failing_sink_loses_nothing_and_gets_nothing_twice(monkeypatch):
    monkeypatch.setattr(module, "RETRY_MIN_S", 0.01)
    sink = RememberingSink()
    sink.failures_left = 3
    out = deliver([reading(n) for n in range(100)], sink)
    assert [r.read_at for r in sink.readings] == list(range(100))
    assert (out.retries, out.last_error) == (3, "OSError: disk full")


def test_each_kind_goes_to_its_own_method_and_steps_go_first():
    sink, orders, told = RememberingSink(), ChangingOrders(), []
    orders.report = lambda *step: told.append(("step", step))
    take = sink.status
    sink.status = lambda rows: (told.append(("status", len(rows))), take(rows))
    status, failure = StatusRead(A, 1, 1, 0x50), ContactFailure(A, 1, 1, "no reply")
    variables = MeterVariables(A, 1, 220_000, None, None)
    steps = [StepReport(A, 3, "sent", "x"), StepReport(A, 3, "accepted", "y")]
    deliver([status, reading(1), steps[0], variables, failure, steps[1]], sink, orders)
    assert told == [("step", (A, 3, "sent", "x", "relay")), ("step", (A, 3, "accepted", "y", "relay")), ("status", 1)]
    assert (sink.states, sink.rows, sink.lost) == ([status], [variables], [failure])


def test_who_waits_goes_on_only_after_the_sink_has_taken_it():
    async def scenario():
        sink = RememberingSink()
        sink.open_gate.clear()
        with ThreadPoolExecutor(2) as executor:
            out = Delivery(sink, ChangingOrders(), executor)
            running = asyncio.create_task(out.run())
            await out.put(reading(1))
            waiting = asyncio.create_task(out.put_and_wait(StatusRead(A, 1, 1, 0)))
            await asyncio.sleep(0.3)
            assert not waiting.done()
            sink.open_gate.set()
            await asyncio.wait_for(waiting, 30)
            assert (len(sink.readings), len(sink.states)) == (1, 1)
            await out.finish()
            await asyncio.wait_for(running, 30)

    asyncio.run(scenario())


def test_a_batch_waits_for_more_but_not_while_somebody_waits():
    async def scenario():
        sink = RememberingSink()
        with ThreadPoolExecutor(2) as executor:
            out = Delivery(sink, ChangingOrders(), executor, batch_wait_s=60)
            running = asyncio.create_task(out.run())
            for number in range(5):
                await out.put(reading(number))
            await asyncio.sleep(0.1)
            early = len(sink.readings)
            await asyncio.wait_for(out.put_and_wait(StatusRead(A, 1, 1, 0)), 30)
            late = len(sink.readings)
            await out.put(reading(5))
            await out.finish()
            await asyncio.wait_for(running, 30)
            return early, late, len(sink.readings)

    assert asyncio.run(scenario()) == (0, 5, 6)


def test_a_full_batch_leaves_at_once(monkeypatch):
    monkeypatch.setattr(module, "BATCH_MAX", 4)

    async def scenario():
        sink = RememberingSink()
        with ThreadPoolExecutor(2) as executor:
            out = Delivery(sink, ChangingOrders(), executor, batch_wait_s=60)
            running = asyncio.create_task(out.run())
            for number in range(10):
                await out.put(reading(number))
            while len(sink.readings) < 8:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.05)
            kept = len(sink.readings)
            await out.finish()
            await asyncio.wait_for(running, 30)
            return kept, sink.batches

    assert asyncio.run(asyncio.wait_for(scenario(), 30)) == (8, [4, 4, 2])


def test_a_full_queue_makes_everybody_wait_and_lets_all_through():
    async def scenario():
        sink = RememberingSink()
        sink.open_gate.clear()
        with ThreadPoolExecutor(2) as executor:
            out = Delivery(sink, ChangingOrders(), executor, queue_max=3, batch_wait_s=0.01)
            running = asyncio.create_task(out.run())
            putting = [asyncio.create_task(out.put(reading(number))) for number in range(20)]
            while (waiting := (out.waiting, sum(task.done() for task in putting))) != (3, 6):
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.05)
            waiting = out.waiting, sum(task.done() for task in putting)
            sink.open_gate.set()
            await asyncio.wait_for(asyncio.gather(*putting), 30)
            await out.finish()
            await asyncio.wait_for(running, 30)
            return waiting, sorted(one.read_at for one in sink.readings)

    (waiting, let_in), kept = asyncio.run(asyncio.wait_for(scenario(), 30))
    assert (waiting, let_in, kept) == (3, 6, list(range(20)))


def test_readings_and_variables_are_offered_together_behind_failures_and_before_status_words():
    async def scenario():
        sink, told = RememberingSink(), []
        sink.open_gate.clear()
        for kind in ("energy", "variables", "status"):
            take = getattr(sink, kind)
            setattr(sink, kind, lambda rows, kind=kind, take=take: (told.append(kind), take(rows)))
        sink.failures = lambda _rows: told.append("failures")
        with ThreadPoolExecutor(4) as executor:
            out = Delivery(sink, ChangingOrders(), executor, batch_wait_s=0.01)
            running = asyncio.create_task(out.run())
            for result in (
                StatusRead(A, 1, 1, 0),
                reading(1),
                MeterVariables(A, 1, 1, 1, 1),
                ContactFailure(A, 1, 1, "no reply"),
            ):
                await out.put(result)
            while len(told) < 3:
                await asyncio.sleep(0.005)
            early = told[0], set(told[1:])
            sink.open_gate.set()
            await out.finish()
            await asyncio.wait_for(running, 30)
            return early, told[3:]

    early, late = asyncio.run(asyncio.wait_for(scenario(), 30))
    assert (early, late) == (("failures", {"energy", "variables"}), ["status"])
