"""What the author of a head-end would write. Run it with: pytest examples/your_head_end"""

import time

import pytest
from head_end import MeterSilent, energy_wh, read_energy_wh, request

METER = "202600010101"


def test_reads_what_the_meter_shows(estate645_estate):
    before_wh = estate645_estate.household(METER)["register_wh"]
    read_wh = read_energy_wh(estate645_estate.ports["bus-1"], METER)
    assert before_wh <= read_wh <= estate645_estate.household(METER)["register_wh"]


def test_says_which_meter_is_silent_and_reads_it_again_afterwards(estate645_estate):
    port = estate645_estate.ports["bus-1"]
    estate645_estate.fault(METER, "silent")
    with pytest.raises(MeterSilent, match=METER):
        read_energy_wh(port, METER, timeout_s=0.5)
    estate645_estate.clear_faults(METER)
    assert read_energy_wh(port, METER) > 0


@pytest.mark.estate645(factor=3600, world_start="2026-10-13T18:00:00+08:00")
def test_an_hour_of_1_kw_is_a_kilowatt_hour(estate645_estate):
    constant = "202600010103"
    port = estate645_estate.ports["bus-1"]
    first_wh, first = read_energy_wh(port, constant), estate645_estate.now
    time.sleep(1)
    second_wh, second = read_energy_wh(port, constant), estate645_estate.now
    hours = (second - first).total_seconds() / 3600
    assert second_wh - first_wh == pytest.approx(1000 * hours, rel=0.25)


def test_a_month_of_midnight_readings_in_virtual_time(estate645_virtual):
    days, read_wh, missed = 30, [], []
    for day in range(days + 1):
        if day == 9:
            estate645_virtual.fault(METER, "silent")
        if day == 11:
            estate645_virtual.clear_faults(METER)
        asked = estate645_virtual.now_s
        answer = estate645_virtual.exchange("bus-1", request(METER), wait_s=1.0)
        if answer:
            read_wh.append(energy_wh(answer))
        else:
            missed.append(day)
        estate645_virtual.advance(86_400 - (estate645_virtual.now_s - asked))
    assert missed == [9, 10], "silent for two days"
    assert read_wh == sorted(read_wh)
    assert 100_000 < read_wh[-1] - read_wh[0] < 600_000, "a family's month"
    assert estate645_virtual.household(METER)["register_wh"] >= read_wh[-1]
