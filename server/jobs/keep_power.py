"""Keeps the meters' own keep-power in step with protections and schemes, as they begin and end."""

from collections.abc import Callable

from sqlalchemy import Engine

from server.clock import Clock
from server.flows import keep_power
from server.store.unit import Writing


class KeepPowerJob:
    """Looks every few seconds of machine time; `clock_sane` is asked before anything is taken back."""

    name = "keep_power"
    interval_s = 5.0

    def __init__(
        self, _engine: Engine, writer: Writing, clock: Clock, estate_id: str, *, clock_sane: Callable[[], bool]
    ) -> None:
        self._writer, self._clock, self._estate_id = writer, clock, estate_id
        self._clock_sane = clock_sane

    def run_once(self) -> None:
        """Want what is due."""
        sane = self._clock_sane()
        self._writer.run(lambda unit: keep_power.settle(unit, self._estate_id, self._clock.now(), may_end=sane))
