"""`estate645 reconcile`: compare a provider's bill file with the books, and change nothing.

For an auditor, or before a file is loaded: what would differ, by class, with whose turn it would be. Only reads, so it
may run beside the server. Exit code 1 when anything differs that somebody would have to look after.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from server.cli.languages import LANGUAGES, Paired, told
from server.cli.languages import mark as _
from server.cli.verify import existing
from server.config import load
from server.domain.reconciliation import OWNERS, BillRow, Difference, Kind, bounds_ms, compare
from server.errors import ConfigError, Refused
from server.pay.opening import open_providers
from server.pay.yuan import yuan_of_fen
from server.store import reconciliation as kept
from server.store.engine import reader
from server.store.estates import list_estates
from server.web.i18n import translations
from server.web.words import BILL_ITEMS, BILL_OWNERS, DIFFERENCES

LINE = _("%(kind)s %(what)s here %(here)s there %(there)s  %(key)s  (%(owner)s)")
SUM = _("%(waiting)d differences that somebody has to look after, %(boundary)d of the day boundary")


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
    parser.add_argument("--lang", choices=LANGUAGES, default="both", help="both unless given")
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
        _show(found, arguments.lang)
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


def _show(found: list[Difference], lang: str) -> None:
    for one in found:
        here, there = ("-" if fen is None else yuan_of_fen(fen) for fen in (one.here_fen, one.there_fen))
        kind, what, owner = _words(DIFFERENCES, f"{one.kind:14}"), _words(BILL_ITEMS, f"{one.what:8}"), OWNERS[one.kind]
        print(told(LINE, lang, kind=kind, what=what, here=f"{here:>10}", there=f"{there:>10}", key=one.key,
                   owner=_words(BILL_OWNERS, owner)))  # fmt: skip
    waiting = sum(one.kind is not Kind.DAY_BOUNDARY for one in found)
    print(told(SUM, lang, waiting=waiting, boundary=len(found) - waiting))


def _words(words: Mapping[str, str], name: str) -> Paired:
    """What a stored name is called: itself in English, since scripts read it, and as on the pages in Chinese."""
    return Paired(name, translations("zh_CN").gettext(words.get(name.strip(), name)))
