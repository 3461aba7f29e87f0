"""Whatever arrives, the simulator answers or is silent; it never falls over, and stays able to answer."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from core.dlt645.commands import Read
from core.dlt645.frame import DATA_MAX, Frame, encode
from core.dlt645.identifiers import ENERGY_TOTAL, TABLE, decode_value
from sim.scenario.example import EXAMPLE
from tests.sim.rig import ADDRESS, Virtual, bus, household, table

ESTATE = Virtual(table([household(load="constant", mean_power_w=1000)], [bus(wire="none")]))
PORT = ESTATE.ports["bus-1"]
REQUEST = encode(Read(ADDRESS, ENERGY_TOTAL).to_frame())
ADDRESSES = st.sampled_from([ADDRESS, "A" * 12, "9" * 12, "AAAAAAAA0101", "000000000000"])
KNOWN = st.sampled_from(sorted(TABLE)).map(lambda di: di.to_bytes(4, "little"))
PASSWORD_OK = bytes.fromhex("0200000000000000")


def still_answers():
    PORT.take()
    PORT.feed(REQUEST)
    return len(PORT.take()) == 24


@given(ADDRESSES, st.integers(0, 255), st.one_of(st.binary(max_size=DATA_MAX), KNOWN))
def test_any_frame_is_survived(address, control, data):
    PORT.feed(encode(Frame(address, control, data)))
    assert still_answers()


@given(st.one_of(KNOWN, st.binary(min_size=4, max_size=4)), st.binary(max_size=20))
def test_any_authorised_write_is_survived(di, value):
    PORT.feed(encode(Frame(ADDRESS, 0x14, di + PASSWORD_OK + value)))
    assert still_answers()
    PORT.feed(encode(Frame(ADDRESS, 0x11, di)))
    assert still_answers()


@given(st.integers(0, 255), st.binary(min_size=7, max_size=7))
def test_any_authorised_relay_command_is_survived(action, rest):
    PORT.feed(encode(Frame(ADDRESS, 0x1C, PASSWORD_OK + bytes([action]) + rest)))
    assert still_answers()


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_any_noise_in_any_pieces_is_survived(noise, cuts):
    edges = sorted({0, len(noise), *(cut for cut in cuts if cut < len(noise))})
    for start, end in pairwise(edges):
        PORT.feed(noise[start:end])
    ESTATE.run_s(1)
    assert still_answers()


def test_every_identifier_that_is_answered_decodes_by_the_table():
    answered = 0
    for di in TABLE:
        (reply,) = ESTATE.ask(Read(ADDRESS, di).to_frame(), wait_s=0.01)
        assert reply.control in (0x91, 0xB1, 0xD1)
        answered += reply.control != 0xD1
        if reply.control != 0xD1:
            decode_value(di, ESTATE.read_long(di))
    assert answered >= 1400


def test_the_printed_example_is_a_scenario(tmp_path):
    from sim.scenario.scenario import load_scenario

    path = tmp_path / "estate.toml"
    path.write_text(EXAMPLE, "utf-8")
    scenario = load_scenario(path)
    assert len(scenario.households) == 2
    assert scenario.gates[0].households == ("1-0101", "1-0102")
