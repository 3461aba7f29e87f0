"""A canary password through the running server: it reaches the meter, and nothing else that leaves a trace."""

import asyncio
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
from tests.e2e.hall import METERS, SCENARIO, end, estate, home, serve, simulated
from tests.e2e.processes import estate645, start, wait_until
from tests.e2e.test_beside_server import status_of

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
    scenario = SCENARIO.replace("Asia/Shanghai", "UTC") + home(1, METER, more=f'password = "{CANARY}"\n')
    with simulated(tmp_path, scenario) as port:
        text = estate(port, [METER], more=f'password = "{CANARY}"\n')
        text = text.replace('name = "Hall"', 'name = "Hall"\ntime_zone = "UTC"')
        (tmp_path / "estate.toml").write_text(text, "utf-8")
        (tmp_path / "site.toml").write_text('meter_keys = "keys"\ndatabase_url = "sqlite:///estate645.db"\n', "utf-8")
        assert estate645("rekey", "--new", "--config", "site.toml", cwd=tmp_path).returncode == 0
        answer = estate645("import", "estate.toml", "--config", "site.toml", cwd=tmp_path)
        assert answer.returncode == 0, answer.stderr
        trip_by_hand(port)
        yield tmp_path


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


@pytest.mark.ci
def test_the_password_reaches_the_meter_and_no_file_log_trace_or_answer(site):
    wish(site)
    (site / "keys").rename(site / "away")
    server, _ = serve(site, "--port", "0", "--config", "site.toml")
    wait_until(lambda: status_of(site, METER) is not None, "the meter is read without the key")
    time.sleep(3)  # the wish was tried meanwhile
    assert status_of(site, METER) & 0x40
    said = end(server)
    assert "1 meters are read but cannot be controlled" in said
    why = estate645("why", f"{METER}:1", "--config", "site.toml", cwd=site)
    assert "not sent: the meter's password cannot be opened" in why.stdout
    (site / "away").rename(site / "keys")
    server, _ = serve(site, "--port", "0", "--config", "site.toml")
    trace = start("trace", "bus-1", "--config", "site.toml", "--json", "--for", "12", cwd=site)
    wait_until(lambda: status_of(site, METER) & 0x40 == 0, "the meter took the password")
    traced = trace.communicate(timeout=60)[0]
    said += end(server)
    said += why.stdout + estate645("why", f"{METER}:1", "--config", "site.toml", "--json", cwd=site).stdout
    said += estate645("doctor", "--config", "site.toml", cwd=site).stdout
    files = b"".join(one.read_bytes() for one in site.glob("estate645.db*"))
    assert [one for one in SHOWN if one in said + traced] == []
    assert [one for one in SHOWN if one.encode() in files] == []
