"""`estate645 import`: take an estate in from a TOML file or a folder with CSV.

Only one process may write an SQLite file: while a server runs on it, the file goes through its admin socket into the
server's own writer, and the collector reads the new meters at once.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from server.admin.client import Admin
from server.cli.estate_file import read_estate
from server.clock import Clock, anchor_from_file
from server.config import load
from server.domain.estate_document import EstateDocument
from server.flows.estates import import_estate
from server.store.engine import open_engine, reader, upgrade
from server.store.ownership import claim_writing
from server.store.schema import app_user
from server.store.writer import Writer


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("import", help="take an estate in from a file", description=__doc__)
    parser.add_argument("path", type=Path, metavar="FILE|DIR", help="estate.toml, or a folder with it and CSV files")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the server")
    parser.add_argument("--database", metavar="URL", help="database to write, instead of the configured one")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check the whole file, then write it in one unit: in the running server's writer, or alone where none runs."""
    config = load(arguments.config)
    admin = Admin.at(arguments.database or config.database_url)
    clock = Clock(anchor_from_file(Path(config.clock_anchor)) if config.clock_anchor else None)
    document = read_estate(arguments.path, clock.now().world_s)
    if admin is not None:
        return _through(admin, arguments.path)
    engine = open_engine(arguments.database or config.database_url)
    give_back = claim_writing(engine)
    try:
        upgrade(engine)
        ready = hash_new_passwords(engine, document)
        writer = Writer(engine)
        try:
            done = writer.run(lambda unit: import_estate(unit, ready, clock.now()))
        finally:
            writer.stop()
    finally:
        give_back()
        engine.dispose()
    print(
        f"estate {document.estate.estate_id}: {done.households} households ({done.new_households} new), "
        f"{done.rooms} rooms, {done.buses} buses, {done.gates} gate meters, {done.users} users"
    )
    return 0


def _through(admin: Admin, path: Path) -> int:
    """Let the server that runs on the database take the file in, and read its new meters at once."""
    texts = {"estate.toml": path.read_text("utf-8")} if path.is_file() else {}
    for name in ("estate.toml", "households.csv", "history.csv"):
        if path.is_dir() and (path / name).exists():
            texts[name] = (path / name).read_text("utf-8")
    try:
        done = admin.ask("import", files=texts)
    finally:
        admin.close()
    print(
        f"estate {done['estate']}: {done['households']} households ({done['new_households']} new), "
        f"{done['rooms']} rooms, {done['buses']} buses, {done['gates']} gate meters, {done['users']} users; "
        "taken in by the running server"
    )
    return 0


def hash_new_passwords(engine: Engine, document: EstateDocument) -> EstateDocument:
    """Replace the passwords of users who do not exist yet by their hashes; drop the others.

    Hashing is slow on purpose, so it happens outside the writer and never twice.
    """
    from server.web.passwords import hash_password

    with reader(engine) as connection:
        query = select(app_user.c.login).where(app_user.c.estate_id == document.estate.estate_id)
        known = set(connection.execute(query).scalars())
    users = tuple(
        replace(user, password="", password_hash="" if user.login in known else hash_password(user.password))
        for user in document.users
    )
    return replace(document, users=users)
