"""The journal in windows: runs of whole batches, each with its seal and payment, and their lines as words.

A window is read in a thread of its own while the one before is checked; two are in memory at a time.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Column, Connection, MetaData, Select, Table, and_, func, select, true

from server.domain.ledger import LINE_FIELDS, Link
from server.domain.line_words import COLUMNS, KINDS, NAMES, LineWords, Names, hash_of_lines
from server.store._rows import Rows
from server.store.columns import Int64
from server.store.ledger import BATCH_HEADER
from server.store.readings import ACCEPTED
from server.store.rows import all_rows, file_rows
from server.store.schema import batch, line, reading, seal

file_line = Table(
    "line", MetaData(), *(Column(name, line.c[name].type if name in line.c else Int64) for name in COLUMNS)
)
HEADERS_AT_ONCE = 8_192
LINES_AT_ONCE = 65_536
BATCHES_MAX = 2**62  # as good as all


class Batch(NamedTuple):
    """A batch header in the order of BATCH_HEADER, and its seal if it has one."""

    header: tuple[Any, ...]
    link: Link | None


class Window(NamedTuple):
    """Consecutive batches and all lines that lie between the window before and their last."""

    batches: Sequence[Batch]
    lines: LineWords


def lines_query(
    estate_id: str, after: int, last: int, ends: tuple[int, int] | None = None
) -> "Select[Any]":  # fmt: skip
    """The lines of a run of batches with the accepted register at the end of each, in the columns of `line_words`.

    `ends` are the first and the last end of a charge among them, for a database that would look at all readings.
    """
    at_end = and_(
        true() if ends is None else reading.c.read_at.between(*ends),
        reading.c.estate_id == line.c.estate_id,
        reading.c.read_at == line.c.event_to,
        reading.c.meter_id == line.c.meter_id,
        reading.c.verdict.in_(ACCEPTED),
    )
    return (
        select(line.c.batch_seq, *(line.c[name] for name in LINE_FIELDS), reading.c.total_wh)
        .select_from(line)
        .outerjoin(reading, at_end)
        .where(line.c.estate_id == estate_id, line.c.batch_seq > after, line.c.batch_seq <= last)
        .order_by(line.c.batch_seq, line.c.line_no)
    )


def file_lines_query(after: int, last: int) -> "Select[Any]":
    """The same of an archive (`server.store.archive_file`), which has the registers beside its lines."""
    own = file_line.c
    query = select(*(own[name] for name in COLUMNS)).where(own.batch_seq > after, own.batch_seq <= last)
    return query.order_by(own.batch_seq, own.line_no)


class Journal:
    """Reads an estate's journal window by window."""

    def __init__(self, connection: Connection, estate_id: str) -> None:
        self._connection, self._estate_id = connection, estate_id
        self._rows = Rows(KINDS)
        self.names = {name: Names() for name in NAMES}

    def windows(
        self, *, after: int = 0, until: int = BATCHES_MAX, batches_max: int = BATCHES_MAX, file: Path | None = None
    ) -> Iterator[Window]:
        """From the batch after number `after` up to `until`; lines are those of an archive if there is a `file`."""
        with ThreadPoolExecutor(1, "estate645-journal") as ahead:
            iterator = self._windows(after, until, batches_max, file)
            coming: Future[Window | None] = ahead.submit(next, iterator, None)
            while (window := coming.result()) is not None:
                lines = self._named(window.lines)
                coming = ahead.submit(next, iterator, None)
                yield Window(window.batches, lines)

    def _named(self, lines: LineWords) -> LineWords:
        for name, own in self.names.items():
            own.extend(self._rows.names(COLUMNS.index(name), len(own.texts)))
        return lines

    def _windows(self, after: int, until: int, left: int, file: Path | None) -> Iterator[Window]:
        while left > 0 and (found := self._batches(after, until, min(left, HEADERS_AT_ONCE))):
            while found:
                count, lines = 0, 0
                while count < len(found) and (count == 0 or lines + found[count].header[6] <= LINES_AT_ONCE):
                    lines += max(0, found[count].header[6])
                    count += 1
                last = found[count - 1].header[0]
                yield Window(found[:count], self._lines(after, last, min(lines, LINES_AT_ONCE), file))
                found, after, left = found[count:], last, left - count

    def _batches(self, after: int, until: int, limit: int) -> list[Batch]:
        columns = [batch.c[name] for name in BATCH_HEADER]
        links = (seal.c.lines_sha256, seal.c.previous_hash, seal.c.hash, seal.c.sealed_ms, seal.c.form)
        joined = and_(seal.c.estate_id == batch.c.estate_id, seal.c.batch_seq == batch.c.batch_seq)
        query = (
            select(*columns, *links)
            .outerjoin(seal, joined)
            .where(batch.c.estate_id == self._estate_id, batch.c.batch_seq > after, batch.c.batch_seq <= until)
            .order_by(batch.c.batch_seq)
            .limit(limit)
        )
        width = len(columns)
        return [
            Batch(tuple(row[:width]), None if row[width] is None else Link(row[0], *row[width:]))
            for row in self._connection.execute(query)
        ]

    def _ends(self, after: int, last: int) -> tuple[int, int] | None:
        """On PostgreSQL, between which instants charges end: it joins readings by the month, SQLite each by its key."""
        if self._connection.dialect.name != "postgresql":
            return None
        own = line.c.event_to
        query = select(func.min(own), func.max(own)).where(
            line.c.estate_id == self._estate_id, line.c.batch_seq > after, line.c.batch_seq <= last
        )
        first, newest = self._connection.execute(query).one()
        return None if first is None else (first, newest)

    def _lines(self, after: int, last: int, expected: int, file: Path | None) -> LineWords:
        if file is not None:
            return LineWords(file_rows(file, file_lines_query(after, last), self._rows, expected), self.names)
        query = lines_query(self._estate_id, after, last, self._ends(after, last))
        return LineWords(all_rows(self._connection, query, self._rows, expected), self.names)


def line_hashes(rows: Sequence[tuple[Any, ...]]) -> dict[int, str]:
    """The hash of the lines of each batch, form 2; rows are batch number and LINE_FIELDS, in order."""
    kinds, names = Rows(KINDS), {name: Names() for name in NAMES}
    words = np.empty((kinds.width, len(rows)), np.int64)
    kinds.fill([(*row, None) for row in rows], words)
    for name, own in names.items():
        own.extend(kinds.names(COLUMNS.index(name)))
    lines = LineWords(words, names)
    canonical, numbers = lines.canonical(), lines["batch_seq"]
    return {
        int(seq): hash_of_lines(
            canonical[np.searchsorted(numbers, seq, "left") : np.searchsorted(numbers, seq, "right")]
        )
        for seq in np.unique(numbers)
    }
