"""`estate645 archive`: move the lines of old sealed batches into a file, put one back, or list what was moved.

Headers, seals and where everything stood stay in the database, so that `verify` follows the whole chain with or without
the files, and `verify --archives DIR` every archived line too. Stopped at any moment it loses nothing; run it again.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Engine

from server.admin.archiving import archive_step
from server.admin.client import Admin
from server.cli.archive_readings import list_months, move_months, restore_month
from server.cli.languages import LANGUAGES, told, wrong
from server.cli.languages import mark as _
from server.cli.verify import database_of, existing
from server.clock import Clock
from server.config import load
from server.domain.archive import present
from server.flows.archive import file_hash, is_next_to_restore, missing_batches, write_archive
from server.flows.reading_archive import last_month
from server.signing.ed25519 import load_private_key
from server.store.archive import acts
from server.store.engine import reader, upgrade
from server.store.estates import get_estate, list_estates
from server.store.ownership import claim_writing
from server.store.privileges import privileges
from server.store.reading_file import SUFFIX as READINGS
from server.store.writer import Writer

Step = Callable[..., dict[str, Any]]


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("archive", help="move old lines of the journal into files", description=__doc__)
    parser.add_argument("--before", type=_date, metavar="DATE", help="what is wholly of before this local day goes")
    parser.add_argument("--readings", action="store_true", help="move old months of readings instead of lines")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder that the file is written into")
    parser.add_argument("--key", type=Path, metavar="FILE", help="Ed25519 key that signs its end (default: heads_key)")
    parser.add_argument(
        "--restore", type=Path, metavar="FILE", help="put the newest archive of lines back, or any of readings"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the server")
    parser.add_argument("--database", metavar="URL", help="database; on PostgreSQL with the role that owns its tables")
    parser.add_argument("--lang", choices=LANGUAGES, default="both", help="both unless given")
    parser.set_defaults(run=run)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no date like 2026-08-01") from error


def run(arguments: argparse.Namespace) -> int:
    """Move, restore or list."""
    if arguments.readings and (arguments.out is None or arguments.restore):
        raise wrong(_("name --out DIR to archive readings, and --restore FILE alone to put them back"))
    if not arguments.readings and (
        (arguments.before is None) != (arguments.out is None) or (arguments.before and arguments.restore)
    ):
        raise wrong(_("name --before DATE and --out DIR to archive, or --restore FILE to put an archive back"))
    if arguments.out is not None and not arguments.out.is_dir():
        raise wrong(_("there is no folder %(path)s; make it, or name another one"), path=arguments.out)
    url = database_of(arguments)
    with existing(url) as engine:
        if arguments.out is None and arguments.restore is None:
            return _list(engine, arguments.lang)
        with reader(engine) as connection:
            estates = [str(row["estate_id"]) for row in list_estates(connection)]
        for estate_id in estates:
            with _steps(engine, url, estate_id) as (step, writer):
                if arguments.restore and arguments.restore.suffix == READINGS:
                    restore_month(engine, estate_id, step, arguments.restore.resolve(), arguments.lang)
                elif arguments.restore:
                    _restore(engine, estate_id, arguments.restore.resolve(), step, arguments.lang)
                elif arguments.readings:
                    _move_readings(engine, estate_id, arguments, step, writer)
                else:
                    _move(engine, estate_id, arguments, step)
    return 0


@contextmanager
def _steps(engine: Engine, url: str, estate_id: str) -> Iterator[tuple[Step, Writer | None]]:
    """What writes: the running server of an SQLite file, else this process with a writer of its own."""
    admin = Admin.at(url)
    if admin is not None:
        try:
            yield (lambda **message: admin.ask("archive", **message)), None
        finally:
            admin.close()
        return
    give_back = claim_writing(engine)
    try:
        upgrade(engine)
        writer = Writer(engine)
        try:
            yield (lambda **message: archive_step(writer, Clock(), estate_id, message)), writer
        finally:
            writer.stop()
    finally:
        give_back()


def _owned(connection: Connection) -> None:
    """ConfigError for a role of PostgreSQL that may not delete."""
    held = privileges(connection)
    if held is not None and not held.owns:
        raise wrong(
            _("role %(role)s may not delete lines; name a --database URL with the role %(owner)s"),
            role=held.role, owner=held.owner,
        )  # fmt: skip


def _key(arguments: argparse.Namespace) -> Ed25519PrivateKey | None:
    name = arguments.key or load(arguments.config).heads_key
    return load_private_key(Path(name)) if name else None


def _move_readings(
    engine: Engine, estate_id: str, arguments: argparse.Namespace, step: Step, writer: Writer | None
) -> None:
    now = Clock().now()
    with reader(engine) as connection:
        _owned(connection)
        zone = ZoneInfo(get_estate(connection, estate_id)["time_zone"])
    before_s = int(datetime.combine(arguments.before, time(), zone).timestamp()) if arguments.before else None
    before = last_month(now, load(arguments.config).readings_months, before_s)
    move_months(engine, estate_id, step, writer, before, arguments.out.resolve(), now, _key(arguments), arguments.lang)


def _move(engine: Engine, estate_id: str, arguments: argparse.Namespace, step: Step) -> None:
    lang = arguments.lang
    with reader(engine) as connection:
        _owned(connection)
        zone = ZoneInfo(get_estate(connection, estate_id)["time_zone"])
        until_at = int(datetime.combine(arguments.before, time(), zone).timestamp())
        key = _key(arguments)
        cleared = _clear(step)  # what a stopped run has left
        if cleared:
            before = _("estate %(estate)s: %(lines)s lines that were archived before are deleted now")
            print(told(before, lang, estate=estate_id, lines=cleared))
        path = write_archive(connection, estate_id, until_at, arguments.out.resolve(), Clock().now(), key)
    act = step(step="move", file=str(path))
    moved = _("estate %(estate)s: batches %(first_seq)s to %(last_seq)s, %(lines)s lines, are in %(path)s")
    print(told(moved, lang, **act, estate=estate_id, path=path))
    print("  " + told(_("SHA-256 %(file_sha256)s, last hash %(hash)s"), lang, **act))
    if key is None:
        print("  " + told(_("not signed: there is no heads_key"), lang))
    print("  " + told(_("%(lines)s lines deleted from the database"), lang, lines=_clear(step)))


def _clear(step: Step) -> int:
    total = 0
    while lines := int(step(step="clear")["lines"]):
        total += lines
    return total


def _restore(engine: Engine, estate_id: str, path: Path, step: Step, lang: str) -> None:
    with reader(engine) as connection:
        act = is_next_to_restore(connection, estate_id, path, file_hash(path))
        runs = list(missing_batches(connection, estate_id, act))
    lines = sum(int(step(step="put_back", file=str(path), batches=batches)["lines"]) for batches in runs)
    step(step="restored", file=str(path))
    back = _("estate %(estate)s: %(lines)s lines of batches %(first)s to %(last)s are in the database again")
    print(told(back, lang, estate=estate_id, lines=lines, first=act.first_seq, last=act.last_seq))


def _list(engine: Engine, lang: str) -> int:
    with reader(engine) as connection:
        for row in list_estates(connection):
            kept = present(acts(connection, row["estate_id"]))
            print(told(_("estate %(estate)s: %(count)s archives"), lang, estate=row["estate_id"], count=len(kept)))
            for act in kept:
                span = {"first": act.first_seq, "last": act.last_seq, "lines": act.lines}
                said = told(_("batches %(first)s to %(last)s, %(lines)s lines"), lang, **span)
                print(f"  {act.file}: {said}; SHA-256 {act.file_sha256}")
            list_months(engine, row["estate_id"], lang)
    return 0
