"""`estate645 read PORT ADDRESS DI`: ask one meter for one data identifier and print what it says, in both languages.

Eight digits are an identifier of 2007, four one of 1997; a block is printed value by value, an answer in several frames
is joined. ADDRESS of one to three digits is a Modbus unit: with `--model` DI is the identifier of the same quantity, or
`all`; without, four digits name a register and `--count` says how many. PORT may be a bus of a running server. No
settings are needed for a port of one's own. Exit code 1 when the meter refuses or stays silent.
"""

import argparse
import asyncio
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from core.dlt645.explain import explain
from core.dlt645.follow import LongRead
from core.dlt645.frame import Frame, encode
from core.dlt645.profiles import EDITION_1997, EDITION_2007
from core.dlt645.service1997 import long_read_97
from core.errors import CoreError, NoReply, ProtocolMisuse
from core.modbus.commands import ReadRegisters, reply_registers
from core.modbus.maps import MeterMap, Quantity, reads, values_of
from core.modbus.meters import METERS
from core.modbus.rtu import READ_COUNT_MAX, READ_HOLDING, READ_INPUT, UNIT_MAX
from server.cli.languages import LANGUAGES, in_chinese, said
from server.cli.languages import mark as _
from server.cli.languages import told as in_words
from server.cli.lines import add_server_options, is_networked, opened, running_bus
from server.collect.port import LineSettings
from server.collect.scanning import MODBUS, PROTOCOLS, Ears
from server.collect.serial_port import BAUDS, PARITY_FLAGS
from server.errors import ConfigError

ALL = "all"
_HEXADECIMAL = re.compile("[0-9A-Fa-f]+")  # int() also takes signs, 0x and underscores
EXPLAINED_MAX = 200  # bytes of data; more is one frame no longer


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("read", help="ask one meter for one value", description=__doc__)
    parser.add_argument("port", metavar="PORT", help="/dev/ttyUSB0, tcp://host:port, or a bus of the running server")
    parser.add_argument("address", metavar="ADDRESS", help="12 digits as printed, or a Modbus unit")
    parser.add_argument("di", metavar="DI", help="00010000 (2007), 9010 (1997), a register, or all")
    parser.add_argument("--protocol", choices=PROTOCOLS, help="where the forms of ADDRESS and DI do not tell")
    parser.add_argument("--baud", type=int, choices=BAUDS, default=2400, help="default 2400")
    parser.add_argument("--parity", choices=tuple(PARITY_FLAGS), default="E", help="default E")
    parser.add_argument("--wait-ms", type=int, default=1000, help="longest delay of the reply (default 1000)")
    parser.add_argument("--lang", choices=LANGUAGES, default="both", help="both unless given")
    parser.add_argument("--model", choices=tuple(METERS), help="whose registers a Modbus unit has")
    parser.add_argument("--function", type=int, choices=(READ_HOLDING, READ_INPUT), default=READ_HOLDING,
                        help="of Modbus without --model: 3 holding (default), 4 input registers")  # fmt: skip
    parser.add_argument("--count", type=int, default=2, help="registers without --model (default 2)")
    add_server_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read and print; EstateError when the port cannot be opened or the question makes no sense."""
    asking = _asking(arguments)
    try:
        told = asyncio.run(_read(arguments, asking))
    except CoreError as error:
        print(
            f"{arguments.address} {arguments.di}: {said(str(error), in_chinese(str(error)), arguments.lang)}",
            file=sys.stderr,
        )
        if isinstance(error, NoReply):
            print(_hint(arguments), file=sys.stderr)
        return 1
    for line in told:
        print(line)
    return 0


def _hint(arguments: argparse.Namespace) -> str:
    """What to look at when nothing sound was heard."""
    port, lang = arguments.port, arguments.lang
    if "/" not in port:  # a bus of the running server has its own settings
        message = _("look at the address and the wires; the buses page says whether others on %(port)s answer")
    elif is_networked(port):
        message = _("look at the address, the wires, and at baud and parity in the serial server itself")
    else:
        message = _(
            "asked at %(baud)d 8%(parity)s1: look at the address, baud, parity and the wires (A and B exchanged?), "
            "or let `estate645 scan %(port)s` try"
        )
    return in_words(message, lang, baud=arguments.baud, parity=arguments.parity, port=port)


Asking = Callable[[Ears], Any]


async def _read(arguments: argparse.Namespace, asking: Asking) -> list[str]:
    served = running_bus(arguments)
    if served is not None:
        try:
            return list(await asking(served))
        finally:
            served.admin.close()
    line = LineSettings(arguments.baud, arguments.parity)
    async with opened(arguments.port, line, arguments.wait_ms) as ears:
        return list(await asking(ears))


def _asking(arguments: argparse.Namespace) -> Asking:
    """What to do with the line, once there is one; ConfigError for a question that makes no sense."""
    by_form = MODBUS if len(arguments.address) <= 3 else EDITION_1997 if len(arguments.di) == 4 else EDITION_2007
    protocol = arguments.protocol or by_form
    if protocol == MODBUS:
        return _of_modbus(arguments)
    if len(arguments.address) != 12 or not (arguments.address.isascii() and arguments.address.isdecimal()):
        raise ConfigError(f"{arguments.address!r}; allowed: 12 digits, leading zeros included, or a Modbus unit")
    di = _hexadecimal(arguments.di, 8 if protocol == EDITION_2007 else 4)
    return lambda ears: _data(ears, arguments.address, di, protocol, arguments.lang)


def _of_modbus(arguments: argparse.Namespace) -> Asking:
    if not (arguments.address.isdecimal() and 1 <= int(arguments.address) <= UNIT_MAX):
        raise ConfigError(f"{arguments.address!r}; allowed: the unit of a Modbus meter, 1 to {UNIT_MAX}")
    unit = int(arguments.address)
    if arguments.model is None:
        if arguments.di == ALL or len(arguments.di) == 8:
            raise ConfigError(f"--model is missing; with {arguments.di} it is one of {', '.join(METERS)}")
        if not 1 <= arguments.count <= READ_COUNT_MAX:
            raise ConfigError(f"--count {arguments.count} is wrong; allowed: 1 to {READ_COUNT_MAX}")
        command = ReadRegisters(unit, _hexadecimal(arguments.di, 4), arguments.count, arguments.function)
        return lambda ears: _registers(ears, command)
    meter = METERS[arguments.model]
    try:
        wanted = meter.quantities if arguments.di == ALL else (meter.of(_hexadecimal(arguments.di, 8)),)
    except ProtocolMisuse as error:
        raise ConfigError(f"{error}; allowed: all, or an identifier that it has") from error
    return lambda ears: _quantities(ears, unit, meter, wanted, arguments.lang)


async def _data(ears: Ears, address: str, di: int, edition: str, lang: str) -> Sequence[str]:
    reading = LongRead(address, di) if edition == EDITION_2007 else long_read_97(address, di)
    while (command := reading.next_command()) is not None:
        reading.take(await answered(ears, command))
    lines = told(address, di, edition, reading.data, lang)
    if reading.refusal is None:
        return lines
    return (
        *lines,
        said(f"more was promised, but: {reading.refusal}", f"后续数据未取得：{in_chinese(str(reading.refusal))}", lang),
    )


async def answered(ears: Ears, command: Any) -> Any:
    """The frame that answers; `NoReply` when there is none."""
    heard = await ears.hear(command)
    reply = next((frame for frame in heard.frames if command.match(frame)), None)
    if reply is None:
        noise = f", only {heard.garbage_bytes} bytes of noise" if heard.garbage_bytes else ""
        raise NoReply(f"meter {command.address} did not answer in time{noise}")
    return reply


def told(address: str, di: int, edition: str, data: bytes, lang: str) -> Sequence[str]:
    """Name, value with unit and the bytes as they came (offset removed, low byte first), a line each value."""
    width = 8 if edition == EDITION_2007 else 4
    head, raw = f"{address} {di:0{width}X}", f"[{data.hex(' ').upper()}]"
    if len(data) > EXPLAINED_MAX:
        return (f"{head}: {raw}",)
    frame = Frame(address, 0x91 if edition == EDITION_2007 else 0x81, di.to_bytes(width // 2, "little") + data)
    explained = explain(encode(frame))
    lines = []
    for one in explained.values:
        shown = said(one.text_en, one.text_zh, lang)
        value = f"{one.value} {one.unit}" if isinstance(one.value, int) and one.unit else shown
        note = f" ({shown})" if value != shown else ""
        lines.append(f"{head}: {said(one.name_en, one.name_zh, lang)}: {value}{note}")
    if len(lines) == 1:
        return (f"{lines[0]} {raw}",)
    if explained.error_en and not lines:
        return (f"{head}: {raw} ({said(explained.error_en, explained.error_zh or '', lang)})",)
    return (*lines, f"{head}: {raw}")


async def _quantities(ears: Ears, unit: int, meter: MeterMap, wanted: Sequence[Quantity], lang: str) -> Sequence[str]:
    lines = []
    for command in reads(unit, meter, wanted):
        values = values_of(meter, command, await answered(ears, command))
        lines += [
            f"{unit} {_place(one)}: {said(one.name_en, one.name_zh, lang)}: {value} {one.unit}".rstrip()
            for one, value in values.items()
            if one in wanted
        ]
    return lines


def _place(quantity: Quantity) -> str:
    """The identifier of the quantity, or its register where DL/T 645 has none."""
    return f"{quantity.register:04X}" if quantity.di is None else f"{quantity.di:08X}"


async def _registers(ears: Ears, command: ReadRegisters) -> Sequence[str]:
    registers = reply_registers(command, await answered(ears, command))
    return [f"{command.unit} {command.register + at:04X}: {word:04X}" for at, word in enumerate(registers)]


def _hexadecimal(text: str, digits: int) -> int:
    if len(text) != digits or not _HEXADECIMAL.fullmatch(text):
        raise ConfigError(f"{text!r}; allowed: {digits} hexadecimal digits, such as {'00010000'[:digits]}")
    return int(text, 16)
