"""DL/T 645-1997: the same frame with identifiers of two bytes, other control codes and other errors.

Identifiers travel low byte first; a low nibble F is a block. A meter may end a block with AAH. There is no operator
code: a write is identifier, password of four bytes and value. Meters of this edition answer reads to 99..99, with
their own address, and some echo AA..AA instead of naming themselves.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from core.dlt645.commands import ANY_ADDRESS, BROADCAST_ADDRESS, address_matches
from core.dlt645.entry import READ_WRITE, Identifier
from core.dlt645.frame import ABNORMAL_BIT, FOLLOW_BIT, REPLY_BIT, Frame
from core.dlt645.identifiers import Value, decode_entry
from core.errors import MeterRefused, ProtocolMisuse, ValueFormatError

READ_97 = 0x01
READ_FOLLOW_97 = 0x02
REREAD_97 = 0x03
WRITE_97 = 0x04
CONTROLS_97 = frozenset((0x01, 0x02, 0x04, 0x0A, 0x0C, 0x0F, 0x10))  # 03 and 08 exist in both editions
BLOCK_END = 0xAA
PASSWORD_BYTES = 4

ENERGY_TOTAL_97 = 0x9010
ENERGY_BLOCK_97 = 0x901F
METER_NUMBER_97 = 0xC032

# Bit of the error byte: English, Chinese. Bits 0 and 1 mean something else than in 2007.
ERRORS_97 = {
    0: ("illegal data", "非法数据"),
    1: ("identifier error", "数据标识错"),
    2: ("wrong password", "密码错"),
    4: ("too many zones of the year", "年时区数超"),
    5: ("too many slots of the day", "日时段数超"),
    6: ("too many rates", "费率数超"),
}

_RATES = (("total", "总"), ("rate 1", "费率1"), ("rate 2", "费率2"), ("rate 3", "费率3"), ("rate 4", "费率4"))

# high byte, English, Chinese
_MONTHS = ((0x90, "", ""), (0x94, ", last month", "上月"), (0x98, ", last month but one", "上上月"))
# high byte above the month's, low byte, English, Chinese, unit
_ENERGIES = (
    (0, 0x10, "forward active energy", "正向有功", "Wh"),
    (0, 0x20, "reverse active energy", "反向有功", "Wh"),
    (1, 0x10, "forward reactive energy", "正向无功", "varh"),
    (1, 0x20, "reverse reactive energy", "反向无功", "varh"),
    (1, 0x30, "reactive energy of a quadrant (30)", "象限无功(30)", "varh"),
    (1, 0x40, "reactive energy of a quadrant (40)", "象限无功(40)", "varh"),
    (1, 0x50, "reactive energy of a quadrant (50)", "象限无功(50)", "varh"),
    (1, 0x60, "reactive energy of a quadrant (60)", "象限无功(60)", "varh"),
)
# Which of 9130..9160 is which quadrant is stated by no source of ours: the rows say so and are marked uncertain.
_QUADRANTS_FROM = 0x30

# identifier, English, Chinese, bytes, kind, unit, scale
_ROWS = (
    (0xB630, "active power, total", "瞬时总有功功率", 3, "number", "mW", 100),
    (0xB640, "reactive power, total", "瞬时总无功功率", 2, "number", "mvar", 10_000),
    (0xB650, "power factor, total", "总功率因数", 2, "number", "permille", 1),
    (0xC010, "date and weekday", "日期及星期", 4, "date", "", 1),
    (0xC011, "time", "时间", 3, "time", "s", 1),
    (0xC020, "meter status word", "电表运行状态字", 1, "bits", "", 1),
    (0xC021, "grid status word", "电网状态字", 1, "bits", "", 1),
    (0xC022, "weekend status word", "周休日状态字", 1, "bits", "", 1),
    (0xC030, "active pulse constant", "有功常数", 3, "number", "imp/kWh", 1),
    (0xC031, "reactive pulse constant", "无功常数", 3, "number", "imp/kvarh", 1),
    (0xC032, "meter number", "表号", 6, "address", "", 1),
    (0xC033, "user number", "用户号", 6, "address", "", 1),
    (0xC034, "device code", "设备码", 6, "address", "", 1),
)
_WRITABLE = frozenset(range(0xC010, 0xC040))
_PHASES = (("phase A", "A相"), ("phase B", "B相"), ("phase C", "C相"))
# first identifier, English, Chinese, bytes, unit, scale
_PHASE_ROWS = (
    (0xB611, "voltage", "电压", 2, "mV", 1000),
    (0xB621, "current", "电流", 2, "mA", 10),
    (0xB631, "active power", "有功功率", 3, "mW", 100),
    (0xB641, "reactive power", "无功功率", 2, "mvar", 10_000),
    (0xB651, "power factor", "功率因数", 2, "permille", 1),
)

# The 2007 identifier that holds the same quantity.
TO_2007: Mapping[int, int] = MappingProxyType(
    {
        0x9010: 0x00010000,
        0x901F: 0x0001FF00,
        0xB611: 0x02010100,
        0xB621: 0x02020100,
        0xB630: 0x02030000,
        0xC011: 0x04000102,
    }
)


def _entries() -> Iterator[Identifier]:
    for month, when_en, when_zh in _MONTHS:
        for above, low, en, zh, unit in _ENERGIES:
            base, unsure = (month + above) << 8 | low, low >= _QUADRANTS_FROM
            for rate, (rate_en, rate_zh) in enumerate(_RATES):
                name_en, name_zh = f"{en}, {rate_en}{when_en}", f"{when_zh}{zh}{rate_zh}电能"
                yield Identifier(base | rate, name_en, name_zh, 4, "number", unit, 10, uncertain=unsure)
            members = tuple(base | rate for rate in range(5))
            name_en, name_zh = f"{en}, block{when_en}", f"{when_zh}{zh}电能数据块"
            block = base | 0x0F
            yield Identifier(block, name_en, name_zh, 20, "number", unit, 10, members, 15, uncertain=unsure)
        # Seen in captures with one value, like the forward total; its name is not confirmed.
        name_en, name_zh = f"active energy{when_en}", f"{when_zh}有功电能"
        yield Identifier(month << 8, name_en, name_zh, 4, "number", "Wh", 10, uncertain=True)
    for high, en, zh in ((0xA0, "active", "有功"), (0xA1, "reactive", "无功")):
        unit = "mW" if high == 0xA0 else "mvar"
        yield Identifier(high << 8 | 0x10, f"maximum forward {en} demand", f"正向{zh}最大需量", 3, "number", unit, 100)
        di, name_en = (high + 0x10) << 8 | 0x10, f"time of the maximum forward {en} demand"
        yield Identifier(di, name_en, f"正向{zh}最大需量发生时间", 4, "yearless")
    for di, en, zh, length, kind, unit, scale in _ROWS:
        access = READ_WRITE if di in _WRITABLE else "R"
        yield Identifier(di, en, zh, length, kind, unit, scale, access=access)
    for first, en, zh, length, unit, scale in _PHASE_ROWS:
        for phase, (phase_en, phase_zh) in enumerate(_PHASES):
            yield Identifier(first + phase, f"{en}, {phase_en}", phase_zh + zh, length, "number", unit, scale)


TABLE_97: Mapping[int, Identifier] = MappingProxyType({entry.di: entry for entry in _entries()})


def lookup_97(di: int) -> Identifier | None:
    """The entry of a two-byte identifier, or None for one that the table does not hold."""
    return TABLE_97.get(di)


def decode_value_97(di: int, data: bytes) -> tuple[Value, ...]:
    """Read the data behind a two-byte identifier, as `identifiers.decode_value` does for 2007."""
    entry = TABLE_97.get(di)
    if entry is None:
        raise ValueFormatError(f"identifier {di:04X} is not in the 1997 table; its data is {data.hex().upper()}")
    if len(data) > 1 and len(data) % entry.item_length == 1 and data[-1] == BLOCK_END:
        data = data[:-1]
    return decode_entry(entry, data)


def identifier_97(frame: Frame) -> int | None:
    """The two-byte identifier of a 1997 frame, or None where none travels."""
    if frame.abnormal or len(frame.data) < 2 or frame.function not in (READ_97, READ_FOLLOW_97, WRITE_97):
        return None
    return int.from_bytes(frame.data[:2], "little")


def error_names_97(err: int) -> tuple[tuple[str, str], ...]:
    """English and Chinese names of the bits set in an error byte of 1997."""
    return tuple(names for bit, names in ERRORS_97.items() if err >> bit & 1)


@dataclass(frozen=True, slots=True)
class Read97:
    """Command 01H: read one identifier. A wildcard address fits a point-to-point line only."""

    address: str
    di: int

    @property
    def expects_reply(self) -> bool:
        """True even for 99..99: meters of this edition answer it."""
        return True

    def to_frame(self) -> Frame:
        """The request."""
        return Frame(self.address, READ_97, _identifier_bytes(self.di))

    def match(self, reply: Frame) -> bool:
        """Whether `reply` answers this request, normally or not."""
        if not _from(self.address, reply):
            return False
        normal = reply.control & ~FOLLOW_BIT == READ_97 | REPLY_BIT
        return _refused(READ_97, reply) or (normal and identifier_97(reply) == self.di)


@dataclass(frozen=True, slots=True)
class Write97:
    """Command 04H: write one identifier; `password` is eight digits as written and shows in no repr."""

    address: str
    di: int
    data: bytes
    password: str = field(default="00000000", repr=False)

    @property
    def expects_reply(self) -> bool:
        """Whether a meter answers; nobody should count on the answer to a broadcast write."""
        return self.address != BROADCAST_ADDRESS

    def to_frame(self) -> Frame:
        """The request: identifier, password, value."""
        if len(self.password) != 2 * PASSWORD_BYTES or not (self.password.isascii() and self.password.isdecimal()):
            raise ProtocolMisuse("a password of 1997 has 8 digits")
        secret = bytes.fromhex(self.password)[::-1]
        return Frame(self.address, WRITE_97, _identifier_bytes(self.di) + secret + self.data)

    def match(self, reply: Frame) -> bool:
        """Whether `reply` answers a write to this meter (the reply names no identifier)."""
        normal = reply.control == WRITE_97 | REPLY_BIT
        return _from(self.address, reply) and (normal or _refused(WRITE_97, reply))


def reply_value_97(command: Read97 | Write97, reply: Frame) -> bytes:
    """The payload of a reply without identifier; `MeterRefused` or `ProtocolMisuse` like in 2007."""
    if not command.match(reply):
        raise ProtocolMisuse(f"reply {reply.control:02X}H of {reply.address} does not answer {command!r}")
    if reply.abnormal:
        err = reply.data[0]
        names = ", ".join(en for en, _ in error_names_97(err)) or "no reason given"
        raise MeterRefused(err, f"meter {reply.address} refused with ERR {err:02X}H: {names}")
    return reply.data[2:] if isinstance(command, Read97) else reply.data


def _from(pattern: str, reply: Frame) -> bool:
    """Whether the reply's address fits; 99..99 and AA..AA also fit any meter and their own echo."""
    if pattern in (BROADCAST_ADDRESS, ANY_ADDRESS):
        return reply.is_reply
    return address_matches(pattern, reply.address)


def _refused(function: int, reply: Frame) -> bool:
    return reply.control == function | REPLY_BIT | ABNORMAL_BIT and len(reply.data) == 1


def _identifier_bytes(di: int) -> bytes:
    if not 0 <= di <= 0xFFFF:
        raise ProtocolMisuse(f"identifier {di:X} is not two bytes")
    return di.to_bytes(2, "little")
