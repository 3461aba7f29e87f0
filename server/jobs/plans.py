"""Tells the collector which buses and meters there are: a moment after a commit that changed them, and now and then.

A flow that changes them announces `estate`, and this job is poked. It is nobody's call that waits for it, so whoever
installed a meter hears what was committed, whatever the collector is at.
"""

from collections.abc import Callable, Sequence

from sqlalchemy import Engine

from server.collect.work import BusPlan
from server.jobs.collecting import bus_plans
from server.store.engine import reader


class PlansJob:
    """Hands the plans in the database to `apply`, which takes those that are new to it."""

    name = "plans"
    interval_s = 300.0  # machine time; heals a poke that was lost

    def __init__(self, engine: Engine, estate_id: str, apply: Callable[[Sequence[BusPlan]], None]) -> None:
        self._engine, self._estate_id, self._apply = engine, estate_id, apply

    def run_once(self) -> None:
        """Read them once."""
        with reader(self._engine) as connection:
            plans = bus_plans(connection, self._estate_id)
        self._apply(plans)
