"""`estate645 migrate`: bring the tables to the newest revision, as their owner, and say what the server's role may do.

On PostgreSQL the server can then run as a role that changes no table and nothing of the journal: `--role NAME` gives
NAME exactly what it needs, and roles that write into the journal already get the same for tables that are new. On
SQLite it only migrates, while no server runs; `estate645 serve` does that by itself.
"""

import argparse
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from server.config import load
from server.errors import ConfigError, StorageUnavailable
from server.store.condition import condition
from server.store.engine import begin_writing, open_engine, reader, unavailable, upgrade
from server.store.ownership import claim_writing
from server.store.privileges import WORKING_ROLE, grant, working_roles


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("migrate", help="bring the tables to the newest revision", description=__doc__)
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the server")
    parser.add_argument("--database", metavar="URL", help="database to migrate, with the role that owns its tables")
    parser.add_argument("--role", metavar="NAME", help=f"role that the server works as, such as {WORKING_ROLE}")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Migrate, then grant."""
    engine = open_engine(str(arguments.database or load(arguments.config).database_url))
    try:
        if arguments.role and engine.dialect.name != "postgresql":
            raise ConfigError("--role is for PostgreSQL; SQLite knows no roles, leave it out")
        give_back = claim_writing(engine)
        try:
            upgrade(engine)
        finally:
            give_back()
        _show(engine, arguments.role)
    except DBAPIError as error:
        raise StorageUnavailable(str(unavailable(engine, error))) from error
    finally:
        engine.dispose()
    return 0


def _show(engine: Engine, role: str | None) -> None:
    with reader(engine) as connection:
        revision, roles = condition(connection).revision, working_roles(connection)
    print(f"{engine.url.render_as_string(hide_password=True)} is of revision {revision}")
    for name in dict.fromkeys([*([role] if role else []), *roles]):
        with begin_writing(engine) as connection, connection.begin():
            held = grant(connection, name)
            if held is None:
                raise ConfigError(f"there is no role {name}; first: CREATE ROLE {name} LOGIN PASSWORD '...'")
            if not held.separate:
                raise ConfigError(
                    f"role {name} may still rewrite the journal, as a superuser, as a member of {held.owner} or by a "
                    "grant to PUBLIC; name a role of its own (CREATE ROLE ... LOGIN PASSWORD '...')"
                )
        print(f"role {name} may work, and only add to the journal")
