"""`estate645 import`: take an estate in from a TOML file or a folder with CSV.

Only one process may write an SQLite file: while a server runs on it, the file goes through its admin socket into the
server's own writer, and the collector reads the new meters at once.
"""

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from server.admin.client import Admin
from server.cli.budgets import fields_of, lines_of, show
from server.cli.estate_file import read_estate
from server.cli.languages import LANGUAGES, told
from server.cli.languages import mark as _
from server.clock import Clock, anchor_from_file
from server.config import load
from server.domain.estate_document import EstateDocument, HouseholdEntry
from server.domain.passwords import FACTORY_PASSWORD
from server.errors import SecretLocked
from server.flows.estates import import_estate
from server.keyring import Keyring, key_path
from server.store.engine import open_engine, reader, upgrade
from server.store.meters import list_meters
from server.store.ownership import claim_writing
from server.store.schema import app_user
from server.store.writer import Writer

TAKEN = _(
    "estate %(estate)s: %(households)d households (%(new_households)d new), %(rooms)d rooms, %(buses)d buses, "
    "%(gates)d gate meters, %(users)d users"
)


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("import", help="take an estate in from a file", description=__doc__)
    parser.add_argument("path", type=Path, metavar="FILE|DIR", help="estate.toml, or a folder with it and CSV files")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the server")
    parser.add_argument("--database", metavar="URL", help="database to write, instead of the configured one")
    parser.add_argument("--lang", choices=LANGUAGES, default="both", help="both unless given")
    parser.add_argument("--dry-run", action="store_true", help="check the file and show budgets, write nothing")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check the whole file, then write it in one unit: in the running server's writer, or alone where none runs."""
    config = load(arguments.config)
    admin = Admin.at(arguments.database or config.database_url)
    clock = Clock(anchor_from_file(Path(config.clock_anchor)) if config.clock_anchor else None)
    document = read_estate(arguments.path, clock.now().world_s)
    if arguments.dry_run:
        return show(document, arguments.lang)
    if admin is not None:
        return _through(admin, arguments.path, arguments.lang)
    engine = open_engine(arguments.database or config.database_url)
    give_back = claim_writing(engine)
    try:
        upgrade(engine)
        ready = without_passwords(engine, Keyring(key_path(config.meter_keys)), document)
        writer = Writer(engine)
        try:
            done = writer.run(lambda unit: import_estate(unit, ready, clock.now()))
        finally:
            writer.stop()
    finally:
        give_back()
        engine.dispose()
    print(told(TAKEN, arguments.lang, estate=document.estate.estate_id, **asdict(done)))
    print("\n".join(lines_of(map(fields_of, done.budgets), arguments.lang)))
    return 0


def _through(admin: Admin, path: Path, lang: str) -> int:
    """Let the server that runs on the database take the file in, and read its new meters at once."""
    texts = {"estate.toml": path.read_text("utf-8")} if path.is_file() else {}
    for name in ("estate.toml", "households.csv", "history.csv"):
        if path.is_dir() and (path / name).exists():
            texts[name] = (path / name).read_text("utf-8")
    try:
        done = admin.ask("import", files=texts)
    finally:
        admin.close()
    print(told(TAKEN, lang, **done) + "; " + told(_("taken in by the running server"), lang))
    print("\n".join(lines_of(done["budgets"], lang)))
    return 0


def without_passwords(engine: Engine, keyring: Keyring, document: EstateDocument) -> EstateDocument:
    """The document as it may be stored: passwords of people hashed, those of meters locked.

    `SecretLocked` when a meter has a password and no key can lock it.
    """
    return _with_locked(engine, keyring, _with_hashes(engine, document))


def _with_locked(engine: Engine, keyring: Keyring, document: EstateDocument) -> EstateDocument:
    """A password that is stored already, under the current key, keeps its place, so that nothing changes."""
    estate_id = document.estate.estate_id
    with reader(engine) as connection:
        stored = {row.meter_id: row.password for row in list_meters(connection, estate_id)}

    def locked(home: HouseholdEntry) -> HouseholdEntry:
        if home.password == FACTORY_PASSWORD:
            return home
        known = stored.get(home.meter_id, FACTORY_PASSWORD)
        try:
            if keyring.unlock(estate_id, home.meter_id, known) == home.password:
                return replace(home, password=keyring.relock(estate_id, home.meter_id, known))
        except SecretLocked:
            pass  # what is stored cannot be compared, and the file has the password: it is locked anew, or refused
        return replace(home, password=keyring.lock(estate_id, home.meter_id, home.password))

    return replace(document, households=tuple(map(locked, document.households)))


def _with_hashes(engine: Engine, document: EstateDocument) -> EstateDocument:
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
