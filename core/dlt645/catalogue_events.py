"""Entries of the event identifiers: 03 (standard), 1D and 1E (relay), purchases 03 32 and 03 33.

DI0 = 00 counts the events (with their minutes where the meter keeps them), DI0 = 01..0A is the n-th last record; what
a record holds stands in `catalogue_records`, the extended groups 10..1C too. Records whose layout no two sources agree
on keep their bytes. Group 22 has a layout of its own in every meter; only its name is known (`FAMILIES`).
"""

from collections.abc import Iterator

from core.dlt645 import catalogue_records as layouts
from core.dlt645.catalogue_records import COUNT, MINUTES, OPERATOR, PHASES, RECORDS_MAX, REST, TIME
from core.dlt645.entry import Field, Identifier, raw, record

# DI2 of groups by phase, English, Chinese, fields of a record, confirmed twice that the totals are by phase
_BY_PHASE = (
    (0x01, "loss of voltage", "失压", layouts.VOLTAGE),
    (0x02, "undervoltage", "欠压", layouts.VOLTAGE),
    (0x03, "overvoltage", "过压", layouts.VOLTAGE),
    (0x04, "phase break", "断相", layouts.VOLTAGE),
    (0x0B, "loss of current", "失流", layouts.CURRENT),
    (0x0C, "overcurrent", "过流", layouts.CURRENT),
    (0x0D, "open current", "断流", layouts.CURRENT),
    (0x0E, "reverse flow", "潮流反向", layouts.FLOW),
    (0x0F, "overload", "过载", layouts.FLOW),
)

_TOTALS = (COUNT, MINUTES)
_PROGRAMMED = tuple(Field(f"identifier {n}", f"编程项目{n}", 4, "di") for n in range(1, 11))
_WORD = (TIME, OPERATOR, Field("word before", "编程前特征字", 1, "bits"))
_TABLE = (TIME, OPERATOR, REST)

# DI2 and DI1, English, Chinese, fields of a record, uncertain
_SINGLE = (
    (0x0500, "all-phase voltage loss", "全失压", layouts.BLACKOUT, False),
    (0x0600, "auxiliary power loss", "辅助电源失电", layouts.SPAN, False),
    (0x0700, "reverse voltage sequence", "电压逆相序", layouts.FLOW, False),
    (0x0800, "reverse current sequence", "电流逆相序", layouts.FLOW, False),
    (0x0900, "voltage unbalance", "电压不平衡", layouts.UNBALANCE, False),
    (0x0A00, "current unbalance", "电流不平衡", layouts.UNBALANCE, False),
    (0x1100, "power failure", "掉电", layouts.SPAN, False),
    (0x3000, "programming", "编程", (TIME, OPERATOR, *_PROGRAMMED), False),
    (0x3001, "meter clearing", "电表清零", (TIME, OPERATOR, *layouts.CLEARED), False),
    (0x3002, "demand clearing", "需量清零", (TIME, OPERATOR, *layouts.DEMANDS_CLEARED), True),
    (0x3003, "event clearing", "事件清零", (TIME, OPERATOR, Field("identifier", "事件清零数据标识", 4, "di")), False),
    (0x3004, "clock setting", "校时", layouts.CLOCK, False),
    (0x3005, "slot table programming", "时段表编程", _TABLE, True),
    (0x3006, "zone table programming", "时区表编程", _TABLE, True),
    (0x3007, "weekend programming", "周休日编程",
     (TIME, OPERATOR, Field("slot table before", "编程前采用的日时段表号", 1, "number")), False),
    (0x3008, "holiday programming", "节假日编程", _TABLE, True),
    (0x3009, "active combination word programming", "有功组合方式编程", _WORD, False),
    (0x300A, "reactive combination word 1 programming", "无功组合方式1编程", _WORD, False),
    (0x300B, "reactive combination word 2 programming", "无功组合方式2编程", _WORD, False),
    (0x300C, "settlement day programming", "结算日编程", layouts.SETTLEMENT, False),
    (0x300D, "meter cover opening", "开表盖", layouts.COVER, False),
    (0x300E, "terminal cover opening", "开端钮盒", layouts.COVER, False),
)  # fmt: skip

# Later additions whose records no two sources describe alike.
_RAW = (
    (0x300F, "price table programming", "费率电价表编程"),
    (0x3010, "tier table programming", "阶梯表编程"),
    (0x3012, "key update", "密钥更新"),
    (0x3013, "bad card", "异常插卡"),
    (0x3014, "illegal card insertion", "非法插卡"),
    (0x3400, "refund", "退费"),
    (0x3500, "magnetic interference", "恒定磁场干扰"),
    (0x3600, "relay malfunction", "负荷开关误动作"),
    (0x3700, "internal power fault", "电源异常"),
)

# DI1 of the demands that may be over their limit
_DEMANDS = (
    ("forward active", "正向有功"), ("reverse active", "反向有功"),
    *((f"reactive of quadrant {number}", f"第{name}象限无功") for number, name in enumerate("一二三四", 1)),
)  # fmt: skip

_VOLTAGE_QUALITY = (
    Field("time watched", "电压监测时间", 3, "number", "min"),
    Field("share within limits", "电压合格率", 3, "number", "bp"),
    Field("share beyond limits", "电压超限率", 3, "number", "bp"),
    Field("time above", "电压超上限时间", 3, "number", "min"),
    Field("time below", "电压超下限时间", 3, "number", "min"),
    Field("highest voltage", "最高电压", 2, "number", "mV", 100),
    Field("highest voltage at", "最高电压出现时间", 4, "yearless"),
    Field("lowest voltage", "最低电压", 2, "number", "mV", 100),
    Field("lowest voltage at", "最低电压出现时间", 4, "yearless"),
)
_MONTHS = 12

_AMOUNT = ("amount", "fen", 1)
_ENERGY = ("number", "Wh", 10)
_RELAY = (
    TIME,
    OPERATOR,
    Field("forward active energy", "正向有功总电能", 4, "number", "Wh", 10),
    Field("reverse active energy", "反向有功总电能", 4, "number", "Wh", 10),
    *(Field(f"reactive energy of quadrant {q}", f"第{q}象限无功总电能", 4, "number", "varh", 10) for q in range(1, 5)),
)

# What the first bytes of an identifier tell where the table holds no entry: (mask, value, English, Chinese)
FAMILIES = (
    (0xFF000000, 0x03000000, "event record", "事件记录"),
    (0xFF000000, 0x10000000, "extended record of voltage loss", "失压扩展记录"),
    (0xFF000000, 0x11000000, "extended record of undervoltage", "欠压扩展记录"),
    (0xFF000000, 0x12000000, "extended record of overvoltage", "过压扩展记录"),
    (0xFF000000, 0x13000000, "extended record of phase break", "断相扩展记录"),
    (0xFF000000, 0x18000000, "extended record of current loss", "失流扩展记录"),
    (0xFF000000, 0x19000000, "extended record of overcurrent", "过流扩展记录"),
    (0xFF000000, 0x1A000000, "extended record of open current", "断流扩展记录"),
    (0xFF000000, 0x1B000000, "extended record of reverse flow", "潮流反向扩展记录"),
    (0xFF000000, 0x1C000000, "extended record of overload", "过载扩展记录"),
    (0xFF000000, 0x1D000000, "trip record", "跳闸记录"),
    (0xFF000000, 0x1E000000, "close record", "合闸记录"),
    (0xFF000000, 0x22000000, "extended record of low battery", "电池欠压扩展记录"),
    (0xFF000000, 0x00000000, "energy", "电能量"),
    (0xFF000000, 0x01000000, "maximum demand", "最大需量"),
    (0xFF000000, 0x02000000, "variable", "变量"),
    (0xFF000000, 0x04000000, "parameter", "参变量"),
    (0xFF000000, 0x05000000, "freeze", "冻结量"),
    (0xFF000000, 0x06000000, "load record", "负荷记录"),
    (0xFF000000, 0x07000000, "security", "安全认证"),
)


def event_entries() -> Iterator[Identifier]:
    """All event entries, each identifier once."""
    for di2, en, zh, fields in _BY_PHASE:
        base = 0x03 << 24 | di2 << 16
        yield _phase_totals(base, en, zh)
        yield from layouts.phase_records(base, en, zh, fields)
    for group, en, zh, fields, unsure in _SINGLE:
        base = 0x03 << 24 | group << 8
        yield record(base, f"{en}, totals", f"{zh}总次数", _TOTALS)
        yield from layouts.records(base, en, zh, fields, uncertain=unsure)
    for group, en, zh in _RAW:
        base = 0x03 << 24 | group << 8
        yield record(base, f"{en}, totals", f"{zh}总次数", _TOTALS)
        for back in range(1, RECORDS_MAX + 1):
            yield raw(base | back, f"{en}, record -{back}", f"上{back}次{zh}记录")
    yield from _demands_over()
    yield from _voltage_quality()
    yield from _purchases(0x0332, "energy", "电量", _ENERGY)
    yield from _purchases(0x0333, "money", "金额", _AMOUNT)
    yield from _relay_records(0x1D, "trip", "跳闸")
    yield from _relay_records(0x1E, "close", "合闸")


def _phase_totals(base: int, en: str, zh: str) -> Identifier:
    fields = tuple(
        Field(f"{what.name_en}, {phase_en}", phase_zh + what.name_zh, 3, "number", what.unit)
        for phase_en, phase_zh in PHASES
        for what in _TOTALS
    )
    return record(base, f"{en}, totals", f"{zh}总次数及累计时间", fields)


def _demands_over() -> Iterator[Identifier]:
    base = 0x03120000
    fields = tuple(Field(f"count, {en}", f"{zh}需量超限总次数", 3, "number") for en, zh in _DEMANDS)
    yield record(base, "demand over limit, totals", "需量超限总次数", fields)
    for di1, (en, zh) in enumerate(_DEMANDS, 1):
        title = f"{en} demand over limit", f"{zh}需量超限"
        yield from layouts.records(base | di1 << 8, *title, layouts.DEMAND_OVER)


def _voltage_quality() -> Iterator[Identifier]:
    """Statistics of this month and the twelve before; sources differ in the width of the shares of a phase."""
    for phase, (of_en, of_zh) in enumerate((("total", "总"), *PHASES)):
        for month in range(_MONTHS + 1):
            when_en, when_zh = (f", month -{month}", f"上{month}月") if month else ("", "本月")
            names = f"voltage quality, {of_en}{when_en}", f"{when_zh}{of_zh}电压合格率统计数据"
            yield record(0x03100000 | phase << 8 | month, *names, _VOLTAGE_QUALITY, uncertain=bool(phase))


def _purchases(di32: int, en: str, zh: str, amount: tuple[str, str, int]) -> Iterator[Identifier]:
    kind, unit, scale = amount
    fields = (
        Field("time", "日期", 5, "minute"),
        Field("purchase count", "购电后总购电次数", 2, "number"),
        Field("purchased", f"购{zh}", 4, kind, unit, scale),
        Field("remaining before", f"购电前剩余{zh}", 4, kind, unit, scale),
        Field("remaining after", f"购电后剩余{zh}", 4, kind, unit, scale),
        Field("purchased in all", f"购电后累计购{zh}", 4, kind, unit, scale),
    )
    for back in range(1, RECORDS_MAX + 1):
        base = di32 << 16 | back
        title_en, title_zh = f"purchase of {en} -{back}", f"上{back}次购{zh}记录"
        yield from _members(base, title_en, title_zh, fields, unsure={1})
        yield record(base | 0xFF00, f"{title_en}, block", f"{title_zh}数据块", fields, uncertain=True)


def _relay_records(di3: int, en: str, zh: str) -> Iterator[Identifier]:
    yield Identifier(di3 << 24 | 1, f"number of {en}s", f"{zh}总次数", 3, "number")
    for back in range(1, RECORDS_MAX + 1):
        base = di3 << 24 | back
        yield from _members(base, f"{en} -{back}", f"上{back}次{zh}", _RELAY, unsure=set())
        yield record(base | 0xFF00, f"{en} -{back}, block", f"上{back}次{zh}数据块", _RELAY)


def _members(base: int, en: str, zh: str, fields: tuple[Field, ...], *, unsure: set[int]) -> Iterator[Identifier]:
    """Each field of a record as an identifier of its own, DI1 counting from 1."""
    for at, field in enumerate(fields):
        name_en, name_zh = f"{en}, {field.name_en}", f"{zh}{field.name_zh}"
        di, unsure_here = base | (at + 1) << 8, at in unsure
        yield Identifier(di, name_en, name_zh, field.length, field.kind, field.unit, field.scale, uncertain=unsure_here)
