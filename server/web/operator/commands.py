"""Commands to relays as the page of supply lists them: one row a command, with the way that it has gone.

Steps that repeat (a read-back that says the same again) are one stage with a count; leave to send is told only where
nothing has followed it. What a newer wish of the meter has
overtaken says so, though nothing was done for it.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

from server.store.commands import Command
from server.store.household import RelayWish

TONES = {"read_back": "ok", "refused": "fail", "failed": "fail", "no_reply": "wait", "expired": "wait"}
UNDER_WAY = frozenset({"queued", "cleared", "sent", "accepted", "no_reply"})


class Stage(NamedTuple):
    """One stage: the name of its step, when it was reached last (world seconds), how often."""

    step: str
    at: int
    times: int


class Way(NamedTuple):
    """One command: where, the wish, its stages after the wish itself, what the last one noted, and its tone."""

    meter_id: str
    room_id: str | None
    wish: RelayWish
    stages: tuple[Stage, ...]
    detail: str
    tone: str


def ways_of(commands: Iterable[Command]) -> list[Way]:
    """The commands in their order, the newest first."""
    found, newer = [], set[str]()
    for meter_id, room_id, wish in commands:
        stages = []
        told = [one for one in wish.steps if one.step != "cleared" or one is wish.steps[-1]]
        for step, group in groupby(told, lambda one: one.step):
            steps = list(group)
            stages.append(Stage(step, steps[-1].world_at, len(steps)))
        overtaken = meter_id in newer and wish.outcome in UNDER_WAY
        if overtaken or not stages:
            stages.append(Stage("superseded" if overtaken else "queued", wish.decided_at, 1))
        newer.add(meter_id)
        detail = wish.steps[-1].detail if wish.steps and not overtaken else ""
        found.append(Way(meter_id, room_id, wish, tuple(stages), detail, TONES.get(stages[-1].step, "")))
    return found
