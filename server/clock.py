"""The two clocks.

World time (load, tariffs, deadlines, policy) follows one anchor shared with the simulator:
world = world_utc + (machine - machine_utc) * factor. On real hardware the factor is 1 and the anchor is now.
Machine time serves sessions, freshness of callbacks, I/O timeouts and the pay-to-power clock.
Only this module of the head-end reads a clock for the flows; everything below gets `now` as an argument.
"""

import ctypes
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from server.errors import ConfigError

EARLIEST_S = 1_577_836_800  # 2020-01-01: a clock before this was never set
TIMEX_BYTES = 512  # more than `struct timex` has anywhere
TIME_ERROR = 5  # what adjtimex(2) answers while nobody keeps the clock


@dataclass(frozen=True, slots=True)
class Now:
    """One instant on both clocks: `world_s` epoch seconds of world time, `machine_ms` epoch milliseconds."""

    world_s: int
    machine_ms: int


@dataclass(frozen=True, slots=True)
class Anchor:
    """Ties world time to machine time; `factor` world seconds pass in one machine second (1 on hardware)."""

    machine_utc: datetime
    world_utc: datetime
    factor: int = 1

    def world_at(self, machine_s: float) -> float:
        """World epoch seconds at the machine's epoch second `machine_s`."""
        return self.world_utc.timestamp() + (machine_s - self.machine_utc.timestamp()) * self.factor

    def machine_seconds(self, world_seconds: float) -> float:
        """How many machine seconds a span of world seconds takes."""
        return world_seconds / self.factor


def anchor_from_file(path: Path) -> Anchor:
    """Read `{"machine_utc", "world_utc", "factor"}`; raises ConfigError naming the file and the key."""
    try:
        raw = json.loads(path.read_text("utf-8"))
        anchor = Anchor(
            datetime.fromisoformat(raw["machine_utc"]),
            datetime.fromisoformat(raw["world_utc"]),
            int(raw["factor"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: not a clock anchor ({error}); expected machine_utc, world_utc and factor"
        ) from error
    if anchor.machine_utc.tzinfo is None or anchor.world_utc.tzinfo is None or anchor.factor < 1:
        raise ConfigError(f"{path}: machine_utc and world_utc need a UTC offset, factor must be 1 or more")
    return anchor


class Clock:
    """Reads the machine's clock and derives world time from the anchor."""

    def __init__(self, anchor: Anchor | None = None) -> None:
        now = datetime.now(UTC)
        self.anchor = anchor or Anchor(now, now, 1)
        self._world_s = self.anchor.world_utc.timestamp()
        self._machine_s = self.anchor.machine_utc.timestamp()

    def now(self) -> Now:
        """The present instant on both clocks."""
        machine_s = time.time()
        return Now(int(self._world_at(machine_s)), int(machine_s * 1000))

    def world_seconds(self) -> float:
        """World time as epoch seconds with their fraction, for timing."""
        return self._world_at(time.time())

    def machine_ms(self) -> int:
        """Machine time alone, as `now` has it."""
        return int(time.time() * 1000)

    def _world_at(self, machine_s: float) -> float:
        """As the anchor says, whose two instants are asked for thousands of times a second here."""
        return self._world_s + (machine_s - self._machine_s) * self.anchor.factor

    def world(self) -> datetime:
        """World time as an aware UTC datetime."""
        return datetime.fromtimestamp(0, UTC) + timedelta(seconds=self.now().world_s)


def kernel_synchronised() -> bool | None:
    """Whether somebody keeps this machine's clock, as the kernel says (adjtimex(2)); None where it does not tell."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != TIME_ERROR
