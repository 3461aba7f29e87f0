"""No bytes, in no order and at no time, may make the session raise, hang or match what was not asked."""

from collections import Counter
from datetime import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.dlt645.commands import BroadcastTime, Command, Password, Read, ReadFollow, RelayAction, RelayControl
from core.dlt645.frame import Frame, encode
from core.session import BusSession, RefusedByMeter, ReplyReceived, Sent, TimedOut, Timing
from tests.core import frame_oracle as oracle

METERS = ("000000000001", "000000000002", "166816681668")
ITEMS = (0x00010000, 0x02010100, 0x04000503)
WHEN = datetime(2026, 11, 24)  # noqa: DTZ001 civil time
TIMING = Timing(baud=9600)
QUIET_S = 10.0

meters, items = st.sampled_from(METERS), st.sampled_from(ITEMS)
commands = st.one_of(
    st.builds(Read, meters, items),
    st.builds(ReadFollow, meters, items, st.integers(1, 2)),
    st.builds(RelayControl, meters, st.sampled_from(RelayAction), st.just(WHEN), st.just(Password())),
    st.just(BroadcastTime(WHEN)),
)
answers = st.builds(
    lambda meter, control, di, tail: Frame(meter, control, di.to_bytes(4, "little") + tail),
    meters,
    st.sampled_from((0x11, 0x91, 0xB1, 0x92, 0xD1, 0x9C, 0xDC)),
    items,
    st.sampled_from((b"", b"\x01", bytes(4))),
)
cuts = st.builds(lambda frame, keep: encode(frame, 1)[:keep], answers, st.integers(0, 30))
pieces = st.one_of(st.builds(encode, answers), cuts, st.binary(max_size=12), st.just(b"\x68" * 9))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), commands),
        st.tuples(st.just("hear"), pieces),
        st.tuples(st.just("answer"), st.tuples(st.booleans(), st.integers(0, 20))),
        st.tuples(st.just("wait"), st.none()),
    ),
    max_size=40,
)
pauses = st.floats(0, 1.5, allow_nan=False)


class Caller:
    """Drives a session as a real caller would, and keeps what was asked, heard and concluded."""

    def __init__(self) -> None:
        self.session = BusSession(TIMING)
        self.asked: list[Command] = []
        self.ended: list[Command] = []
        self.heard = bytearray()
        self.now = 0.0

    def ask(self, command: Command) -> None:
        if self.session.busy or self.now < self.session.ready_at():
            return
        self.asked.append(command)
        self.session.request(command, self.now)
        self.conclude()

    def hear(self, data: bytes) -> None:
        self.heard += data
        self.session.receive_data(data, self.now)
        self.conclude()

    def answer(self, refused: bool, cut: int) -> None:
        """Let the meter that was asked last answer or refuse, sometimes with its last bytes lost."""
        if not self.asked or isinstance(self.asked[-1], BroadcastTime):
            return
        command = self.asked[-1]
        function = command.to_frame().control
        wanted = command.to_frame().data.hex() if isinstance(command, Read | ReadFollow) else ""
        data, bits = ("02", 0xC0) if refused else (wanted, 0x80)
        wire = oracle.build(oracle.Seen(command.address, function | bits, data), 1)
        self.hear(wire[: len(wire) - max(0, cut - 15)])

    def wait(self, pause_s: float) -> None:
        until = self.now + pause_s
        for _ in range(10):
            timer = self.session.get_timer()
            if timer is None or timer > until:
                break
            self.now = max(self.now, timer)
            self.session.handle_timer(self.now)
            self.conclude()
        else:
            raise AssertionError("the timer never comes to rest")
        self.now = until

    def conclude(self) -> None:
        while (event := self.session.next_event()) is not None:
            if isinstance(event, ReplyReceived | RefusedByMeter):
                frame = event.frame
                said = oracle.Seen(frame.address.lower(), frame.control, frame.data.hex())
                assert oracle.build(said) in self.heard, "a reply was made up"
                assert event.command == self.asked[-1], "a reply went to an earlier request"
                assert belongs(event.command, said), "a reply answers another question"
                assert isinstance(event, RefusedByMeter) == bool(frame.control & 0x40)
            if isinstance(event, ReplyReceived | RefusedByMeter | TimedOut | Sent):
                self.ended.append(event.command)


def belongs(command: Command, said: oracle.Seen) -> bool:
    """Whether a reply fits a request, by the hexadecimal text of both."""
    functions = {Read: (0x91, 0xB1, 0xD1), ReadFollow: (0x92, 0xB2, 0xD2), RelayControl: (0x9C, 0xDC)}
    if said.address != command.address or said.control not in functions[type(command)]:
        return False
    if isinstance(command, RelayControl) or said.control & 0x40:
        return True
    wanted = "".join(reversed([f"{command.di:08x}"[i : i + 2] for i in range(0, 8, 2)]))
    if isinstance(command, ReadFollow) and said.data[-2:] != f"{command.seq:02x}":
        return False
    return said.data.startswith(wanted)


@settings(max_examples=200)
@given(steps, st.lists(pauses, min_size=40, max_size=40))
def test_every_request_ends_once_and_only_with_its_own_reply(script: list[tuple[str, Any]], waits: list[float]) -> None:
    caller = Caller()
    for (what, argument), pause in zip(script, waits, strict=False):
        if what == "ask":
            caller.ask(argument)
        elif what == "hear":
            caller.hear(argument)
        elif what == "answer":
            caller.answer(*argument)
        caller.wait(pause)
    caller.wait(QUIET_S)
    assert not caller.session.busy
    assert caller.session.get_timer() is None
    assert Counter(map(repr, caller.ended)) == Counter(map(repr, caller.asked))
    assert caller.session.counters.requests == len(caller.asked)


@settings(max_examples=100)
@given(st.binary(min_size=1, max_size=400), st.integers(1, 40), st.floats(0.001, 0.6))
def test_a_babbling_line_never_holds_a_request_for_ever(noise: bytes, size: int, pace_s: float) -> None:
    caller = Caller()
    caller.ask(Read(METERS[0], ITEMS[0]))
    step = 0
    while caller.session.busy:
        assert caller.now < QUIET_S
        at = step * size % len(noise)
        caller.hear(noise[at : at + size])
        caller.wait(pace_s)
        step += 1
    assert caller.session.ready_at() <= caller.now + TIMING.frame_gap_s + TIMING.byte_gap_max_s
