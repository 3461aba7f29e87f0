"""Main meters: what they see of their households, roofs, taps, common load and losses, and how they err."""

from itertools import pairwise

import pytest

from core.dlt645.identifiers import ENERGY_BLOCK, ENERGY_TOTAL
from sim.loads.load import MWMS_PER_WH
from tests.sim.rig import ADDRESS, GATE, OTHER, Virtual, household, table

KW = {"load": "constant", "mean_power_w": 1000}
HOUR_MS, SLOT_MS, DAY_S = 3_600_000, 900_000, 86_400
REVERSE_BLOCK = 0x0002FF00


def estate(*homes, **gate):
    homes = homes or (household(**KW), household("1-0102", OTHER, **KW))
    return Virtual(table(list(homes), gates=[{"id": "g", "meter": GATE, "bus": "bus-1", "prefix": "1-"} | gate]))


def energy_wh(virtual):
    return virtual.world.gates["g"].meter.register.source.energy(virtual.world.now_ms) / MWMS_PER_WH


@pytest.mark.parametrize(
    ("keys", "hourly_wh"),
    [
        ({}, 2000),
        ({"loss_permille": 50}, 2100),
        ({"loss_ppm_per_kw": 10_000}, 2040),
        ({"loss_permille": 50, "loss_ppm_per_kw": 10_000}, 2142),
        ({"class_error_ppm": 5000}, 2010),
        ({"class_error_ppm": -5000}, 1990),
        ({"ct_ratio": 40}, 50),
        ({"common_power_w": 500}, 2500),
    ],
)
def test_each_trait_does_what_it_says(keys, hourly_wh):
    virtual = estate(**keys)
    virtual.run_s(10 * 3600)
    assert energy_wh(virtual) == pytest.approx(10 * hourly_wh, abs=0.001)
    assert virtual.world.gates["g"].meter.power_mw(virtual.world.now_ms) == hourly_wh * 1000
    virtual.run_s(5 * DAY_S)
    assert energy_wh(virtual) == pytest.approx(130 * hourly_wh, abs=0.001)


def test_square_losses_follow_a_switching_within_the_quarter_hour():
    virtual = estate(loss_ppm_per_kw=10_000)
    virtual.run_s(400)
    virtual.household().meter.trip(virtual.world.now_ms)
    virtual.run_s(3600)
    # 400 s at 2 kW lose 2 %, an hour at 1 kW loses 1 %
    assert energy_wh(virtual) == pytest.approx(400 / 3600 * 2040 + 1010, abs=0.001)


def test_square_losses_follow_a_tap_within_the_quarter_hour():
    virtual = estate(loss_ppm_per_kw=10_000)
    virtual.run_s(400)
    virtual.fault("unmetered_tap", tap_power_w=1000)
    virtual.run_s(3600)
    assert energy_wh(virtual) == pytest.approx(400 / 3600 * 2040 + 3090, abs=0.001)


def test_the_register_of_a_transformer_meter_counts_in_coarse_steps():
    virtual = estate(ct_ratio=40)
    virtual.run_s(3 * 3600)
    assert virtual.read(ENERGY_TOTAL, GATE) == (150,), "150 Wh stand for 6 kWh"
    virtual.run_s(600)
    assert virtual.read(ENERGY_TOTAL, GATE) == (150,), "333 Wh more are less than one step of 400"


def test_a_common_load_drifts_from_day_to_day_within_its_bounds():
    virtual = estate(common_power_w=1000, common_drift_permille=200)
    days = []
    for _ in range(30):
        before = energy_wh(virtual)
        virtual.run_s(DAY_S)
        days.append(energy_wh(virtual) - before - 48_000)
    assert all(24_000 * 0.8 <= day <= 24_000 * 1.2 for day in days)
    assert max(days) - min(days) > 500
    assert max(abs(b - a) for a, b in pairwise(days)) < 2 * 24_000 * 0.2 * 2 / 14, "it drifts, it does not jump"


def test_roofs_feed_the_neighbours_first_and_only_the_rest_goes_back():
    virtual = estate(household(solar_w=8000), household("1-0102", OTHER, **KW), loss_permille=0)
    start_ms = virtual.world.now_ms
    virtual.run_s(3 * DAY_S + 1234)
    now_ms = virtual.world.now_ms
    supplies = [virtual.household(address).supply for address in (ADDRESS, OTHER)]
    edges = sorted({start_ms, now_ms} | set(range(start_ms // SLOT_MS * SLOT_MS + SLOT_MS, now_ms, SLOT_MS)))
    net = [sum(s.energy(t) - s.given_back(t) for s in supplies) for t in edges]
    steps = [after - before for before, after in pairwise(net)]
    flow = virtual.world.gates["g"].meter.register.source.group.flow(now_ms)
    assert flow == (sum(e for e in steps if e > 0), -sum(e for e in steps if e < 0))
    assert flow.returned > 0
    assert supplies[0].given_back(now_ms) > flow.returned, "the neighbour took some"


def test_what_is_given_back_stands_in_the_reverse_registers():
    virtual = estate(household(solar_w=8000), household("1-0102", OTHER, **KW))
    virtual.run_s(3 * DAY_S)
    total, *rates = virtual.read(REVERSE_BLOCK)
    assert total == sum(rates)
    given_wh = virtual.household().supply.given_back(virtual.world.now_ms) / MWMS_PER_WH
    assert 0 <= given_wh - total < 30, "the answer is some seconds old"
    assert total > 10_000
    assert virtual.read(REVERSE_BLOCK, OTHER) == (0, 0, 0, 0, 0)
    assert virtual.read(REVERSE_BLOCK, GATE)[0] > 0
    assert virtual.read(ENERGY_BLOCK)[0] > 0


def test_an_open_contact_gives_nothing_back():
    virtual = estate(household(solar_w=8000, resident={"button": "never"}))
    virtual.household().meter.trip(virtual.world.now_ms)
    virtual.run_s(3 * DAY_S)
    assert virtual.household().supply.given_back(virtual.world.now_ms) == 0
    assert virtual.household().supply.net_power_mw(virtual.world.now_ms) == 0


def test_a_main_meter_can_be_asked_about_the_past_in_any_order():
    virtual = estate(household(solar_w=8000), household("1-0102", OTHER), loss_ppm_per_kw=3000, common_power_w=100)
    virtual.run_s(5 * DAY_S)
    source = virtual.world.gates["g"].meter.register.source
    instants = [virtual.world.now_ms - n * 7_654_321 for n in range(50)]
    backward = [source.energy(at_ms) for at_ms in instants]
    assert backward == sorted(backward, reverse=True)
    assert [source.energy(at_ms) for at_ms in reversed(instants)] == backward[::-1]
    reached_ms = source.reached_ms(backward[20], virtual.world.now_ms)
    assert source.energy(reached_ms) >= backward[20] > source.energy(reached_ms - 1)


@pytest.mark.parametrize("keys", [{}, {"loss_ppm_per_kw": 10_000}])
def test_changed_habits_and_taps_before_any_meter_are_seen(keys):
    virtual = estate(**keys)
    virtual.run_s(400)
    virtual.fault("vacancy", power_w=500)
    virtual.fault("gate_tap", "gate", "g", tap_power_w=1500)
    virtual.run_s(3600)
    # 400 s at 2 kW, an hour at 0.5 + 1 + 1.5 kW
    hourly_wh = (2040, 3090) if keys else (2000, 3000)
    assert energy_wh(virtual) == pytest.approx(400 / 3600 * hourly_wh[0] + hourly_wh[1], abs=0.001)
    virtual.world.faults.clear("household", "1-0101", virtual.world.now_ms)
    virtual.run_s(5 * DAY_S)
    assert virtual.world.gates["g"].meter.power_mw(virtual.world.now_ms) == (3622_500 if keys else 3500_000)


def test_square_losses_follow_a_changed_habit_within_the_quarter_hour():
    virtual = estate(loss_ppm_per_kw=10_000)
    virtual.run_s(400)
    virtual.fault("new_air_conditioner", from_min=0, until_min=1439, power_w=1000)
    virtual.run_s(3600)
    # 400 s at 2 kW lose 2 %, an hour at 3 kW loses 3 %
    assert energy_wh(virtual) == pytest.approx(400 / 3600 * 2040 + 3090, abs=0.001)
