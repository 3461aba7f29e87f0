"""The journal in windows: runs of whole batches, each with its seal and payment, and their lines as words.

The next windows are read by lanes while one is checked, each lane in a thread of its own through a connection of its
own, which also works out the hashes of seals once more; LANES + 1 windows are in memory at a time. A journal of one
window, and one that a transaction is writing, is read by the caller's thread.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    Select,
    Table,
    and_,
    func,
    null,
    select,
)

from server.domain.batch_words import HEADER, REPEATED, SEAL, BatchWords, WordRows, beside, kinds_of
from server.domain.ledger import LINE_FIELDS
from server.domain.line_words import ABSENT, COLUMNS, KINDS, NAMES, OFFSETS, LineWords, Names, Words, hash_of_lines
from server.store._links import links_right, number_texts, take_by_pair
from server.store._rows import Rows
from server.store.columns import Int64
from server.store.engine import BEGIN_OPTION, same_state
from server.store.readings import ACCEPTED, registers_query
from server.store.rows import all_rows, file_rows
from server.store.schema import batch, line, reading, seal

file_line = Table(
    "line", MetaData(), *(Column(name, line.c[name].type if name in line.c else Int64) for name in COLUMNS)
)
HEADERS_AT_ONCE = 8_192
LINES_AT_ONCE = 65_536
PLANNED_AT_ONCE = 65_536  # batches of which numbers and counts of lines are read at once, to cut them into windows
FIRST_PLANNED = 1_024  # as many as are expected of them; more cost a copy
BATCHES_MAX = 2**62  # as good as all
LANES = 3  # each waits for its rows and for the others: two left a quarter of two cores idle on PostgreSQL


class Window(NamedTuple):
    """Consecutive batches and all lines that lie between the window before and their last."""

    batches: BatchWords
    lines: LineWords


def headers_query(estate_id: str, after: int, last: int) -> "Select[Any]":
    """The headers of a run of batches in order, in the columns of `batch_words`."""
    own = batch.c.batch_seq
    query = select(*(batch.c[name] for name in HEADER)).where(batch.c.estate_id == estate_id, own > after, own <= last)
    return query.order_by(own)


def seals_query(estate_id: str, after: int, last: int) -> "Select[Any]":
    """Seals of a run of batches in any order, in the columns of `batch_words`."""
    own = seal.c.batch_seq
    return select(*(seal.c[name] for name in SEAL)).where(seal.c.estate_id == estate_id, own > after, own <= last)


def lines_query(estate_id: str, after: int, last: int) -> "Select[Any]":
    """The lines of a run of batches in any order, in the columns of `line_words`, without the registers.

    A join with the readings would cost as much as all the rest, and as a square when statistics of PostgreSQL lag.
    """
    own = (line.c.batch_seq, *(line.c[name] for name in LINE_FIELDS), null().cast(Int64))
    return select(*own).where(line.c.estate_id == estate_id, line.c.batch_seq > after, line.c.batch_seq <= last)


def joined_lines_query(estate_id: str, after: int, last: int) -> "Select[Any]":
    """Lines in order with the accepted register at the end of each charge, for a file."""
    at_end = and_(
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
    return query.order_by(line.c.batch_seq, line.c.line_no)


def file_lines_query(after: int, last: int) -> "Select[Any]":
    """The same of an archive (`server.store.archive_file`), which has the registers beside its lines."""
    own = file_line.c
    query = select(*(own[name] for name in COLUMNS)).where(own.batch_seq > after, own.batch_seq <= last)
    return query.order_by(own.batch_seq, own.line_no)


class _Run(NamedTuple):
    """The batches of a window: after which number they begin, their last one, how many they are; and their lines."""

    after: int
    last: int
    batches: int
    lines: int


class _Read(NamedTuple):
    """What a lane has read: batches, and lines whose names have the numbers of this lane."""

    batches: BatchWords
    lines: Words


class _Lane:
    """Reads one window after another; seals after that of batch `sealed` are not looked at."""

    def __init__(
        self, connection: Connection, estate_id: str, texts: "_Texts", file: Path | None, sealed: int
    ) -> None:  # fmt: skip
        self._connection, self._estate_id, self._texts, self._file = connection, estate_id, texts, file
        self._sealed = sealed
        self._rows = Rows(KINDS)
        self._readings = Rows("tqq", self._rows, COLUMNS.index("meter_id"))
        self._numbers = {name: np.full(1, -1, np.int64) for name in NAMES}  # the last one is that of no name

    def read(self, run: _Run) -> _Read:
        """The batches of a run, of which seals are right, and their lines."""
        lines = self._lines(run)
        heads, links = Rows(kinds_of(HEADER)), Rows(kinds_of(SEAL))
        words = all_rows(self._connection, headers_query(self._estate_id, run.after, run.last), heads, run.batches)
        until = min(run.last, self._sealed)
        found = all_rows(self._connection, seals_query(self._estate_id, run.after, until), links, run.batches)
        seals, strays = beside(words[0], found)
        right = np.zeros(words.shape[1], np.bool_)
        starts, ends = (np.searchsorted(lines[0], words[0], side) for side in ("left", "right"))
        links_right(links, seals, heads, words, self._rows, lines, starts, ends, right.view(np.uint8))
        names = {name: _decoded(heads.names(place)) for place, name in enumerate(HEADER) if name in REPEATED}
        batches = BatchWords(WordRows(words, heads.blob()), names, WordRows(seals, links.blob()), right, strays)
        return _Read(batches, lines)

    def _lines(self, run: _Run) -> Words:
        if self._file is not None:
            return file_rows(self._file, file_lines_query(run.after, run.last), self._rows, run.lines)
        query = lines_query(self._estate_id, run.after, run.last)
        words = all_rows(self._connection, query, self._rows, run.lines)
        self._add_registers(words)
        return _in_order(words)

    def _add_registers(self, words: Words) -> None:
        """Put the accepted register at the end of each charge behind it: read by instants, found by meters."""
        meter, at = words[OFFSETS["meter_id"]], words[OFFSETS["event_to"]]
        instants = np.unique(at[(meter >= 0) & (at != ABSENT)]).tolist()
        if instants:
            query = registers_query(self._connection, self._estate_id, instants)
            read = all_rows(self._connection, query, self._readings, words.shape[1])
            take_by_pair(meter, at, words[OFFSETS["read_wh"]], *read[:3])

    def named(self, words: Words) -> LineWords:
        """The same lines with the journal's numbers; nothing may be read meanwhile."""
        for name in NAMES:
            known = self._numbers[name]
            fresh = self._texts.numbers(name, self._rows, len(known) - 1)
            self._numbers[name] = known = np.concatenate([known[:-1], fresh, known[-1:]])
            column = words[OFFSETS[name]]
            column[:] = known[column]
        return LineWords(words, self._texts.names)


def _decoded(texts: Sequence[bytes]) -> list[str]:
    return [text.decode("utf-8", "replace") for text in texts]


class _Texts:
    """The names of a journal, and the numbers among them of what lanes have read."""

    def __init__(self) -> None:
        self.names = {name: Names() for name in NAMES}
        self._rows = Rows("t" * len(NAMES))

    def numbers(self, name: str, rows: Rows, known: int) -> Words:
        """The numbers of texts in the column `name` of `rows`, from the one after the first `known` on."""
        own, place, column = self.names[name], NAMES.index(name), COLUMNS.index(name)
        numbers = np.empty(rows.count(column) - known, np.int64)
        number_texts(self._rows, place, rows, column, numbers)
        own.extend(self._rows.names(place, len(own.texts)))
        return numbers


def _in_order(words: Words) -> Words:
    """Lines by batch and number; PostgreSQL gives them as they lie, which is nearly always so."""
    batches, numbers = words[OFFSETS["batch_seq"]], words[OFFSETS["line_no"]]
    later = (batches[1:] > batches[:-1]) | ((batches[1:] == batches[:-1]) & (numbers[1:] > numbers[:-1]))
    return words if later.all() else np.ascontiguousarray(words[:, np.lexsort((numbers, batches))])


class Journal:
    """Reads an estate's journal window by window: the batches and seals that its connection saw when it began."""

    def __init__(self, connection: Connection, estate_id: str) -> None:
        self._connection, self._estate_id = connection, estate_id
        self._texts = _Texts()

    @property
    def names(self) -> dict[str, Names]:
        """The texts behind the numbers of lines, by column."""
        return self._texts.names

    def windows(
        self, *, after: int = 0, until: int = BATCHES_MAX, batches_max: int = BATCHES_MAX, file: Path | None = None
    ) -> Iterator[Window]:
        """From the batch after number `after` up to `until`; lines are those of an archive if there is a `file`."""
        newest, sealed = (self._newest(table) for table in (batch, seal))
        runs = self._runs(after, min(until, newest), batches_max)
        first = list(islice(runs, 2))
        if len(first) < 2 or BEGIN_OPTION in self._connection.get_execution_options():
            lane = _Lane(self._connection, self._estate_id, self._texts, file, sealed)
            for run in chain(first, runs):
                yield _window(lane, lane.read(run))
        else:
            with self._lanes(file, sealed) as lanes:
                yield from _ahead(chain(first, runs), lanes)

    def _newest(self, table: Table) -> int:
        """Lanes of SQLite see what was committed since; batches and seals up to these are never changed."""
        query = select(func.max(table.c.batch_seq)).where(table.c.estate_id == self._estate_id)
        return self._connection.execute(query).scalar_one() or 0

    @contextmanager
    def _lanes(self, file: Path | None, sealed: int) -> Iterator[list[_Lane]]:
        """Lanes that all see what this connection sees."""
        with ExitStack() as stack:
            connections = [stack.enter_context(same_state(self._connection)) for _ in range(LANES)]
            yield [_Lane(connection, self._estate_id, self._texts, file, sealed) for connection in connections]

    def _runs(self, after: int, until: int, left: int) -> Iterator[_Run]:
        while left > 0:
            query = select(batch.c.batch_seq, batch.c.lines).where(
                batch.c.estate_id == self._estate_id, batch.c.batch_seq > after, batch.c.batch_seq <= until
            )
            most = min(left, PLANNED_AT_ONCE)
            found = all_rows(
                self._connection, query.order_by(batch.c.batch_seq).limit(most), Rows("qq"), min(most, FIRST_PLANNED)
            )
            yield from _runs(after, found[0], found[1])
            if found.shape[1] < most:
                return
            after, left = int(found[0, -1]), left - found.shape[1]


def _runs(after: int, numbers: Words, lines: Words) -> Iterator[_Run]:
    """Batches cut into runs of so many batches and, but for a batch that has more by itself, so many lines."""
    until = np.cumsum(np.clip(lines, 0, LINES_AT_ONCE))
    at, taken = 0, 0
    while at < len(numbers):
        fitting = int(np.searchsorted(until, taken + LINES_AT_ONCE, "right"))
        end = max(at + 1, min(fitting, at + HEADERS_AT_ONCE))
        own = int(until[end - 1])
        yield _Run(after, int(numbers[end - 1]), end - at, own - taken)
        after, at, taken = int(numbers[end - 1]), end, own


def _ahead(runs: Iterator[_Run], lanes: Sequence[_Lane]) -> Iterator[Window]:
    """The windows of runs in their order, read ahead by the lanes in turns."""
    waiting: deque[tuple[_Lane, Future[_Read]]] = deque()
    with ThreadPoolExecutor(len(lanes), "estate645-journal") as pool:
        for number, run in enumerate(runs):
            lane, window = lanes[number % len(lanes)], None
            if len(waiting) == len(lanes):
                window = _arrived(*waiting.popleft())
            waiting.append((lane, pool.submit(lane.read, run)))
            if window is not None:
                yield window
        while waiting:
            yield _arrived(*waiting.popleft())


def _arrived(lane: _Lane, read: "Future[_Read]") -> Window:
    return _window(lane, read.result())


def _window(lane: _Lane, read: _Read) -> Window:
    return Window(read.batches, lane.named(read.lines))


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
