"""Entries of the freeze identifiers (05): what a meter kept at set times.

DI2 says why it was kept, DI1 what (00 time, 01..08 energies, 09 and 0A demands, 10 powers, FF all), DI0 how far
back, 01 being the last. How deep a meter keeps is its own affair; timed and daily freezes have known depths and are
rows of the table, all others are made on demand by `freezes_of`.
"""

from collections.abc import Iterator

from core.dlt645.entry import Field, Identifier, raw, record

BACK_MAX = 254
RATES_MAX = 63

# DI2, English, Chinese, depth that the table lists
_FREEZES = (
    (0x00, "timed freeze", "定时冻结", 60),
    (0x01, "instant freeze", "瞬时冻结", 3),
    (0x02, "zone table switch freeze", "两套时区表切换冻结", 0),
    (0x03, "slot table switch freeze", "两套日时段表切换冻结", 0),
    (0x04, "hourly freeze", "整点冻结", 0),
    (0x05, "price switch freeze", "两套费率电价切换冻结", 0),
    (0x06, "daily freeze", "日冻结", 62),
    (0x07, "tier switch freeze", "两套阶梯切换冻结", 0),
)

# DI1, English, Chinese, unit, signed; the member is DI2 = DI1 of the energies
_ENERGIES = (
    (0x01, "forward active energy", "正向有功", "Wh", False),
    (0x02, "reverse active energy", "反向有功", "Wh", False),
    (0x03, "combined reactive energy 1", "组合无功1", "varh", True),
    (0x04, "combined reactive energy 2", "组合无功2", "varh", True),
    (0x05, "reactive energy of quadrant 1", "第一象限无功", "varh", False),
    (0x06, "reactive energy of quadrant 2", "第二象限无功", "varh", False),
    (0x07, "reactive energy of quadrant 3", "第三象限无功", "varh", False),
    (0x08, "reactive energy of quadrant 4", "第四象限无功", "varh", False),
)
_DEMANDS = ((0x09, 0x01, "forward active demand", "正向有功"), (0x0A, 0x02, "reverse active demand", "反向有功"))
_POWERS = tuple(
    Field(f"{en}, {phase_en}", f"{phase_zh}{zh}", 3, "signed", unit, 100)
    for en, zh, unit in (("active power", "有功功率", "mW"), ("reactive power", "无功功率", "mvar"))
    for phase_en, phase_zh in (("total", "总"), ("phase A", "A相"), ("phase B", "B相"), ("phase C", "C相"))
)


def freeze_entries() -> Iterator[Identifier]:
    """The freezes of known depth."""
    for di2, _en, _zh, depth in _FREEZES:
        for back in range(1, depth + 1):
            yield from freezes_of(di2, back)


def freezes_of(di2: int, back: int) -> Iterator[Identifier]:
    """Everything that the `back`-th last freeze of one kind holds; nothing for a kind that is not known."""
    names = {row[0]: (row[1], row[2]) for row in _FREEZES}
    if di2 not in names or not 1 <= back <= BACK_MAX:
        return
    freeze_en, freeze_zh = names[di2]
    en, zh, base = f"{freeze_en} {back}", f"上{back}次{freeze_zh}", 0x05 << 24 | di2 << 16 | back
    yield Identifier(base, f"{en}, time", f"{zh}时间", 5, "minute")
    for di1, what_en, what_zh, unit, signed in _ENERGIES:
        members = tuple(di1 << 16 | rate << 8 for rate in range(5))
        kind = "signed" if signed else "number"
        name_en, name_zh, di = f"{en}, {what_en}", f"{zh}{what_zh}电能", base | di1 << 8
        yield Identifier(di, name_en, name_zh, 20, kind, unit, 10, members, RATES_MAX + 1)
    for di1, demand, what_en, what_zh in _DEMANDS:
        members = tuple(0x01 << 24 | demand << 16 | rate << 8 for rate in range(5))
        name_en, name_zh, di = f"{en}, maximum {what_en}", f"{zh}{what_zh}最大需量", base | di1 << 8
        yield Identifier(di, name_en, name_zh, 40, "demand", "mW", 100, members, RATES_MAX + 1)
    # That the eight powers are P and then Q, total before phases, is stated by one source only.
    yield record(base | 0x1000, f"{en}, powers", f"{zh}变量数据", _POWERS, uncertain=True)
    yield raw(base | 0xFF00, f"{en}, all", f"{zh}数据块")
