"""Entries of the event identifiers: 03 (standard), 1D and 1E (relay), purchases 03 32 and 03 33.

DI0 = 00 counts the events (with their minutes where the meter keeps them), DI0 = 01..0A is the n-th last record.
Records whose layout no two sources agree on keep their bytes. The extended groups 10..1C and 22 have a layout of
their own in every meter; only their names are known (`FAMILIES`).
"""

from collections.abc import Iterator

from core.dlt645.entry import Field, Identifier, raw, record

RECORDS_MAX = 10
PHASES = (("phase A", "A相"), ("phase B", "B相"), ("phase C", "C相"))

# DI2 of groups by phase, English, Chinese, bytes of a record (0: not known), confirmed twice that DI1 is the phase
_BY_PHASE = (
    (0x01, "loss of voltage", "失压", 131, True),
    (0x02, "undervoltage", "欠压", 131, True),
    (0x03, "overvoltage", "过压", 131, True),
    (0x04, "phase break", "断相", 131, True),
    (0x0B, "loss of current", "失流", 0, False),
    (0x0C, "overcurrent", "过流", 0, False),
    (0x0D, "open current", "断流", 0, False),
    (0x0E, "reverse flow", "潮流反向", 0, False),
    (0x0F, "overload", "过载", 0, False),
)

# DI2 and DI1, English, Chinese, bytes of a record (0: not known)
_SINGLE = (
    (0x0500, "all-phase voltage loss", "全失压", 0),
    (0x0600, "auxiliary power loss", "辅助电源失电", 0),
    (0x0700, "reverse voltage sequence", "电压逆相序", 0),
    (0x0800, "reverse current sequence", "电流逆相序", 0),
    (0x0900, "voltage unbalance", "电压不平衡", 78),
    (0x0A00, "current unbalance", "电流不平衡", 78),
    (0x1200, "demand over limit", "需量超限", 0),
    (0x3004, "clock setting", "校时", 0),
    (0x3005, "slot table programming", "时段表编程", 0),
    (0x3006, "zone table programming", "时区表编程", 0),
    (0x3007, "weekend programming", "周休日编程", 0),
    (0x3008, "holiday programming", "节假日编程", 0),
    (0x3009, "active combination word programming", "有功组合方式编程", 0),
    (0x300A, "reactive combination word 1 programming", "无功组合方式1编程", 0),
    (0x300B, "reactive combination word 2 programming", "无功组合方式2编程", 0),
    (0x300C, "settlement day programming", "结算日编程", 0),
    (0x300D, "meter cover opening", "开表盖", 0),
    (0x300E, "terminal cover opening", "开端钮盒", 0),
    (0x300F, "price table programming", "费率电价表编程", 0),
    (0x3010, "tier table programming", "阶梯表编程", 0),
    (0x3012, "key update", "密钥更新", 0),
    (0x3013, "bad card", "异常插卡", 0),
    (0x3014, "illegal card insertion", "非法插卡", 0),
    (0x3400, "refund", "退费", 0),
    (0x3500, "magnetic interference", "恒定磁场干扰", 0),
    (0x3600, "relay malfunction", "负荷开关误动作", 0),
    (0x3700, "internal power fault", "电源异常", 0),
)

_TIME = Field("time", "发生时刻", 6, "moment")
_OPERATOR = Field("operator", "操作者代码", 4, "digits")
_COUNT = Field("count", "总次数", 3, "number")
_MINUTES = Field("total time", "总累计时间", 3, "number", "min")
_TOTALS = (_COUNT, _MINUTES)
_PROGRAMMED = tuple(Field(f"identifier {n}", f"编程项目{n}", 4, "di") for n in range(1, 11))
_CLEARED = tuple(Field(f"register {n}", f"清零前数据{n}", 4, "raw") for n in range(1, 25))
_DEMANDS = tuple(Field(f"demand {n}", f"清零前需量{n}", 8, "raw") for n in range(1, 25))

# DI2 and DI1, English, Chinese, fields, uncertain
_RECORDS = (
    (0x1100, "power failure", "掉电", (Field("begin", "发生时刻", 6, "moment"), Field("end", "结束时刻", 6, "moment"))),
    (0x3000, "programming", "编程", (_TIME, _OPERATOR, *_PROGRAMMED)),
    (0x3001, "meter clearing", "电表清零", (_TIME, _OPERATOR, *_CLEARED)),
    (0x3002, "demand clearing", "需量清零", (_TIME, _OPERATOR, *_DEMANDS)),
    (0x3003, "event clearing", "事件清零", (_TIME, _OPERATOR, Field("identifier", "事件清零数据标识", 4, "di"))),
)
_UNCERTAIN_RECORDS = frozenset((0x3001, 0x3002))  # the first has one source, the second is computed

_AMOUNT = ("amount", "fen", 1)
_ENERGY = ("number", "Wh", 10)
_RELAY = (
    _TIME,
    _OPERATOR,
    Field("forward active energy", "正向有功总电能", 4, "number", "Wh", 10),
    Field("reverse active energy", "反向有功总电能", 4, "number", "Wh", 10),
    *(Field(f"reactive energy of quadrant {q}", f"第{q}象限无功总电能", 4, "number", "varh", 10) for q in range(1, 5)),
)

# What the first bytes of an identifier tell where the table holds no entry: (mask, value, English, Chinese)
FAMILIES = (
    (0xFFFF0000, 0x03100000, "voltage quality statistics", "电压合格率统计"),
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
    for di2, en, zh, length, sure in _BY_PHASE:
        base = 0x03 << 24 | di2 << 16
        yield _phase_totals(base, en, zh, sure=sure)
        for phase, (phase_en, phase_zh) in enumerate(PHASES, 1):
            yield from _raw_records(base | phase << 8, f"{en}, {phase_en}", phase_zh + zh, length)
    for group, en, zh, length in _SINGLE:
        base = 0x03 << 24 | group << 8
        yield record(base, f"{en}, totals", f"{zh}总次数", _TOTALS)
        yield from _raw_records(base, en, zh, length)
    for group, en, zh, fields in _RECORDS:
        base = 0x03 << 24 | group << 8
        yield record(base, f"{en}, totals", f"{zh}总次数", _TOTALS)
        unsure = group in _UNCERTAIN_RECORDS
        for back in range(1, RECORDS_MAX + 1):
            yield record(base | back, f"{en}, record -{back}", f"上{back}次{zh}记录", fields, uncertain=unsure)
    yield from _purchases(0x0332, "energy", "电量", _ENERGY)
    yield from _purchases(0x0333, "money", "金额", _AMOUNT)
    yield from _relay_records(0x1D, "trip", "跳闸")
    yield from _relay_records(0x1E, "close", "合闸")


def _phase_totals(base: int, en: str, zh: str, *, sure: bool) -> Identifier:
    fields = tuple(
        Field(f"{what.name_en}, {phase_en}", phase_zh + what.name_zh, 3, "number", what.unit)
        for phase_en, phase_zh in PHASES
        for what in _TOTALS
    )
    return record(base, f"{en}, totals", f"{zh}总次数及累计时间", fields, uncertain=not sure)


def _raw_records(base: int, en: str, zh: str, length: int) -> Iterator[Identifier]:
    for back in range(1, RECORDS_MAX + 1):
        yield raw(base | back, f"{en}, record -{back}", f"上{back}次{zh}记录", length)


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
