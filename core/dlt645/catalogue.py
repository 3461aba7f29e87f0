"""Entries of the identifier table: names, lengths, formats and units, as data.

Digits of DL/T 645-2007, before and behind the point: energy 6.2 kWh (4 bytes), voltage 3.1 V (2), current 3.3 A
(3, signed), power 2.4 kW (3, signed), power factor 1.3 (2, signed), amounts 6.2 yuan (4), demand 2.4 kW with its
minute (8); status words are 16 bits (2). Signed are combined energies, currents, powers and power factors.
`scale` is what one count of the field is worth in `unit`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

RATES_MAX = 63  # a block over rates holds the total and as many rates as the meter has


@dataclass(frozen=True, slots=True)
class Identifier:
    """One data identifier. `length` is the usual number of bytes, `items` the members of a block."""

    di: int
    name_en: str
    name_zh: str
    length: int
    kind: str
    unit: str = ""
    scale: int = 1
    items: tuple[int, ...] = ()
    members_max: int = 1
    tail: int = 0  # bytes that some meters append to a block and that are not its members

    @property
    def item_length(self) -> int:
        """Bytes of one member (of the value itself when this is no block)."""
        return self.length // max(1, len(self.items))

    @property
    def values_per_member(self) -> int:
        """How many decoded values one member has: a demand is a power and the minute it was reached."""
        return 2 if self.kind == "demand" else 1


_RATES = (("total", "总"), ("sharp", "尖"), ("peak", "峰"), ("flat", "平"), ("valley", "谷"))
_PHASES = (("total", "总"), ("phase A", "A相"), ("phase B", "B相"), ("phase C", "C相"))
_SETTLEMENTS = 12
_BLOCK = 0xFF

# DI2, English, Chinese, unit, signed
_ENERGIES = (
    (0x00, "combined active energy", "组合有功", "Wh", True),
    (0x01, "forward active energy", "正向有功", "Wh", False),
    (0x02, "reverse active energy", "反向有功", "Wh", False),
    (0x03, "combined reactive energy 1", "组合无功1", "varh", True),
    (0x04, "combined reactive energy 2", "组合无功2", "varh", True),
    (0x05, "reactive energy of quadrant 1", "第一象限无功", "varh", False),
    (0x06, "reactive energy of quadrant 2", "第二象限无功", "varh", False),
    (0x07, "reactive energy of quadrant 3", "第三象限无功", "varh", False),
    (0x08, "reactive energy of quadrant 4", "第四象限无功", "varh", False),
    (0x09, "forward apparent energy", "正向视在", "VAh", False),
    (0x0A, "reverse apparent energy", "反向视在", "VAh", False),
)

_DEMANDS = ((0x01, "forward active demand", "正向有功"), (0x02, "reverse active demand", "反向有功"))

# DI2, English, Chinese, bytes, kind, unit, scale, first member of the block (0 = total, 1 = phase A)
_VARIABLES = (
    (0x01, "voltage", "电压", 2, "number", "mV", 100, 1),
    (0x02, "current", "电流", 3, "signed", "mA", 1, 1),
    (0x03, "active power", "有功功率", 3, "signed", "mW", 100, 0),
    (0x04, "reactive power", "无功功率", 3, "signed", "mvar", 100, 0),
    (0x05, "apparent power", "视在功率", 3, "signed", "mVA", 100, 0),
    (0x06, "power factor", "功率因数", 2, "signed", "permille", 1, 0),
    (0x07, "phase angle", "相角", 2, "number", "mdeg", 100, 1),
)

_SINGLE = (
    (0x00900100, "remaining energy", "剩余电量", 4, "number", "Wh", 10),
    (0x00900101, "overdraft energy", "透支电量", 4, "number", "Wh", 10),
    (0x00900200, "remaining amount", "剩余金额", 4, "amount", "fen", 1),
    (0x00900201, "overdraft amount", "透支金额", 4, "amount", "fen", 1),
    (0x02800001, "neutral current", "零线电流", 3, "signed", "mA", 1),
    (0x02800002, "frequency", "电网频率", 2, "number", "mHz", 10),
    (0x02800003, "one-minute mean active power", "一分钟有功总平均功率", 3, "signed", "mW", 100),
    (0x02800004, "active demand now", "当前有功需量", 3, "signed", "mW", 100),
    (0x02800007, "temperature inside the meter", "表内温度", 2, "signed", "m°C", 100),
    (0x02800008, "clock battery voltage", "时钟电池电压", 2, "number", "mV", 10),
    (0x02800009, "backup battery voltage", "停电抄表电池电压", 2, "number", "mV", 10),
    (0x0280000A, "battery working time", "内部电池工作时间", 4, "number", "min", 1),
    (0x0280000B, "current tier price", "当前阶梯电价", 4, "number", "nf/Wh", 10_000),
    (0x02800020, "current price", "当前电价", 4, "number", "nf/Wh", 10_000),
    (0x02800021, "current rate price", "当前费率电价", 4, "number", "nf/Wh", 10_000),
    (0x04000101, "date and weekday", "日期及星期", 4, "date", "", 1),
    (0x04000102, "time", "时间", 3, "time", "s", 1),
    (0x04000103, "demand period", "最大需量周期", 1, "number", "min", 1),
    (0x04000104, "demand slip time", "滑差时间", 1, "number", "min", 1),
    (0x0400010C, "date and time", "日期时间", 7, "datetime", "", 1),
    (0x04000201, "zones of the year", "年时区数", 1, "number", "", 1),
    (0x04000202, "day tables", "日时段表数", 1, "number", "", 1),
    (0x04000203, "slots of the day", "日时段数", 1, "number", "", 1),
    (0x04000204, "number of rates", "费率数", 1, "number", "", 1),
    (0x04000205, "public holidays", "公共假日数", 2, "number", "", 1),
    (0x04000207, "number of tiers", "阶梯数", 1, "number", "", 1),
    (0x04000306, "current transformer ratio", "电流互感器变比", 3, "number", "", 1),
    (0x04000307, "voltage transformer ratio", "电压互感器变比", 3, "number", "", 1),
    (0x04000401, "communication address", "通信地址", 6, "address", "", 1),
    (0x04000402, "meter number", "表号", 6, "address", "", 1),
    (0x04000403, "asset id", "资产管理编码", 32, "ascii", "", 1),
    (0x04000404, "rated voltage", "额定电压", 6, "ascii", "", 1),
    (0x04000405, "rated current", "额定电流", 6, "ascii", "", 1),
    (0x04000406, "maximum current", "最大电流", 6, "ascii", "", 1),
    (0x04000407, "active accuracy class", "有功准确度等级", 4, "ascii", "", 1),
    (0x04000408, "reactive accuracy class", "无功准确度等级", 4, "ascii", "", 1),
    (0x04000409, "active pulse constant", "有功常数", 3, "number", "imp/kWh", 1),
    (0x0400040A, "reactive pulse constant", "无功常数", 3, "number", "imp/kvarh", 1),
    (0x0400040B, "meter model", "电表型号", 10, "ascii", "", 1),
    (0x0400040C, "production date", "生产日期", 10, "ascii", "", 1),
    (0x0400040D, "protocol version", "协议版本号", 16, "ascii", "", 1),
    (0x0400040E, "customer number", "客户编号", 6, "address", "", 1),
    (0x04001001, "alarm amount 1", "报警金额1限值", 4, "amount", "fen", 1),
    (0x04001002, "alarm amount 2", "报警金额2限值", 4, "amount", "fen", 1),
    (0x04001003, "overdraft limit", "透支金额限值", 4, "amount", "fen", 1),
    (0x04001004, "hoarding limit", "囤积金额限值", 4, "amount", "fen", 1),
    (0x04001005, "close-allowed amount", "合闸允许金额限值", 4, "amount", "fen", 1),
    (0x04001401, "trip delay", "跳闸延时时间", 2, "number", "min", 1),
    (0x1D000001, "number of trips", "跳闸总次数", 3, "number", "", 1),
    (0x1E000001, "number of closes", "合闸总次数", 3, "number", "", 1),
)

# DI2 of freezes, English, Chinese, depth
_FREEZES = ((0x00, "timed freeze", "定时冻结", 60), (0x06, "daily freeze", "日冻结", 62))


def entries() -> Iterator[Identifier]:
    """All entries of the table, each identifier once."""
    yield from _energies()
    yield from _demands()
    yield from _variables()
    for di, name_en, name_zh, length, kind, unit, scale in _SINGLE:
        yield Identifier(di, name_en, name_zh, length, kind, unit, scale)
    yield from _status_words()
    yield from _freezes()


def _energies() -> Iterator[Identifier]:
    for di2, en, zh, unit, signed in _ENERGIES:
        kind = "signed" if signed else "number"
        for day in range(_SETTLEMENTS + 1):
            base = di2 << 16 | day
            when_en, when_zh = _settlement(day)
            for rate, (rate_en, rate_zh) in enumerate(_RATES):
                name_en, name_zh = f"{en}, {rate_en}{when_en}", f"{when_zh}{zh}{rate_zh}电能"
                yield Identifier(base | rate << 8, name_en, name_zh, 4, kind, unit, 10)
            name_en, name_zh = f"{en}, block{when_en}", f"{when_zh}{zh}电能数据块"
            yield _rate_block(base, name_en, name_zh, 4, kind=kind, unit=unit, scale=10)
        for rate, (rate_en, rate_zh) in enumerate(_RATES):
            base = di2 << 16 | rate << 8
            days = tuple(base | day for day in range(_SETTLEMENTS + 1))
            name_en, name_zh = f"{en}, {rate_en}, all settlement days", f"{zh}{rate_zh}电能结算日数据块"
            size = 4 * len(days)
            yield Identifier(base | _BLOCK, name_en, name_zh, size, kind, unit, 10, days, len(days))


def _demands() -> Iterator[Identifier]:
    for di2, en, zh in _DEMANDS:
        for day in range(_SETTLEMENTS + 1):
            base = 0x01 << 24 | di2 << 16 | day
            when_en, when_zh = _settlement(day)
            for rate, (rate_en, rate_zh) in enumerate(_RATES):
                name_en, name_zh = f"maximum {en}, {rate_en}{when_en}", f"{when_zh}{zh}{rate_zh}最大需量"
                yield Identifier(base | rate << 8, name_en, name_zh, 8, "demand", "mW", 100)
            name_en, name_zh = f"maximum {en}, block{when_en}", f"{when_zh}{zh}最大需量数据块"
            yield _rate_block(base, name_en, name_zh, 8, kind="demand", unit="mW", scale=100)


def _variables() -> Iterator[Identifier]:
    for di2, en, zh, length, kind, unit, scale, first in _VARIABLES:
        base = 0x02 << 24 | di2 << 16
        for phase in range(first, len(_PHASES)):
            phase_en, phase_zh = _PHASES[phase]
            yield Identifier(base | phase << 8, f"{en}, {phase_en}", phase_zh + zh, length, kind, unit, scale)
        members = tuple(base | phase << 8 for phase in range(first, len(_PHASES)))
        yield Identifier(
            di=base | _BLOCK << 8,
            name_en=f"{en}, block",
            name_zh=f"{zh}数据块",
            length=length * len(members),
            kind=kind,
            unit=unit,
            scale=scale,
            items=members,
            members_max=len(members),
        )


def _status_words() -> Iterator[Identifier]:
    words = tuple(0x04000500 | word for word in range(1, 8))
    for word in words:
        number = word & 0xFF
        yield Identifier(word, f"status word {number}", f"电表运行状态字{number}", 2, "bits")
    # One firmware appends its four-byte key state to the block.
    yield Identifier(0x040005FF, "status words, block", "电表运行状态字数据块", 14, "bits", "", 1, words, len(words), 4)


def _freezes() -> Iterator[Identifier]:
    for di2, en, zh, depth in _FREEZES:
        for back in range(1, depth + 1):
            base = 0x05 << 24 | di2 << 16 | back
            yield Identifier(base, f"{en} {back}, time", f"上{back}次{zh}时间", 5, "minute")
            for di1, what_en, what_zh in ((1, "forward", "正向"), (2, "reverse", "反向")):
                name_en, name_zh = f"{en} {back}, {what_en} active energy", f"上{back}次{zh}{what_zh}有功电能"
                members = tuple(di1 << 16 | rate << 8 for rate in range(len(_RATES)))
                di = base | di1 << 8
                yield Identifier(di, name_en, name_zh, 20, "number", "Wh", 10, members, RATES_MAX + 1)


def _settlement(day: int) -> tuple[str, str]:
    if day == 0:
        return "", "当前"
    return f", settlement day -{day}", f"上{day}结算日"


def _rate_block(base: int, en: str, zh: str, length: int, *, kind: str, unit: str, scale: int) -> Identifier:
    """A block over rates: five members are usual, a meter with more rates sends more."""
    members = tuple(base | rate << 8 for rate in range(len(_RATES)))
    total = length * len(members)
    return Identifier(base | _BLOCK << 8, en, zh, total, kind, unit, scale, members, RATES_MAX + 1)
