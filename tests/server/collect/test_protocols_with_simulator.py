"""One bus with meters of 2007, 1997 and Modbus: the collector's readings and relays against the simulator's truth."""

import argparse
import json
import subprocess
import sys
import threading
import urllib.request
from time import monotonic, sleep, time

import pytest

from core.dlt645 import identifiers as di
from server.cli import read
from server.collect.port import LineSettings
from server.collect.supervisor import Supervisor
from server.collect.work import BusPlan, Cadence, Clocks, MeterPlan, timing_for
from server.errors import ConfigError
from tests.server.collect.fake_bus import ChangingOrders, RememberingSink

NEW, OLD, HIKING, EASTRON, CHINT, ACREL = (f"2026000104{n:02d}" for n in range(1, 7))
MODELS = {
    HIKING: ("dds238", "hiking-dds238-2", 7),
    EASTRON: ("sdm630", "eastron-sdm630", 8),
    CHINT: ("ddsu666", "chint-ddsu666", 9),
    ACREL: ("ddsy1352", "acrel-ddsy1352", 10),
}
PLANS = (
    MeterPlan(NEW),
    MeterPlan(OLD, protocol="1997"),
    *(MeterPlan(meter, protocol="modbus", model=key, unit=unit) for meter, (_, key, unit) in MODELS.items()),
)
SCENARIO = """
[estate]
id = "cuihu"
name = "Cuihu"
time_zone = "Asia/Shanghai"
[tariff]
id = "t"
price = "0.4883"
[[bus]]
id = "bus-1"
port = "tcp://127.0.0.1:0"
wire = "none"
baud = 9600
reply_delay_ms = 5
"""


def scenario():
    text = SCENARIO
    for plan in PLANS:
        text += f'[[household]]\nid = "{plan.meter_id[-4:]}"\nmeter = "{plan.meter_id}"\nbus = "bus-1"\n'
        text += 'load = "constant"\nmean_power_w = 3000\nstart_register_wh = 1234560\nresident = { button = "never" }\n'
        if plan.protocol == "1997":
            text += 'protocol = "dlt645-1997"\n'
        if plan.protocol == "modbus":
            text += f'protocol = "modbus"\nmodel = "{MODELS[plan.meter_id][0]}"\nunit = {plan.unit}\n'
    return text


def until(condition, timeout_s=40.0):
    end = monotonic() + timeout_s
    while not condition():
        assert monotonic() < end
        sleep(0.02)


class Site:
    """The simulator in a process of its own, its truth, and a collector over its one bus."""

    def __init__(self, directory):
        (directory / "estate.toml").write_text(scenario(), "utf-8")
        ready = directory / "ready.json"
        arguments = ["estate.toml", "--seed", "7", "--run-dir", "run", "--ready", str(ready)]
        self.process = subprocess.Popen([sys.executable, "-P", "-m", "sim", *arguments], cwd=directory)
        until(lambda: ready.exists() or self.process.poll() is not None)
        said = json.loads(ready.read_text("utf-8"))
        self.control_url, self.url = said["control_url"], said["ports"]["bus-1"]

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0

    def truth(self, meter):
        with urllib.request.urlopen(self.control_url + "/truth", timeout=20) as answer:
            found = json.load(answer)
        homes = found if isinstance(found, list) else found["households"]
        return next(one for one in homes if one["meter"] == meter)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("mixed"))
    yield site
    site.stop()


class Watch:
    def __init__(self, url, plans=PLANS):
        line = LineSettings(9600, "E", 1)
        plan = BusPlan(
            "bus-1", url, plans, timing=timing_for(line, 500), cadence=Cadence(reading_cycle_s=2, near_cycle_s=1)
        )
        self.sink, self.orders = RememberingSink(), ChangingOrders()
        self.collector = Supervisor([plan], self.sink, self.orders, Clocks(time, lambda: int(time() * 1000)))

    def last_status(self, meter):
        return next((s.status3 for s in reversed(self.sink.states) if s.meter_id == meter), None)

    def want(self, meter, action, gen):
        self.orders.want(meter, action, gen=gen, expires_at=int(time()) + 600, ttl_s=600)
        self.collector.wake("bus-1")


@pytest.fixture
def watching(site):
    before, watches = set(threading.enumerate()), []

    def watch(**options):
        watches.append(Watch(site.url, **options))
        watches[-1].collector.start()
        return watches[-1]

    yield watch
    for one in watches:
        one.collector.stop()
    assert set(threading.enumerate()) <= before


def test_every_meter_is_read_in_its_own_protocol_and_shows_the_truth(site, watching):
    watch = watching()
    meters = {plan.meter_id for plan in PLANS}
    until(lambda: {r.meter_id for r in watch.sink.readings} == meters)
    until(lambda: {r.meter_id for r in watch.sink.rows} == meters)
    until(lambda: {s.meter_id for s in watch.sink.states} == {NEW, HIKING})
    for reading in watch.sink.readings:
        truth = site.truth(reading.meter_id)
        # a register of 0.01 kWh is cut to 10 Wh, a single of Modbus is exact to the watt-hour
        assert truth["start_register_wh"] - 10 <= reading.total_wh <= truth["register_wh"]
        assert (reading.rates_wh is None) == (reading.meter_id in (HIKING, EASTRON, CHINT))
        assert reading.rates_wh is None or sum(reading.rates_wh) == reading.total_wh
    rows = {row.meter_id: row for row in watch.sink.rows}
    for meter in meters:
        assert 190_000 < rows[meter].voltage_mv < 260_000
        assert 3_000 < rows[meter].current_ma < 17_000  # of phase A; the SDM630 has three
        assert 2_900_000 < rows[meter].power_mw < 3_100_000
    until(lambda: any(s.meter_id == NEW and s.clock_offset_s is not None for s in watch.sink.states))
    assert watch.sink.lost == []
    assert watch.collector.status()[0].refusals == 0


def test_a_modbus_relay_is_not_tripped_unless_the_estate_says_so(site, watching):
    watch = watching()
    watch.want(HIKING, "trip", 1)
    until(lambda: "refused" in watch.orders.names(HIKING))
    assert watch.orders.names(HIKING) == ["refused"]
    assert "set trips_without_deadline of the estate" in watch.orders.steps[0][3]
    for meter, reason in ((OLD, "have no relay command"), (EASTRON, "no register of the Eastron SDM630")):
        watch.want(meter, "trip", 1)
        until(lambda meter=meter: "refused" in watch.orders.names(meter))
        assert reason in next(detail for one, _, _, detail in watch.orders.steps if one == meter)
    assert {site.truth(meter)["relay"] for meter in (HIKING, OLD, EASTRON)} == {"closed"}


def test_with_the_estates_word_it_is_tripped_read_back_and_closed_directly(site, watching):
    plan = MeterPlan(HIKING, protocol="modbus", model="hiking-dds238-2", unit=7, trips_without_deadline=True)
    watch = watching(plans=(MeterPlan(NEW), plan))
    watch.want(HIKING, "trip", 1)
    until(lambda: watch.last_status(HIKING) == di.RELAY_OPEN | di.COMMAND_OPEN)
    assert watch.orders.names(HIKING)[:3] == ["sent", "accepted", "read_back"]
    assert "without a deadline" in watch.orders.steps[0][3]
    assert site.truth(HIKING)["relay"] == "open"
    watch.want(HIKING, "allow", 2)
    until(lambda: watch.last_status(HIKING) == 0)
    assert site.truth(HIKING)["relay"] == "closed"


def command_line(*arguments):
    parser = argparse.ArgumentParser()
    read.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["read", *arguments])
    return parsed.run(parsed)


def test_the_read_command_speaks_all_of_them(site, capsys):
    assert command_line(site.url, OLD, "9010", "--protocol", "1997", "--lang", "en") == 0
    assert capsys.readouterr().out.startswith(f"{OLD} 9010: forward active energy, total: 1")
    modbus = ("--protocol", "modbus", "--model", "chint-ddsu666", "--lang", "en")
    assert command_line(site.url, "9", "02010100", *modbus) == 0
    assert capsys.readouterr().out.startswith("9 02010100: voltage, phase A: 2")
    with pytest.raises(ConfigError, match="no known register"):
        command_line(site.url, "9", "04000503", *modbus)
    assert command_line(site.url, "9", "02010100", "--protocol", "modbus", "--model", "hiking-dds238-2") == 1
    assert "illegal data address" in capsys.readouterr().err
