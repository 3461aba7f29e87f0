"""How fast the world goes, changed while it runs: pause, resume, another speed, a leap ahead.

The world's clock is one anchor at any moment. A new speed ties a new anchor where the old one stood, a leap carries
out all that happens on the way, in its order, and ties one where it arrives; the world never goes back. Each new
anchor is published, so that a head-end that shares it can follow. A leap is carried out in slices, as the background
job of the loop: the wire and all requests go before it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sim.errors import ScenarioError
from sim.timing.anchor import Anchor, epoch_us
from sim.timing.clock import ServedEnvironment
from sim.timing.jobs import Job
from sim.world import World

SPEED_MAX = 3600
REAL_SPEED = 1
END_OF_TIME_MS = epoch_us(datetime(2099, 12, 31, tzinfo=UTC)) // 1000
"""A meter's clock has two digits for the year."""

Publish = Callable[[Anchor], None]


@dataclass(slots=True)
class Leap:
    """On the way to a world time; `over` is called once it has arrived or was given up."""

    until_ms: int
    over: Callable[[], None] = field(default=lambda: None)


class Pace:
    """Speed and leaps of one world; everything here runs on the loop's own thread."""

    def __init__(self, world: World, env: ServedEnvironment, publish: Publish) -> None:
        self._world = world
        self._env = env
        self._publish = publish
        self._resume_at = world.clock.anchor.factor
        self._real_port = next((bus.port for bus in world.scenario.buses if bus.port.startswith("/")), None)
        self.leap_now: Leap | None = None

    @property
    def speed(self) -> int:
        """World seconds in one machine second, beside any leap; 0 while the world stands still."""
        return self._world.clock.anchor.factor

    def set_speed(self, speed: int) -> None:
        """Go on at a speed, 0 stands still; a leap that is under way ends where it is."""
        if speed != REAL_SPEED:
            self._refuse_hardware()
        self._give_up()
        if self.speed:
            self._resume_at = self.speed
        self._world.set_speed(speed)
        self._publish(self._world.clock.anchor)

    def resume(self) -> None:
        """Go on at the speed before the pause."""
        self.set_speed(self.speed or self._resume_at)

    def leap(self, until_ms: int, over: Callable[[], None] = lambda: None) -> None:
        """Begin to carry out everything up to a world time as fast as the machine goes."""
        self._refuse_hardware()
        if not self._world.now_ms <= until_ms <= END_OF_TIME_MS:
            raise ScenarioError("the world goes ahead only, and at most to the end of 2099, as meters write years")
        self._give_up()
        self.leap_now = Leap(until_ms, over)
        self._env.background = self._leaping(self.leap_now)

    def _leaping(self, leap: Leap) -> Job:
        yield from self._world.agenda.leap(leap.until_ms)
        self._arrive()

    def _give_up(self) -> None:
        if self.leap_now is not None:
            self._arrive()

    def _arrive(self) -> None:
        """The leap is over, here."""
        leap, self.leap_now, self._env.background = self.leap_now, None, None
        self._publish(self._world.clock.anchor)
        if leap is not None:
            leap.over()

    def _refuse_hardware(self) -> None:
        if self._real_port is not None:
            raise ScenarioError(f"{self._real_port} is a real port: allowed there is only speed {REAL_SPEED}")
