"""What the author of a head-end would write. Run it with: pytest examples/your_head_end"""

import time

import pytest
from head_end import MeterSilent, read_energy_wh

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
