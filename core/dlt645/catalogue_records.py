"""What the records of events hold: rows of fields, shared by the groups of 03 and by the extended groups 10..1C.

Standard records (03) give begin and end and what flowed in between; phase records also what was measured when the
event began. Extended records give the registers at the begin and at the end, each also as an identifier of its own
(DI1 counts the fields). The layouts are those on which independent public tables agree; their lengths are those that
meters were seen to send (131, 78 and 179 bytes).
"""

from collections.abc import Iterator

from core.dlt645.entry import Field, Identifier, record

RECORDS_MAX = 10
PHASES = (("phase A", "A相"), ("phase B", "B相"), ("phase C", "C相"))

BEGIN = Field("begin", "发生时刻", 6, "moment")
END = Field("end", "结束时刻", 6, "moment")
TIME = Field("time", "发生时刻", 6, "moment")
OPERATOR = Field("operator", "操作者代码", 4, "digits")
COUNT = Field("count", "总次数", 3, "number")
MINUTES = Field("total time", "总累计时间", 3, "number", "min")
REST = Field("table before", "编程前数据", 0, "raw")

_KINDS = (
    ("forward active energy", "正向有功", "number", "Wh"),
    ("reverse active energy", "反向有功", "number", "Wh"),
    ("combined reactive energy 1", "组合无功1", "signed", "varh"),
    ("combined reactive energy 2", "组合无功2", "signed", "varh"),
)
_QUADRANTS = tuple(
    (f"reactive energy of quadrant {number}", f"第{name}象限无功", "number", "varh")
    for number, name in enumerate("一二三四", 1)
)


def _energies(
    of: tuple[str, str], when: tuple[str, str], kinds: tuple[tuple[str, ...], ...] = _KINDS
) -> tuple[Field, ...]:
    return tuple(
        Field(f"{en}, {of[0]}{when[0]}", f"{when[1]}{of[1]}{zh}电能", 4, kind, unit, 10) for en, zh, kind, unit in kinds
    )


def _measured(phase: tuple[str, str]) -> tuple[Field, ...]:
    en, zh = phase
    return (
        Field(f"voltage, {en}", f"发生时{zh}电压", 2, "number", "mV", 100),
        Field(f"current, {en}", f"发生时{zh}电流", 3, "signed", "mA", 1),
        Field(f"active power, {en}", f"发生时{zh}有功功率", 3, "signed", "mW", 100),
        Field(f"reactive power, {en}", f"发生时{zh}无功功率", 3, "signed", "mvar", 100),
        Field(f"power factor, {en}", f"发生时{zh}功率因数", 2, "signed", "permille", 1),
    )


def _over(when: tuple[str, str], *, measured: bool) -> tuple[Field, ...]:
    """Energies in total and by phase, each phase followed by what was measured if asked for."""
    fields = _energies(("total", "总"), when)
    for phase in PHASES:
        fields += _energies(phase, when) + (_measured(phase) if measured else ())
    return fields


_MEANWHILE, _BEFORE, _AFTER = (" meanwhile", "期间"), (" before", "前"), (" after", "后")
_AT_BEGIN, _AT_END = (" at the begin", "发生时"), (" at the end", "结束时")
_CHARGES = tuple(
    Field(f"charge, {en}", f"期间{zh}安时数", 4, "number", "mAh", 10) for en, zh in (("total", "总"), *PHASES)
)
_COVER = _KINDS[:2] + _QUADRANTS
_UNBALANCE = Field("highest unbalance", "最大不平衡率", 2, "number", "bp", 1)

SPAN = (BEGIN, END)
VOLTAGE = (*SPAN, *_over(_MEANWHILE, measured=True), *_CHARGES)
CURRENT = (*SPAN, *_over(_MEANWHILE, measured=True))
FLOW = (*SPAN, *_over(_MEANWHILE, measured=False))
UNBALANCE = (*SPAN, _UNBALANCE, *_over(_MEANWHILE, measured=False))
BLACKOUT = (BEGIN, Field("current", "电流值", 3, "signed", "mA", 1), END)
DEMAND_OVER = (
    *SPAN, Field("highest demand", "期间最大需量", 3, "number", "mW", 100),
    Field("highest demand at", "期间最大需量发生时间", 5, "minute"),
)  # fmt: skip
COVER = (*SPAN, *_energies(("total", "总"), _BEFORE, _COVER), *_energies(("total", "总"), _AFTER, _COVER))
CLOCK = (OPERATOR, Field("clock before", "校时前时间", 6, "moment"), Field("clock after", "校时后时间", 6, "moment"))
SETTLEMENT = (TIME, OPERATOR, *(Field(f"settlement day {n}", f"编程前第{n}结算日", 2, "dayhour") for n in range(1, 4)))
CLEARED = tuple(
    field
    for of in (("total", "总"), *PHASES)
    for field in _energies(of, _BEFORE, _COVER)
)  # fmt: skip
DEMANDS_CLEARED = tuple(
    one
    for of_en, of_zh in (("total", "总"), *PHASES)
    for en, zh, _kind, unit in _COVER
    for one in (
        Field(f"{en.replace('energy', 'demand')}, {of_en}", f"清零前{of_zh}{zh}最大需量", 3, "number",
              "mW" if unit == "Wh" else "mvar", 100),
        Field(f"{en.replace('energy', 'demand')}, {of_en}, at", f"清零前{of_zh}{zh}最大需量发生时间", 5, "minute"),
    )
)  # fmt: skip

_EXTENDED_VOLTAGE = (BEGIN, *_over(_AT_BEGIN, measured=True), *_CHARGES, END, *_over(_AT_END, measured=False))
_EXTENDED_CURRENT = (BEGIN, *_over(_AT_BEGIN, measured=True), END, *_over(_AT_END, measured=False))
_EXTENDED_FLOW = (BEGIN, *_over(_AT_BEGIN, measured=False), END, *_over(_AT_END, measured=False))
_EXTENDED_UNBALANCE = (
    BEGIN, *_over(_AT_BEGIN, measured=False), Field("highest unbalance", "最大不平衡率", 3, "number", "bp", 1), END,
    *_over(_AT_END, measured=False),
)  # fmt: skip

# DI3: English, Chinese, by phase, fields, stated by more than one source
EXTENDED = {
    0x10: ("loss of voltage", "失压", True, _EXTENDED_VOLTAGE, True),
    0x11: ("undervoltage", "欠压", True, _EXTENDED_VOLTAGE, False),
    0x12: ("overvoltage", "过压", True, _EXTENDED_VOLTAGE, False),
    0x13: ("phase break", "断相", True, _EXTENDED_VOLTAGE, True),
    0x14: ("reverse voltage sequence", "电压逆相序", False, _EXTENDED_FLOW, True),
    0x15: ("reverse current sequence", "电流逆相序", False, _EXTENDED_FLOW, False),
    0x16: ("voltage unbalance", "电压不平衡", False, _EXTENDED_UNBALANCE, False),
    0x17: ("current unbalance", "电流不平衡", False, _EXTENDED_UNBALANCE, False),
    0x18: ("loss of current", "失流", True, _EXTENDED_CURRENT, True),
    0x19: ("overcurrent", "过流", True, _EXTENDED_CURRENT, True),
    0x1A: ("open current", "断流", True, _EXTENDED_CURRENT, False),
    0x1B: ("reverse flow", "潮流反向", True, _EXTENDED_FLOW, False),
    0x1C: ("overload", "过载", True, _EXTENDED_FLOW, False),
}


def extended(di: int) -> Identifier | None:
    """The entry of an extended event: 1x ph 00 01 count, 02 minutes; ph DI1 nn a field, ph FF nn the whole record."""
    group, (phase, item, back) = EXTENDED.get(di >> 24), (di >> 16 & 0xFF, di >> 8 & 0xFF, di & 0xFF)
    if group is None or not (1 <= phase <= len(PHASES) if group[2] else phase == 0):
        return None
    en, zh, by_phase, fields, sure = group
    if by_phase:
        en, zh = f"{en}, {PHASES[phase - 1][0]}", f"{PHASES[phase - 1][1]}{zh}"
    en, zh = f"extended {en}", f"{zh}扩展"
    if item == 0 and back in (1, 2):
        what = (COUNT, MINUTES)[back - 1]
        return Identifier(
            di, f"{en}, {what.name_en}", f"{zh}{what.name_zh}", 3, "number", what.unit, uncertain=not sure
        )
    if not 1 <= back <= RECORDS_MAX:
        return None
    if item == 0xFF:
        return record(di, f"{en} -{back}, whole record", f"上{back}次{zh}记录", fields, uncertain=not sure)
    if not 1 <= item <= len(fields):
        return None
    one = fields[item - 1]
    names = f"{en} -{back}, {one.name_en}", f"上{back}次{zh}{one.name_zh}"
    return Identifier(di, *names, one.length, one.kind, one.unit, one.scale, uncertain=not sure)


def phase_records(base: int, en: str, zh: str, fields: tuple[Field, ...]) -> Iterator[Identifier]:
    """The last ten records of each phase."""
    for phase, (phase_en, phase_zh) in enumerate(PHASES, 1):
        yield from records(base | phase << 8, f"{en}, {phase_en}", phase_zh + zh, fields)


def records(base: int, en: str, zh: str, fields: tuple[Field, ...], *, uncertain: bool = False) -> Iterator[Identifier]:
    """The last ten records of an event."""
    for back in range(1, RECORDS_MAX + 1):
        yield record(base | back, f"{en}, record -{back}", f"上{back}次{zh}记录", fields, uncertain=uncertain)
