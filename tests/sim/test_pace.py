"""World time changed at run time: what the control API says, what the files say, and that nothing ever goes back."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.dlt645.commands import Password, RelayAction, RelayControl
from core.dlt645.identifiers import ENERGY_TOTAL, STATUS_WORD_3
from sim.errors import ScenarioError
from sim.timing.anchor import Anchor, WorldClock
from sim.timing.clock import RealEnvironment
from sim.timing.pace import Pace
from tests.sim.rig import ADDRESS, PtyMaster, Virtual, household, simulator, table

ESTATE = """
[estate]
id = "cuihu"
[tariff]
price = "0.5"
[[bus]]
id = "bus-1"
[[household]]
id = "1-0101"
meter = "202600010101"
bus = "bus-1"
load = "constant"
mean_power_w = 1000
"""
WORLD = ("--factor", "60", "--world-start", "2026-10-13T09:05:00+08:00")
START_S = datetime(2026, 10, 13, 1, 5, tzinfo=UTC).timestamp()
DAY_S = 86_400


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pace")
    with simulator(folder, ESTATE, *WORLD, "--anchor", str(folder / "anchor.json")) as running:
        running.folder = folder
        yield running


def shown_s(anchor):
    """World time of an anchor now, as a head-end computes it."""
    gone = datetime.now(UTC) - datetime.fromisoformat(anchor["machine_utc"])
    return (datetime.fromisoformat(anchor["world_utc"]) + gone * anchor["factor"]).timestamp()


def files(run):
    return [
        json.loads((run.folder / "anchor.json").read_text()),
        json.loads((run.folder / "ready.json").read_text())["anchor"],
    ]


def test_every_change_is_in_the_answer_and_in_both_files_and_time_never_goes_back(run):
    seen = [run.get("/time")["world_s"]]
    changes = (
        {"speed": "pause"}, {"step_s": 7200}, {"speed": "resume"}, {"speed": 3600}, {"speed": "real"},
        {"step_s": DAY_S}, {"speed": 7}, {"speed": 0}, {"speed": "resume"},
    )  # fmt: skip
    speeds = []
    for change in changes:
        answer = run.post("/time", change)
        assert files(run) == [answer["anchor"]] * 2
        now = run.get("/time")
        assert shown_s(answer["anchor"]) == pytest.approx(now["world_s"], abs=0.5 * max(1, now["speed"]))
        seen += [answer["world_s"], now["world_s"]]
        speeds.append(now["speed"])
    assert speeds == [0, 0, 60, 3600, 1, 1, 7, 0, 7]
    assert seen == sorted(seen)


def test_a_pause_holds_energy_and_deadlines_and_a_step_lets_both_pass(run):
    run.post("/time", {"speed": "pause"})
    with PtyMaster(run.ready["ports"]["bus-1"]) as line:
        held = [line.read(ENERGY_TOTAL) for _ in range(2)]
        assert held[0] == held[1], "the wire goes on while the world stands still"
        paused = datetime.fromisoformat(run.get("/time")["world_civil"]).replace(tzinfo=None)
        order = RelayControl(ADDRESS, RelayAction.TRIP, paused + timedelta(hours=1), Password())
        run.post("/time", {"step_s": 2 * 3600})
        (before_wh,), (after_wh,) = held[0], line.read(ENERGY_TOTAL)
        assert after_wh - before_wh in (1990, 2000, 2010), "two hours of 1 kW"
        assert line.ask(order).control == 0xDC, "its deadline has passed"
        assert line.read(STATUS_WORD_3) == (0,)
        in_time = RelayControl(ADDRESS, RelayAction.TRIP, paused + timedelta(hours=3), Password())
        assert line.ask(in_time).control == 0x9C
    run.post("/time", {"speed": "resume"})


def test_a_leap_arrives_and_goes_on_and_is_announced(run):
    until = datetime.fromisoformat(run.get("/time")["world_utc"]) + timedelta(days=90)
    began = run.post("/time", {"speed": "max", "until": until.isoformat()})
    assert began["speed"] == "max" or began["world_s"] >= until.timestamp()
    end = time.monotonic() + 30
    while run.get("/time")["leap_until"] is not None:
        assert time.monotonic() < end
    now = run.get("/time")
    assert now["world_s"] >= until.timestamp()
    assert files(run) == [now["anchor"]] * 2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "names one of speed and step_s"),
        ({"speed": 1, "step_s": 5}, "names one of speed and step_s"),
        ({"speed": 3601}, "from 0 to 3600, or one of pause, resume, real, max"),
        ({"speed": True}, "from 0 to 3600"),
        ({"speed": "fast"}, "from 0 to 3600"),
        ({"speed": "max"}, "one of for_s and until"),
        ({"speed": "max", "until": "2026-11-13T00:00:00"}, "with an offset"),
        ({"speed": "max", "until": "2020-11-13T00:00:00Z"}, "goes ahead only"),
        ({"speed": "max", "until": "2100-11-13T00:00:00Z"}, "end of 2099"),
        ({"speed": 60, "for_s": 5}, "unknown key for_s"),
        ({"step_s": 0}, "a whole number from 1"),
    ],
)
def test_wrong_changes_are_refused_with_what_is_allowed(run, body, said):
    before = run.get("/time")["anchor"]
    status, message = run.error("/time", body)
    assert status == 400
    assert said in message
    assert run.get("/time")["anchor"] == before


def test_where_time_passes_by_itself_nobody_lets_it_pass_and_no_page_of_a_browser_asks_for_anything(run):
    for path, body in (("/advance", {"seconds": 1}), ("/exchange", {"bus": "bus-1", "hex": "68"})):
        status, message = run.error(path, body)
        assert (status, "start it with --clock stepped" in message) == (400, True)
    status, message = run.error("/stop", {}, Origin="http://example.org")
    assert (status, "browser" in message) == (403, True)


def test_what_was_due_before_a_change_of_speed_never_sees_the_world_go_back():
    clock = WorldClock(
        Anchor(datetime(2026, 10, 13, tzinfo=UTC), datetime(2026, 10, 13, tzinfo=UTC), 1),
        datetime(2026, 10, 13, tzinfo=UTC),
    )
    shown = clock.world_ms(9.9996)
    clock.set_speed(10.0, 3600)
    assert clock.world_ms(9.9996) >= shown
    clock.set_speed(10.000101, 1)
    tied = clock.anchor.world_utc
    clock.move_to(10.000101, clock.world_ms(10.000101))
    assert clock.anchor.world_utc == tied, "not even by a part of a millisecond"
    assert clock.world_ms(9.5) >= shown


def test_a_pause_gives_a_leap_up_and_tells_where_it_is():
    virtual = Virtual(table([household()]))
    world, told, over = virtual.world, [], []
    for number in range(1000):
        world.call_at_ms(world.now_ms + number * 1000, lambda _at_ms: None)
    env = RealEnvironment()
    pace = Pace(world, env, told.append)
    begun_ms = world.now_ms
    pace.leap(begun_ms + 1_000_000, lambda: over.append(world.now_ms))
    env._step_background()
    assert env.background is not None
    pace.set_speed(0)
    assert env.background is None
    assert begun_ms < world.now_ms < begun_ms + 1_000_000
    assert over == [world.now_ms]
    assert told[-1].factor == 0
    pace.resume()
    assert pace.speed == 1
    env.close()


def test_a_world_on_a_real_port_keeps_its_own_time():
    virtual = Virtual(table([household()]))
    bus = replace(virtual.world.scenario.buses[0], port="/dev/ttyUSB0")
    virtual.world.scenario = replace(virtual.world.scenario, buses=(bus,))
    env = RealEnvironment()
    pace = Pace(virtual.world, env, lambda _anchor: None)
    for change in (
        lambda: pace.set_speed(0),
        lambda: pace.set_speed(2),
        lambda: pace.leap(virtual.world.now_ms + 1000),
    ):
        with pytest.raises(ScenarioError, match="only speed 1"):
            change()
    pace.set_speed(1)
    env.close()
