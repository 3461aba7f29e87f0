"""`estate645 import`: take an estate in from a TOML file or a folder with CSV.

Only one process may write an SQLite file: while a server runs on it, the file goes through its admin socket into the
server's own writer, and the collector reads the new meters at once.
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from server.admin.client import Admin
from server.cli.budgets import lines_of, show
from server.cli.languages import LANGUAGES, told
from server.cli.languages import mark as _
from server.clock import Clock, anchor_from_file
from server.config import load
from server.flows.estates import import_estate
from server.intake.budgets import fields_of
from server.intake.estate_file import read_estate
from server.intake.secrets import without_passwords
from server.keyring import Keyring, key_path
from server.store.engine import open_engine, upgrade
from server.store.ownership import claim_writing
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
