"""A line in virtual time: the simulator's meters answer at once, and time moves by what the bytes would have taken.

It stands for `BusLine` where thousands of exchanges are wanted: no loop, no ports. `drive` runs a coroutine that never
really waits.
"""

from core.dlt645.commands import BROADCAST_ADDRESS
from core.errors import NoReply
from server.collect.dialect import payload
from server.collect.line import Answer
from server.collect.work import Clocks
from sim.kinds import EDITION_1997
from sim.meters.dlt645 import answer as answer_2007
from sim.meters.dlt645_1997 import answer_97
from tests.sim.rig import Virtual, household, table

WAKING_BYTES = 4
REQUEST_BYTES = 16  # a frame with an identifier and no value


def answer(meter, frame, at_ms):
    """What a meter of either edition says."""
    return (answer_97 if meter.config.protocol == EDITION_1997 else answer_2007)(meter, frame, at_ms)


class VirtualTime:
    """World time in seconds; machine time is the same."""

    def __init__(self, world_s):
        self.now_s = world_s

    def clocks(self):
        return Clocks(lambda: self.now_s, lambda: int(self.now_s * 1000))


class VirtualLine:
    """`ask` as a bus line has it; `silent` holds the addresses that do not answer, `cut` makes the whole line dead."""

    def __init__(self, virtual, time, *, baud=2400, reply_s=0.22, gap_s=0.03, timeout_s=1.5):
        self.world, self.time = virtual.world, time
        self.byte_s, self.reply_s, self.gap_s, self.timeout_s = 11 / baud, reply_s, gap_s, timeout_s
        self.silent, self.cut, self.asked = set(), False, []
        self.is_doubtful = False

    def wire_time_s(self, n_bytes):
        return n_bytes * self.byte_s

    async def ask(self, command):
        frame = command.to_frame()
        self.asked.append(frame)
        self.time.now_s += self.wire_time_s(len(frame.to_wire(WAKING_BYTES))) + self.gap_s
        at_ms = int(self.time.now_s * 1000)
        if frame.address == BROADCAST_ADDRESS:
            for one in self.world.households.values():
                if not self.cut and one.meter.address not in self.silent:
                    answer(one.meter, frame, at_ms)
            return Answer(b"", self.time.now_s)
        known = self.world.household(frame.address)
        reply = None if self.cut or frame.address in self.silent else answer(known.meter, frame, at_ms)
        if reply is None:
            self.time.now_s += self.timeout_s
            raise NoReply(f"meter {frame.address} did not answer in time")
        taken_at = self.time.now_s + self.reply_s
        self.time.now_s = taken_at + self.wire_time_s(len(reply.to_wire(WAKING_BYTES)))
        return Answer(payload(command, reply), taken_at)

    def pass_by(self, address, reply_bytes):
        """A read of so many bytes that nobody is interested in: only its time passes, and its silence counts."""
        self.time.now_s += self.wire_time_s(WAKING_BYTES + REQUEST_BYTES) + self.gap_s
        if self.cut or address in self.silent:
            self.time.now_s += self.timeout_s
            raise NoReply(f"meter {address} did not answer in time")
        self.time.now_s += self.reply_s + self.wire_time_s(WAKING_BYTES + REQUEST_BYTES + reply_bytes)

    async def let_late_pass(self):
        self.time.now_s += self.timeout_s


def drive(coroutine):
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited for something")


def meters_of(count, bus_id="bus-1", first=1, **keys):
    """Households with addresses in a row."""
    defaults = {"load": "constant", "mean_power_w": 1200, "start_register_wh": 1_000_000}
    return [
        household(f"{bus_id}-{n:04d}", f"2026{first + n - 1:08d}", bus_id, **{**defaults, **keys})
        for n in range(1, count + 1)
    ]


def virtual_estate(households, buses=None):
    """A world of these households in virtual time."""
    return Virtual(table(households, buses))
