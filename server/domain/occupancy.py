"""Who lived in which room on which days, so that a month's shared costs go to those who lived there then.

A household lives in its room from the day on which it moved in to the day on which it moved out, both included; a day
that two of them share belongs to the one that moves in. A room that nobody lived in on a day is vacant on that day.
Days are local dates as text.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from server.domain.allocation import VACANT_ROOMS


class Stay(NamedTuple):
    """A household in a room, from its first to its last day there; empty: from ever, or until today."""

    account_id: str
    room_id: str
    first_day: str = ""
    last_day: str = ""


def days_between(first_day: str, last_day: str) -> list[str]:
    """All days from the first to the last, both included."""
    first = date.fromisoformat(first_day)
    count = (date.fromisoformat(last_day) - first).days + 1
    return [(first + timedelta(number)).isoformat() for number in range(count)]


def days_lived(rooms: Sequence[str], stays: Sequence[Stay], days: Sequence[str]) -> Mapping[tuple[str, str], int]:
    """How many of the days each household lived in each room, by (account, room); vacant days by VACANT_ROOMS."""
    of_room: dict[str, list[Stay]] = {}
    for one in sorted(stays, key=lambda stay: (stay.first_day, stay.account_id)):
        of_room.setdefault(one.room_id, []).append(one)
    found: Counter[tuple[str, str]] = Counter()
    for room_id in rooms:
        own = of_room.get(room_id, [])
        if len(own) == 1 and own[0].first_day <= days[0] and (not own[0].last_day or own[0].last_day >= days[-1]):
            found[own[0].account_id, room_id] = len(days)
            continue
        for day in days:
            found[_who(own, day), room_id] += 1
    return found


def _who(stays: Sequence[Stay], day: str) -> str:
    """Who lived there on a day: of two the one that moved in last."""
    there = [one for one in stays if one.first_day <= day and (not one.last_day or day <= one.last_day)]
    return there[-1].account_id if there else VACANT_ROOMS
