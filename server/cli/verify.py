"""`estate645 verify`: recompute every balance from readings and tariffs, follow the seals, derive closed periods again.

Without arguments it checks the last demo, if there is one in this folder, else the configured database. Exit code 1
when anything does not agree, 3 when nothing does but not all was at hand that the books say there is: archives, or
signed heads.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, make_url
from sqlalchemy.exc import DBAPIError

from server.cli.languages import LANGUAGES, mark, told, wrong
from server.cli.verify_words import lines_of
from server.clock import Clock
from server.config import load
from server.domain.archive import ArchiveFile
from server.domain.heads import Head, heads_of
from server.domain.reading_archive import check_signature
from server.domain.verification import VerifyReport
from server.errors import ConfigError, StorageUnavailable
from server.flows.verification import verify
from server.jobs.heads import heads_in
from server.signing.ed25519 import load_public_key
from server.store.archive_file import about_of, sha256_of
from server.store.condition import revisions
from server.store.engine import open_engine, reader, unavailable
from server.store.estates import list_estates
from server.store.reading_file import SUFFIX as READINGS
from server.store.reading_file import about_of as about_readings

_ = mark
NO_TABLES = _("%(where)s has no tables of estate645; name another database, or make them with estate645 import")
OLDER = _(
    "%(where)s is of revision %(old)s, and this release works with %(new)s; back it up, then run estate645 migrate "
    "(estate645 serve does that by itself where it owns the tables)"
)
NEWER = _(
    "%(where)s was written by a newer release (revision %(old)s, this one knows %(new)s); "
    "use that release or a later one"
)
TORN = _(
    "%(where)s, line %(line)d: a torn line, left by a power cut or a full disk; it is no head, the others are judged"
)
DEMO = Path(".demo/estate645.db")
NOT_WHOLE = 3  # the exit code when nothing is wrong in what was at hand, and that was not all


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("verify", help="recompute every balance", description=__doc__)
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the server")
    parser.add_argument("--database", metavar="URL", help="database to check")
    parser.add_argument("--heads", type=Path, metavar="FILE", help="signed heads that the journal must lead to")
    parser.add_argument("--public-key", type=Path, metavar="FILE", help="key that signed them")
    parser.add_argument(
        "--archives", type=Path, metavar="DIR", help="folder with archives whose lines and readings are checked too"
    )
    parser.add_argument("--lang", choices=LANGUAGES, default="both", help="both unless given")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check all estates of the database in one consistent read."""
    if bool(arguments.heads or (arguments.archives and arguments.public_key)) != bool(arguments.public_key):
        raise ConfigError("--heads and --public-key belong together; name both files")
    files = _archives(arguments.archives)
    read_ms = Clock().now().machine_ms
    heads = _heads(arguments) + _heads_of_archives(files, arguments.public_key)
    reports = check(database_of(arguments), heads, files, read_ms=read_ms)
    wrong = sum(len(report.mismatches) for report in reports)
    if arguments.json:
        document = {"estates": [asdict(report) for report in reports], "mismatches": wrong}
        print(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        for report in reports:
            for line in lines_of(report, arguments.lang, NOT_WHOLE):
                print(line)
    if wrong:
        return 1
    return 0 if all(report.is_whole for report in reports) else NOT_WHOLE


def _heads(arguments: argparse.Namespace) -> list[Head]:
    if arguments.heads is None:
        return []
    key = load_public_key(arguments.public_key)
    try:
        heads, torn = heads_in(arguments.heads, key)
    except OSError as error:
        raise ConfigError(f"{arguments.heads}: cannot be read ({error}); name a file of `estate645 heads`") from error
    for number in torn:
        said = told(TORN, arguments.lang, where=arguments.heads, line=number)
        print(said, file=sys.stderr)
    return heads


def _archives(folder: Path | None) -> list[ArchiveFile]:
    """Every archive in the folder; ConfigError when there is none."""
    if folder is None:
        return []
    try:
        paths = sorted([*folder.glob("*.archive"), *folder.glob(f"*{READINGS}")])
        found = [ArchiveFile(path, sha256_of(path)) for path in paths]
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from error
    if not found:
        raise ConfigError(f"there is no archive in {folder}; name the folder that `estate645 archive` wrote into")
    return found


def _heads_of_archives(files: Sequence[ArchiveFile], public_key: Path | None) -> list[Head]:
    """The signed ends of archives, which the journal must lead to; none without the key."""
    if public_key is None:
        return []
    key = load_public_key(public_key)
    for one in files:
        if one.path.suffix == READINGS:
            check_signature(about_readings(one.path), key, str(one.path))
    lines = [one.path for one in files if one.path.suffix != READINGS]
    return [head for path in lines for head in heads_of([about_of(path).head], key, str(path))]


def database_of(arguments: argparse.Namespace) -> str:
    """The URL that the options name, else that of the last demo, else that of the settings."""
    if arguments.database:
        return str(arguments.database)
    if arguments.config is None and DEMO.exists():
        return f"sqlite:///{DEMO}"
    return load(arguments.config).database_url


@contextmanager
def existing(url: str, *, of_any_revision: bool = False) -> Iterator[Engine]:
    """An engine on a database that exists; ConfigError when there is no file, StorageUnavailable when none answers.

    ConfigError too when its tables are not those of this release, unless they may be `of_any_revision`.
    """
    engine = open_engine(url)
    path = make_url(url).database
    if engine.dialect.name == "sqlite" and not Path(path or "").is_file():
        raise ConfigError(f"there is no database {path}; run `estate645 demo` or name one with --database URL")
    try:
        if not of_any_revision:
            refuse_other_revisions(engine)
        yield engine
    except DBAPIError as error:
        raise StorageUnavailable(str(unavailable(engine, error))) from error
    finally:
        engine.dispose()


def refuse_other_revisions(engine: Engine) -> None:
    """ConfigError that says what to do with tables of an older or a newer release, and with none."""
    with reader(engine) as connection:
        old, new = revisions(connection)
    where = engine.url.render_as_string(hide_password=True)
    if old is None:
        raise wrong(NO_TABLES, where=where)
    if old != new:
        raise wrong(OLDER if old < str(new) else NEWER, where=where, old=old, new=new)


def check(
    url: str, heads: Sequence[Head] = (), files: Sequence[ArchiveFile] = (), *, read_ms: int = 0
) -> list[VerifyReport]:  # fmt: skip
    """A report for each estate; ConfigError when there is no file or no estate, StorageUnavailable for no database.

    `read_ms`: when the heads were read (machine time).
    """
    with existing(url) as engine, reader(engine) as connection:
        estates = [row["estate_id"] for row in list_estates(connection)]
        reports = [
            verify(
                connection, estate_id, [head for head in heads if head.estate_id == estate_id], files, read_ms=read_ms
            )
            for estate_id in estates
        ]
    where = engine.url.render_as_string(hide_password=True)
    if not reports:
        raise ConfigError(f"the database {where} holds no estate, so there is nothing to check; name another one")
    if strange := sorted({head.estate_id for head in heads} - set(estates)):
        raise ConfigError(f"the database {where} holds no estate {', '.join(strange)}, of which there are heads")
    return reports
