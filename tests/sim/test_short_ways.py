"""What most meters and lines are goes a short way; the long way of the others says the same, byte for byte."""

import random

from hypothesis import given
from hypothesis import strategies as st

from core.dlt645.frame import Frame, encode
from core.dlt645.identifiers import TABLE
from sim.ports.pty import PtyPort
from sim.timing.clock import RealEnvironment
from sim.wire.uart import LineSettings
from tests.sim.rig import ADDRESS, GATE, OTHER, Virtual, bus, household, table
from tests.sim.test_load_table import DAY_MS, FIRST_DAY, OFFSET_MS, SEED, SLOT_MS, estate

ADDRESSES = st.sampled_from([ADDRESS, OTHER, GATE, "A" * 12, "9" * 12, "AAAAAAAA0102"])
KNOWN = st.sampled_from(sorted(TABLE)).map(lambda di: di.to_bytes(4, "little"))
CONTROLS = st.one_of(st.just(0x11), st.integers(0, 255))
DATA = st.one_of(KNOWN, st.binary(max_size=40))
NOW_AND_THEN = st.lists(st.tuples(ADDRESSES, CONTROLS, DATA, st.integers(0, 3_000)), min_size=1, max_size=6)
OWN = LineSettings(9600)


def world():
    gate = {"id": "g", "meter": GATE, "bus": "bus-1", "households": ["1-0101", "1-0102"]}
    return Virtual(table([household(), household("1-0102", OTHER)], [bus(wire="none")], [gate]))


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
