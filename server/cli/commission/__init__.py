"""`estate645 doctor --commission PORT`: the checklist on an operator's own meters, and a report of what it proves.

Port, parity, register, clock, status word and timing are read from each meter of `--meters`. Trip and close are tried
on `--spare-meter` alone, after its number was typed once more (or `--yes` was given). Exit code 1 when a check failed.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.dlt645.commands import Password
from core.dlt645.profiles import EDITION_1997, EDITION_2007
from core.errors import CoreError
from core.modbus.meters import METERS
from server.cli.commission.meter_checks import look_at
from server.cli.commission.proofs import Proof, ground_of
from server.cli.commission.relay_checks import RELAY_QUESTIONS, RelayChecks
from server.cli.commission.report import MARKS, Report
from server.cli.commission.tries import Tries, opened_tries
from server.cli.languages import mark as _
from server.cli.languages import told
from server.cli.lines import machine_clocks, opened
from server.cli.outputs import refuse_unwritable
from server.collect.line import BusLine
from server.collect.port import LineSettings
from server.collect.readout import MeterState, Readout
from server.collect.work import MeterPlan
from server.errors import ConfigError, Refused

DIGITS = 12
SILENT = _(
    "no meter answered at %(line)s; estate645 scan %(port)s finds speed, parity and addresses of those that are there"
)
Confirm = Callable[[str], str]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `doctor` that belong to a commissioning."""
    group = parser.add_argument_group("commissioning")
    group.add_argument("--commission", action="store_true", help="walk through the checklist on PORT and report")
    group.add_argument("--meters", type=_meters, default=(), metavar="LIST",
                       help="12 digits each, ADDRESS:1997, or UNIT:MODEL for Modbus, with commas")  # fmt: skip
    group.add_argument("--spare-meter", metavar="ADDRESS", help="feeds nobody; it is tripped and closed")
    group.add_argument("--password-file", type=Path, metavar="FILE", help="holds the spare meter's six digits")
    group.add_argument("--password-level", type=int, default=2, metavar="N", help="0 to 9, default 2")
    group.add_argument("--yes", action="store_true", help="do not ask before the spare meter is tripped")
    group.add_argument("--time-zone", default="Asia/Shanghai", metavar="NAME", help="of the meters' clocks")
    group.add_argument("--wait-ms", type=int, default=1000, help="longest delay of a reply (default 1000)")
    group.add_argument("--out", type=Path, metavar="FILE", help="write the report there, and as JSON beside it")


def run(arguments: argparse.Namespace, feeds: Callable[[str], str], database: str, confirm: Confirm = input) -> int:
    """Walk through the checklist. `feeds` names the room that a meter of the `database` feeds, or nothing."""
    if len(arguments.ports) != 1 or not (arguments.meters or arguments.spare_meter):
        raise ConfigError("--commission takes one PORT, and --meters or --spare-meter (or both)")
    try:
        zone = ZoneInfo(arguments.time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(f"--time-zone {arguments.time_zone!r} is not known; allowed: a name such as UTC") from error
    refuse_unwritable(arguments.out)
    secret = _secret(arguments)
    proofs: list[Proof] = []
    began = datetime.now(zone)
    url, line = arguments.ports[0], LineSettings(arguments.baud, arguments.parity)
    refusal = _allowed(arguments, feeds, confirm)
    with ExitStack() as opened_here:
        tries = None
        if arguments.spare_meter is not None and refusal is None:
            folder = Path() if arguments.out is None else arguments.out.parent
            tries = opened_here.enter_context(
                opened_tries(arguments.spare_meter, database, folder, zone, machine_clocks(zone.key).world_now)
            )
        asyncio.run(_walk(arguments, refusal, secret, proofs, tries))
    report = Report(url, line, ground_of(url), began, "estate645", proofs)
    _hand_over(report, arguments)
    if not arguments.json and all(one.outcome != "passed" for one in proofs if one.subject != url):
        print(told(SILENT, arguments.lang, line=f"{line.baud} 8{line.parity}{line.stop_bits}", port=url))
    return 1 if report.failed else 0


async def _walk(
    arguments: argparse.Namespace, refusal: str | None, secret: Password, proofs: list[Proof], tries: Tries | None
) -> None:
    clocks = machine_clocks(arguments.time_zone)
    line = LineSettings(arguments.baud, arguments.parity)
    async with opened(arguments.ports[0], line, arguments.wait_ms, clocks) as bus:
        say = _Say(arguments)
        for proof in _of_port(arguments.ports[0], bus, line):
            say(proof, proofs)
        plans = {plan.meter_id: plan for plan in arguments.meters}
        spare = arguments.spare_meter
        if spare is not None:
            plans.setdefault(spare, MeterPlan(spare))
        for plan in plans.values():
            meter = MeterState(plan)
            async for proof in look_at(bus, Readout(bus, clocks), meter, arguments.wait_ms):
                say(proof, proofs)
        if spare is None:
            return
        checks = RelayChecks(bus, clocks, MeterState(plans[spare]), secret, tries).run() if refusal is None else _left(
            spare, refusal
        )  # fmt: skip
        async for proof in checks:
            say(proof, proofs)


async def _left(meter_id: str, refusal: str) -> AsyncIterator[Proof]:
    for question in RELAY_QUESTIONS:
        yield Proof(question, meter_id, "open", refusal)


def _of_port(url: str, bus: BusLine, line: LineSettings) -> list[Proof]:
    parity = bus.port_status.parity_effective
    found = [Proof("port", url, "passed", _("it opens and is nobody else's"))]
    if parity is None:
        found.append(Proof("parity", url, "open", _("the line is somebody else's; look at the serial server")))
    elif line.parity == "N":
        found.append(Proof("parity", url, "open", _("none is wanted")))
    elif parity:
        found.append(Proof("parity", url, "passed", _("%(parity)s, as wanted"), {"parity": line.parity}))
    elif not ground_of(url).is_hardware:
        found.append(Proof("parity", url, "open", _("a pseudo-terminal has no parity")))
    else:
        found.append(Proof("parity", url, "failed", _("the driver took parity away; use another adapter")))
    return found


def _allowed(arguments: argparse.Namespace, feeds: Callable[[str], str], confirm: Confirm) -> str | None:
    """None when the spare meter may be tripped; else the message that says why not."""
    spare = arguments.spare_meter
    if spare is None:
        return None
    if len(spare) != DIGITS or not (spare.isascii() and spare.isdecimal()):
        raise ConfigError(f"--spare-meter {spare!r} is wrong; allowed: the 12 digits of its address")
    if room := feeds(spare):
        raise Refused(f"meter {spare} feeds {room} in the database; a spare meter feeds nobody")
    if arguments.yes:
        return None
    if not sys.stdin.isatty():
        return _("not tried: nobody was there to confirm it; --yes says that the meter feeds nobody")
    asked = told(_("Meter %(meter)s will be cut off and switched on again. Type its number to go on: "),
                 arguments.lang, meter=spare)  # fmt: skip
    return None if confirm(asked).strip() == spare else _("not tried: it was not confirmed")


def _secret(arguments: argparse.Namespace) -> Password:
    if arguments.password_file is None:
        return Password(arguments.password_level)
    try:
        code = arguments.password_file.read_text("ascii").strip()
        secret = Password(arguments.password_level, code)
        secret.to_bytes()
    except (OSError, UnicodeDecodeError, CoreError) as error:
        raise ConfigError(f"{arguments.password_file}: not a password file; allowed: six digits") from error
    return secret


class _Say:
    """Keeps each proof and shows it at once, so that whoever waits sees how far it is."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._lang = arguments.lang
        self._silent = arguments.json

    def __call__(self, proof: Proof, proofs: list[Proof]) -> None:
        proofs.append(proof)
        if not self._silent:
            asked = proof.asked(self._lang)
            outcome = told(MARKS[proof.outcome], "zh") if self._lang == "zh" else f"{proof.outcome:7}"
            print(f"{outcome} {proof.subject} {asked}: {proof.said(self._lang)}", flush=True)


def _hand_over(report: Report, arguments: argparse.Namespace) -> None:
    text = "\n".join(report.markdown(arguments.lang)) + "\n"
    as_json = json.dumps(report.as_json(), ensure_ascii=False, indent=2)
    if arguments.out is not None:
        arguments.out.write_text(text, "utf-8")
        arguments.out.with_suffix(".json").write_text(as_json + "\n", "utf-8")
    if arguments.json:
        print(as_json)
    elif arguments.out is None:
        print(f"\n{text}", end="")


def _meters(text: str) -> tuple[MeterPlan, ...]:
    return tuple(_meter(part.strip()) for part in text.split(",") if part.strip())


def _meter(text: str) -> MeterPlan:
    name, _sep, speech = text.partition(":")
    if speech in METERS and name.isdecimal():
        return MeterPlan(f"unit {name}", protocol="modbus", model=speech, unit=int(name))
    if len(name) == DIGITS and name.isdecimal() and speech in ("", EDITION_2007, EDITION_1997):
        return MeterPlan(name, protocol=speech or EDITION_2007)
    allowed = f"12 digits, ADDRESS:1997, or UNIT:MODEL with a model of {', '.join(METERS)}"
    raise argparse.ArgumentTypeError(f"{text!r}; allowed: {allowed}")


def feeding(rows: list[Any]) -> Callable[[str], str]:
    """From the meters of a database (with `meter_id` and `room_id`) to what each feeds."""
    rooms = {row.meter_id: row.room_id or row.kind for row in rows}
    return lambda meter_id: rooms.get(meter_id, "")
