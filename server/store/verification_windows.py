"""The journal in windows: runs of whole batches, each with its seal and payment, and their lines as words.

The next windows are read by lanes while one is checked, each lane in a thread of its own through a connection of its
own; LANES + 1 windows are in memory at a time. A journal of one window, and one that a transaction is writing, is read
by the caller's thread.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Column, Connection, MetaData, Select, Table, and_, func, select, true

from server.domain.ledger import LINE_FIELDS, Link
from server.domain.line_words import COLUMNS, KINDS, NAMES, OFFSETS, LineWords, Names, Words, hash_of_lines
from server.store._rows import Rows
from server.store.columns import Int64
from server.store.engine import BEGIN_OPTION, same_state
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
LANES = 2  # what is checked by one thread is read by two; more would wait for it


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

    `ends` are the first and the last end of a charge among them, for PostgreSQL, which would look at all readings; it
    gives the lines in any order, since they lie in theirs and sorting them would cost as much as reading them.
    """
    at_end = and_(
        true() if ends is None else reading.c.read_at.between(*ends),
        reading.c.estate_id == line.c.estate_id,
        reading.c.read_at == line.c.event_to,
        reading.c.meter_id == line.c.meter_id,
        reading.c.verdict.in_(ACCEPTED),
    )
    query = (
        select(line.c.batch_seq, *(line.c[name] for name in LINE_FIELDS), reading.c.total_wh)
        .select_from(line)
        .outerjoin(reading, at_end)
        .where(line.c.estate_id == estate_id, line.c.batch_seq > after, line.c.batch_seq <= last)
    )
    return query if ends is not None else query.order_by(line.c.batch_seq, line.c.line_no)


def file_lines_query(after: int, last: int) -> "Select[Any]":
    """The same of an archive (`server.store.archive_file`), which has the registers beside its lines."""
    own = file_line.c
    query = select(*(own[name] for name in COLUMNS)).where(own.batch_seq > after, own.batch_seq <= last)
    return query.order_by(own.batch_seq, own.line_no)


class _Run(NamedTuple):
    """The batches of a window, between which numbers its lines lie, and about how many they are."""

    batches: Sequence[Batch]
    after: int
    last: int
    lines: int


class _Lane:
    """Reads the lines of one window after another."""

    def __init__(self, connection: Connection, estate_id: str, names: dict[str, Names], file: Path | None) -> None:
        self._connection, self._estate_id, self._names, self._file = connection, estate_id, names, file
        self._rows = Rows(KINDS)
        self._numbers = {name: np.full(1, -1, np.int64) for name in NAMES}  # the last one is that of no name

    def read(self, run: _Run) -> Words:
        """The lines of a run, whose names have the numbers of this lane."""
        if self._file is not None:
            return file_rows(self._file, file_lines_query(run.after, run.last), self._rows, run.lines)
        ends = self._ends(run) if self._connection.dialect.name == "postgresql" else None
        query = lines_query(self._estate_id, run.after, run.last, ends)
        return _in_order(all_rows(self._connection, query, self._rows, run.lines))

    def _ends(self, run: _Run) -> tuple[int, int] | None:
        """Between which instants charges end: PostgreSQL joins readings by the month, SQLite each by its key."""
        own = line.c.event_to
        query = select(func.min(own), func.max(own)).where(
            line.c.estate_id == self._estate_id, line.c.batch_seq > run.after, line.c.batch_seq <= run.last
        )
        first, newest = self._connection.execute(query).one()
        return None if first is None else (first, newest)

    def named(self, words: Words) -> LineWords:
        """The same lines with the journal's numbers; nothing may be read meanwhile."""
        for name, own in self._names.items():
            known = self._numbers[name]
            fresh = own.numbers(self._rows.names(COLUMNS.index(name), len(known) - 1))
            self._numbers[name] = known = np.concatenate([known[:-1], fresh, known[-1:]])
            column = words[OFFSETS[name]]
            column[:] = known[column]
        return LineWords(words, self._names)


def _in_order(words: Words) -> Words:
    """Lines by batch and number; PostgreSQL gives them as they lie, which is nearly always so."""
    batches, numbers = words[OFFSETS["batch_seq"]], words[OFFSETS["line_no"]]
    later = (batches[1:] > batches[:-1]) | ((batches[1:] == batches[:-1]) & (numbers[1:] > numbers[:-1]))
    return words if later.all() else np.ascontiguousarray(words[:, np.lexsort((numbers, batches))])


class Journal:
    """Reads an estate's journal window by window."""

    def __init__(self, connection: Connection, estate_id: str) -> None:
        self._connection, self._estate_id = connection, estate_id
        self.names = {name: Names() for name in NAMES}

    def windows(
        self, *, after: int = 0, until: int = BATCHES_MAX, batches_max: int = BATCHES_MAX, file: Path | None = None
    ) -> Iterator[Window]:
        """From the batch after number `after` up to `until`; lines are those of an archive if there is a `file`."""
        runs = self._runs(after, until, batches_max)
        first = list(islice(runs, 2))
        if len(first) < 2 or BEGIN_OPTION in self._connection.get_execution_options():
            lane = _Lane(self._connection, self._estate_id, self.names, file)
            for run in chain(first, runs):
                yield Window(run.batches, lane.named(lane.read(run)))
        else:
            with self._lanes(file) as lanes:
                yield from _ahead(chain(first, runs), lanes)

    @contextmanager
    def _lanes(self, file: Path | None) -> Iterator[list[_Lane]]:
        """Lanes that all see what this connection sees."""
        with ExitStack() as stack:
            connections = [self._connection] * LANES
            if file is None:
                connections = [stack.enter_context(same_state(one)) for one in connections]
            yield [_Lane(connection, self._estate_id, self.names, file) for connection in connections]

    def _runs(self, after: int, until: int, left: int) -> Iterator[_Run]:
        while left > 0 and (found := self._batches(after, until, min(left, HEADERS_AT_ONCE))):
            while found:
                count, lines = 0, 0
                while count < len(found) and (count == 0 or lines + found[count].header[6] <= LINES_AT_ONCE):
                    lines += max(0, found[count].header[6])
                    count += 1
                last = found[count - 1].header[0]
                yield _Run(found[:count], after, last, min(lines, LINES_AT_ONCE))
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


def _ahead(runs: Iterator[_Run], lanes: Sequence[_Lane]) -> Iterator[Window]:
    """The windows of runs in their order, read ahead by the lanes in turns."""
    waiting: deque[tuple[_Run, _Lane, Future[Words]]] = deque()
    with ThreadPoolExecutor(len(lanes), "estate645-journal") as pool:
        for number, run in enumerate(runs):
            lane, window = lanes[number % len(lanes)], None
            if len(waiting) == len(lanes):
                window = _arrived(*waiting.popleft())
            waiting.append((run, lane, pool.submit(lane.read, run)))
            if window is not None:
                yield window
        while waiting:
            yield _arrived(*waiting.popleft())


def _arrived(run: _Run, lane: _Lane, words: "Future[Words]") -> Window:
    return Window(run.batches, lane.named(words.result()))


def line_hashes(rows: Sequence[tuple[Any, ...]]) -> dict[int, str]:
    """The hash of the lines of each batch, form 2; rows are batch number and LINE_FIELDS, in order."""
    kinds, names = Rows(KINDS), {name: Names() for name in NAMES}
    words = np.empty((kinds.width, len(rows)), np.int64)
    kinds.fill([(*row, None) for row in rows], words)
    for name, own in names.items():
        own.numbers(kinds.names(COLUMNS.index(name)))
    lines = LineWords(words, names)
    canonical, numbers = lines.canonical(), lines["batch_seq"]
    return {
        int(seq): hash_of_lines(
            canonical[np.searchsorted(numbers, seq, "left") : np.searchsorted(numbers, seq, "right")]
        )
        for seq in np.unique(numbers)
    }
