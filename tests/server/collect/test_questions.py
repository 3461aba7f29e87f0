"""Questions beside the schedule: heard whole, by turns with it, behind orders, refused where there is no port."""

import asyncio
from concurrent.futures import Future

import pytest

from core.dlt645.commands import RELAY, Read, ReadAddress
from core.dlt645.frame import FrameDecoder
from core.dlt645.identifiers import ENERGY_BLOCK, ENERGY_TOTAL
from core.dlt645.search import Heard
from server.collect.port import PortError
from server.collect.questions import WAITING_MAX, QuestionLane
from server.collect.work import Cadence, MeterUnread
from tests.server.collect.fake_bus import FakeMeter, FakePort, World, bench_test, running

METER = "202600000001"
FREQUENCY = 0x02800002


class Line:
    """Answers with what it is told; remembers what was asked."""

    def __init__(self, answer=Heard()):  # noqa: B008 - frozen
        self.asked = []
        self.answer = answer

    async def hear(self, command, linger_s):
        self.asked.append((command, linger_s))
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def test_one_question_then_one_item_of_the_schedule():
    lane = QuestionLane(Line(), "b")
    for _ in range(2):
        lane.put(ReadAddress(), 0.5, Future())
    assert lane.has_turn
    asyncio.run(lane.serve())
    assert (lane.has_turn, lane.waits) == (False, True)
    lane.give_turn()
    assert lane.has_turn


def test_what_was_heard_comes_back_and_a_lost_port_is_said():
    line = Line(Heard((), 7))
    lane = QuestionLane(line, "b")
    heard, lost, refused = Future(), Future(), Future()
    lane.put(ReadAddress(), 0.5, heard)
    asyncio.run(lane.serve())
    assert heard.result(0).garbage_bytes == 7
    assert line.asked == [(ReadAddress(), 0.5)]
    line.answer = PortError("gone")
    lane.put(ReadAddress(), 0.5, lost)
    with pytest.raises(PortError):
        asyncio.run(lane.serve())
    with pytest.raises(MeterUnread, match="gone"):
        lost.result(0)
    lane.put(ReadAddress(), 0.5, refused)
    lane.refuse("unplugged")
    with pytest.raises(PortError, match="unplugged"):
        refused.result(0)


def test_more_questions_than_a_bus_takes_are_refused_and_a_cancelled_one_is_not_asked():
    line = Line()
    lane = QuestionLane(line, "b")
    promises = [Future() for _ in range(WAITING_MAX + 1)]
    for promise in promises:
        lane.put(Read("000000000001", ENERGY_TOTAL), 0.0, promise)
    with pytest.raises(MeterUnread, match="waiting"):
        promises[-1].result(0)
    promises[0].cancel()
    asyncio.run(lane.serve())
    assert line.asked == []


@bench_test
async def test_the_poller_asks_beside_its_schedule_and_taps_hear_both_ways():
    world = World()
    async with running(FakePort([FakeMeter(METER, world)]), world) as bench:
        heard_by_tap = {True: bytearray(), False: bytearray()}
        bench.poller.taps.add(lambda sent, data: heard_by_tap[sent].extend(data))
        promise = Future()
        bench.poller.question(Read(METER, ENERGY_BLOCK), 0.0, promise)
        heard = await asyncio.wrap_future(promise)
        assert [frame.address for frame in heard.frames] == [METER]
        for sent in (True, False):
            assert ENERGY_BLOCK in [frame.identifier for frame in FrameDecoder().feed(bytes(heard_by_tap[sent]))]


@bench_test
async def test_questions_leave_the_schedule_its_turns_and_orders_go_first():
    world = World()
    async with running(FakePort([FakeMeter(METER, world)]), world, cadence=Cadence(reading_cycle_s=1)) as bench:
        promises = [Future() for _ in range(40)]
        for promise in promises:
            bench.poller.question(Read(METER, FREQUENCY), 0.0, promise)
        await asyncio.wrap_future(promises[10])
        bench.orders.want(METER, "trip")
        bench.poller.wake()
        await asyncio.wrap_future(promises[-1])
        asked = [frame.control == RELAY or frame.identifier == FREQUENCY for frame in bench.port.requests]
        assert False in asked[:12]  # an item of the schedule came between
        [trip] = [at for at, frame in enumerate(bench.port.requests) if frame.control == RELAY][:1]
        later = [frame for frame in bench.port.requests[trip:] if frame.identifier == FREQUENCY]
        assert len(later) > 20
