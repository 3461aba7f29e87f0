"""Routes of the control API that tell and change how fast the world goes.

GET  /time                                  world time, speed, anchor, leap under way
POST /time {"speed": 0..3600}               go on at that speed; 0 stands still
POST /time {"speed": "pause"|"resume"|"real"}  stand still, go on as before the pause, 1
POST /time {"speed": "max", "for_s"|"until"}  leap so far, as fast as the machine goes; answers at once
POST /time {"step_s": N}                    leap so far; answers on arrival
"""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sim.errors import ScenarioError
from sim.scenario.section import Section
from sim.timing.anchor import EPOCH, epoch_us, iso_utc
from sim.timing.jobs import Later
from sim.timing.pace import REAL_SPEED, SPEED_MAX
from sim.timing.spans import DAY_S

if TYPE_CHECKING:
    from sim.control.api import Control

WORDS = ("pause", "resume", "real", "max")
STEP_S_MAX = 3660 * DAY_S
ALLOWED_SPEEDS = f"a whole number from 0 to {SPEED_MAX}, or one of {', '.join(WORDS)}"
ALLOWED_UNTIL = "a date and time with an offset, such as 2026-11-13T00:00:00+08:00"


def time_now(control: "Control") -> dict[str, Any]:
    """World time and how it goes on."""
    world, pace = control.world, control.pace
    now_ms = world.now_ms
    return {
        "world_utc": _iso_ms(now_ms),
        "world_civil": world.calendar.civil(now_ms).isoformat(),
        "world_s": now_ms / 1000,
        "now_s": round(control.env.time_s, 6),
        "clock": control.clock_name,
        "speed": pace.speed if pace.leap_now is None else "max",
        "leap_until": None if pace.leap_now is None else _iso_ms(pace.leap_now.until_ms),
        "anchor": world.clock.anchor.to_json(),
    }


def get_time(control: "Control", _query: dict[str, str], _body: Any) -> Iterator[Any]:
    """GET /time."""
    yield time_now(control)


def post_time(control: "Control", _query: dict[str, str], body: Any) -> Iterator[Any]:
    """POST /time; the new time, or a promise of it while a step is under way."""
    section = Section("/time", "body", body)
    if section.has("speed") == section.has("step_s"):
        raise ScenarioError('/time: the body names one of speed and step_s, such as {"speed": 60} or {"step_s": 3600}')
    if section.has("step_s"):
        until_ms = control.world.now_ms + section.whole("step_s", 1, STEP_S_MAX) * 1000
        section.finish()
        arrived = threading.Event()
        control.pace.leap(until_ms, arrived.set)
        yield Later(arrived, lambda: get_time(control, {}, {}))
        return
    _set_speed(control, section)
    yield time_now(control)


def _set_speed(control: "Control", section: Section) -> None:
    speed = section.raw("speed")
    if speed == "max":
        until_ms = _until_ms(control, section)
        section.finish()
        control.pace.leap(until_ms)
        return
    section.finish()
    if speed == "resume":
        control.pace.resume()
    elif speed in WORDS:
        control.pace.set_speed(REAL_SPEED if speed == "real" else 0)
    elif isinstance(speed, int) and not isinstance(speed, bool) and 0 <= speed <= SPEED_MAX:
        control.pace.set_speed(speed)
    else:
        raise section.wrong("speed", ALLOWED_SPEEDS)


def _until_ms(control: "Control", section: Section) -> int:
    if section.has("for_s") == section.has("until"):
        raise ScenarioError('/time: "speed": "max" goes with one of for_s and until, or it would never end')
    if section.has("for_s"):
        return control.world.now_ms + section.whole("for_s", 1, STEP_S_MAX) * 1000
    until = section.moment("until")
    if until.tzinfo is None:
        raise section.wrong("until", ALLOWED_UNTIL)
    return epoch_us(until.astimezone(UTC)) // 1000


def _iso_ms(world_ms: int) -> str:
    moment: datetime = EPOCH + timedelta(milliseconds=world_ms)
    return iso_utc(moment)
