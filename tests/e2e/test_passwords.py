"""A canary password through the running server: it reaches the meter, and nothing else that leaves a trace."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta

import pytest

from core.dlt645.commands import Password, RelayAction, RelayControl
from server.cli.lines import opened
from server.clock import Clock
from server.collect.port import LineSettings
from server.flows.supply import want_closed
from server.store.engine import open_engine
from server.store.estates import get_estate
from server.store.writer import Writer
from tests.e2e.processes import estate645, start, wait_until
from tests.e2e.test_beside_server import ESTATE, HOME, METERS, SCENARIO, status_of

METER = METERS[0]
CANARY = "938271"
SHOWN = (CANARY, "718293", "71 82 93", "a4b5c6", "A4 B5 C6", "A4B5C6")  # as digits, on the wire, with the offset


def trip_by_hand(port):
    """Open the relay as somebody on site would."""

    async def trip():
        until = datetime.now() + timedelta(minutes=5)  # noqa: DTZ005 - a meter's civil time
        async with opened(str(port), LineSettings(9600, "E"), 500) as bus:
            await bus.ask(RelayControl(METER, RelayAction.TRIP, until, Password(2, CANARY)))

    asyncio.run(trip())


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    home = (
        f'[[household]]\nid = "h1"\nmeter = "{METER}"\nbus = "bus-1"\nload = "constant"\nmean_power_w = 10\n'
        f'start_register_wh = 1000\npassword = "{CANARY}"\n'
    )
    (tmp_path / "sim.toml").write_text(SCENARIO.replace("Asia/Shanghai", "UTC") + home, "utf-8")
    simulator = subprocess.Popen(
        [sys.executable, "-P", "-m", "sim", "sim.toml", "--run-dir", "run", "--ready", "sim.json"], cwd=tmp_path
    )
    wait_until((tmp_path / "sim.json").exists, "the simulator is ready")
    port = tmp_path / json.loads((tmp_path / "sim.json").read_text("utf-8"))["ports"]["bus-1"]
    text = ESTATE.replace("URL", str(port)).replace('name = "Hall"', 'name = "Hall"\ntime_zone = "UTC"')
    text += HOME.replace("METER", METER).replace("N", "1") + f'password = "{CANARY}"\n'
    (tmp_path / "estate.toml").write_text(text, "utf-8")
    (tmp_path / "site.toml").write_text('meter_keys = "keys"\ndatabase_url = "sqlite:///estate645.db"\n', "utf-8")
    assert estate645("rekey", "--new", "--config", "site.toml", cwd=tmp_path).returncode == 0
    answer = estate645("import", "estate.toml", "--config", "site.toml", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    trip_by_hand(port)
    yield tmp_path
    simulator.terminate()
    assert simulator.wait(30) == 0


def wish(folder):
    """Let the server want the power back, which needs the password."""
    engine = open_engine(f"sqlite:///{folder / 'estate645.db'}")
    writer = Writer(engine)
    writer.run(
        lambda unit: want_closed(
            unit, "hall", get_estate(unit.connection, "hall"), METER, "bus-1", "by_hand", "test", Clock().now()
        )
    )
    writer.stop()
    engine.dispose()


def serve(folder):
    server = start("serve", "--config", "site.toml", "--port", "0", "--ready", "server.json", cwd=folder)
    wait_until((folder / "server.json").exists, "the server is ready")
    return server


def end(folder, server):
    server.send_signal(signal.SIGINT)
    said = server.communicate(timeout=60)[0]
    (folder / "server.json").unlink()
    return said


@pytest.mark.ci
def test_the_password_reaches_the_meter_and_no_file_log_trace_or_answer(site):
    wish(site)
    (site / "keys").rename(site / "away")
    server = serve(site)
    wait_until(lambda: status_of(site, METER) is not None, "the meter is read without the key")
    time.sleep(3)  # the wish was tried meanwhile
    assert status_of(site, METER) & 0x40
    said = end(site, server)
    assert "1 meters are read but cannot be controlled" in said
    why = estate645("why", f"{METER}:1", "--config", "site.toml", cwd=site)
    assert "not sent: the meter's password cannot be opened" in why.stdout
    (site / "away").rename(site / "keys")
    server = serve(site)
    trace = start("trace", "bus-1", "--config", "site.toml", "--json", "--for", "12", cwd=site)
    wait_until(lambda: status_of(site, METER) & 0x40 == 0, "the meter took the password")
    traced = trace.communicate(timeout=60)[0]
    said += end(site, server)
    said += why.stdout + estate645("why", f"{METER}:1", "--config", "site.toml", "--json", cwd=site).stdout
    said += estate645("doctor", "--config", "site.toml", cwd=site).stdout
    files = b"".join(one.read_bytes() for one in site.glob("estate645.db*"))
    assert [one for one in SHOWN if one in said + traced] == []
    assert [one for one in SHOWN if one.encode() in files] == []
