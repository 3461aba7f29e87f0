"""`estate645 explain BILL`: a bill worked out again from readings and tariff, line by line, in words.

BILL is ACCOUNT:N, the N-th line of an account's ledger, ACCOUNT:YYYY-MM-DD or ACCOUNT:YYYY-MM for a local day or
month, or ACCOUNT alone for its newest charge. Exit code 1 when anything was booked otherwise than it is worked out, 2
when there is no such bill.
"""

import argparse
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from server.cli.languages import LANGUAGES, said
from server.cli.languages import mark as _
from server.cli.languages import told as say
from server.cli.verify import existing
from server.config import load
from server.domain.bills import Bill, BillLine
from server.errors import NotFound
from server.flows.bills import explain
from server.store.engine import reader
from server.store.estates import list_estates
from server.web.api.bills import bill_of
from server.web.bill_words import Said, bill_said, line_said, when
from server.web.formats import Formats, fen_exact, kwh_exact, signed_yuan, yuan
from server.web.i18n import translations
from server.web.words import LEDGER

_TONGUES = {"en": "en", "zh": "zh_CN"}
_SEPARATORS = {"en": ": ", "zh": "："}


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("explain", help="work a bill out again, in words", description=__doc__)
    parser.add_argument("bill", metavar="BILL", help="ACCOUNT:57, ACCOUNT:2026-10-13, ACCOUNT:2026-10 or ACCOUNT")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the server")
    parser.add_argument("--database", metavar="URL", help="database to ask, instead of the configured one")
    parser.add_argument("--lines", action="store_true", help="tell every line of a day or month step by step")
    parser.add_argument("--lang", choices=LANGUAGES, default="both", help="both unless given")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Look the bill up, work it out, print it."""
    bill = look_up(arguments.database or load(arguments.config).database_url, arguments.bill)
    if arguments.json:
        print(bill_of(bill, _TONGUES.get(arguments.lang, "en")).model_dump_json(indent=2))
    else:
        for line in lines_of(bill, arguments.lang, each=arguments.lines):
            print(line)
    return 1 if bill.differences else 0


def look_up(url: str, name: str) -> Bill:
    """The bill from the first estate of the database that has it; NotFound, ConfigError or StorageUnavailable."""
    with existing(url) as engine, reader(engine) as connection:
        return _found(connection, name)


def _found(connection: Connection, name: str) -> Bill:
    error = NotFound("the database holds no estate, so there is no bill to explain; name another one")
    for site in list_estates(connection):
        try:
            return explain(connection, site["estate_id"], name)
        except NotFound as absent:
            error = absent
    raise error


def lines_of(bill: Bill, lang: str, *, each: bool = False) -> Iterator[str]:
    """The bill as text; `each` tells every line of a day or month step by step."""
    heads = {"name": str(bill.name), "room": bill.room_id or "-"}
    yield say(_("bill %(name)s, room %(room)s"), lang, **heads)
    if bill.name.number is not None or each:
        for line in bill.lines:
            if each:
                yield f"{bill.name.account_id}:{line.booked.line.account_version}"
            yield from _rows(bill, lambda f, gettext, own=line: line_said(own, f, gettext), lang)
    if bill.name.number is None:
        yield from _rows(bill, lambda f, gettext: bill_said(bill, f, gettext), lang)
        if not each:
            yield say(_("its lines:"), lang)
            yield from (_brief(bill, line, lang) for line in bill.lines)
    charges = sum(line.derived is not None or line.correction is not None for line in bill.lines)
    if bill.differences:
        yield say(_("figures that DIFFER from what was booked: %(count)d"), lang, count=len(bill.differences))
    elif charges:
        yield say(_("worked out again, all figures as booked; charges: %(count)d"), lang, count=charges)


def _rows(bill: Bill, tell: Any, lang: str) -> Iterator[str]:
    """Labelled sentences, those of both languages side by side."""
    both = [_told(bill, tell, tongue) for tongue in ("en", "zh")]
    for en, zh in zip_longest(*both, fillvalue=""):
        yield "  " + said(en, zh, lang)


def _told(bill: Bill, tell: Any, tongue: str) -> list[str]:
    rows: list[Said] = tell(_formats(bill, tongue), translations(_TONGUES[tongue]).gettext)
    return [f"{row.label}{_SEPARATORS[tongue]}{row.text}" for row in rows]


def _formats(bill: Bill, tongue: str) -> Formats:
    return Formats(
        translations(_TONGUES[tongue]).gettext, bill.time_zone, 0
    )  # no year is the present one: all are said


def kind_said(kind: str, lang: str) -> str:
    """What a line is for, as the pages call it."""
    en, zh = (translations(_TONGUES[tongue]).gettext(LEDGER.get(kind, kind)) for tongue in ("en", "zh"))
    return said(en, zh, lang)


def _fen(charge_nf: int, lang: str) -> str:
    """An exact charge; the word is a short one, so both languages have the English."""
    return say(_("%(sum)s fen"), lang if lang == "zh" else "en", sum=fen_exact(charge_nf))


def _brief(bill: Bill, line: BillLine, lang: str) -> str:
    """One line of a day or month: number, time, registers, energy, exact charge, amount, balance."""
    booked, f = line.booked, _formats(bill, "en")
    own = [f"  {bill.name.account_id}:{booked.line.account_version}"]
    if line.derived is None:
        own += [f.full(booked.event_at), kind_said(booked.kind, lang)]
    else:
        start, end = line.derived.start, line.derived.end
        own += [
            when(line, f), f"{kwh_exact(start.total_wh)} → {kwh_exact(end.total_wh)}",
            kwh_exact(line.derived.energy_wh), _fen(line.derived.charge_nf, lang),
        ]  # fmt: skip
    own += [signed_yuan(booked.line.amount_fen), yuan(booked.line.balance_after_fen)]
    if line.differences:
        own.append(say(_("DIFFERS"), lang))
    return "  ".join(own)
