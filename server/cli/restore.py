"""`estate645 restore FILE`: a backup into a database that is empty or not there yet, verified before it counts.

The database may be another kind than the one that the backup came from, and the backup may be of an older release: a
copy of it is brought to today's tables, the file itself stays as it is.
"""

import argparse
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, make_url
from sqlalchemy.exc import DBAPIError

from server.cli.languages import LANGUAGES, mark, told, wrong
from server.cli.verify import check
from server.config import load
from server.domain.verification import VerifyReport
from server.errors import StorageUnavailable
from server.flows.verification import verify
from server.keyring import Keyring, key_path, looked_at
from server.store.condition import condition
from server.store.copying import copy_in, own_room, whole_file
from server.store.engine import open_engine, reader, unavailable, upgrade
from server.store.estates import list_estates
from server.store.passwords import stored_passwords

_ = mark
DONE = _("restored %(file)s into %(where)s, verified")
BROUGHT = _("the backup is of revision %(old)s; its copy was brought to revision %(new)s")
HEADS = _(
    "the signed heads in %(file)s name what this backup does not have; move that file away and keep it before the "
    "server starts, a new one begins"
)
ABSENT = _("there is no backup %(file)s; name a file that `estate645 backup` wrote")
STRANGE = _("%(file)s is no backup of this program; name a file that `estate645 backup` wrote")
NEWER = _(
    "%(file)s was written by a newer release (revision %(old)s, this one knows %(new)s); "
    "restore it with that release or a later one"
)
OTHER_ESTATE = _("%(file)s holds estate %(found)s and not %(wanted)s; nothing was restored")
NO_KEY = _(
    "%(count)s meter passwords in %(file)s do not open with the keys of this machine: %(why)s. Name the key file of "
    "the server that the backup came from (setting meter_keys), or restore with --without-keys and import the "
    "passwords again; nothing was restored"
)
TAKEN = _("%(file)s exists already; a restore is never written over, move it away or name another database")
NO_FOLDER = _("there is no folder %(folder)s, so %(file)s cannot be written; make it, or name another file")
UNSOUND = _(
    "%(count)s numbers of %(what)s do not agree (the first: %(subject)s: %(detail)s); "
    "nothing was restored, take another backup"
)


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("restore", help="take a backup into an empty database", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="a file of `estate645 backup`")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the server")
    parser.add_argument("--database", metavar="URL", help="database to fill")
    parser.add_argument("--estate", metavar="ID", help="refuse a backup of any other estate")
    parser.add_argument("--without-keys", action="store_true", help="though meter passwords do not open here")
    parser.add_argument("--lang", choices=LANGUAGES, default="both", help="language of what is said (default: both)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Copy the backup, bring it to today's tables, check it, and verify the copy before it counts."""
    if not arguments.file.is_file():
        raise wrong(ABSENT, file=arguments.file)
    config = load(arguments.config)
    url, lang = str(arguments.database or config.database_url), str(arguments.lang)
    keyring = Keyring(key_path(config.meter_keys))
    open_engine(url).dispose()  # says what is wrong with the URL; connects to nothing
    if make_url(url).get_backend_name() == "sqlite":
        target = Path(str(make_url(url).database))
        if target.exists():
            raise wrong(TAKEN, file=target)
        if not target.parent.is_dir():
            raise wrong(NO_FOLDER, folder=target.parent, file=target)
        with whole_file(target) as part:
            _ready(arguments, part, keyring)
    else:
        with own_room() as part:
            _ready(arguments, part, keyring)
            _into_server(part, url)
    where = make_url(url).render_as_string(hide_password=True)
    print(told(DONE, lang, file=arguments.file, where=where))
    if config.heads_file and Path(config.heads_file).exists():
        print(told(HEADS, lang, file=config.heads_file))
    return 0


def _ready(arguments: argparse.Namespace, part: Path, keyring: Keyring) -> None:
    """Make `part` a copy of the backup with today's tables, and refuse one that is not what is wanted here."""
    shutil.copyfile(arguments.file, part)
    engine = open_engine(f"sqlite:///{part}")
    try:
        _bring_up(arguments, engine)
        with reader(engine) as connection:
            _wanted(arguments, connection, keyring)
    finally:
        engine.dispose()
    _sound(check(f"sqlite:///{part}"), str(arguments.file))


def _bring_up(arguments: argparse.Namespace, engine: Engine) -> None:
    try:
        with reader(engine) as connection:
            found = condition(connection)
    except (DBAPIError, StorageUnavailable) as error:
        raise wrong(STRANGE, file=arguments.file) from error
    old, new = found.revision, str(found.newest_revision)
    if old is None:
        raise wrong(STRANGE, file=arguments.file)
    if old > new:
        raise wrong(NEWER, file=arguments.file, old=old, new=new)
    if old < new:
        upgrade(engine)
        print(told(BROUGHT, arguments.lang, old=old, new=new))


def _wanted(arguments: argparse.Namespace, connection: Connection, keyring: Keyring) -> None:
    """ConfigError for another estate, and for passwords that the keys of this machine do not open."""
    estates = [str(row["estate_id"]) for row in list_estates(connection)]
    if arguments.estate and estates != [arguments.estate]:
        raise wrong(OTHER_ESTATE, file=arguments.file, found=", ".join(estates) or "-", wanted=arguments.estate)
    for name in estates if not arguments.without_keys else ():
        look = looked_at(stored_passwords(connection, name), partial(keyring.unlock, name))
        if look.unopened:
            raise wrong(NO_KEY, count=len(look.unopened), file=arguments.file, why=look.why)


def _into_server(backup: Path, url: str) -> None:
    engine = open_engine(url)

    def verified(connection: Connection) -> None:
        reports = [verify(connection, row["estate_id"]) for row in list_estates(connection)]
        _sound(reports, "the copy")

    try:
        copy_in(backup, engine, verified)
    except DBAPIError as error:
        raise StorageUnavailable(str(unavailable(engine, error))) from error
    finally:
        engine.dispose()


def _sound(reports: list[VerifyReport], what: str) -> None:
    found = [mismatch for report in reports for mismatch in report.mismatches]
    if found:
        first = found[0]
        problem = wrong(UNSOUND, count=len(found), what=what, subject=first.subject, detail=first.detail)
        unsound = StorageUnavailable(str(problem))
        unsound.add_note(" ".join(problem.__notes__))
        raise unsound
