"""`estate645 read PORT ADDRESS DI`: ask one meter for one data identifier and print what it says.

For the first minutes with a meter on the table: no database, no settings, the same port, session and codec as the
collector. Exit code 1 when the meter refuses or stays silent.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Any

from core.dlt645 import identifiers
from core.dlt645.commands import Read
from core.errors import CoreError, ValueFormatError
from server.collect.line import BusLine
from server.collect.port import LineSettings
from server.collect.ports import open_port
from server.collect.serial_port import BAUDS, PARITY_FLAGS
from server.collect.tally import Tally
from server.collect.work import Clocks, timing_for


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("read", help="ask one meter for one value", description=__doc__)
    parser.add_argument("port", metavar="PORT", help="/dev/ttyUSB0, tcp://host:port or rfc2217://host:port")
    parser.add_argument("address", metavar="ADDRESS", type=_address, help="12 digits as printed on the meter")
    parser.add_argument("di", metavar="DI", type=_identifier, help="8 hexadecimal digits, 00010000 = total energy")
    parser.add_argument("--baud", type=int, choices=BAUDS, default=2400, help="default 2400")
    parser.add_argument("--parity", choices=tuple(PARITY_FLAGS), default="E", help="default E")
    parser.add_argument("--wait-ms", type=int, default=1000, help="longest delay of the reply (default 1000)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read and print; PortError when the port cannot be opened."""
    try:
        data = asyncio.run(_read(arguments))
    except CoreError as error:
        print(f"{arguments.address} {arguments.di:08X}: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.address} {arguments.di:08X}: {_explain(arguments.di, data)}")
    return 0


async def _read(arguments: argparse.Namespace) -> bytes:
    settings = LineSettings(arguments.baud, arguments.parity)
    timing = timing_for(settings, arguments.wait_ms)
    clocks = Clocks(time.time, lambda: int(time.time() * 1000))
    line = BusLine(open_port(arguments.port, settings), timing, clocks, Tally(), lambda: None)
    await line.open()
    try:
        answer = await line.ask(Read(arguments.address, arguments.di))
    finally:
        line.close()
        await asyncio.sleep(0)  # an aborted connection closes in the next round of the loop
    return answer.data


def _explain(di: int, data: bytes) -> str:
    """Name, values with their unit, and the bytes as they came (offset removed, low byte first)."""
    raw = f"[{data.hex(' ').upper()}]"
    entry = identifiers.lookup(di)
    if entry is None:
        return f"{raw} (not in the table of identifiers)"
    try:
        values = identifiers.decode_value(di, data)
    except ValueFormatError as error:
        return f"{entry.name_en}: {raw} ({error})"
    return f"{entry.name_en}: {_in_words(values)} {entry.unit} {raw}".replace("  ", " ")


def _in_words(values: Sequence[identifiers.Value]) -> str:
    return ", ".join("not available" if value is None else str(value) for value in values)


def _address(text: str) -> str:
    if len(text) != 12 or not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: 12 digits, leading zeros included")
    return text


def _identifier(text: str) -> int:
    try:
        if len(text) != 8:
            raise ValueError
        return int(text, 16)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: 8 hexadecimal digits such as 00010000") from error
