"""`estate645 restore FILE`: a backup into a database that is empty or not there yet, verified before it counts.

The database may be another kind than the one that the backup came from.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, make_url
from sqlalchemy.exc import DBAPIError

from server.cli.verify import check
from server.config import load
from server.domain.verification import VerifyReport
from server.errors import ConfigError, StorageUnavailable
from server.flows.verification import verify
from server.store.copying import copy_in, whole_file
from server.store.engine import open_engine, unavailable
from server.store.estates import list_estates


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("restore", help="take a backup into an empty database", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="a file of `estate645 backup`")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the server")
    parser.add_argument("--database", metavar="URL", help="database to fill")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check the backup, copy it, and verify the copy before it is committed or gets its name."""
    if not arguments.file.is_file():
        raise ConfigError(f"there is no backup {arguments.file}; name a file that `estate645 backup` wrote")
    url = str(arguments.database or load(arguments.config).database_url)
    _sound(check(f"sqlite:///{arguments.file}"), str(arguments.file))
    if make_url(url).get_backend_name() == "sqlite":
        with whole_file(Path(str(make_url(url).database))) as part:
            shutil.copyfile(arguments.file, part)
            _sound(check(f"sqlite:///{part}"), "the copy")
    else:
        _into_server(arguments.file, url)
    print(f"restored {arguments.file} into {make_url(url).render_as_string(hide_password=True)}, verified")
    return 0


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
    wrong = [mismatch for report in reports for mismatch in report.mismatches]
    if wrong:
        raise StorageUnavailable(
            f"{len(wrong)} numbers of {what} do not agree (the first: {wrong[0].subject}: {wrong[0].detail}); "
            "nothing was restored, take another backup"
        )
