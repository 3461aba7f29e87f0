"""`estate645 view`: what this head-end says of its estate, for `estate645-sim audit` to judge.

Readings, believed and held, every charged step, relay states that were read back, and cases, as JSON Lines in the
format of `docs/simulator.md`. Only reads, so it may run beside the server. Charging is due up to the last reading but
one billing cycle and one reading cycle; readings are promised once in each two reading cycles, since the instant at
which a meter is read within its cycle wanders.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from server.cli.outputs import refuse_unwritable
from server.cli.verify import existing
from server.config import load
from server.domain.anomalies import (
    BACKWARDS,
    CLOCK,
    DISOBEYED,
    GATE_LOSS,
    JUMP,
    KEEP_FAILS,
    OPEN_RELAY,
    SILENT,
    STUCK,
)
from server.errors import ConfigError
from server.store import view as kept
from server.store.engine import reader
from server.store.estates import list_estates

CLASSES = {
    OPEN_RELAY: "relay",
    DISOBEYED: "relay",
    KEEP_FAILS: "relay",
    BACKWARDS: "register_backwards",
    SILENT: "silent",
    GATE_LOSS: "balance",
    CLOCK: "clock",
    STUCK: "register_stuck",
    JUMP: "register_jump",
}
TOLERANCE_S = 60
READING_CYCLES = 2


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("view", help="export what an auditor judges", description=__doc__)
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the server")
    parser.add_argument("--database", metavar="URL", help="database to read, instead of the configured one")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write there instead of standard output")
    parser.add_argument(
        "--from", dest="from_s", type=_instant, metavar="TIME", help="leave out what is older (ISO 8601)"
    )
    parser.add_argument("--until", dest="until_s", type=_instant, metavar="TIME", help="leave out what is newer")
    parser.add_argument(
        "--tolerance", type=int, default=TOLERANCE_S, metavar="S", help="how far times may be off (default 60 s)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write one JSON object a line."""
    refuse_unwritable(arguments.out)
    url = arguments.database or load(arguments.config).database_url
    lines = (json.dumps(row) + "\n" for row in rows(url, arguments.from_s, arguments.until_s, arguments.tolerance))
    if arguments.out is None:
        sys.stdout.writelines(lines)
        return 0
    try:
        with arguments.out.open("w", encoding="utf-8") as file:
            file.writelines(lines)
    except OSError as error:
        raise ConfigError(f"{arguments.out}: cannot be written ({error.strerror})") from error
    return 0


def rows(
    url: str, from_s: int | None = None, until_s: int | None = None, tolerance_s: int = TOLERANCE_S
) -> Iterator[dict[str, Any]]:
    """The view of the estate of a database; ConfigError without one, StorageUnavailable for no database."""
    with existing(url) as engine, reader(engine) as connection:
        estates = list_estates(connection)
        if not estates:
            raise ConfigError("the database holds no estate, so there is nothing to export")
        yield from _view(connection, estates[0]["estate_id"], from_s, until_s, tolerance_s)


def _view(
    connection: Connection, estate_id: str, from_s: int | None, until_s: int | None, tolerance_s: int
) -> Iterator[dict[str, Any]]:
    whole = kept.whole_span(connection, estate_id)
    span = kept.Span(whole.from_s if from_s is None else from_s, whole.until_s if until_s is None else until_s)
    reading_cycle_s, billing_cycle_s = kept.cycles(connection, estate_id)
    yield {
        "what": "view",
        "from_s": span.from_s,
        "until_s": span.until_s,
        "charged_from_s": span.from_s,
        "charged_until_s": max(span.from_s, span.until_s - billing_cycle_s - reading_cycle_s),
        "every_s": READING_CYCLES * reading_cycle_s,
        "tolerance_s": tolerance_s,
    }
    for meter_id, at, total_wh, believed in kept.readings_seen(connection, estate_id, span):
        yield {"what": "reading" if believed else "held", "meter": meter_id, "at_s": at, "register_wh": total_wh}
    for one in kept.postings(connection, estate_id, span):
        yield {
            "what": "charge",
            "meter": one.meter_id,
            "at_s": one.at,
            "from_wh": one.from_wh,
            "to_wh": one.to_wh,
            "charge_fen": one.charge_fen,
            "charge_nf": str(one.charge_nf),
        }
    for seen in kept.relays_seen(connection, estate_id, span):
        yield {"what": "relay", "meter": seen.meter_id, "at_s": seen.at, "state": seen.state}
    for case in kept.cases_seen(connection, estate_id, span):
        place = "gate" if case.is_gate else "meter"
        yield {"what": "alarm", "class": CLASSES[case.kind], place: case.subject, "at_s": case.at}


def _instant(text: str) -> int:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: ISO 8601 such as 2026-10-13T09:05:00+08:00") from error
    if instant.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no offset; write one, such as +08:00")
    return int(instant.timestamp())
