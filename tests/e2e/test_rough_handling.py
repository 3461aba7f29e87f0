"""kill -9 and SIGSTOP around the very moment of a command, judged at the meters: nobody is cut who has paid.

A frame that was sent takes effect or dies by its deadline; one that was not sent when the process died or stood still
must not be sent afterwards without being asked for anew.
"""

import time
from random import Random

import pytest

from tests.e2e.processes import wait_until
from tests.e2e.rough_estate import TTL_S, RoughEstate, scenario
from tests.sim.rig import simulator

KILLS, STOPS = 8, 5
PAID_FEN = 3
BACK_S = 60
ON_MARGIN_S = 2


@pytest.fixture
def rough(tmp_path):
    options = ("--world-start", "2026-10-13T10:00:00+08:00")
    with simulator(tmp_path, scenario(), *options) as simulated:
        estate = RoughEstate(tmp_path, simulated)
        try:
            yield estate
        finally:
            if estate.server is not None and estate.server.poll() is None:
                estate.server.kill()
                estate.server.communicate()


def all_closed(rough):
    return set(rough.relays().values()) == {"closed"}


@pytest.mark.ci
@pytest.mark.timeout(600)
def test_a_server_killed_mid_command_cuts_nobody_who_has_paid_and_gives_everybody_back(rough):
    random = Random(9)
    for _ in range(KILLS):
        rough.start()
        wait_until(lambda: "open" in rough.relays().values(), "somebody is cut")
        time.sleep(random.uniform(0, 1.5))
        rough.kill()
        rough.pay_for_all(PAID_FEN)
    rough.start()
    rough.stop_for(ON_MARGIN_S, lambda: rough.pay_for_all(100))
    wait_until(lambda: all_closed(rough), "everybody has power again", BACK_S)
    trips, wrong = rough.judge()
    assert wrong == []
    assert trips >= KILLS


@pytest.mark.ci
@pytest.mark.timeout(600)
def test_a_server_that_stood_still_sends_nothing_stale_when_it_wakes(rough):
    random = Random(7)
    rough.start()
    for _ in range(STOPS):
        wait_until(lambda: "open" in rough.relays().values(), "somebody is cut")
        time.sleep(random.uniform(0, 1.5))
        rough.stop_for(TTL_S + 2, lambda: rough.pay_for_all(PAID_FEN))
        time.sleep(4)
    rough.stop_for(ON_MARGIN_S, lambda: rough.pay_for_all(100))
    wait_until(lambda: all_closed(rough), "everybody has power again", BACK_S)
    trips, wrong = rough.judge()
    assert wrong == []
    assert trips >= STOPS
