"""The plan of the demo: two hundred households on lines that can read them all within the reading cycle."""

from collections import Counter

from server.cli.demo.estate import gates, households

METERS_MAX = 29  # energy and status take 0.14 s a meter at 9600 baud; a cycle lasts 10 s of machine time


def test_no_bus_has_more_meters_than_its_cycle_holds():
    plan = households()
    on_bus = Counter(item.bus for item in (*plan, *gates()))
    assert len(plan) == 200
    assert max(on_bus.values()) <= METERS_MAX
    assert len({home.meter for home in plan}) == 200
