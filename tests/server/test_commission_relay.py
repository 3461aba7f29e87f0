"""The relay checks of a commissioning on meters that do wrong: nothing passes unseen, and the power comes back."""

import asyncio
from dataclasses import replace

import pytest

from core.dlt645 import identifiers as di
from core.dlt645.commands import Password, RelayAction
from core.dlt645.frame import Frame
from server.cli.commission import relay_checks
from server.cli.commission.relay_checks import RelayChecks
from server.collect.dialect import WRONG_PASSWORD
from server.collect.line import BusLine
from server.collect.readout import MeterState
from server.collect.tally import Tally
from server.collect.work import MeterPlan
from tests.server.collect.fake_bus import FAST, FakeMeter, FakePort, World

A = "202600000001"


class SpareMeter(FakeMeter):
    """Feeds nobody; may take late commands, or open at a refused one."""

    takes_late = moves_though_refused = deaf_to_trips = other_password = False
    power_mw = 0

    def value(self, identifier):
        return (self.power_mw,) if identifier == di.POWER_TOTAL else super().value(identifier)

    def _switch(self, frame):
        if self.other_password:
            self.relay_frames.append(frame)
            return Frame(self.address, 0xDC, bytes([WRONG_PASSWORD]))
        if self.takes_late:
            frame = replace(frame, data=frame.data[:10] + bytes.fromhex("595923311299"))
        reply = super()._switch(frame) if not self._ignores(frame) else None
        if self.moves_though_refused and reply is not None and reply.abnormal:
            self.status3 |= di.RELAY_OPEN | di.COMMAND_OPEN
        return reply

    def _ignores(self, frame):
        return self.deaf_to_trips and frame.data[8] == RelayAction.TRIP


def walk(monkeypatch, **habits):
    monkeypatch.setattr(relay_checks, "MOVE_MAX_S", 0.4)
    monkeypatch.setattr(relay_checks, "LOOK_EVERY_S", 0.01)
    world = World()
    meter = SpareMeter(A, world)
    for name, value in habits.items():
        setattr(meter, name, value)
    port = FakePort([meter])

    async def ask():
        line = BusLine(port, FAST, world.clocks(), Tally(), lambda: None)
        await line.open()
        checks = RelayChecks(line, world.clocks(), MeterState(MeterPlan(A)), Password())
        found = {proof.question: (proof.outcome, proof.said("en")) async for proof in checks.run()}
        line.close()
        return found

    return asyncio.run(ask()), meter, port


def test_a_sound_meter_passes_and_ends_closed(monkeypatch):
    found, meter, port = walk(monkeypatch)
    assert {name: outcome for name, (outcome, _) in found.items()} == dict.fromkeys(
        ("late_command", "trip", "close"), "passed"
    )
    assert meter.status3 == 0
    assert [frame.data[8] for frame in port.relay_frames] == [RelayAction.TRIP, RelayAction.TRIP, RelayAction.CLOSE]


@pytest.mark.parametrize(
    ("habits", "said"),
    [
        ({"takes_late": True}, "accepted a trip an hour after"),
        ({"moves_though_refused": True}, "opened the relay all the same"),
    ],
)
def test_a_meter_that_obeys_late_commands_fails_and_gets_its_power_back(monkeypatch, habits, said):
    found, meter, _ = walk(monkeypatch, **habits)
    assert found["late_command"][0] == "failed"
    assert said in found["late_command"][1]
    assert (found["close"][0], meter.status3) == ("passed", 0)


def test_a_relay_that_does_not_move_fails(monkeypatch):
    found, _, _ = walk(monkeypatch, relay_deaf=True)
    assert found["trip"][0] == "failed"
    assert "did not move" in found["trip"][1]


@pytest.mark.parametrize("habits", [{"relay_deaf": True}, {"deaf_to_trips": True}])
def test_a_meter_that_opens_for_no_trip_proves_nothing_about_late_ones_and_closing(monkeypatch, habits):
    found, meter, _ = walk(monkeypatch, **habits)
    assert {name: outcome for name, (outcome, _) in found.items()} == {
        "late_command": "open", "trip": "failed", "close": "open",
    }  # fmt: skip
    assert "in time" in found["late_command"][1]
    assert meter.status3 == 0


def test_a_wrong_password_is_tried_twice_and_no_more_since_the_meter_counts(monkeypatch):
    found, meter, port = walk(monkeypatch, other_password=True)
    assert [frame.data[8] for frame in port.relay_frames] == [RelayAction.TRIP, RelayAction.TRIP]
    assert {name: outcome for name, (outcome, _) in found.items()} == {
        "late_command": "open", "trip": "failed", "close": "open",
    }  # fmt: skip
    assert "lock at the fifth" in found["trip"][1]
    assert meter.status3 == 0


def test_the_power_is_given_back_when_something_breaks_in_between(monkeypatch):
    async def broken(self):
        await self._send("trip", 60)
        raise OSError("unplugged")

    monkeypatch.setattr(RelayChecks, "_late", broken)
    world = World()
    meter = SpareMeter(A, world)

    async def ask():
        line = BusLine(FakePort([meter]), FAST, world.clocks(), Tally(), lambda: None)
        await line.open()
        return [one async for one in RelayChecks(line, world.clocks(), MeterState(MeterPlan(A)), Password()).run()]

    with pytest.raises(OSError, match="unplugged"):
        asyncio.run(ask())
    assert meter.status3 == 0


@pytest.mark.parametrize(
    ("habits", "said"),
    [
        ({"status3": di.KEEP_POWER}, "not plainly closed"),
        ({"status3": di.RELAY_OPEN}, "not plainly closed"),
        ({"power_mw": 20_100}, "power flows through it (20.1 W)"),
        ({"clock_offset_s": 90}, "clock must be set first"),
        ({"silent": True}, "did not answer"),
    ],
)
def test_a_meter_that_is_not_fit_is_not_touched(monkeypatch, habits, said):
    found, _, port = walk(monkeypatch, **habits)
    assert [outcome for outcome, _ in found.values()] == ["open"] * 3
    assert said in found["trip"][1]
    assert port.relay_frames == []


def test_a_meter_without_deadlines_is_not_touched():
    async def ask():
        world = World()
        line = BusLine(FakePort([]), FAST, world.clocks(), Tally(), lambda: None)
        await line.open()
        plan = MeterPlan("1", protocol="modbus", model="hiking-dds238-2", unit=1, trips_without_deadline=True)
        return [one async for one in RelayChecks(line, world.clocks(), MeterState(plan), Password()).run()]

    assert {one.said("en") for one in asyncio.run(ask())} == {"not tried: its commands have no deadline"}
