"""Triggers that keep the journal append-only, in the words of each database.

They stop our own mistakes; a person with the database's password can drop them, which the hash chain of the seals
then shows.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from server.store.months import parts

_SQLITE = """
CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON "{table}"
BEGIN SELECT RAISE(ABORT, 'table {table} is append-only'); END
"""
_POSTGRES_BODY = """
BEGIN
  RAISE EXCEPTION USING MESSAGE = 'table ' || TG_TABLE_NAME || ' is append-only', ERRCODE = 'restrict_violation';
END
"""
_POSTGRES_FUNCTION = f"""
CREATE OR REPLACE FUNCTION estate645_append_only() RETURNS trigger LANGUAGE plpgsql AS $body${_POSTGRES_BODY}$body$
"""
_POSTGRES_EVENTS = 2 | 8 | 16 | 32  # pg_trigger.tgtype: before a statement of DELETE, UPDATE and TRUNCATE
_POSTGRES_GUARDED = """
SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
WHERE t.tgname = c.relname || '_append_only' AND t.tgenabled IN ('O', 'A') AND t.tgtype = %s AND t.tgqual IS NULL
AND t.tgattr = ''::int2vector AND p.prosrc = %s
"""
_POSTGRES = """
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "{table}"
FOR EACH STATEMENT EXECUTE FUNCTION estate645_append_only()
"""


def create_triggers(connection: Connection, tables: Iterable[str]) -> None:
    """Refuse UPDATE and DELETE (and TRUNCATE) on `tables` from now on."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_POSTGRES_FUNCTION)
    for table in tables:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(_POSTGRES.format(table=table))
        else:
            for verb in ("UPDATE", "DELETE"):
                connection.exec_driver_sql(_SQLITE.format(table=table, verb=verb))


@contextmanager
def deleting(connection: Connection, table: str) -> Iterator[None]:
    """Let this transaction alone delete from a table, or from one month of it; on PostgreSQL only its owner may."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER {table}_append_only")
        yield
        connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE TRIGGER {table}_append_only")
        return
    connection.exec_driver_sql(f"DROP TRIGGER {table}_no_DELETE")
    yield
    connection.exec_driver_sql(_SQLITE.format(table=table, verb="DELETE"))


def unguarded(connection: Connection, tables: Iterable[str]) -> list[str]:
    """The tables of `tables`, and months of them, whose triggers are gone, or do something else than they should."""
    if connection.dialect.name == "postgresql":
        found = set(connection.exec_driver_sql(_POSTGRES_GUARDED, (_POSTGRES_EVENTS, _POSTGRES_BODY)).scalars())
        wanted = {table: {table} for table in tables}
        wanted |= {part: {part} for part, table in parts(connection) if table in wanted}
    else:
        query = "SELECT sql FROM sqlite_master WHERE type = 'trigger'"
        found = {_words(sql) for sql in connection.exec_driver_sql(query).scalars()}
        wanted = {
            table: {_words(_SQLITE.format(table=table, verb=verb)) for verb in ("UPDATE", "DELETE")} for table in tables
        }
    return [table for table, names in wanted.items() if not names <= found]


def _words(sql: str) -> str:
    return " ".join(sql.split())
