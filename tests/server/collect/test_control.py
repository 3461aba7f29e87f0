"""One relay transaction: what is checked, what is sent, what is reported, and that only a read-back is believed."""

import asyncio
import random
from datetime import timedelta
from time import sleep

import pytest

from core.dlt645 import identifiers as di
from core.dlt645.commands import RELAY, RelayAction
from core.dlt645.values import decode_datetime
from server.collect.control import CHECK_HOLDS_S, describe, is_satisfied
from server.collect.work import Cadence
from tests.server.collect.fake_bus import TUESDAY, ChangingOrders, FakeMeter, FakePort, World, bench_test, running

A, B = "202600000001", "202600000002"
QUIET = Cadence(reading_cycle_s=86_400, near_cycle_s=86_400)
OPEN = di.RELAY_OPEN | di.COMMAND_OPEN


def setup(*addresses, factor=1):
    world = World(factor)
    meters = [FakeMeter(address, world) for address in addresses or (A,)]
    return world, meters, FakePort(meters)


@bench_test
async def test_a_trip_is_checked_sent_once_and_read_back():
    world, _, port = setup()
    async with running(port, world, cadence=QUIET) as bench:
        bench.orders.want(A, "trip", password="123456")
        await bench.until(lambda: any(s.status3 == OPEN for s in bench.sink.states))
        assert bench.orders.names() == ["sent", "accepted", "read_back"]
        assert bench.orders.steps[-1][3] == "status 0050: relay open, command open"
        [frame] = port.relay_frames
        assert frame.data[:4] == bytes.fromhex("02563412")  # level 2, low byte first
        assert frame.data[8] == RelayAction.TRIP
        sent_at = port.requests.index(frame)
        assert bench.orders.leaves[:2] == [False, True]  # the last question is the one that a frame follows
        before = [f.identifier for f in port.requests[:sent_at] if f.address == A][-3:]
        assert before == [di.STATUS_WORD_3, di.DATE, di.TIME]
        assert port.requests[sent_at + 1].identifier == di.STATUS_WORD_3


@bench_test
async def test_the_deadline_is_the_meters_own_clock_plus_the_lifetime():
    world, [meter], port = setup()
    meter.clock_offset_s = -45
    async with running(port, world, cadence=QUIET) as bench:
        bench.orders.want(A, "trip", ttl_s=120)
        await bench.until(lambda: port.relay_frames)
        ahead = decode_datetime(port.relay_frames[0].data[10:16]) - meter.clock()
        assert timedelta(seconds=110) <= ahead <= timedelta(seconds=121)
        await bench.until(lambda: any(s.clock_offset_s in (-46, -45, -44) for s in bench.sink.states))


@bench_test
async def test_a_lifetime_is_never_longer_than_ten_minutes_nor_than_the_wish():
    world, [meter, _], port = setup(A, B)
    async with running(port, world, cadence=QUIET) as bench:
        bench.orders.want(A, "trip", ttl_s=86_400)
        bench.orders.want(B, "trip", ttl_s=600, expires_at=TUESDAY + 60)
        await bench.until(lambda: len(port.relay_frames) >= 2)
        ahead = {
            frame.address: (decode_datetime(frame.data[10:16]) - meter.clock()).total_seconds()
            for frame in port.relay_frames
        }
        assert 580 <= ahead[A] <= 601
        assert ahead[B] <= 61


@bench_test
async def test_a_trip_is_refused_while_the_clock_is_wrong_but_a_close_is_not():
    world, [meter, other], port = setup(A, B)
    meter.clock_offset_s = other.clock_offset_s = 4000
    other.status3 = OPEN
    async with running(port, world, cadence=QUIET) as bench:
        bench.orders.want(A, "trip", ttl_s=120)
        bench.orders.want(B, "allow", ttl_s=120)
        await bench.until(lambda: bench.orders.names(A) and not other.status3 & di.COMMAND_OPEN)
        assert "the meter's clock is off by" in bench.orders.steps[0][3]
        assert bench.orders.names(A)[0] == "refused"
        assert [frame.address for frame in port.relay_frames] == [B]
        await bench.until(lambda: any(s.meter_id == A and s.clock_offset_s > 3900 for s in bench.sink.states))
        assert meter.status3 == 0


@bench_test
async def test_a_meter_that_keeps_the_power_on_is_sent_no_trip_but_a_close():
    world, [meter, other], port = setup(A, B)
    other.status3 = OPEN | di.KEEP_POWER
    async with running(port, world, cadence=QUIET) as bench:
        await bench.until(lambda: bench.sink.states)
        meter.status3 = di.KEEP_POWER  # set on site, after the last status word that is stored
        bench.orders.want(A, "trip")
        bench.orders.want(B, "allow")
        await bench.until(lambda: bench.orders.names(A) and not other.status3 & di.COMMAND_OPEN)
        await bench.until(lambda: any(s.meter_id == A and s.status3 == di.KEEP_POWER for s in bench.sink.states))
        assert bench.orders.names(A)[0] == "refused"
        assert bench.orders.steps[0][3].startswith("not sent: the meter keeps the power on")
        assert [frame.address for frame in port.relay_frames] == [B]


@bench_test
async def test_a_late_frame_is_refused_by_the_meter_and_reported():
    world, [meter], port = setup()
    async with running(port, world, cadence=QUIET) as bench:
        port.before_write = lambda frame: setattr(meter, "clock_offset_s", 500 * (frame.control == RELAY))
        bench.orders.want(A, "trip", ttl_s=120)
        await bench.until(lambda: "read_back" in bench.orders.names())
        assert bench.orders.names() == ["sent", "refused", "read_back"]
        assert "wrong password or not authorised" in bench.orders.steps[1][3]
        await bench.until(lambda: bench.sink.states)
        assert all(s.status3 == 0 for s in bench.sink.states)


@pytest.mark.parametrize("check", [1, 2])
def test_invariant_09_a_generation_superseded_before_sending_sends_nothing(check):
    async def scenario():
        world, _, port = setup()
        async with running(port, world, cadence=QUIET) as bench:
            bench.orders.supersede_at_check = check
            bench.orders.want(A, "trip", gen=7)
            await bench.until(lambda: bench.orders.steps)
            assert bench.orders.steps[0][:3] == (A, 7, "superseded")
            assert port.relay_frames == []

    asyncio.run(scenario())


class RacingOrders(ChangingOrders):
    """Wishes that change while they are carried out; the password carries the generation to the wire."""

    def __init__(self, random_source):
        super().__init__()
        self.random = random_source

    def next(self, bus_id):
        for meter_id in self.gens:
            self.renew(meter_id)
        return super().next(bus_id)

    def still_current(self, meter_id, gen, switch="relay", *, sending=False):
        if self.random.random() < 0.5:
            self.renew(meter_id)
        return super().still_current(meter_id, gen, switch, sending=sending)

    def renew(self, meter_id):
        gen = self.gens.get(meter_id, 0) + 1
        action = "trip" if gen % 2 else "allow"
        self.want(meter_id, action, gen=gen, password=f"{gen:06d}")


@bench_test
async def test_invariant_09_no_frame_leaves_for_a_generation_below_the_current_one():
    seed = 20261013
    orders = RacingOrders(random.Random(seed))
    world, _, port = setup(A, B)
    stale = []

    def check(frame):
        if frame.control == RELAY:
            gen = int(frame.data[1:4][::-1].hex())
            if gen < orders.gens[frame.address]:
                stale.append((gen, orders.gens[frame.address]))

    port.before_write = check
    for address in (A, B):
        orders.renew(address)
    async with running(port, world, orders=orders, cadence=QUIET) as bench:
        for _ in range(60):
            await asyncio.sleep(0.03)
            bench.poller.wake()
        await bench.until(lambda: len(port.relay_frames) >= 4)
        assert (stale, seed) == ([], seed)
        assert "superseded" in orders.names()


@bench_test
async def test_invariant_13_an_ack_without_a_moving_relay_never_says_open():
    world, [meter], port = setup()
    meter.relay_deaf = True
    async with running(port, world, cadence=QUIET) as bench:
        bench.orders.want(A, "trip")
        await bench.until(lambda: "read_back" in bench.orders.names())
        assert bench.orders.names()[:2] == ["sent", "accepted"]
        await bench.until(lambda: bench.sink.states)
        assert {s.status3 for s in bench.sink.states} == {0}


@bench_test
async def test_invariant_13_an_ack_without_a_read_back_stays_unknown():
    world, _, port = setup()
    acked = []

    def deaf_after_ack(frame, reply):
        if frame.control == RELAY:
            acked.append(frame)
            return None
        return [] if acked else None

    port.intercept = deaf_after_ack
    async with running(port, world, cadence=QUIET) as bench:
        await bench.until(lambda: bench.sink.states)
        known = len(bench.sink.states)
        bench.orders.want(A, "trip")
        await bench.until(lambda: "no_reply" in bench.orders.names())
        assert bench.orders.names() == ["sent", "accepted", "no_reply"]
        assert "the relay's state is unknown" in bench.orders.steps[-1][3]
        assert all(s.status3 == 0 for s in bench.sink.states[:known])
        assert [s for s in bench.sink.states if s.status3 & OPEN] == []


@bench_test
async def test_a_lost_ack_is_settled_by_the_read_back_and_nothing_is_sent_twice():
    world, [meter], port = setup()
    meter.ack_lost = True
    async with running(port, world, cadence=QUIET) as bench:
        bench.orders.want(A, "trip")
        await bench.until(lambda: any(s.status3 == OPEN for s in bench.sink.states))
        assert bench.orders.names() == ["sent", "no_reply", "read_back"]
        await bench.until(lambda: len(bench.orders.steps) >= 4)  # the order still stands: it is tried again
        assert bench.orders.steps[3][3].startswith("not sent: already status 0050")
        assert len(port.relay_frames) == 1


@bench_test
async def test_a_retry_reads_the_status_before_it_sends_again():
    world, [meter], port = setup()
    meter.relay_deaf = meter.ack_lost = True
    async with running(port, world, cadence=QUIET) as bench:
        bench.orders.want(A, "trip")
        await bench.until(lambda: len(port.relay_frames) == 2)
        first, second = (port.requests.index(frame) for frame in port.relay_frames)
        if first == second:
            second = port.requests.index(port.relay_frames[1], first + 1)
        between = [frame.identifier for frame in port.requests[first + 1 : second] if frame.address == A]
        assert between.count(di.STATUS_WORD_3) >= 2  # the read-back and the look before the second try


@bench_test
async def test_an_expired_trip_and_a_silent_meter_are_not_sent():
    world, [_, silent], port = setup(A, B)
    silent.silent = True
    async with running(port, world, cadence=QUIET) as bench:
        bench.orders.want(A, "trip", expires_at=TUESDAY - 1)
        bench.orders.want(B, "allow")
        await bench.until(lambda: len(bench.orders.steps) >= 2)
        assert bench.orders.names(A)[0] == "expired"
        assert bench.orders.names(B)[0] == "no_reply"
        assert bench.orders.steps[1][3].startswith("not sent:")
        assert port.relay_frames == []


@bench_test
async def test_a_wrong_password_setting_hurts_only_its_meter():
    world, _, port = setup(A, B)
    async with running(port, world, cadence=QUIET) as bench:
        bench.orders.want(A, "trip", password="12")
        bench.orders.want(B, "trip")
        await bench.until(lambda: any(s.meter_id == B and s.status3 == OPEN for s in bench.sink.states))
        assert bench.orders.steps[0][:3] == (A, 1, "refused")
        assert "a password has 6 digits" in bench.orders.steps[0][3]
        assert "12" not in bench.orders.steps[0][3].split("password")[0]


@bench_test
async def test_orders_go_before_reads():
    world = World()
    meters = [FakeMeter(f"2026000001{n:02d}", world) for n in range(60)]
    port = FakePort(meters, delay_s=0.01)
    async with running(port, world) as bench:
        await bench.until(lambda: len(port.requests) > 5)
        bench.orders.want(meters[-1].address, "trip")
        began = len(port.requests)
        bench.poller.wake()
        await bench.until(lambda: port.relay_frames)
        assert port.requests.index(port.relay_frames[0]) - began <= 5  # one running read, status, date, time


@bench_test
async def test_after_an_allowed_close_the_button_is_seen_quickly():
    world, [meter], port = setup()
    meter.status3 = OPEN
    async with running(port, world, cadence=QUIET) as bench:
        bench.orders.want(A, "allow")
        await bench.until(lambda: any(s.status3 == di.RELAY_OPEN for s in bench.sink.states))
        bench.orders.wanted.clear()
        meter.press_button()
        await bench.until(lambda: bench.sink.states[-1].status3 == 0, timeout_s=8)  # the cycle lasts a day
        await bench.until(lambda: port.count(identifier=di.TIME) == 2)  # for the command, and in the first round,
        await bench.until(lambda: port.requests[-1].identifier == di.STATUS_WORD_3)  # which ends with this
        seen = port.count(identifier=di.STATUS_WORD_3)
        await asyncio.sleep(2)
        assert port.count(identifier=di.STATUS_WORD_3) == seen  # settled: with the cycle again


@bench_test
async def test_a_delayed_trip_is_followed_until_the_relay_has_moved():
    world, [meter], port = setup()

    def delayed(frame, reply):
        if frame.control == RELAY:
            meter.status3 = di.COMMAND_OPEN
        return

    port.intercept = delayed
    async with running(port, world, cadence=QUIET) as bench:
        bench.orders.want(A, "trip")
        await bench.until(lambda: any(s.status3 == di.COMMAND_OPEN for s in bench.sink.states))
        bench.orders.wanted.clear()
        meter.status3 = OPEN
        await bench.until(lambda: bench.sink.states[-1].status3 == OPEN, timeout_s=8)
        assert len(port.relay_frames) == 1


@bench_test
async def test_a_port_lost_while_sending_leaves_an_unknown_outcome_on_record():
    world, _, port = setup()

    def unplug(frame, reply):
        if frame.control == RELAY:
            asyncio.get_running_loop().call_soon(port.lose)
            return []
        return None

    port.intercept = unplug
    async with running(port, world, cadence=QUIET) as bench:
        bench.orders.want(A, "trip")
        await bench.until(lambda: len(bench.orders.steps) >= 2)
        assert bench.orders.names()[:2] == ["sent", "no_reply"]
        await bench.until(lambda: bench.poller.status().reconnects >= 1)


@bench_test
async def test_unknown_generation_means_no_frame():
    world, _, port = setup()
    async with running(port, world, cadence=QUIET) as bench:
        bench.orders.want(A, "trip")

        def fail(meter_id, gen, switch, *, sending):
            raise OSError("no database")

        bench.orders.still_current = fail
        await bench.until(lambda: bench.orders.steps)
        assert bench.orders.names()[0] == "superseded"
        assert port.relay_frames == []


def test_what_satisfies_a_wish():
    assert [is_satisfied("trip", s) for s in (0, di.RELAY_OPEN, di.COMMAND_OPEN, OPEN)] == [False, False, True, True]
    assert [is_satisfied("allow", s) for s in (0, di.RELAY_OPEN, di.COMMAND_OPEN, OPEN)] == [True, True, False, False]
    assert [is_satisfied("close", s) for s in (0, di.RELAY_OPEN, di.COMMAND_OPEN, OPEN)] == [True, False, False, False]
    assert [is_satisfied("keep", s) for s in (0, OPEN, di.KEEP_POWER)] == [False, False, True]
    assert [is_satisfied("free", s) for s in (0, OPEN, di.KEEP_POWER)] == [True, True, False]


def test_a_status_in_words():
    assert describe(0x0010) == "status 0010: relay open, command closed"


class StandingStill(ChangingOrders):
    """The process is stopped (SIGSTOP, a suspended machine) right after the last check has been answered."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.stops = seconds, 1

    def still_current(self, meter_id, gen, switch="relay", *, sending=False):
        current = super().still_current(meter_id, gen, switch, sending=sending)
        if self.checks == 2 and self.stops:
            self.stops = 0
            sleep(self.seconds)
            self.gens[meter_id] += self.seconds > CHECK_HOLDS_S  # somebody has paid meanwhile
        return current


@bench_test
async def test_who_stood_still_after_the_check_does_not_send_but_checks_anew():
    world, _, port = setup()
    async with running(port, world, cadence=QUIET, orders=StandingStill(CHECK_HOLDS_S + 0.2)) as bench:
        bench.orders.want(A, "trip", ttl_s=120)
        await bench.until(lambda: "superseded" in bench.orders.names())
        assert bench.orders.names()[0] == "refused"
        assert "2 s have passed since the check" in bench.orders.steps[0][3]
        assert port.relay_frames == []


@bench_test
async def test_the_deadline_counts_from_the_check_and_not_from_the_moment_of_sending():
    world, [meter], port = setup()
    async with running(port, world, cadence=QUIET, orders=StandingStill(1)) as bench:
        bench.orders.want(A, "trip", ttl_s=120)
        await bench.until(lambda: port.relay_frames)
        ahead = decode_datetime(port.relay_frames[0].data[10:16]) - meter.clock()
        assert ahead <= timedelta(seconds=119)
