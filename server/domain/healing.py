"""Which questions about the past fill the gaps between readings.

A gap lies between two true readings that are further apart than a cycle and a half. Load records fill it to the
quarter of an hour, in questions of six records; where they did not, the hourly freezes do; midnights come from daily
freezes, which have the rates. A meter of DL/T 645-1997 keeps one register a month, of its automatic reading, and a
Modbus meter nothing: what nobody can tell stays a gap and is shown as one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

DAYS = 7
HOUR_S = 3600
RECORDS = 6
RECORD_S = 900  # load records come each quarter of an hour or so; more of them than asked for do no harm
TRIES_MAX = 4
QUESTIONS_MAX = 64  # for one meter at a time, so that all get their turn

Kind = Literal["daily", "hourly", "load", "month"]


class Gap(NamedTuple):
    """World times of the true readings at both ends; nothing lies between them.

    The first one may be the beginning of what was looked at.
    """

    meter_id: str
    from_at: int
    to_at: int

    @property
    def end(self) -> tuple[str, int]:
        """The reading after it, by which it is known again from look to look."""
        return self.meter_id, self.to_at

    def missing(self, cycle_s: int) -> int:
        """How many readings of the cycle are missing."""
        return max(0, round((self.to_at - self.from_at) / cycle_s) - 1)


class Question(NamedTuple):
    """What to ask a meter: the freeze of `at`, load records from then on, or the month's register up to `until`."""

    meter_id: str
    kind: Kind
    at: int
    records: int = RECORDS
    until: int = 0


@dataclass(frozen=True, slots=True)
class Missing:
    """What one look found: gaps, and midnights without a reading; `monthly` are gaps, and the first of a month as a gap
    of no length, of meters that keep one register a month."""

    gaps: tuple[Gap, ...]
    midnights: tuple[tuple[str, int], ...]
    monthly: tuple[Gap, ...] = ()


def questions(missing: Missing, tries: Mapping[tuple[str, int], int], zone: ZoneInfo) -> list[Question]:
    """What to ask now; `tries` says how often each midnight, and each gap by its end, has been asked for."""
    found = [
        Question(meter_id, "daily", at)
        for meter_id, at in missing.midnights
        if tries.get((meter_id, at), 0) < TRIES_MAX
    ]
    found += [
        Question(gap.meter_id, "month", gap.from_at, until=gap.to_at)
        for gap in missing.monthly
        if tries.get(gap.end, 0) < TRIES_MAX
    ]
    asked: dict[str, int] = {}
    for gap in missing.gaps:
        done = tries.get(gap.end, 0)
        if done >= TRIES_MAX:
            continue
        wanted = _loads(gap) if done % 2 == 0 else _hours(gap, zone)
        for one in wanted:
            asked[gap.meter_id] = asked.get(gap.meter_id, 0) + 1
            if asked[gap.meter_id] > QUESTIONS_MAX:
                break
            found.append(one)
    return found


def _loads(gap: Gap) -> Iterator[Question]:
    """Load records from the first full quarter in the gap on, six at a time."""
    at = gap.from_at - gap.from_at % RECORD_S + RECORD_S
    while at < gap.to_at:
        left = (gap.to_at - at + RECORD_S - 1) // RECORD_S
        yield Question(gap.meter_id, "load", at, min(RECORDS, left))
        at += RECORDS * RECORD_S


def _hours(gap: Gap, zone: ZoneInfo) -> Iterator[Question]:
    """The full hours of the local clock within the gap."""
    local = datetime.fromtimestamp(gap.from_at, zone)
    past_s = local.minute * 60 + local.second
    at = gap.from_at - past_s + HOUR_S
    while at < gap.to_at:
        yield Question(gap.meter_id, "hourly", at)
        at += HOUR_S


def midnights(now_s: int, zone: ZoneInfo, days: int = DAYS) -> list[int]:
    """The latest local midnights, newest first."""
    today = datetime.fromtimestamp(now_s, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return [int(_midnight(today - timedelta(days=back), zone).timestamp()) for back in range(days)]


def is_first_of_month(at: int, zone: ZoneInfo) -> bool:
    """Whether an instant lies on the first day of a local month."""
    return datetime.fromtimestamp(at, zone).day == 1


def _midnight(day: datetime, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def longest_s(cycle_s: int) -> int:
    """Readings further apart than this have a gap between them."""
    return cycle_s * 3 // 2
