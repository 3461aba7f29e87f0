"""Td as real meters have it: median and percentile are met, slow meters stay slow, bounds hold."""

import numpy as np
import pytest

from core.dlt645.commands import Read
from core.dlt645.frame import encode
from core.dlt645.identifiers import ENERGY_TOTAL
from sim.errors import ScenarioError
from sim.scenario.scenario import scenario_from_dict
from sim.streams import stream
from sim.wire.delay import Delays, DelaySpread
from tests.sim.rig import ADDRESS, OTHER, Virtual, bus, household, table

REAL = {"median": 219, "p95": 397, "most": 2618}
ADDRESSES = [f"{645_000_000_000 + number:012d}" for number in range(1500)]


def drawn(times=4, seed=1):
    delays = Delays(DelaySpread(219, 397), stream(seed, "bus-1", "delay"))
    return np.array([[delays.draw_ms(address, 20, 2618) for _ in range(times)] for address in ADDRESSES])


def test_median_and_percentile_are_met_within_the_bounds():
    found = drawn()
    assert np.median(found) == pytest.approx(219, rel=0.03)
    assert np.percentile(found, 95) == pytest.approx(397, rel=0.05)
    assert found.min() >= 20
    assert found.max() <= 2618


def test_half_of_the_spread_is_the_meters_own():
    logs = np.log(drawn(2))
    assert np.corrcoef(logs[:, 0], logs[:, 1])[0, 1] == pytest.approx(0.5, abs=0.07)


def test_one_seed_draws_the_same_and_another_seed_does_not():
    assert np.array_equal(drawn(1), drawn(1))
    assert not np.array_equal(drawn(1), drawn(1, seed=2))


def test_bounds_cut_off_what_lies_outside():
    delays = Delays(DelaySpread(100, 1000), stream(1, "x"))
    found = {delays.draw_ms(address, 90, 110) for address in ADDRESSES}
    assert {90, 110} <= found <= set(range(90, 111))


def test_the_answer_begins_after_the_drawn_delay():
    homes = [household(), household("1-0102", OTHER)]
    virtual = Virtual(table(homes, [bus(baud=19200, reply_delay_ms=REAL)]))
    took = []
    for address in [ADDRESS, OTHER] * 20:
        began = virtual.env.now
        virtual.ports["bus-1"].feed(encode(Read(address, ENERGY_TOTAL).to_frame()))
        while not virtual.ports["bus-1"].sent:
            virtual.run_s(0.001)
        took.append((virtual.env.now - began) * 1000)
        virtual.run_s(1)
        virtual.ports["bus-1"].take()
    assert 60 < min(took) < np.median(took) < max(took) < 2700
    assert len({round(one) for one in took}) > 20


@pytest.mark.parametrize(
    ("delay", "said"),
    [
        ({"median": 219, "p95": 100, "most": 300}, "p95 is 100"),
        ({"median": 219, "p95": 397}, "most is missing"),
        ({"median": 219, "p95": 397, "most": 300}, "most is 300"),
        ({"median": 219, "p95": 397, "most": 999, "mean": 1}, "unknown key mean"),
        ("soon", "reply_delay_ms is 'soon'"),
    ],
)
def test_a_spread_that_cannot_be_is_refused(delay, said):
    with pytest.raises(ScenarioError) as refused:
        scenario_from_dict(table([household()], [bus(reply_delay_ms=delay)]))
    assert said in str(refused.value)
