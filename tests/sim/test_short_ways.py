"""What most meters and lines are goes a short way; the long way of the others says the same, byte for byte."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dlt645.frame import Frame, encode
from core.dlt645.identifiers import ENERGY_TOTAL, TABLE
from sim.meters import Meter
from sim.ports.pty import PtyPort
from sim.timing.clock import RealEnvironment
from sim.wire.recording import read_recording
from sim.wire.uart import LineSettings
from tests.sim.rig import ADDRESS, GATE, OTHER, Virtual, bus, household, table
from tests.sim.test_load_table import DAY_MS, FIRST_DAY, OFFSET_MS, SEED, SLOT_MS, estate

ADDRESSES = st.sampled_from([ADDRESS, OTHER, GATE, "A" * 12, "9" * 12, "AAAAAAAA0102"])
KNOWN = st.sampled_from(sorted(TABLE)).map(lambda di: di.to_bytes(4, "little"))
CONTROLS = st.one_of(st.just(0x11), st.integers(0, 255))
TOTAL = ENERGY_TOTAL.to_bytes(4, "little")
DATA = st.one_of(st.just(TOTAL), KNOWN, st.binary(max_size=40))
NOW_AND_THEN = st.lists(st.tuples(ADDRESSES, CONTROLS, DATA, st.integers(0, 3_000)), min_size=1, max_size=6)
OWN = LineSettings(9600)
QUESTION = encode(Frame(ADDRESS, 0x11, TOTAL), 4)
PIECES = st.lists(
    st.sampled_from([QUESTION, QUESTION[:9], QUESTION[9:], QUESTION * 2, QUESTION[4:], b"\xfe\x68", b"\x00"]),
    min_size=1,
    max_size=6,
)


def world(**line):
    gate = {"id": "g", "meter": GATE, "bus": "bus-1", "households": ["1-0101", "1-0102"]}
    prepaid = household("1-0102", OTHER, vendor="local-prepaid")
    return Virtual(table([household(), prepaid], [bus(wire="none", **line)], [gate]))


def wired(estate):
    """The one line of an estate."""
    return estate.world.buses["bus-1"]


SHORT, LONG = world(), world()
for _meter in LONG.world.meters():
    _meter.remember()
    _meter.own()
    _meter.metering()
for _meter in list(LONG.world.meters())[:2]:
    LONG.world.fleet.demand(_meter.index)
LONG.ports["bus-1"].line = LineSettings(9600)


@given(NOW_AND_THEN)
def test_a_meter_without_a_past_answers_like_one_whose_past_is_empty(asked):
    for address, control, data, wait_s in asked:
        wire = encode(Frame(address, control, data))
        assert SHORT.send(wire, wait_s=wait_s + 0.5) == LONG.send(wire, wait_s=wait_s + 0.5)


def test_the_kept_quarter_hour_answers_like_a_table_that_was_never_asked():
    rng, kept = random.Random(SEED), estate(4)[0]
    at_ms = midnight_ms = (FIRST_DAY + 9) * DAY_MS - OFFSET_MS
    for _ in range(400):
        index = rng.randrange(4)
        at_ms += rng.choice((0, 1, -1, 60_000, SLOT_MS - at_ms % SLOT_MS, -at_ms % SLOT_MS - 1, midnight_ms - at_ms))
        assert kept.energy(index, at_ms) == estate(4)[0].energy(index, at_ms), (index, at_ms)


def test_a_pty_is_taken_apart_again_when_the_bus_itself_changes(tmp_path):
    env, port = RealEnvironment(), PtyPort(tmp_path / "bus", OWN)
    port.open(env, lambda _data: None)
    try:
        assert port.client_line(OWN) is OWN
        plain = LineSettings(9600, "N")
        assert port.client_line(plain) is plain, "even parity that is not shown counts as the bus's own"
        assert port.client_line(OWN) is OWN
    finally:
        port.close()
        env.close()


def test_noise_closes_the_short_way_in_both_directions():
    line = Virtual(table([household()], [bus(wire="none")])).world.buses["bus-1"].line
    data = bytes(range(64))
    assert (line.to_meters(data), line.to_master(data)) == (data, data)
    line.add_noise(200_000)
    assert line.to_meters(data) != data
    assert line.to_master(data) != data
    line.add_noise(-200_000)
    assert (line.to_meters(data), line.to_master(data)) == (data, data)


WAYS = world(), world()
wired(WAYS[1])._at_once = None


@given(PIECES)
def test_what_is_answered_at_once_is_answered_and_counted_like_everything_else(pieces):
    said = [[way.send(piece, wait_s=0.4) for piece in pieces] for way in WAYS]
    assert said[0] == said[1]
    assert wired(WAYS[0]).summary(1.0) == wired(WAYS[1]).summary(1.0)
    for way in WAYS:
        way.send(b"", wait_s=1.0)


def at_once(estate):
    """What the line's ear answers without the long way."""
    return wired(estate)._ears[0].at_once(QUESTION, estate.world.now_ms)


def test_the_usual_question_is_answered_at_once():
    estate = world()
    assert at_once(estate) == estate.send(QUESTION)
    assert wired(estate)._at_once is not None


def fall_silent(meter):
    meter.silent = True


@pytest.mark.parametrize("happens", [fall_silent, Meter.remember, Meter.own])
def test_whatever_happened_to_a_meter_closes_the_short_way(happens):
    estate = world()
    happens(next(iter(estate.world.meters())))
    assert at_once(estate) is None


@pytest.mark.parametrize(
    "wire",
    [
        encode(Frame(ADDRESS, 0x91, TOTAL)),
        encode(Frame(ADDRESS, 0x11, TOTAL + b"\x01")),
        encode(Frame(ADDRESS, 0x11, (ENERGY_TOTAL + 1).to_bytes(4, "little"))),
        encode(Frame("9" * 12, 0x11, TOTAL)),
        encode(Frame("A" * 12, 0x11, TOTAL)),
        encode(Frame(GATE, 0x11, TOTAL)),
        encode(Frame("202600017777", 0x11, TOTAL)),
        QUESTION[:-2] + b"\x00\x16",
        QUESTION[:-1],
        QUESTION + QUESTION,
    ],
)
def test_every_other_question_goes_the_long_way(wire):
    assert wired(world())._ears[0].at_once(wire, 0) is None


def test_half_a_frame_before_a_question_closes_the_short_way():
    estate = world()
    estate.send(QUESTION[:9], wait_s=0.1)
    assert at_once(estate) is None


@pytest.mark.parametrize("line", [{"echo": True}, {"wire": "byte-true"}])
def test_lines_that_echo_or_take_time_have_no_short_way(line):
    assert wired(Virtual(table([household()], [bus(**{"wire": "none"} | line)])))._at_once is None


def test_a_meter_of_1997_has_no_short_way():
    estate = Virtual(table([household(protocol="dlt645-1997")], [bus(wire="none")]))
    assert at_once(estate) is None


def test_a_fault_of_the_line_closes_the_short_way():
    estate = world()
    estate.fault("swapped_line", where="bus", name="bus-1")
    assert estate.send(QUESTION) == b""


def test_what_is_answered_at_once_is_recorded(tmp_path):
    estate = world()
    wired(estate).record(tmp_path / "line.pcap", 0)
    said = estate.send(QUESTION)
    wired(estate).stop_recording()
    assert [packet.data for packet in read_recording(tmp_path / "line.pcap")] == [QUESTION, said]
