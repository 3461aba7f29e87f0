"""World time tied to machine time by one anchor that simulator and head-end share.

world = world_utc + (machine - machine_utc) * factor. The simulation environment counts machine seconds from
its start; `WorldClock` turns them into world milliseconds (integers, so that energy is exact) and back. The
machine's wall clock is read once, at the start; afterwards only the monotonic clock counts, so that a step of
the wall clock moves neither the wire nor the world.
"""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sim.errors import ScenarioError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
LEAST_US = -(1 << 62)
"""Before any time that a world may show."""


def epoch_us(instant: datetime) -> int:
    """Microseconds since the epoch of an aware datetime, exact."""
    return (instant - EPOCH) // MICROSECOND


def iso_utc(instant: datetime) -> str:
    """ISO 8601 in UTC with a trailing Z."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Anchor:
    """Ties world time to machine time; `factor` world seconds pass in one machine second."""

    machine_utc: datetime
    world_utc: datetime
    factor: int = 1

    def to_json(self) -> dict[str, object]:
        """The anchor as the JSON object of anchor and ready files."""
        return {
            "machine_utc": iso_utc(self.machine_utc),
            "world_utc": iso_utc(self.world_utc),
            "factor": self.factor,
        }


def read_anchor(path: Path) -> Anchor:
    """Read an anchor file; ScenarioError names the file and what is wrong with it."""
    try:
        raw = json.loads(path.read_text("utf-8"))
        anchor = Anchor(
            datetime.fromisoformat(raw["machine_utc"]),
            datetime.fromisoformat(raw["world_utc"]),
            raw["factor"],
        )
        if type(anchor.factor) is not int:
            raise TypeError(f"factor {anchor.factor!r}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ScenarioError(
            f"{path}: not a clock anchor ({error!r}); expected an object with machine_utc and world_utc "
            "(ISO 8601 with an offset) and factor (whole number of 1 or more)"
        ) from error
    if anchor.machine_utc.tzinfo is None or anchor.world_utc.tzinfo is None or anchor.factor < 1:
        raise ScenarioError(
            f"{path}: machine_utc and world_utc need an offset such as Z or +08:00, and factor must be >= 1; "
            "0 is left by a simulator that ended while its world was paused: remove the file"
        )
    return anchor


class WorldClock:
    """World time of an environment whose `now` counts machine seconds from `start_utc`.

    The speed may be changed while it runs (0 stands still), and the world may be moved ahead: `anchor` then is a new
    one that ties both times together where that happened. An instant before it then shows the anchor's own time, so
    that what was due a moment ago and is done a moment late never sees the world go back.
    """

    def __init__(self, anchor: Anchor, start_utc: datetime) -> None:
        self._start_utc = start_utc
        self._least_us = LEAST_US
        self._tie(anchor)

    def world_ms(self, now_s: float) -> int:
        """World epoch milliseconds at `now_s` machine seconds after the start."""
        world_us = self._world_us + (self._offset_us + round(now_s * 1_000_000)) * self.anchor.factor
        return (world_us if world_us > self._least_us else self._least_us) // 1000

    def now_s(self, world_ms: int) -> float:
        """First machine second after the start at which the world shows that time (may be negative, or never: inf)."""
        ahead_us = world_ms * 1000 - self._world_us
        if self.anchor.factor == 0:
            return math.inf if ahead_us > 0 else -self._offset_us / 1_000_000
        elapsed_us = -(-ahead_us // self.anchor.factor)
        return (elapsed_us - self._offset_us) / 1_000_000

    def set_speed(self, now_s: float, factor: int) -> None:
        """From now on `factor` world seconds pass in one machine second."""
        self._move(now_s, self._world_us_at(now_s), factor)

    def move_to(self, now_s: float, world_ms: int) -> None:
        """Let the world show a later time at once; ValueError for an earlier one."""
        if world_ms < self.world_ms(now_s):
            raise ValueError("the world's time never goes back")
        self._move(now_s, max(world_ms * 1000, self._world_us_at(now_s)), self.anchor.factor)

    def _move(self, now_s: float, world_us: int, factor: int) -> None:
        machine = self._start_utc + timedelta(microseconds=round(now_s * 1_000_000))
        self._tie(Anchor(machine, EPOCH + timedelta(microseconds=world_us), factor))
        self._least_us = self._world_us

    def _tie(self, anchor: Anchor) -> None:
        self.anchor = anchor
        self._world_us = epoch_us(anchor.world_utc)
        self._offset_us = epoch_us(self._start_utc) - epoch_us(anchor.machine_utc)

    def _world_us_at(self, now_s: float) -> int:
        elapsed_us = self._offset_us + round(now_s * 1_000_000)
        world_us = self._world_us + elapsed_us * self.anchor.factor
        return world_us if world_us > self._least_us else self._least_us
