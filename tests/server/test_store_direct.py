"""Statements straight to the driver: the same answers on both databases, errors as SQLAlchemy's, nothing half done."""

import pytest
from sqlalchemy import Engine, bindparam, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from server.errors import Conflict
from server.store.bulk import Bundle, insert_rows, update_rows
from server.store.direct import Query, Statement, array_text, begin_unit, keep_unit, send, undo_unit
from server.store.engine import begin_writing, open_engine, reader
from server.store.schema import estate
from tests.server.conftest import create_database, next_name

ODD = ["plain", 'a "quoted" one', "back\\slash", "braces {1,2}", "comma, NULL", "龙湖花园", "", "NULL", "it's"]
NAMED = Query(
    lambda among: (
        select(estate.c.estate_id, estate.c.name, estate.c.scheme_id)
        .where(
            among(estate.c.estate_id, "estate_ids"), estate.c.time_zone == bindparam("zone"), estate.c.mode == "observe"
        )
        .order_by(estate.c.estate_id)
    )
)


def add(connection, *names, conflict=""):
    return insert_rows(
        connection, estate, ("estate_id", "name", "time_zone", "scheme_id"),
        [(name, f"{name}!", "UTC", None if number % 2 else name) for number, name in enumerate(names)], conflict,
    )  # fmt: skip


def names(connection):
    return [row[0] for row in send(connection, Statement("SELECT estate_id FROM estate ORDER BY estate_id"))[0].rows]


@pytest.fixture
def connection(engine: Engine):
    with begin_writing(engine) as connection, connection.begin():
        yield connection


def test_odd_texts_come_back_as_they_were_and_are_found_by_name(connection):
    assert add(connection, *ODD) == len(ODD)
    found = NAMED.ask(connection, estate_ids=[*ODD, "absent"], zone="UTC")
    assert {row["estate_id"]: (row["name"], row["scheme_id"]) for row in found} == {
        name: (f"{name}!", None if number % 2 else name) for number, name in enumerate(ODD)
    }
    assert NAMED.ask(connection, estate_ids=[], zone="UTC") == []
    assert NAMED.ask(connection, estate_ids=ODD, zone="Asia/Shanghai") == []


def test_constants_may_be_lists_and_answers_single(connection):
    add(connection, *"abcd")
    query = Query(
        lambda _: (
            select(estate.c.estate_id, estate.c.name)
            .where(estate.c.estate_id.in_(("b", "c", "x")), estate.c.time_zone == bindparam("zone"))
            .order_by(estate.c.estate_id.desc())
            .limit(bindparam("limit"))
        )
    )
    assert list(map(tuple, query.rows(connection, zone="UTC", limit=5))) == [("c", "c!"), ("b", "b!")]
    assert query.first(connection, zone="UTC", limit=5) == {"estate_id": "c", "name": "c!"}
    assert query.value(connection, zone="UTC", limit=1) == "c"
    assert (query.first(connection, zone="", limit=5), query.value(connection, zone="", limit=5)) == (None, None)


def test_arrays_of_numbers_texts_and_none():
    assert array_text([]) == "{}"
    assert array_text([1, -2, 2**62]) == f"{{1,-2,{2**62}}}"
    assert array_text([None, 1]) == "{NULL,1}"
    assert array_text(["a", None, 'b"\\']) == '{"a",NULL,"b\\"\\\\"}'
    assert array_text(["a", "b"]) == '{"a","b"}'
    assert array_text(['a","b']) == '{"a\\",\\"b"}'


def test_answers_come_in_the_order_of_the_statements(connection):
    add(connection, "a", "b", "c")
    update = Statement("UPDATE estate SET name = 'x' WHERE estate_id <> 'a'")
    changed, gone, rows = send(
        connection, update, Statement("DELETE FROM estate WHERE estate_id = 'z'"), NAMED.of(
            connection, estate_ids=["a", "b"], zone="UTC"
        ),
    )  # fmt: skip
    assert (changed.touched, gone.touched) == (2, 0)
    assert [row["name"] for row in NAMED.named(connection, rows)] == ["a!", "x"]


def test_what_fails_raises_like_sqlalchemy_and_the_unit_can_be_undone(connection):
    add(connection, "before")
    begin_unit(connection)
    twice = Statement("INSERT INTO estate (estate_id, name, time_zone) VALUES ('before', '', '')")
    with pytest.raises(IntegrityError):
        send(connection, Statement("UPDATE estate SET name = 'changed'"), twice, Statement("DELETE FROM estate"))
    undo_unit(connection)
    begin_unit(connection)
    add(connection, "after")
    keep_unit(connection)
    assert [(row["estate_id"], row["name"]) for row in NAMED.ask(connection, estate_ids=["before"], zone="UTC")] == [
        ("before", "before!")
    ]
    assert names(connection) == ["after", "before"]


def test_a_bundle_writes_nothing_before_it_is_sent_and_tells_what_did_not_match(connection):
    add(connection, "a", "b")
    bundle = Bundle()
    bundle.insert(estate, ("estate_id", "name", "time_zone"), [("c", "", "UTC")])
    bundle.insert(estate, ("estate_id", "name", "time_zone"), [("d", "", "UTC"), ("e", "", "UTC")])
    bundle.insert(estate, ("estate_id",), [])
    bundle.update(estate, ("name",), ("estate_id",), [("x", "a"), ("y", "b")], otherwise=Conflict("no"))
    assert names(connection) == ["a", "b"]
    assert bundle.send(connection) == [3, 2]
    assert bundle.send(connection) == []
    bundle.update(estate, ("name",), ("estate_id",), [("x", "a"), ("y", "absent")], otherwise=Conflict("moved"))
    with pytest.raises(Conflict, match="moved"):
        bundle.send(connection)


def test_a_compare_and_set_counts_only_what_it_found(connection):
    add(connection, "a", "b")
    rows = [(9, "a", 120), (9, "b", 121)]
    setting, key = ("command_ttl_s",), ("estate_id", "command_ttl_s")
    assert update_rows(connection, estate, setting, key, rows) == 1
    assert update_rows(connection, estate, ("name",), ("estate_id", "stopped"), [("n", "a", 0)], ("stopped",)) == 1
    assert update_rows(connection, estate, ("name",), ("estate_id", "stopped"), [("n", "a", 0)], ("stopped",)) == 0


def test_a_reader_may_ask_but_not_write(engine: Engine):
    with begin_writing(engine) as connection, connection.begin():
        add(connection, "a")
    with reader(engine) as connection:
        assert NAMED.ask(connection, estate_ids=["a"], zone="UTC")[0]["name"] == "a!"
        with pytest.raises(DBAPIError):
            add(connection, "b")


@pytest.mark.postgres
def test_a_lost_connection_is_marked_as_lost(postgres_folder: str):
    engine = open_engine(create_database(postgres_folder, next_name("lost"), "template_estate645"))
    die = Statement("SELECT pg_terminate_backend(pg_backend_pid())")
    with begin_writing(engine) as connection, pytest.raises(DBAPIError) as raised:
        send(connection, die, Statement("SELECT 1"))
    assert raised.value.connection_invalidated
    assert connection.invalidated or connection.closed
    engine.dispose()
