"""`estate645 backup FILE`: everything that is committed, in one file, while the server runs; verified before it gets
its name.

The file is an SQLite database whichever database the estate lives in. `estate645 restore` takes it back into either.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

from server.cli.languages import LANGUAGES, mark, told, wrong
from server.cli.verify import check, database_of, existing
from server.domain.verification import VerifyReport
from server.errors import StorageUnavailable
from server.store.condition import revisions
from server.store.copying import copy_out, own_room, whole_file
from server.store.engine import open_engine, reader, upgrade

_ = mark
HELD = _("estate %(estate)s: %(accounts)s accounts, %(batches)s batches, %(lines)s lines")
ARCHIVED = _(
    "estate %(estate)s: %(lines)s lines more lie in archives, which a backup does not hold; keep those files too"
)
DONE = _("wrote %(file)s, verified")
TAKEN = _("%(file)s exists already; a backup is never written over, name another file")
NO_FOLDER = _("there is no folder %(folder)s, so %(file)s cannot be written; make it, or name another file")
UNSOUND = _(
    "%(count)s numbers of the copy do not agree (the first: %(subject)s: %(detail)s); "
    "nothing was kept, run estate645 verify"
)


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("backup", help="copy everything into one file", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="the file to write; it must not exist")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the server")
    parser.add_argument("--database", metavar="URL", help="database to copy")
    parser.add_argument("--lang", choices=LANGUAGES, default="both", help="language of what is said (default: both)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Copy, verify the copy, and only then give it its name."""
    file: Path = arguments.file
    if file.exists():
        raise wrong(TAKEN, file=file)
    if not file.parent.is_dir():
        raise wrong(NO_FOLDER, folder=file.parent, file=file)
    with existing(database_of(arguments), of_any_revision=True) as engine, whole_file(file) as part:
        copy_out(engine, part)
        reports = _checked(part)
        _sound(reports)
    for report in reports:
        counts = {"accounts": report.accounts, "batches": report.batches, "lines": report.lines}
        print(told(HELD, arguments.lang, estate=report.estate_id, **counts))
        if report.archived:
            print(told(ARCHIVED, arguments.lang, estate=report.estate_id, lines=report.archived))
    print(told(DONE, arguments.lang, file=file))
    return 0


def _checked(part: Path) -> list[VerifyReport]:
    """Reports on the copy; of tables of an older release on a copy of it with today's, and it stays as it is."""
    engine = open_engine(f"sqlite:///{part}")
    with reader(engine) as connection:
        old, new = revisions(connection)
    engine.dispose()
    if old is None or old >= str(new):
        return check(f"sqlite:///{part}")
    with own_room() as copy:
        shutil.copyfile(part, copy)
        engine = open_engine(f"sqlite:///{copy}")
        upgrade(engine)
        engine.dispose()
        return check(f"sqlite:///{copy}")


def _sound(reports: list[VerifyReport]) -> None:
    found = [mismatch for report in reports for mismatch in report.mismatches]
    if found:
        problem = wrong(UNSOUND, count=len(found), subject=found[0].subject, detail=found[0].detail)
        unsound = StorageUnavailable(str(problem))
        unsound.add_note(" ".join(problem.__notes__))
        raise unsound
