"""`estate645 backup FILE`: everything that is committed, in one file, while the server runs; verified before it gets
its name.

The file is an SQLite database whichever database the estate lives in. `estate645 restore` takes it back into either.
"""

import argparse
from pathlib import Path
from typing import Any

from server.cli.verify import check, database_of, existing
from server.errors import StorageUnavailable
from server.store.copying import copy_out, whole_file


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("backup", help="copy everything into one file", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="the file to write; it must not exist")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the server")
    parser.add_argument("--database", metavar="URL", help="database to copy")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Copy, verify the copy, and only then give it its name."""
    with existing(database_of(arguments)) as engine, whole_file(arguments.file) as part:
        copy_out(engine, part)
        reports = check(f"sqlite:///{part}")
        wrong = [mismatch for report in reports for mismatch in report.mismatches]
        if wrong:
            raise StorageUnavailable(
                f"{len(wrong)} numbers of the copy do not agree (the first: {wrong[0].subject}: {wrong[0].detail}); "
                "nothing was kept, run estate645 verify"
            )
    for report in reports:
        print(f"estate {report.estate_id}: {report.accounts} accounts, {report.batches} batches, {report.lines} lines")
    print(f"wrote {arguments.file}, verified")
    return 0
