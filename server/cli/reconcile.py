"""`estate645 reconcile`: compare a provider's bill file with the books, and change nothing.

For an auditor, or before a file is loaded: what would differ, by class, with whose turn it would be. Only reads, so it
may run beside the server. Exit code 1 when anything differs that somebody would have to look after.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from server.cli.verify import existing
from server.config import load
from server.domain.reconciliation import OWNERS, BillRow, Difference, Kind, bounds_ms, compare
from server.errors import ConfigError, Refused
from server.pay.opening import open_providers
from server.pay.yuan import yuan_of_fen
from server.store import reconciliation as kept
from server.store.engine import reader
from server.store.estates import list_estates


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "reconcile", help="compare a provider's bill file with the books", description=__doc__
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="bill file as the provider gives it")
    parser.add_argument("--provider", required=True, metavar="NAME", help="wechat, alipay, hmac or sandbox")
    parser.add_argument("--day", required=True, metavar="DAY", help="day of the file in Beijing, YYYY-MM-DD")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the server")
    parser.add_argument("--database", metavar="URL", help="database to compare with")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read the file with the provider's own eyes, then compare."""
    config = load(arguments.config)
    provider = open_providers(config).get(arguments.provider)
    if provider is None:
        raise ConfigError(f"provider {arguments.provider!r} is not set up; name one that --config opens")
    try:
        content = arguments.file.read_bytes()
        bounds_ms(arguments.day)
    except OSError as error:
        raise ConfigError(f"{arguments.file}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ConfigError(f"--day {arguments.day!r} is no day; write YYYY-MM-DD") from error
    found = _differences(
        arguments.database or config.database_url, arguments.provider, arguments.day, list(provider.read_bill(content))
    )
    if arguments.json:
        listed = [{**asdict(one), "owner": OWNERS[one.kind]} for one in found]
        print(json.dumps({"day": arguments.day, "differences": listed}, ensure_ascii=False, indent=2))
    else:
        _show(found)
    return 1 if any(one.kind is not Kind.DAY_BOUNDARY for one in found) else 0


def _differences(url: str, provider: str, day: str, rows: list[BillRow]) -> list[Difference]:
    span = bounds_ms(day)
    if any(not span[0] <= row.at_ms < span[1] for row in rows):
        raise Refused(f"the file is not of {day}: name its day with --day")
    with existing(url) as engine, reader(engine) as connection:
        estates = list_estates(connection)
        if not estates:
            raise ConfigError("the database holds no estate; name another with --database URL")
        estate_id = estates[0]["estate_id"]
        ours = kept.booked(connection, estate_id, provider, span, rows)
        elsewhere = kept.elsewhere(connection, estate_id, provider, day, ours)
        loaded = kept.loaded_days(connection, estate_id, provider) | {day}
        return compare(day, rows, ours, elsewhere, loaded)


def _show(found: list[Difference]) -> None:
    for one in found:
        here, there = ("-" if fen is None else yuan_of_fen(fen) for fen in (one.here_fen, one.there_fen))
        print(f"{one.kind:14} {one.what:8} here {here:>10} there {there:>10}  {one.key}  ({OWNERS[one.kind]})")
    waiting = sum(one.kind is not Kind.DAY_BOUNDARY for one in found)
    print(f"{waiting} differences that somebody has to look after, {len(found) - waiting} of the day boundary")
