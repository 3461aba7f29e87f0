"""Meters in memory behind a scripted port, a sink that remembers, and orders that a test changes at will."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from threading import Event, Lock
from time import monotonic, time

from core.dlt645 import identifiers as di
from core.dlt645.commands import READ, RELAY, RelayAction
from core.dlt645.frame import Frame, encode, parse
from core.dlt645.values import decode_datetime
from core.session import Timing
from server.collect.delivery import Delivery
from server.collect.poller import Poller, Services
from server.collect.port import PortError, PortStatus
from server.collect.work import BusPlan, Cadence, Clocks, ControlOrder, MeterPlan, as_stored

FAST = Timing(baud=115200, reply_delay_max_s=0.08, byte_gap_max_s=0.05, frame_gap_s=0.001, margin_s=0.02)
TUESDAY = 1_791_853_500  # 2026-10-13 09:05 +08:00


class World:
    """World time that runs `factor` times as fast as the machine's."""

    def __init__(self, factor=1):
        self.factor = factor
        self.began = monotonic()

    def now(self):
        return TUESDAY + (monotonic() - self.began) * self.factor

    def clocks(self):
        return Clocks(self.now, lambda: int(time() * 1000), self.factor, "Asia/Shanghai")


class FakeMeter:
    """A 2007 meter with registers, clock and relay; a test overrides what shall go wrong."""

    def __init__(self, address, world, total_wh=12_345_670):
        self.address = address
        self.world = world
        self.total_wh = total_wh
        self.rates_wh = (1000, 2000, 3000, 4000)
        self.status3 = 0
        self.clock_offset_s = 0
        self.unsupported = set()
        self.silent = False
        self.relay_deaf = False  # accepts 1CH and does nothing
        self.ack_lost = False  # obeys 1CH and says nothing
        self.relay_frames = []

    def clock(self):
        shown = datetime(1970, 1, 1) + timedelta(seconds=int(self.world.now()) + 8 * 3600)  # noqa: DTZ001 - civil
        return shown + timedelta(seconds=self.clock_offset_s)

    def answer(self, frame):
        if self.silent:
            return None
        if frame.control == READ:
            return self._read(frame.identifier)
        if frame.control == RELAY:
            return self._switch(frame)
        return None

    def value(self, identifier):
        clock = self.clock()
        return {
            di.ENERGY_BLOCK: (self.total_wh, *self.rates_wh),
            di.ENERGY_TOTAL: (self.total_wh,),
            di.REVERSE_TOTAL: (50,),
            di.STATUS_WORD_3: (self.status3,),
            di.DATE: (clock.replace(hour=0, minute=0, second=0),),
            di.TIME: (clock.hour * 3600 + clock.minute * 60 + clock.second,),
            di.VOLTAGE_A: (220_100,),
            di.CURRENT_A: (1_234,),
            di.POWER_TOTAL: (271_600,),
        }.get(identifier)

    def _read(self, identifier):
        value = self.value(identifier)
        if value is None or identifier in self.unsupported:
            return Frame(self.address, 0xD1, b"\x02")
        return Frame(self.address, 0x91, identifier.to_bytes(4, "little") + di.encode_value(identifier, value))

    def _switch(self, frame):
        self.relay_frames.append(frame)
        if self.clock() > decode_datetime(frame.data[10:16]):
            return Frame(self.address, 0xDC, b"\x04")
        if not self.relay_deaf:
            open_bits = di.RELAY_OPEN | di.COMMAND_OPEN
            match frame.data[8]:
                case RelayAction.TRIP:
                    self.status3 |= open_bits
                case RelayAction.ALLOW_CLOSE:
                    self.status3 &= ~di.COMMAND_OPEN
                case RelayAction.CLOSE:
                    self.status3 &= ~open_bits
                case RelayAction.KEEP_POWER:
                    self.status3 = (self.status3 | di.KEEP_POWER) & ~di.COMMAND_OPEN
                case RelayAction.CANCEL_KEEP_POWER:
                    self.status3 &= ~di.KEEP_POWER
        return None if self.ack_lost else Frame(self.address, 0x9C)

    def press_button(self):
        if not self.status3 & di.COMMAND_OPEN:
            self.status3 &= ~di.RELAY_OPEN


class FakePort:
    """Delivers what the meters answer; notes every request, and any that came while another was out."""

    def __init__(self, meters, delay_s=0.001):
        self.meters = {meter.address: meter for meter in meters}
        self.delay_s = delay_s
        self.byte_by_byte = False
        self.missing = ""
        self.requests = []
        self.overlaps = 0
        self.opens = 0
        self._waiting_until = 0.0
        self._on_data = self._on_lost = None
        self.before_write = lambda frame: None
        self.intercept = lambda frame, reply: None  # returns [(delay_s, bytes)] to replace the answer

    @property
    def status(self):
        return PortStatus("memory", self._on_data is not None, None)

    async def open(self, on_data, on_lost):
        if self.missing:
            raise PortError(self.missing)
        self.opens += 1
        self._on_data, self._on_lost = on_data, on_lost

    def close(self):
        self._on_data = self._on_lost = None

    def lose(self, reason="unplugged"):
        on_lost = self._on_lost
        self.close()
        if on_lost is not None:
            on_lost(reason)

    async def write(self, data):
        frame = parse(data)
        self.before_write(frame)
        loop = asyncio.get_running_loop()
        self.overlaps += loop.time() < self._waiting_until
        self.requests.append(frame)
        meter = self.meters.get(frame.address)
        reply = meter.answer(frame) if meter is not None else None
        script = self.intercept(frame, reply)
        if script is None:
            script = [] if reply is None else [(self.delay_s, encode(reply, 2))]
        if script:
            self._waiting_until = loop.time() + min(delay for delay, _ in script)
        for delay, wire in script:
            pieces = [wire[i : i + 1] for i in range(len(wire))] if self.byte_by_byte else [wire]
            for number, piece in enumerate(pieces):
                loop.call_later(delay + number * 0.0005, self._send, piece)

    def _send(self, piece):
        if self._on_data is not None:
            self._on_data(piece)

    def count(self, **wanted):
        return sum(1 for frame in self.requests if all(getattr(frame, k) == v for k, v in wanted.items()))

    @property
    def relay_frames(self):
        return [frame for frame in self.requests if frame.control == RELAY]


class RememberingSink:
    """Keeps what it is given; fails or blocks while told so."""

    def __init__(self):
        self.readings, self.rows, self.states, self.lost = [], [], [], []
        self.batches = []
        self.failures_left = 0
        self.open_gate = Event()
        self.open_gate.set()
        self._lock = Lock()

    def _take(self, kept, rows):
        self.open_gate.wait(30)
        with self._lock:
            if self.failures_left:
                self.failures_left -= 1
                raise OSError("disk full")
            kept.extend(rows)
            self.batches.append(len(rows))

    def energy(self, readings):
        self._take(self.readings, readings)

    def variables(self, rows):
        self._take(self.rows, rows)

    def status(self, rows):
        self._take(self.states, rows)

    def failures(self, rows):
        self._take(self.lost, rows)


class ChangingOrders:
    """Wanted relays, by meter; a test replaces or supersedes them."""

    def __init__(self):
        self.wanted = {}
        self.gens = {}
        self.steps = []
        self.switches = []
        self.near_meters = ()
        self.checks = 0
        self.leaves = []
        self.supersede_at_check = None
        self.broken = False
        self.clocks_allowed = True
        self.clock_leaves = []

    def want(self, meter_id, action, *, gen=1, expires_at=TUESDAY + 10_000_000, ttl_s=120, password="000000"):
        self.wanted[meter_id] = ControlOrder(meter_id, gen, action, password, 2, expires_at, ttl_s)
        self.gens[meter_id] = gen

    def next(self, bus_id):
        if self.broken:
            raise OSError("no database")
        return list(self.wanted.values())

    def still_current(self, meter_id, gen, switch="relay", *, sending=False):
        self.checks += 1
        self.leaves.append(sending)
        if self.broken:
            raise OSError("no database")
        if self.checks == self.supersede_at_check:
            self.gens[meter_id] += 1
        return self.gens[meter_id] == gen

    def report(self, meter_id, gen, step, detail, switch="relay"):
        self.steps.append((meter_id, gen, step, detail))
        self.switches.append(switch)

    def near(self, bus_id):
        return self.near_meters

    def everywhere(self):
        return {"bus-1": (self.next("bus-1"), self.near("bus-1"))}

    def may_set_clocks(self, bus_id):
        self.clock_leaves.append(bus_id)
        return self.clocks_allowed

    def names(self, meter_id=None):
        return [step for meter, _, step, _ in self.steps if meter_id in (None, meter)]


class Bench:
    """A running poller with everything around it."""

    def __init__(self, poller, port, sink, orders, delivery):
        self.poller, self.port, self.sink, self.orders, self.delivery = poller, port, sink, orders, delivery

    async def until(self, condition, timeout_s=20.0):
        """Wait for a condition; generous, because the machine may be busy."""
        end = monotonic() + timeout_s
        while not condition():
            assert monotonic() < end, (
                f"not within {timeout_s} s; requests {Counter(f.control for f in self.port.requests)}"
            )
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(
    port, world, *, orders=None, sink=None, cadence=None, attempts_max=2, queue_max=256, kinds=None, unlock=None
):
    """Run a poller over `port` in this loop."""
    sink, orders = sink or RememberingSink(), orders or ChangingOrders()
    plans = tuple(MeterPlan(address, kind=(kinds or {}).get(address, "household")) for address in port.meters)
    plan = BusPlan("bus-1", "memory", plans, timing=FAST, attempts_max=attempts_max, cadence=cadence or Cadence())
    with ThreadPoolExecutor(4) as executor:
        delivery = Delivery(sink, orders, executor, queue_max=queue_max, batch_wait_s=0.02)
        poller = Poller(plan, port, Services(world.clocks(), orders, delivery, executor, unlock or as_stored))
        tasks = [asyncio.create_task(delivery.run()), asyncio.create_task(poller.run())]
        try:
            yield Bench(poller, port, sink, orders, delivery)
        finally:
            sink.open_gate.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def bench_test(scenario):
    """Run an async scenario as a test."""

    def test():
        asyncio.run(scenario())

    test.__name__ = scenario.__name__
    test.__doc__ = scenario.__doc__
    return test
