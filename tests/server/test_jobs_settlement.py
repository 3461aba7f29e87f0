"""The job that closes days: only when nothing is in doubt, in order, and never by a clock in doubt."""

from sqlalchemy import Engine

from server.clock import Clock, Now
from server.jobs.settlement import DayClose
from server.store import settlement as kept
from server.store.engine import reader
from server.store.writer import Writer
from tests.server.books import charge, read, reading
from tests.server.estates import ESTATE, at, plant

DAY = 86_400
MIDNIGHT = DAY - (9 * 3600 + 5 * 60)


class Standing(Clock):
    def __init__(self) -> None:
        super().__init__()
        self.at = at()

    def now(self) -> Now:
        return self.at


def closed(engine: Engine) -> list[str]:
    with reader(engine) as connection:
        return [one.period for one in kept.settlements(connection, ESTATE, "day")]


def test_days_are_closed_once_every_meter_is_charged_through(sqlite_engine: Engine) -> None:
    writer, clock, sane = Writer(sqlite_engine), Standing(), [True]
    plant(writer)
    job = DayClose(sqlite_engine, writer, clock, ESTATE, clock_sane=lambda: sane[0])
    job.run_once()
    assert closed(sqlite_engine) == []  # the estate is younger than yesterday
    clock.at = at(MIDNIGHT + 600)
    job.run_once()
    assert closed(sqlite_engine) == []  # nothing was read since midnight
    read(writer, *(reading(number, MIDNIGHT + 300, 1_001_000) for number in (1, 2)))
    charge(writer, MIDNIGHT + 600)
    sane[0] = False
    job.run_once()
    assert closed(sqlite_engine) == []
    sane[0] = True
    job.run_once()
    assert closed(sqlite_engine) == ["2026-10-13"]
    clock.at = at(MIDNIGHT + 3 * DAY + 600)
    read(writer, *(reading(number, MIDNIGHT + 3 * DAY, 1_009_000) for number in (1, 2)))
    charge(writer, MIDNIGHT + 3 * DAY + 600)
    job.run_once()
    assert closed(sqlite_engine) == ["2026-10-13", "2026-10-14", "2026-10-15", "2026-10-16"]
    writer.stop()
