"""Readings of one month as a file: an SQLite database of form 1, to be read by any program that knows SQLite.

Table `about` says what it is (form, estate, month, count, hash of the rows, signature), table `reading` has the rows
as the database had them, but for the estate.
"""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from server.domain.reading_archive import AboutReadings
from server.domain.verification import RatesBeside
from server.errors import ConfigError
from server.store.file_tables import fill, kind_of, make, opened, uri_of, written
from server.store.readings import ACCEPTED
from server.store.schema import reading

FORM = 1
SUFFIX = ".readings"
COLUMNS = tuple(name for name in reading.c.keys() if name != "estate_id")  # noqa: SIM118
KEY = ("read_at", "meter_id")
_NUMBERS = frozenset(("from_at", "to_at", "readings", "created_ms"))
_KEPT = tuple(field.name for field in fields(AboutReadings))


def write_rows(path: Path, portions: Iterable[list[tuple[Any, ...]]]) -> tuple[int, str]:
    """Put rows (COLUMNS, ordered by KEY) into the empty file; their number and the hash of them all."""
    with written(path) as file:
        make(file, "reading", {name: kind_of(reading, name) for name in COLUMNS}, ", ".join(KEY))

        def passing() -> Iterator[list[tuple[Any, ...]]]:
            for rows in portions:
                fill(file, "reading", rows)
                yield rows

        return hash_of(passing())


def hash_of(portions: Iterable[list[tuple[Any, ...]]]) -> tuple[int, str]:
    """The number of rows, and their hash: SHA-256 of each as Python's `repr` with a newline."""
    digest, count = sha256(), 0
    for rows in portions:
        digest.update("".join(f"{row!r}\n" for row in rows).encode())
        count += len(rows)
    return count, digest.hexdigest()


def write_about(path: Path, about: AboutReadings) -> None:
    """Put in what the file is; the last that is written."""
    with written(path) as file:
        make(file, "about", {"name": "TEXT", "value": "TEXT"}, "name")
        fill(file, "about", [("form", str(FORM)), *((name, str(getattr(about, name))) for name in _KEPT)])


def about_of(path: Path) -> AboutReadings:
    """What a file says of itself; ConfigError for what is no file of readings."""
    with opened(path) as file:
        texts = dict(file.execute("SELECT name, value FROM about").fetchall())
    if texts.pop("form", None) != str(FORM) or set(texts) != set(_KEPT):
        raise ConfigError(f"{path} holds no readings in form {FORM}; use the release that wrote it")
    try:
        values: dict[str, Any] = {name: int(text) if name in _NUMBERS else text for name, text in texts.items()}
        return AboutReadings(**values)
    except ValueError as error:
        raise ConfigError(f"{path} was changed: {error}") from error


def rows_after(path: Path, after: tuple[int, str], limit: int) -> list[tuple[Any, ...]]:
    """The next rows in the order of KEY."""
    with opened(path) as file:
        found = file.execute(
            f"SELECT {', '.join(COLUMNS)} FROM reading WHERE (read_at, meter_id) > (?, ?) "  # noqa: S608
            "ORDER BY read_at, meter_id LIMIT ?",
            (*after, limit),
        )
        return [tuple(row) for row in found.fetchall()]


def registers_besides(path: Path, journal: Path, from_at: int, to_at: int) -> list[tuple[int, int, str, int, int, Any]]:
    """Lines of an archive of the journal whose register is not the accepted one of this file.

    As (batch, line, meter, instant, register of the line, register here or None).
    """
    marks = ", ".join("?" * len(ACCEPTED))
    with opened(journal) as file:
        file.execute("ATTACH DATABASE ? AS other", (uri_of(path),))
        found = file.execute(
            "SELECT line.batch_seq, line.line_no, line.meter_id, line.event_to, line.read_wh, own.total_wh FROM line "  # noqa: S608
            "LEFT JOIN other.reading AS own ON own.read_at = line.event_to AND own.meter_id = line.meter_id "
            f"AND own.verdict IN ({marks}) WHERE line.event_to >= ? AND line.event_to < ? "
            "AND line.meter_id IS NOT NULL AND line.read_wh IS NOT NULL AND line.read_wh IS NOT own.total_wh "
            "ORDER BY line.batch_seq, line.line_no",
            (*ACCEPTED, from_at, to_at),
        )
        return [tuple(row) for row in found.fetchall()]


def rates_besides(path: Path, journal: Path) -> list[RatesBeside]:
    """Lines of an archive of the journal that end beside the rate registers of this file; mirrors of charges too."""
    marks = ", ".join("?" * len(ACCEPTED))
    read = " || ',' || ".join(f"own.rate{number}_wh" for number in range(1, 5))
    with opened(journal) as file:
        file.execute("ATTACH DATABASE ? AS other", (uri_of(path),))
        found = file.execute(
            f"SELECT line.meter_id, line.batch_seq, line.line_no, line.to_rates_wh, {read} FROM line "  # noqa: S608
            "CROSS JOIN other.reading AS own ON own.read_at = line.event_to AND own.meter_id = line.meter_id "
            f"WHERE own.verdict IN ({marks}) AND line.to_rates_wh IS NOT NULL AND line.to_rates_wh <> {read} "
            "ORDER BY line.batch_seq, line.line_no",
            ACCEPTED,
        )
        return [RatesBeside(*row) for row in found.fetchall()]
