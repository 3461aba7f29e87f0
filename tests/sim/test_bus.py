"""The line: when bytes are on it, what a broken or crowded line does, and that frames survive any splitting."""

import pytest

from core.dlt645.commands import Read
from core.dlt645.frame import FrameDecoder, encode
from core.dlt645.identifiers import ENERGY_BLOCK, ENERGY_TOTAL
from tests.sim.rig import ADDRESS, OTHER, Virtual, bus, household, table

REQUEST = encode(Read(ADDRESS, ENERGY_TOTAL).to_frame())


def estate(**keys):
    return Virtual(table([household(), household("1-0102", OTHER)], [bus(**keys)]))


def sent_at(virtual, wire, until_s=5.0):
    """Machine seconds after the request at which each write of the bus happened, with its bytes."""
    writes, start_s = [], virtual.env.now
    port = virtual.ports["bus-1"]
    port.write = lambda data: writes.append((virtual.env.now - start_s, bytes(data)))
    port.feed(wire)
    virtual.run_s(until_s)
    return writes


@pytest.mark.parametrize(
    ("keys", "bits", "answer_bytes"),
    [
        ({"baud": 9600}, 11, 24),
        ({"baud": 2400}, 11, 24),
        ({"baud": 1200, "parity": "N"}, 10, 24),
        ({"baud": 19200, "preamble": 0}, 11, 20),
        ({"baud": 9600, "reply_delay_ms": 100}, 11, 24),
        ({"baud": 9600, "chunk_bytes": 0}, 11, 24),
        ({"baud": 9600, "chunk_bytes": 1}, 11, 24),
    ],
)
def test_answer_ends_when_its_last_byte_has_had_its_time(keys, bits, answer_bytes):
    writes = sent_at(estate(**keys), REQUEST)
    delay_s = keys.get("reply_delay_ms", 20) / 1000
    byte_s = bits / keys["baud"]
    assert b"".join(data for _, data in writes).endswith(b"\x16")
    assert sum(len(data) for _, data in writes) == answer_bytes
    assert writes[-1][0] == pytest.approx((20 + answer_bytes) * byte_s + delay_s, abs=1e-9)
    done = 0
    for at_s, data in writes:
        done += len(data)
        assert at_s >= 20 * byte_s + delay_s + done * byte_s - 1e-9, "no byte before its time"


def test_energy_read_at_2400_takes_221_7_ms_as_computed_in_the_facts():
    assert sent_at(estate(baud=2400), REQUEST)[-1][0] == pytest.approx(0.2217, abs=5e-5)


def test_delay_is_drawn_from_its_range():
    virtual = estate(reply_delay_ms=[20, 500])
    ends = [sent_at(virtual, REQUEST)[-1][0] for _ in range(60)]
    wire_s = 44 * 11 / 9600
    assert min(ends) >= wire_s + 0.020 - 1e-9
    assert max(ends) <= wire_s + 0.500 + 1e-9
    assert max(ends) - min(ends) > 0.25


def test_without_wire_limit_the_answer_comes_at_once():
    virtual = estate(wire="none")
    virtual.ports["bus-1"].feed(REQUEST)
    assert len(virtual.ports["bus-1"].take()) == 24


def test_request_byte_by_byte_is_heard():
    virtual = estate()
    for byte in REQUEST:
        virtual.ports["bus-1"].feed(bytes([byte]))
        virtual.run_s(0.01)
    virtual.run_s(1)
    assert len(FrameDecoder().feed(virtual.ports["bus-1"].take())) == 1


def test_half_a_frame_is_forgotten_after_half_a_second_of_silence():
    virtual = estate()
    virtual.ports["bus-1"].feed(REQUEST[:12])
    virtual.run_s(0.6)
    assert len(FrameDecoder().feed(virtual.send(REQUEST))) == 1


def test_noise_before_a_request_costs_nothing():
    assert len(FrameDecoder().feed(estate().send(b"\x00\x68\x11\x68\xff" + REQUEST))) == 1


def test_a_request_into_an_answer_destroys_both():
    virtual = estate(baud=1200)
    port = virtual.ports["bus-1"]
    port.feed(REQUEST)
    virtual.run_s(20 * 11 / 1200 + 0.020 + 0.1)
    port.feed(REQUEST)
    virtual.run_s(3)
    assert FrameDecoder().feed(port.take()) == []
    assert virtual.world.buses["bus-1"].counters.collisions == 1
    assert len(FrameDecoder().feed(virtual.send(REQUEST))) == 1


@pytest.mark.parametrize("pieces", [1, 4])
def test_an_answer_into_a_request_destroys_both(pieces):
    """The second request begins before the answer to the first and ends after it began."""
    virtual = estate(baud=9600)
    port = virtual.ports["bus-1"]
    long = b"\xfe" * 8 + encode(Read(OTHER, ENERGY_TOTAL).to_frame())
    size = len(long) // pieces
    port.feed(REQUEST)
    virtual.run_s(20 * 11 / 9600 + 0.005)
    for start in range(0, len(long), size):
        port.feed(long[start : start + size])
        virtual.run_s(size * 11 / 9600)
    virtual.run_s(3)
    assert port.take() == b""
    counters = virtual.world.buses["bus-1"].counters
    assert (counters.answers, counters.collisions) == (0, 1)
    assert len(FrameDecoder().feed(virtual.send(REQUEST))) == 1, "the line is as good as before"


def test_a_request_that_is_over_before_the_answer_begins_destroys_nothing():
    virtual = estate(baud=9600, reply_delay_ms=100)
    virtual.ports["bus-1"].feed(REQUEST)
    virtual.run_s(20 * 11 / 9600 + 0.005)
    assert len(FrameDecoder().feed(virtual.send(b"\x00" * 20))) == 1
    assert virtual.world.buses["bus-1"].counters.collisions == 0


def test_ideal_time_is_added_up_per_transaction():
    virtual = estate(baud=9600)
    for _ in range(10):
        virtual.send(encode(Read(ADDRESS, ENERGY_BLOCK).to_frame()), wait_s=0.2)
    summary = virtual.world.buses["bus-1"].summary(virtual.env.now)
    assert summary["ideal_s"] == pytest.approx(10 * 0.08875, abs=1e-6)
    assert summary["utilisation"] == pytest.approx(0.8875 / 2.0, abs=1e-3)
    assert (summary["requests"], summary["answers"], summary["unanswered"]) == (10, 10, 0)


def test_every_meter_of_a_bus_answers_for_itself_and_foreign_ones_stay_silent():
    virtual = Virtual(table([household(), household("1-0102", OTHER, "bus-2")], [bus(), bus("bus-2")]))
    assert len(virtual.ask(Read(ADDRESS, ENERGY_TOTAL).to_frame(), "bus-1")) == 1
    assert virtual.ask(Read(OTHER, ENERGY_TOTAL).to_frame(), "bus-1") == []
    assert len(virtual.ask(Read(OTHER, ENERGY_TOTAL).to_frame(), "bus-2")) == 1


def test_echo_repeats_the_request_first():
    assert estate(echo=True).send(REQUEST).startswith(REQUEST)
