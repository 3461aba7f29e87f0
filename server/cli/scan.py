"""`estate645 scan PORT`: find every meter on a bus and say what it is.

Asks shortened addresses of both editions and Modbus units at each baud and parity, reads only, and shows how far it is.
With `--out FILE` it writes an estate file for `import`. PORT may be a bus (its id or url) of a running server: then the
questions go between its own, at the line setting of the bus. Exit code 1 when no meter was found or something was heard
that could not be told apart.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any

from core.dlt645.detection import BAUDS as USUAL_BAUDS
from core.modbus.rtu import UNIT_MAX
from server.cli.estate_draft import draft, untold
from server.cli.languages import LANGUAGES, told
from server.cli.languages import mark as _
from server.cli.lines import add_server_options, is_networked, opened, running_bus
from server.cli.outputs import refuse_unwritable
from server.collect.port import LineSettings
from server.collect.scanning import PROTOCOLS, Findings, Scanner, Sought
from server.collect.serial_port import BAUDS, PARITY_FLAGS
from server.domain.nameplates import addresses_in
from server.errors import EstateError

PROGRESS_S = 0.2
NOTHING = _(
    "nothing answered: is the line powered, are A and B exchanged, is it this adapter? --bauds and --parities name "
    "other settings, --thorough also asks meters that do not know 13H"
)


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("scan", help="find the meters on a bus", description=__doc__)
    parser.add_argument("port", metavar="PORT", help="/dev/ttyUSB0, tcp://host:port, or a bus of the running server")
    parser.add_argument("--bauds", type=_bauds, default=USUAL_BAUDS, metavar="LIST", help="default 2400,9600,1200,4800")
    parser.add_argument("--parities", type=_parities, default=("E", "N"), metavar="LIST", help="default E,N")
    parser.add_argument("--protocols", type=_protocols, default=PROTOCOLS, metavar="LIST",
                        help="default 2007,1997,modbus")  # fmt: skip
    parser.add_argument("--units", type=_units, default=range(1, 33), metavar="FROM-TO", help="Modbus, default 1-32")
    parser.add_argument("--addresses", type=_addresses, default=(), metavar="LIST",
                        help="numbers of nameplates, asked first: some meters of 1997 answer no search")  # fmt: skip
    parser.add_argument("--wait-ms", type=int, default=700, help="longest delay of a reply (default 700)")
    parser.add_argument("--tries", type=int, default=1, help="how often silence is asked again (default 1)")
    parser.add_argument("--thorough", action="store_true", help="also for meters that do not know 13H")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write an estate file")
    parser.add_argument("--lang", choices=LANGUAGES, default="both", help="both unless given")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    add_server_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Scan, print and write; what was found before an interruption is kept."""
    if arguments.tries < 1 or arguments.wait_ms < 1:
        raise EstateError("--tries and --wait-ms must be at least 1")
    refuse_unwritable(arguments.out)
    if arguments.out is not None and arguments.out.exists():
        raise EstateError(f"{arguments.out} exists already; name another file, or remove it")
    linger_s = min(arguments.wait_ms, 500) / 1000
    sought = Sought(
        arguments.protocols, arguments.units, arguments.tries, arguments.thorough, linger_s, arguments.addresses
    )
    scanner = Scanner(sought, _Progress(arguments.lang))
    url = arguments.port
    try:
        asyncio.run(_scan(arguments, scanner))
    except KeyboardInterrupt:
        print("\n" + told(_("interrupted; what was found so far:"), arguments.lang), file=sys.stderr)
    findings = scanner.findings
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if arguments.out is not None:
        arguments.out.write_text(draft(url, findings), "utf-8")
    if arguments.json:
        print(json.dumps(asdict(findings), ensure_ascii=False, indent=2))
    else:
        _show(findings, arguments.lang)
    unsure = [one for one in findings.meters if not one.edition_known]
    in_doubt = unsure or findings.clashes or findings.nameless or findings.doubts or findings.gave_up or findings.silent
    return 0 if findings.meters and not in_doubt else 1


async def _scan(arguments: argparse.Namespace, scanner: Scanner) -> None:
    served = running_bus(arguments)
    if served is not None:
        try:
            await scanner.scan(served, served.line)
        finally:
            served.admin.close()
        return
    seen: set[tuple[int, str]] = set()
    for line in _settings(arguments):
        async with opened(arguments.port, line, arguments.wait_ms) as ears:
            parity = "N" if ears.port_status.parity_effective is False else line.parity
            if (line.baud, parity) in seen:
                continue  # found already: a pty has no parity, so meters may answer whatever was asked for
            await scanner.scan(ears, LineSettings(line.baud, parity))
            if any(one.baud == line.baud for one in scanner.findings.meters):
                seen.add((line.baud, parity))


def _settings(arguments: argparse.Namespace) -> Iterator[LineSettings]:
    """Every line setting to try; a serial server has its own."""
    if is_networked(arguments.port):
        yield LineSettings(arguments.bauds[0], arguments.parities[0])
        return
    for parity in arguments.parities:
        for baud in arguments.bauds:
            yield LineSettings(baud, parity)


class _Progress:
    """One line on standard error that is written over, at most some times a second."""

    def __init__(self, lang: str) -> None:
        self._lang = lang
        self._next_at = 0.0

    def __call__(self, protocol: str, pattern: str, probes: int, found: int) -> None:
        now = monotonic()
        if now < self._next_at:
            return
        rewrites = sys.stderr.isatty()
        self._next_at = now + (PROGRESS_S if rewrites else 10.0)
        text = told(_("%(protocol)s %(pattern)s: %(probes)d questions, %(found)d meters"), self._lang,
                    protocol=protocol, pattern=pattern, probes=probes, found=found)  # fmt: skip
        print(f"\r{text:80}" if rewrites else text, end="" if rewrites else "\n", file=sys.stderr, flush=True)


def _show(findings: Findings, lang: str) -> None:
    for one in findings.meters:
        total = told(_("register not read"), lang) if one.total_wh is None else f"{one.total_wh / 1000:.2f} kWh"
        words = ", ".join(filter(None, (one.profile, one.model)))
        print(f"{one.protocol:6} {one.address:12}  {one.baud} 8{one.parity}1  {total}  {words}".rstrip())
    for line in untold(findings, lang):
        print(line)
    print(told(_("%(found)d meters, %(probes)d questions"), lang, found=len(findings.meters), probes=findings.probes))
    if not findings.meters:
        print(told(NOTHING, lang))


def _list(text: str, allowed: tuple[str, ...], what: str) -> tuple[str, ...]:
    parts = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    wrong = [part for part in parts if part not in allowed]
    if wrong:
        raise argparse.ArgumentTypeError(f"{what} {wrong[0]!r}; allowed: {', '.join(allowed)}")
    return parts


def _bauds(text: str) -> tuple[int, ...]:
    return tuple(map(int, _list(text, tuple(map(str, BAUDS)), "baud")))


def _parities(text: str) -> tuple[str, ...]:
    return _list(text, tuple(PARITY_FLAGS), "parity")


def _protocols(text: str) -> tuple[str, ...]:
    return _list(text, PROTOCOLS, "protocol")


def _addresses(text: str) -> tuple[str, ...]:
    try:
        return addresses_in(text)
    except EstateError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _units(text: str) -> range:
    first, _, last = text.partition("-")
    try:
        low, high = int(first), int(last or first)
    except ValueError:
        low = high = 0
    if not 1 <= low <= high <= UNIT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: FROM-TO within 1 to {UNIT_MAX}")
    return range(low, high + 1)
