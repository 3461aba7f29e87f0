"""Rows as columns: the C reader, the binary copy and the driver's tuples say the same of every kind of value."""

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import BigInteger, Column, Connection, Engine, MetaData, Table, Text, select

from server.domain.line_words import OFFSETS, WIDTH
from server.errors import StorageUnavailable
from server.store._copy import CopyRows
from server.store._links import number_texts, take_by_pair
from server.store._rows import ABSENT, Rows
from server.store._sqlite import SqliteRows
from server.store.engine import begin_writing, reader
from server.store.rows import all_rows
from server.store.sqlite_library import functions
from server.store.verification_windows import Journal, _in_order
from server.store.writer import Writer
from tests.server.books import HOUR, charge, read, reading, top_up
from tests.server.estates import ESTATE, plant

PROBE = Table(
    "probe", MetaData(), Column("number", BigInteger), Column("name", Text), Column("rates", Text),
    Column("at", BigInteger),
)  # fmt: skip
VALUES = [
    (1, "a", "1,2,3,4", 10),
    (-(2**63) + 1, "plum 梅", None, 2**63 - 1),
    (None, None, "0,0,0,9999999999", 0),
    (7, "a", "01,2,3,4", -1),
    (8, "", "1,2,3", None),
    (9, "x" * 3000, "1,2,3,4,", 5),
    (10, "b", "", 5),
    (11, "plum 梅", "1,2,3,10000000000", 5),
]
NUMBERS = [0, 1, -1, 0, 2, 3, 4, 1]
ODD = [0, 0, 0, 1, 1, 1, 1, 1]


@pytest.fixture
def probed(engine: Engine) -> Engine:
    """A table of strange rows."""
    with begin_writing(engine) as connection, connection.begin():
        connection.exec_driver_sql("CREATE TABLE probe (number BIGINT, name TEXT, rates TEXT, at BIGINT)")
        for row in VALUES:
            connection.execute(PROBE.insert().values(row))
    return engine


def taken(connection: Connection, expected: int = 100) -> tuple[np.ndarray, list[bytes]]:
    """The probe's rows as words, and the names among them."""
    rows = Rows("qtrq")
    order = PROBE.c.at.is_(None), PROBE.c.number.is_(None), PROBE.c.number
    words = all_rows(connection, select(PROBE).order_by(*order), rows, expected)
    return words, rows.names(1)


def test_every_way_to_read_says_the_same(probed: Engine) -> None:
    with reader(probed) as connection:
        words, names = taken(connection)
        small = [taken(connection, expected)[0] for expected in (0, 1, 7, 8)]
    with begin_writing(probed) as connection, connection.begin():
        inside, inside_names = taken(connection)
        connection.execute(PROBE.insert().values(number=12, name="c"))
        assert taken(connection)[1] == [*names, b"c"]
        with reader(probed) as other:
            assert taken(other)[1] == names
    assert all((words == other).all() for other in (*small, inside))
    assert names == inside_names
    by_number = {int(number): column for column, number in enumerate(words[0])}
    for (number, name, rates, at), odd in zip(VALUES, ODD, strict=True):
        column = words[:, by_number[ABSENT if number is None else number]]
        assert names[column[1]].decode() == name if name is not None else column[1] == -1
        parts = [int(part) for part in rates.split(",")] if rates and not odd else [ABSENT] * 4
        assert column[2:6].tolist() == parts
        assert column[6] == (ABSENT if at is None else at)
        assert column[7] == odd


def test_thousands_of_names_keep_their_numbers() -> None:
    rows = Rows("t")
    names = [f"name {number % 5000}" for number in range(20_000)]
    words = np.empty((2, len(names)), np.int64)
    assert rows.fill([(name,) for name in names], words) == len(names)
    assert [rows.names(0)[number].decode() for number in words[0, :6000]] == names[:6000]
    assert rows.names(0, 4999) == [b"name 4999"]


def test_rows_share_the_texts_of_other_rows() -> None:
    rows = Rows("qt")
    other, words = Rows("tt", rows, 1), np.empty((3, 3), np.int64)
    rows.fill([(1, "a"), (2, "b")], words)
    other.fill([("b", "x"), ("c", "b"), (None, "x")], words)
    assert words[:, :].tolist() == [[1, 2, -1], [0, 1, 0], [0, 0, 0]]
    assert (rows.names(1), other.names(0), other.names(1)) == ([b"a", b"b", b"c"], [b"a", b"b", b"c"], [b"x", b"b"])
    del rows
    assert other.names(0, 2) == [b"c"]
    with pytest.raises(IndexError):
        Rows("t", other, 2)


def test_what_belongs_to_a_pair_is_found_among_thousands() -> None:
    random = np.random.default_rng(645)
    known = np.ascontiguousarray(np.unique(random.integers(-3, 60, (2, 4000)), axis=1))
    random.shuffle(known, axis=1)
    values = random.integers(0, 10**9, known.shape[1])
    wanted = dict(zip(zip(*known.tolist(), strict=True), values.tolist(), strict=True))
    asked = random.integers(-3, 70, (2, 9000))
    out = np.full(9000, ABSENT, np.int64)
    take_by_pair(*asked, out, *known, values)
    assert out.tolist() == [wanted.get(pair, ABSENT) for pair in zip(*asked.tolist(), strict=True)]
    nothing = np.zeros(0, np.int64)
    take_by_pair(*asked, out, nothing, nothing, nothing)
    with pytest.raises(ValueError, match="different lengths"):
        take_by_pair(*asked, out, *known, values[1:])


def test_texts_get_the_numbers_of_other_rows() -> None:
    rows, lane, words = Rows("tt"), Rows("qt"), np.empty((3, 3), np.int64)
    rows.fill([("a", "b"), ("a", "c"), ("a", "d")], words)
    lane.fill([(1, "d"), (2, "x"), (3, "b")], words)
    numbers = np.empty(2, np.int64)
    number_texts(rows, 1, lane, 1, numbers)
    assert (numbers.tolist(), rows.names(1)) == ([3, 0], [b"b", b"c", b"d", b"x"])
    for column, out in ((2, numbers), (1, np.empty(4, np.int64))):
        with pytest.raises(IndexError):
            number_texts(rows, column, lane, 1, out)


def test_texts_that_do_not_repeat_lie_one_behind_the_other() -> None:
    rows, words = Rows("bqb"), np.empty((6, 3), np.int64)
    rows.fill([("plum 梅", 1, ""), ("x" * 900, None, None), (5, 2, "plum")], words)
    blob, texts = rows.blob(), []
    for start, size in (words[:2, 0], words[:2, 1], words[3:5, 0], words[3:5, 2]):
        texts.append(blob[start : start + size].decode())
    assert texts == ["plum 梅", "x" * 900, "", "plum"]
    assert {*words[:2, 2], *words[3:5, 1]} == {ABSENT}
    assert words[5].tolist() == [0, 0, 1]


COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)


class Peer:
    """Stands for libpq: gives these messages one after another, and counts those that were given back."""

    def __init__(self, *messages: bytes) -> None:
        self.freed = 0
        self._left = list(messages)
        self._held: list[Any] = []
        get = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_int)(self._get)
        free = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._free)
        self._held += [get, free]
        self.functions = tuple(ctypes.cast(one, ctypes.c_void_p).value or 0 for one in (get, free))

    def _get(self, _connection: int, message: Any, _asynchronous: int) -> int:
        if not self._left:
            return -1
        data = self._left.pop(0)
        self._held.append(ctypes.create_string_buffer(data, len(data)))
        message[0] = ctypes.addressof(self._held[-1])
        return len(data)

    def _free(self, _message: int) -> None:
        self.freed += 1


def received(*messages: bytes, room: int = 1) -> tuple[np.ndarray, CopyRows, Peer]:
    source, peer, words = CopyRows(Rows("q")), Peer(*messages), np.zeros((2, room), np.int64)
    count = source.receive(1, peer.functions, words)
    return words[:, :count], source, peer


def test_rows_of_a_copy_come_in_any_number_of_messages() -> None:
    rows = [b"\0\1\0\0\0\10" + number.to_bytes(8, "big") for number in (1, 2, 3)]
    for messages in ((COPY_HEAD + rows[0], *rows[1:], b"\xff\xff"), (COPY_HEAD + b"".join(rows) + b"\xff\xff",)):
        words, source, peer = received(*messages, room=9)
        assert (words[0].tolist(), source.done, peer.freed) == ([1, 2, 3], True, len(messages))
    words, source, peer = received(COPY_HEAD + rows[0], rows[1])
    assert (words[0].tolist(), source.done, peer.freed) == ([1], False, 1)
    assert received(COPY_HEAD + b"\xff\xff")[0].size == 0


def test_what_is_no_such_row_is_refused(tmp_path: Path, sqlite_engine: Engine) -> None:
    with pytest.raises(ValueError, match="no binary copy"):
        received(b"x" * 30)
    row = b"\0\1\0\0\0\10" + bytes(8)
    for body in (b"\0\2", b"\0\1\0\0\0\4abcd", b"\0\1\0\0\0\10abc", b"\0\1\0", row + row):
        with pytest.raises(ValueError, match="other columns"):
            received(COPY_HEAD + body)
    with pytest.raises(ValueError, match="2 words"):
        CopyRows(Rows("q")).receive(1, (1, 1), np.empty((3, 1), np.int64))
    with pytest.raises(ValueError, match="2 words"):
        Rows("q").fill([(1,)], np.empty((3, 1), np.int64))
    with pytest.raises(OSError, match="unable to open"):
        SqliteRows(Rows("q"), functions(), str(tmp_path / "absent.db").encode(), b"SELECT 1")
    with pytest.raises(OSError, match="no such table"), sqlite_engine.connect():
        SqliteRows(Rows("q"), functions(), str(sqlite_engine.url.database).encode(), b"SELECT 1 FROM absent")
    with reader(sqlite_engine) as connection, pytest.raises(StorageUnavailable, match="cannot be read"):
        all_rows(connection, select(PROBE), Rows("qtrq"), 1)


def test_windows_are_whole_batches_in_order(engine: Engine, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(writer, 7)
    top_up(writer, 3, 100, "again")  # names that other windows have seen before
    with reader(engine) as connection:
        [whole] = Journal(connection, ESTATE).windows()
    seqs, of_lines = [batch.header[0] for batch in whole.batches], whole.lines["batch_seq"].tolist()
    assert seqs == list(range(1, 10))
    [rules] = set(seqs) - set(of_lines)  # what people agreed to is sealed without lines
    assert of_lines == [seq for seq in seqs if seq != rules for _ in range(2)]
    for headers, lines in ((1000, 1000), (3, 1000), (1000, 4), (1, 1)):
        monkeypatch.setattr("server.store.verification_windows.HEADERS_AT_ONCE", headers)
        monkeypatch.setattr("server.store.verification_windows.LINES_AT_ONCE", lines)
        with reader(engine) as connection:
            windows = list(Journal(connection, ESTATE).windows())
        assert [batch.header[0] for window in windows for batch in window.batches] == seqs
        for window in windows:
            own = {batch.header[0] for batch in window.batches}
            assert window.lines["batch_seq"].tolist() == [seq for seq in of_lines if seq in own]
        lines = [window.lines.line(row) for window in windows for row in range(len(window.lines))]
        assert lines == [whole.lines.line(row) for row in range(len(whole.lines))]
        canonical = np.concatenate([window.lines.canonical() for window in windows])
        assert (canonical == whole.lines.canonical()).all()
        with reader(engine) as connection:
            windows = list(Journal(connection, ESTATE).windows(after=2, batches_max=3))
        assert [batch.header[0] for window in windows for batch in window.batches] == [3, 4, 5]


@pytest.mark.parametrize("backend", [pytest.param("postgres", marks=pytest.mark.postgres)])
def test_every_lane_sees_what_its_caller_sees(
    engine: Engine, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """A reading that is taken back while the journal is read still counts for it."""
    plant(writer)
    for hour in (1, 2, 3):
        read(writer, reading(1, hour * HOUR, 1_000_000 + 1000 * hour))
        charge(writer, hour * HOUR)
    monkeypatch.setattr("server.store.verification_windows.LINES_AT_ONCE", 1)
    with reader(engine) as connection:
        connection.exec_driver_sql("SELECT 1")
        writer.run(lambda unit: unit.connection.exec_driver_sql("UPDATE reading SET verdict = 'held'") and None)
        windows = Journal(connection, ESTATE).windows()
        read_wh = [window.lines.read_wh(row) for window in windows for row in range(len(window.lines))]
    assert [wh for wh in read_wh if wh is not None] == [1_001_000, 1_002_000, 1_003_000]


def test_lines_come_in_order_however_they_lie() -> None:
    words = np.zeros((WIDTH, 4), np.int64)
    words[OFFSETS["batch_seq"]], words[OFFSETS["line_no"]] = (2, 1, 2, 1), (1, 2, 2, 1)
    ordered = _in_order(words)
    assert list(zip(ordered[OFFSETS["batch_seq"]], ordered[OFFSETS["line_no"]], strict=True)) == [
        (1, 1), (1, 2), (2, 1), (2, 2),
    ]  # fmt: skip
    assert _in_order(ordered) is ordered
