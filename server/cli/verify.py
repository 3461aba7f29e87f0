"""`estate645 verify`: recompute every balance from readings and tariffs, and follow the seals.

Without arguments it checks the last demo, if there is one in this folder, else the configured database. Exit code 1
when anything does not agree.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from server.config import load
from server.domain.verification import VerifyReport
from server.errors import ConfigError, StorageUnavailable
from server.flows.verification import verify
from server.store.engine import open_engine, reader, unavailable
from server.store.estates import list_estates

DEMO = Path(".demo/estate645.db")
SHOWN_MAX = 50


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("verify", help="recompute every balance", description=__doc__)
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the server")
    parser.add_argument("--database", metavar="URL", help="database to check")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check all estates of the database in one consistent read."""
    reports = check(_database(arguments))
    wrong = sum(len(report.mismatches) for report in reports)
    if arguments.json:
        document = {"estates": [asdict(report) for report in reports], "mismatches": wrong}
        print(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        for report in reports:
            _show(report)
    return 1 if wrong else 0


def _database(arguments: argparse.Namespace) -> str:
    if arguments.database:
        return str(arguments.database)
    if arguments.config is None and DEMO.exists():
        return f"sqlite:///{DEMO}"
    return load(arguments.config).database_url


def check(url: str) -> list[VerifyReport]:
    """A report for each estate; ConfigError when there is no file or no estate, StorageUnavailable for no database."""
    engine = open_engine(url)
    path = make_url(url).database
    if engine.dialect.name == "sqlite" and not Path(path or "").is_file():
        raise ConfigError(f"there is no database {path}; run `estate645 demo` or name one with --database URL")
    try:
        with reader(engine) as connection:
            reports = [verify(connection, row["estate_id"]) for row in list_estates(connection)]
    except DBAPIError as error:
        raise StorageUnavailable(str(unavailable(engine, error))) from error
    finally:
        engine.dispose()
    if not reports:
        where = engine.url.render_as_string(hide_password=True)
        raise ConfigError(f"the database {where} holds no estate, so there is nothing to check; name another one")
    return reports


def _show(report: VerifyReport) -> None:
    print(
        f"estate {report.estate_id}: {report.accounts} accounts, {report.meters} meters, {report.batches} batches, "
        f"{report.lines} lines, {report.charges} charges recomputed ({report.estimated} split by time), "
        f"{report.payments} payments"
    )
    print(f"  sealed {report.sealed} batches, unsealed tail {report.unsealed}")
    for mismatch in report.mismatches[:SHOWN_MAX]:
        print(f"  MISMATCH invariant {mismatch.invariant}: {mismatch.subject}: {mismatch.detail}")
    if len(report.mismatches) > SHOWN_MAX:
        print(f"  ... and {len(report.mismatches) - SHOWN_MAX} more; --json lists all")
    print(f"  {len(report.mismatches)} mismatches")
