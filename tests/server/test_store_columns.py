"""Columns arrive in both databases as their rows would, and what fails fails as the driver's own statements do."""

import ctypes
from typing import Any

import numpy as np
import psycopg
import pysqlite3
import pytest
from sqlalchemy import BigInteger, Column, Connection, Engine, MetaData, Table, Text
from sqlalchemy.exc import IntegrityError, OperationalError

from server.domain.columns import Columns, Texts
from server.domain.line_words import ABSENT
from server.errors import StorageUnavailable
from server.store._rows import Rows
from server.store._sqlite import HANDLE, SqliteWrite
from server.store.arrays import as_parameter
from server.store.bulk import Bundle
from server.store.direct import Statement, array_text, begin_unit, keep_unit, send, undo_unit
from server.store.engine import begin_writing, open_engine
from server.store.rows import statement_rows
from tests.server.conftest import create_database, next_name

THING = Table(
    "thing", MetaData(), Column("estate", Text), Column("name", Text), Column("number", BigInteger),
    Column("seq", BigInteger), Column("note", Text),
)  # fmt: skip
NAMES = ["a", "plum 梅", "", 'quote " \\ {},NULL', "x" * 3000]
NUMBERS = [0, 2**63 - 1, -(2**63) + 1, ABSENT, 7]
REPREPARED, RUNS = 5, 6  # counters of sqlite3_stmt_status


def words(values: list[int]) -> Any:
    return np.array(values, np.int64)


@pytest.fixture
def writing(engine: Engine) -> Any:
    """A connection that writes, with an empty table of things."""
    with begin_writing(engine) as connection, connection.begin():
        connection.exec_driver_sql(
            "CREATE TABLE thing (estate TEXT NOT NULL, name TEXT, number BIGINT UNIQUE, seq BIGINT, note TEXT)"
        )
        yield connection


def things(connection: Connection) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.exec_driver_sql("SELECT * FROM thing ORDER BY seq")]


def put(connection: Connection, given: Columns) -> int:
    """Insert rows of all columns of `thing`, given in columns."""
    casts = ("text", "text", "bigint", "bigint", "text")
    if connection.dialect.name == "sqlite":
        text = "INSERT INTO thing VALUES (?, ?, ?, ?, ?)"
    else:
        text = "INSERT INTO thing SELECT * FROM unnest(" + ", ".join(f"%s::{kind}[]" for kind in casts) + ")"
    return send(connection, Statement(text, given))[0].touched


def test_rows_in_columns_arrive_as_they_are(writing: Connection) -> None:
    places, estates = words([3, -1, 1, 2, 4]), Texts(words([0] * 5), ["plum"])
    notes = Texts(words([-1] * 5), [])
    assert put(writing, Columns((estates, Texts(places, NAMES), words(NUMBERS), words([1, 2, 3, 4, 5]), notes), 5)) == 5
    names = [None if place < 0 else NAMES[place] for place in places.tolist()]
    numbers = [None if number == ABSENT else number for number in NUMBERS]
    expected = [("plum", *one, None) for one in zip(names, numbers, range(1, 6), strict=True)]
    assert things(writing) == expected


def test_no_row_at_all_is_no_row(writing: Connection) -> None:
    none = words([])
    assert put(writing, Columns((Texts(none, ["plum"]), Texts(none, []), none, none, Texts(none, [])), 0)) == 0
    assert things(writing) == []


def test_an_update_in_columns_compares_before_it_sets(writing: Connection) -> None:
    estates = Texts(words([0] * 3), ["plum"])
    put(writing, Columns((estates, Texts(words([0, 1, 2]), NAMES), words([1, 2, 3]), words([10, 20, 30]), estates), 3))

    def move(seqs: list[int]) -> None:
        bundle = Bundle()
        given = Columns((words([11, 12, 13]), "moved", "plum", Texts(words([0, 1, 2]), NAMES), words(seqs)), 3)
        bundle.update_columns(
            THING, ("number", "note"), ("estate", "name", "seq"), given, ("seq",), otherwise=ZeroDivisionError()
        )
        bundle.send(writing)

    move([10, 20, 30])
    moved = [("plum", NAMES[at], 11 + at, 10 * at + 11, "moved") for at in range(3)]
    assert things(writing) == moved
    with pytest.raises(ZeroDivisionError):
        move([11, 20, 31])  # the second one was moved by somebody else


def test_what_a_constraint_forbids_is_the_drivers_error(writing: Connection) -> None:
    savepoint = writing.begin_nested()
    estates = Texts(words([0, 0]), ["plum"])
    with pytest.raises(IntegrityError, match=r"UNIQUE|unique"):
        put(writing, Columns((estates, estates, words([5, 5]), words([1, 2]), estates), 2))
    savepoint.rollback()
    assert things(writing) == []


def test_a_statement_that_makes_no_sense_is_the_drivers_error(writing: Connection) -> None:
    savepoint = writing.begin_nested()
    with pytest.raises(Exception, match="nothing_of_this_name") as caught:
        send(writing, Statement("DELETE FROM nothing_of_this_name", Columns((), 1)))
    savepoint.rollback()
    if writing.dialect.name == "sqlite":
        assert isinstance(caught.value, OperationalError)


def test_a_statement_that_is_put_together_already_is_read_as_columns(writing: Connection) -> None:
    estates = Texts(words([0] * 5), ["plum"])
    put(
        writing,
        Columns((estates, Texts(words([0, 1, 2, 3, 4]), NAMES), words(NUMBERS), words([1, 2, 3, 4, 5]), estates), 5),
    )
    mark = "?" if writing.dialect.name == "sqlite" else "%s"
    rows = Rows("tq")
    asked = f"SELECT name, number FROM thing WHERE name = {mark} OR seq > {mark} ORDER BY seq"
    found = statement_rows(writing, Statement(asked, ['quote " \\ {},NULL', 4]), rows)
    assert [rows.names(0)[place].decode() for place in found[0]] == NAMES[3:]
    assert found[1].tolist() == NUMBERS[3:]
    assert not found[2].any()


@pytest.mark.postgres
def test_arrays_are_those_of_postgresqls_own_driver(postgres_folder: str) -> None:
    with psycopg.connect(create_database(postgres_folder, next_name("arrays"), "template0")) as connection:
        texts = Texts(words([4, -1, 0, 3, 1, 1, 2]), NAMES)
        for column, kind, expected in (
            (words(NUMBERS), "bigint", [None if one == ABSENT else one for one in NUMBERS]),
            (words([1, 2]), "bigint", [1, 2]),
            (words([]), "bigint", []),
            (texts, "text", texts.values()),
            (Texts(words([]), []), "text", []),
        ):
            same = f"SELECT %s::{kind}[], array_send(%s::{kind}[]) = array_send(%s::{kind}[])"
            given = as_parameter(column)
            assert connection.execute(same, [given, given, expected]).fetchone() == (expected, True)


def test_too_few_columns_are_refused(writing: Connection) -> None:
    savepoint = writing.begin_nested()
    with pytest.raises(Exception, match=r"4 values for 5 marks|unnest|placeholders|parameters"):
        put(writing, Columns((words([1]), words([2]), words([3]), words([4])), 1))
    savepoint.rollback()
    assert things(writing) == []


def test_texts_that_are_made_on_demand_outlive_the_statement(sqlite_engine: Engine) -> None:
    class Made:
        def __len__(self) -> int:
            return 200

        def __getitem__(self, place: int) -> str:
            if place >= len(self):
                raise IndexError(place)
            return f"text number {place}"

    with begin_writing(sqlite_engine) as connection, connection.begin():
        connection.exec_driver_sql("CREATE TABLE thing (name TEXT, seq BIGINT)")
        given = Columns((Texts(words(list(range(200))), Made()), words(list(range(200)))), 200)  # type: ignore[arg-type]
        assert send(connection, Statement("INSERT INTO thing VALUES (?, ?)", given))[0].touched == 200
        assert things(connection) == [(f"text number {place}", place) for place in range(200)]


@pytest.mark.postgres
@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
@pytest.mark.parametrize("in_columns", [False, True])
def test_an_error_in_a_pipeline_spoils_no_later_statement(engine: Engine, in_columns: bool) -> None:
    """The driver counts what the server skipped after an error as prepared; nothing could be written after that."""
    with begin_writing(engine) as connection:
        with connection.begin():
            connection.exec_driver_sql("CREATE TABLE thing (name TEXT, number BIGINT UNIQUE)")
        outcomes = []
        for turn in range(20):
            numbers = [turn, turn] if turn in (1, 3, 5) else [turn]
            given: Any = Columns((words(numbers),), len(numbers)) if in_columns else [array_text(numbers)]
            outcomes.append(written(connection, turn, given))
    assert outcomes == [turn not in (1, 3, 5) for turn in range(20)]


def written(connection: Connection, turn: int, given: Any) -> bool:
    """Whether two statements that travel together were written."""
    insert = Statement("INSERT INTO thing SELECT 'x', * FROM unnest(%s::bigint[])", given)
    with connection.begin():
        begin_unit(connection)
        try:
            send(connection, insert, Statement("UPDATE thing SET name = 'y' WHERE number = %s", (turn,)))
        except IntegrityError:
            undo_unit(connection)
            return False
        keep_unit(connection)
    return True


@pytest.mark.postgres
@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
def test_a_read_that_fails_leaves_the_rest_of_its_transaction(engine: Engine) -> None:
    with begin_writing(engine) as connection, connection.begin():
        connection.exec_driver_sql("CREATE TABLE thing (number BIGINT)")
        connection.exec_driver_sql("INSERT INTO thing VALUES (0)")
        for asked in ("SELECT 1 / number FROM thing", "SELECT nothing FROM thing"):
            begin_unit(connection)
            with pytest.raises(StorageUnavailable, match="the books cannot be read"):
                statement_rows(connection, Statement(asked), Rows("q"))
            undo_unit(connection)
        assert connection.exec_driver_sql("SELECT number FROM thing").scalar_one() == 0


@pytest.mark.parametrize(
    ("columns", "error", "words_of_it"),
    [
        ((words([1, 2]), words([1])), ValueError, "column 1 has 1 rows, not 2"),
        ((Texts(words([0, 2]), ["a", "b"]),), IndexError, "text 2 of 2 in column 0"),
        ((Texts(words([0, -2]), ["a", "b"]),), IndexError, "text -2 of 2"),
        ((np.array([1.0, 2.0]),), ValueError, "dtype"),
        ((Texts(words([0, 0]), [1]),), TypeError, "str"),  # type: ignore[list-item]
        ((1.5,), TypeError, "float"),
        (((),), ValueError, "values to unpack"),
    ],
)
def test_columns_that_do_not_fit_are_refused(columns: Any, error: type[Exception], words_of_it: str) -> None:
    with pytest.raises(error, match=words_of_it):
        SqliteWrite(columns, 2)


def test_a_statement_is_planned_once_whatever_its_values(tmp_path: Any) -> None:
    """SQLite plans it anew at each value of a LIMIT and of a partial index's column, unless it is told not to."""
    assert planned_again(open_engine(f"sqlite:///{tmp_path}/one.db").raw_connection()) == (0, 9)


def test_without_being_told_it_is_planned_each_time(tmp_path: Any) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/one.db")
    raw: Any = engine.raw_connection()
    library, on = ctypes.CDLL(pysqlite3._sqlite3.__file__), ctypes.c_int()
    handle = ctypes.c_void_p(raw.cursor().execute(HANDLE).fetchone()[0])
    assert library.sqlite3_db_config(handle, 1007, 0, ctypes.byref(on)) == 0
    assert planned_again(raw)[0] > 0


def planned_again(raw: Any) -> tuple[int, int]:
    """How often a statement was planned again, of how many executions."""
    cursor = raw.cursor()
    cursor.execute("CREATE TABLE thing (kind TEXT, number INTEGER)")
    cursor.execute("CREATE INDEX few ON thing (number) WHERE kind = 'few'")
    text = "SELECT number FROM thing WHERE kind = ? ORDER BY number LIMIT ?"
    for most, kind in enumerate(("few", "many", "few") * 3):
        cursor.execute(text, (kind, most)).fetchall()
    library = ctypes.CDLL(pysqlite3._sqlite3.__file__)
    library.sqlite3_next_stmt.restype = ctypes.c_void_p
    library.sqlite3_sql.restype = ctypes.c_char_p
    handle = ctypes.c_void_p(cursor.execute(HANDLE).fetchone()[0])
    statement = library.sqlite3_next_stmt(handle, None)
    while statement and library.sqlite3_sql(ctypes.c_void_p(statement)).decode() != text:
        statement = library.sqlite3_next_stmt(handle, ctypes.c_void_p(statement))
    again, runs = (
        library.sqlite3_stmt_status(ctypes.c_void_p(statement), counter, 0) for counter in (REPREPARED, RUNS)
    )
    return again, runs
