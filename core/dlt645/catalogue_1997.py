"""Entries of the two-byte identifiers of DL/T 645-1997: names, lengths, formats and units, as data.

High byte 90..98 energy, A0..B9 demand and its time, B2 and B3 records, B6 variables, C0..C3 parameters. In energies
and demands the second nibble counts the month back in fours, the third is the kind (quadrants go 1, 4, 2, 3), the last
the rate. A low nibble F is the block of its row. Where a length has one source only the row is marked uncertain.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from core.dlt645.entry import READ_WRITE, Identifier

RATES_MAX = 15
ZONES_MAX = 14
SLOTS_MAX = 14
SLOT_TABLES = 8

_RATES = (("total", "总"), ("rate 1", "费率1"), ("rate 2", "费率2"), ("rate 3", "费率3"), ("rate 4", "费率4"))
_PHASES = (("phase A", "A相"), ("phase B", "B相"), ("phase C", "C相"))
_ALL = (("total", "总"), *_PHASES)

# above the high byte of the present month, English, Chinese
_MONTHS = ((0x00, "", ""), (0x04, ", last month", "上月"), (0x08, ", last month but one", "上上月"))
# above the month's high byte, low byte, English, Chinese, watts or vars
_KINDS = (
    (0, 0x10, "forward active", "正向有功", "W"),
    (0, 0x20, "reverse active", "反向有功", "W"),
    (1, 0x10, "forward reactive", "正向无功", "var"),
    (1, 0x20, "reverse reactive", "反向无功", "var"),
    (1, 0x30, "quadrant 1 reactive", "第一象限无功", "var"),
    (1, 0x40, "quadrant 4 reactive", "第四象限无功", "var"),
    (1, 0x50, "quadrant 2 reactive", "第二象限无功", "var"),
    (1, 0x60, "quadrant 3 reactive", "第三象限无功", "var"),
)

# identifier, English, Chinese, bytes, kind, unit, scale, stated by more than one source
_ROWS = (
    (0xB210, "time of the last programming", "最近一次编程时间", 4, "yearless", "", 1, True),
    (0xB211, "time of the last demand clearing", "最近一次最大需量清零时间", 4, "yearless", "", 1, True),
    (0xB212, "programmings", "编程次数", 2, "number", "", 1, True),
    (0xB213, "demand clearings", "最大需量清零次数", 2, "number", "", 1, True),
    (0xB214, "battery working time", "电池工作时间", 3, "number", "min", 1, True),
    (0xC010, "date and weekday", "日期及星期", 4, "date", "", 1, True),
    (0xC011, "time", "时间", 3, "time", "s", 1, True),
    (0xC020, "meter status word", "电表运行状态字", 1, "bits", "", 1, True),
    (0xC021, "grid status word", "电网状态字", 1, "bits", "", 1, True),
    (0xC022, "weekend status word", "周休日状态字", 1, "bits", "", 1, True),
    (0xC030, "active pulse constant", "有功常数", 3, "number", "imp/kWh", 1, True),
    (0xC031, "reactive pulse constant", "无功常数", 3, "number", "imp/kvarh", 1, True),
    (0xC032, "meter number", "表号", 6, "address", "", 1, True),
    (0xC033, "user number", "用户号", 6, "address", "", 1, True),
    (0xC034, "device code", "设备码", 6, "address", "", 1, True),
    (0xC111, "demand period", "最大需量周期", 1, "number", "min", 1, True),
    (0xC112, "demand slip time", "滑差时间", 1, "number", "min", 1, True),
    (0xC113, "time of a screen", "循显时间", 1, "number", "s", 1, False),
    (0xC114, "time the display stays", "停显时间", 1, "number", "s", 1, False),
    (0xC115, "decimals of energies shown", "显示电能小数位数", 1, "number", "", 1, False),
    (0xC116, "decimals of powers shown", "显示功率小数位数", 1, "number", "", 1, False),
    (0xC117, "day of the automatic reading", "自动抄表日期", 2, "dayhour", "", 1, True),
    (0xC119, "initial active energy", "有功电能起始读数", 4, "number", "Wh", 10, False),
    (0xC11A, "initial reactive energy", "无功电能起始读数", 4, "number", "varh", 10, False),
    (0xC310, "zones of the year", "年时区数", 1, "number", "", 1, True),
    (0xC311, "day tables", "日时段表数", 1, "number", "", 1, True),
    (0xC312, "slots of the day", "日时段数", 1, "number", "", 1, True),
    (0xC313, "number of rates", "费率数", 1, "number", "", 1, True),
    (0xC314, "public holidays", "公共假日数", 1, "number", "", 1, True),
)
# low byte's third nibble in B3, English, Chinese, bytes, kind, unit, stated by more than one source
_PHASE_BREAKS = (
    (0x10, "phase breaks", "断相次数", 2, "number", "", False),
    (0x20, "phase break time", "断相时间累计值", 3, "number", "min", True),
    (0x30, "begin of the last phase break", "最近一次断相起始时刻", 4, "yearless", "", True),
    (0x40, "end of the last phase break", "最近一次断相结束时刻", 4, "yearless", "", True),
)
# first identifier, English, Chinese, bytes, unit, scale, members from the total on
_VARIABLES = (
    (0xB611, "voltage", "电压", 2, "mV", 1000, False),
    (0xB621, "current", "电流", 2, "mA", 10, False),
    (0xB630, "active power", "有功功率", 3, "mW", 100, True),
    (0xB640, "reactive power", "无功功率", 2, "mvar", 10_000, True),
    (0xB650, "power factor", "功率因数", 2, "permille", 1, True),
)


def _entries() -> Iterator[Identifier]:
    yield from _energies()
    yield from _demands()
    yield from _variables()
    yield from _phase_breaks()
    for di, en, zh, length, kind, unit, scale, sure in _ROWS:
        access = READ_WRITE if di >> 8 >= 0xC0 else "R"
        yield Identifier(di, en, zh, length, kind, unit, scale, access=access, uncertain=not sure)
    yield from _tables()


def _energies() -> Iterator[Identifier]:
    for back, when_en, when_zh in _MONTHS:
        for above, low, en, zh, power in _KINDS:
            base = (0x90 + back + above) << 8 | low
            name, row = (f"{en} energy", f"{when_zh}{zh}"), (4, "number", f"{power}h", 10)
            yield from _by_rate(base, name, when_en, "电能", row)
        # Seen in captures with one value, like the forward total; its name is not confirmed.
        name_en, name_zh = f"active energy{when_en}", f"{when_zh}有功电能"
        yield Identifier((0x90 + back) << 8, name_en, name_zh, 4, "number", "Wh", 10, uncertain=True)


def _demands() -> Iterator[Identifier]:
    for back, when_en, when_zh in _MONTHS:
        for above, low, en, zh, power in _KINDS:
            base = (0xA0 + back + above) << 8 | low
            name = f"maximum {en} demand", f"{when_zh}{zh}"
            yield from _by_rate(base, name, when_en, "最大需量", (3, "number", f"m{power}", 100))
            name = f"time of the maximum {en} demand", f"{when_zh}{zh}"
            yield from _by_rate(base + 0x1000, name, when_en, "最大需量发生时间", (4, "yearless", "", 1))


def _by_rate(
    base: int, name: tuple[str, str], when_en: str, what_zh: str, row: tuple[int, str, str, int]
) -> Iterator[Identifier]:
    """The total, four rates and their block."""
    length, kind, unit, scale = row
    en, zh = name
    for rate, (rate_en, rate_zh) in enumerate(_RATES):
        yield Identifier(base | rate, f"{en}, {rate_en}{when_en}", f"{zh}{rate_zh}{what_zh}", length, kind, unit, scale)
    members = tuple(base | rate for rate in range(len(_RATES)))
    names = f"{en}, block{when_en}", f"{zh}{what_zh}数据块"
    yield Identifier(base | 0x0F, *names, length * len(members), kind, unit, scale, members, RATES_MAX)


def _variables() -> Iterator[Identifier]:
    for first, en, zh, length, unit, scale, has_total in _VARIABLES:
        phases = _ALL if has_total else _PHASES
        members = tuple(range(first, first + len(phases)))
        for di, (phase_en, phase_zh) in zip(members, phases, strict=True):
            yield Identifier(di, f"{en}, {phase_en}", phase_zh + zh, length, "number", unit, scale)
        names, size = (f"{en}, block", f"{zh}数据块"), length * len(members)
        yield Identifier(first | 0x0F, *names, size, "number", unit, scale, members, len(members))


def _phase_breaks() -> Iterator[Identifier]:
    for low, en, zh, length, kind, unit, sure in _PHASE_BREAKS:
        base = 0xB300 | low
        members = tuple(base | phase for phase in range(len(_ALL)))
        for di, (phase_en, phase_zh) in zip(members, _ALL, strict=True):
            yield Identifier(di, f"{en}, {phase_en}", phase_zh + zh, length, kind, unit, 1, uncertain=not sure)
        names, size = (f"{en}, block", f"{zh}数据块"), length * len(members)
        yield Identifier(base | 0x0F, *names, size, kind, unit, 1, members, len(members), uncertain=not sure)


def _tables() -> Iterator[Identifier]:
    """Zones (C32n) and the slots of each day table (C33n..C3An): MMDDNN and hhmmNN, three bytes each."""
    for number in range(SLOT_TABLES + 1):
        base = 0xC320 + 0x10 * number
        kind, entries_max = ("zone", ZONES_MAX) if number == 0 else ("slot", SLOTS_MAX)
        en, zh = ("zone", "时区") if number == 0 else (f"day table {number}, slot", f"第{number}日时段表时段")
        for at in range(1, entries_max + 1):
            yield Identifier(base | at, f"{en} {at}", f"{zh}{at}", 3, kind, access=READ_WRITE)
        names = f"{en}s, block", f"{zh}数据块"
        yield Identifier(base | 0x0F, *names, 3, kind, members_max=entries_max, access=READ_WRITE)


TABLE_97: Mapping[int, Identifier] = MappingProxyType({entry.di: entry for entry in _entries()})
