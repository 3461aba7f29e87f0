"""One serving process for each database, on both kinds of it; an SQLite file that vanishes takes nothing more."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from server.errors import ConfigError, StorageUnavailable
from server.store.engine import open_engine, reader, upgrade
from server.store.ownership import claim, claim_writing
from server.store.writer import Writer


def test_a_second_server_of_the_same_database_is_refused_until_the_first_ends(engine: Engine) -> None:
    second = open_engine(engine.url.render_as_string(hide_password=False))
    try:
        give_back = claim(engine)
        with pytest.raises(ConfigError, match="another server uses the database"):
            claim(second)
        give_back()
        claim(second)()
    finally:
        second.dispose()


def test_a_command_that_writes_is_refused_beside_a_server_of_an_sqlite_file_only(engine: Engine) -> None:
    second = open_engine(engine.url.render_as_string(hide_password=False))
    try:
        give_back = claim(engine)
        if engine.dialect.name == "sqlite":
            with pytest.raises(ConfigError, match=r"a server runs on the database .* stop the server"):
                claim_writing(second)
        else:
            claim_writing(second)()
        give_back()
        end_writing = claim_writing(second)
        if engine.dialect.name == "sqlite":
            with pytest.raises(ConfigError, match="another server uses"):
                claim(engine)
        end_writing()
        claim(engine)()
    finally:
        second.dispose()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_vanishes_or_is_replaced_is_neither_written_nor_read_any_more(
    tmp_path: Path, *, replaced: bool
) -> None:
    path = tmp_path / "estate645.db"
    engine = open_engine(f"sqlite:///{path}")
    upgrade(engine)
    writer = Writer(engine)
    try:
        writer.run(lambda unit: unit.connection.execute(text("SELECT 1")))
        path.rename(tmp_path / "taken away.db")
        if replaced:
            path.write_bytes(b"")
        with pytest.raises(StorageUnavailable, match="removed under the running server"):
            writer.run(lambda unit: unit.connection.execute(text("SELECT 1")))
        with pytest.raises(StorageUnavailable, match="removed under the running server"), reader(engine):
            pass
    finally:
        writer.stop()
        engine.dispose()
