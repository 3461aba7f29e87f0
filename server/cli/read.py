"""`estate645 read PORT ADDRESS DI`: ask one meter for one data identifier and print what it says.

For the first minutes with a meter on the table: no database, no settings, the same port, session and codec as the
collector. Exit code 1 when the meter refuses or stays silent.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from core.dlt645 import identifiers
from core.dlt645.commands import Read
from core.dlt645.edition1997 import Read97, decode_value_97, lookup_97
from core.dlt645.entry import Identifier
from core.dlt645.identifiers import Value
from core.dlt645.profiles import EDITION_1997, EDITION_2007
from core.errors import CoreError, ProtocolMisuse, ValueFormatError
from core.framing import Command
from core.modbus.maps import read_of
from core.modbus.meters import METERS
from core.modbus.rtu import UNIT_MAX
from server.collect.line import BusLine
from server.collect.port import LineSettings
from server.collect.ports import open_port
from server.collect.scanning import MODBUS, PROTOCOLS
from server.collect.serial_port import BAUDS, PARITY_FLAGS
from server.collect.tally import Tally
from server.collect.work import Clocks, timing_for
from server.errors import ConfigError


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("read", help="ask one meter for one value", description=__doc__)
    parser.add_argument("port", metavar="PORT", help="/dev/ttyUSB0, tcp://host:port or rfc2217://host:port")
    parser.add_argument("address", metavar="ADDRESS", help="12 digits as printed on the meter; Modbus: its unit")
    parser.add_argument("di", metavar="DI", help="8 hexadecimal digits (00010000: total energy), 4 for 1997")
    parser.add_argument("--protocol", choices=PROTOCOLS, default=EDITION_2007, help="what it speaks (default 2007)")
    parser.add_argument("--model", choices=tuple(METERS), help="with modbus: whose register map")
    parser.add_argument("--baud", type=int, choices=BAUDS, default=2400, help="default 2400")
    parser.add_argument("--parity", choices=tuple(PARITY_FLAGS), default="E", help="default E")
    parser.add_argument("--wait-ms", type=int, default=1000, help="longest delay of the reply (default 1000)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read and print; PortError when the port cannot be opened, ConfigError for an impossible question."""
    question = _question(arguments)
    asked = f"{arguments.address} {arguments.di}"
    try:
        data = asyncio.run(_read(arguments, question.command))
    except CoreError as error:
        print(f"{asked}: {error}", file=sys.stderr)
        return 1
    print(f"{asked}: {_explain(question, data)}")
    return 0


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked and how the answer is read; without names the identifier is in no table."""

    command: Command[Any]
    name_en: str
    unit: str
    values: Callable[[bytes], Sequence[Value]]


def _question(arguments: argparse.Namespace) -> Question:
    """The request as address, identifier, protocol and model say it."""
    if arguments.protocol == MODBUS:
        return _of_modbus(arguments)
    address = _address(arguments.address)
    if arguments.protocol == EDITION_1997:
        code = _identifier(arguments.di, 4)
        return _of_645(Read97(address, code), lookup_97(code), partial(decode_value_97, code))
    code = _identifier(arguments.di, 8)
    return _of_645(Read(address, code), identifiers.lookup(code), partial(identifiers.decode_value, code))


def _of_645(command: Command[Any], entry: Identifier | None, values: Callable[[bytes], Sequence[Value]]) -> Question:
    return Question(command, entry.name_en if entry else "", entry.unit if entry else "", values)


def _of_modbus(arguments: argparse.Namespace) -> Question:
    if arguments.model is None:
        raise ConfigError(f"--model is missing; with --protocol modbus it is one of {', '.join(METERS)}")
    if not (arguments.address.isdecimal() and 1 <= int(arguments.address) <= UNIT_MAX):
        raise ConfigError(f"{arguments.address!r}; allowed: the unit of a Modbus meter, 1 to {UNIT_MAX}")
    try:
        quantity = METERS[arguments.model].of(_identifier(arguments.di, 8))
    except ProtocolMisuse as error:
        raise ConfigError(f"{error}; `estate645 read --help` says what can be asked") from error
    return Question(
        read_of(int(arguments.address), quantity),
        quantity.name_en,
        quantity.unit,
        lambda data: (quantity.decode([int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]),),
    )


async def _read(arguments: argparse.Namespace, command: Command[Any]) -> bytes:
    settings = LineSettings(arguments.baud, arguments.parity)
    timing = timing_for(settings, arguments.wait_ms)
    clocks = Clocks(time.time, lambda: int(time.time() * 1000))
    line = BusLine(open_port(arguments.port, settings), timing, clocks, Tally(), lambda: None)
    await line.open()
    try:
        answer = await line.ask(command)
    finally:
        line.close()
        await asyncio.sleep(0)  # an aborted connection closes in the next round of the loop
    return answer.data


def _explain(question: Question, data: bytes) -> str:
    """Name, values with their unit, and the bytes as they came (offset removed, low byte first; Modbus as they are)."""
    raw = f"[{data.hex(' ').upper()}]"
    if not question.name_en:
        return f"{raw} (not in the table of identifiers)"
    try:
        values = question.values(data)
    except ValueFormatError as error:
        return f"{question.name_en}: {raw} ({error})"
    return f"{question.name_en}: {_in_words(values)} {question.unit} {raw}".replace("  ", " ")


def _in_words(values: Sequence[Value]) -> str:
    return ", ".join("not available" if value is None else str(value) for value in values)


def _address(text: str) -> str:
    if len(text) != 12 or not (text.isascii() and text.isdecimal()):
        raise ConfigError(f"{text!r}; allowed: 12 digits, leading zeros included")
    return text


def _identifier(text: str, digits: int) -> int:
    try:
        if len(text) != digits:
            raise ValueError
        return int(text, 16)
    except ValueError as error:
        raise ConfigError(f"{text!r}; allowed: {digits} hexadecimal digits such as {'00010000'[:digits]}") from error
