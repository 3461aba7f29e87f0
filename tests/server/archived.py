"""An estate of some months for the tests of archives, and the steps of archiving as the command takes them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from server.admin.archiving import archive_step
from server.clock import Clock, Now
from server.domain.archive import Act, ArchiveFile
from server.domain.verification import VerifyReport
from server.flows import settlement
from server.flows.archive import file_hash, is_next_to_restore, missing_batches, write_archive
from server.flows.ledger import seal_batches
from server.flows.verification import verify
from server.store.engine import reader
from server.store.writer import Writer
from tests.server.books import HOUR, charge, post_topup, read, reading
from tests.server.estates import ESTATE, START_S, account_id, at, household, plant

DAY = 24 * HOUR
NOVEMBER, DECEMBER, JANUARY = 1_793_462_400, 1_796_054_400, 1_798_732_800  # the local months begin, epoch seconds
NOW = at(170 * DAY)


class Today(Clock):
    """A clock that stands at NOW."""

    def __init__(self) -> None:
        """Take no anchor."""

    def now(self) -> Now:
        """Always the same."""
        return NOW


def live(writer: Writer, first: int = 0, last: int = 110) -> None:
    """Three households, one priced by rates, every ten days: read, charged, one pays; all sealed in the end."""
    if not first:
        plant(
            writer,
            [household(1), household(2), household(3, tariff_id="tou", start_rates_wh=(1000, 2000, 3000, 4000))],
        )
    for day in range(first + 10, last + 1, 10):
        rates = (1000 + 40 * day, 2000 + 30 * day, 3000 + 20 * day, 4000 + 10 * day)
        read(
            writer,
            reading(1, day * DAY, 1_000_000 + 1900 * day),
            reading(2, day * DAY, 1_000_000 + 10 * day),
            reading(3, day * DAY, 1_000_000 + 100 * day, rates),
        )
        charge(writer, day * DAY)
        pay(writer, day)
    writer.run(lambda unit: seal_batches(unit, ESTATE, at(last * DAY)))


def pay(writer: Writer, day: int) -> None:
    """One household pays its day's amount."""
    writer.run(
        lambda unit: post_topup(
            unit, ESTATE, account_id(day // 10 % 3 + 1), 10 * day, provider="cash", idem_key=f"key-{day}",
            event_at=START_S + day * DAY, actor="test", now=at(day * DAY),
        )
    )  # fmt: skip


def close(writer: Writer, engine: Engine, month: str, day: str) -> None:
    """Close a month and its last day, each the first of its kind or next in order."""
    for kind, period in (("month", month), ("day", day)):
        with reader(engine) as connection:
            drafted = settlement.draft(connection, ESTATE, kind, period, NOW)
        writer.run(
            lambda unit, drafted=drafted: settlement.close(
                unit, ESTATE, drafted, actor="test", override="a test", now=NOW
            )
        )


Step = Callable[..., dict[str, Any]]


def steps(writer: Writer) -> Step:
    """The steps of the command, done by this writer."""
    return lambda **message: archive_step(writer, Today(), ESTATE, message)


def write(engine: Engine, folder: Path, until_at: int) -> Path:
    """The file."""
    with reader(engine) as connection:
        return write_archive(connection, ESTATE, until_at, folder, NOW)


def archive(engine: Engine, step: Step, folder: Path, until_at: int) -> Path:
    """The whole of it, as the command does it."""
    clear(step)
    path = write(engine, folder, until_at)
    step(step="move", file=str(path))
    clear(step)
    return path


def clear(step: Step) -> None:
    """Delete until nothing is left."""
    while step(step="clear")["lines"]:
        pass


def restore(engine: Engine, step: Step, path: Path) -> Act:
    """Put an archive back, as the command does it."""
    with reader(engine) as connection:
        act = is_next_to_restore(connection, ESTATE, path, file_hash(path))
        runs = list(missing_batches(connection, ESTATE, act))
    for batches in runs:
        step(step="put_back", file=str(path), batches=batches)
    step(step="restored", file=str(path))
    return act


def checked(engine: Engine, *paths: Path) -> VerifyReport:
    """What verify finds with these files at hand."""
    with reader(engine) as connection:
        return verify(connection, ESTATE, files=[ArchiveFile(path, file_hash(path)) for path in paths])


def sound(engine: Engine, *paths: Path) -> VerifyReport:
    """The same, and nothing is wrong."""
    found = checked(engine, *paths)
    assert found.mismatches == ()
    return found
