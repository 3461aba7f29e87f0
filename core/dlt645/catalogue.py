"""Entries of the identifier table: names, lengths, formats and units, as data.

Digits of DL/T 645-2007, before and behind the point: energy 6.2 kWh (4 bytes), voltage 3.1 V (2), current 3.3 A
(3, signed), power 2.4 kW (3, signed), power factor 1.3 (2, signed), amounts 6.2 yuan (4), demand 2.4 kW with its
minute (8); status words are 16 bits (2). Signed are combined energies, currents, powers and power factors.
`scale` is what one count of the field is worth in `unit`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType

from core.dlt645.catalogue_events import event_entries
from core.dlt645.catalogue_freezes import freeze_entries, freezes_of
from core.dlt645.catalogue_loads import load_entries
from core.dlt645.catalogue_parameters import holiday, parameter_entries, screen
from core.dlt645.catalogue_records import extended
from core.dlt645.entry import Field, Identifier

__all__ = ["ENTRIES", "Field", "Identifier", "derived"]

RATES_MAX = 63  # a block over rates holds the total and as many rates as the meter has
USUAL_RATES = 4
DERIVED_KEPT_MAX = 1024

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

# DI2 of phase A's energies; phases B and C follow 14H and 28H above it. Phases have no rates.
_PHASE_ENERGY = 0x15
_PHASE_STEP = 0x14

# DI2 of the total; phases A, B and C follow 14H, 28H and 3CH above it. No source of ours says which are signed.
_OTHER_ENERGIES = (
    (0x80, "associated energy", "关联"),
    (0x81, "forward fundamental active energy", "正向有功基波"),
    (0x82, "reverse fundamental active energy", "反向有功基波"),
    (0x83, "forward harmonic active energy", "正向有功谐波"),
    (0x84, "reverse harmonic active energy", "反向有功谐波"),
    (0x85, "copper loss compensation", "铜损有功补偿"),
    (0x86, "iron loss compensation", "铁损有功补偿"),
)

# DI2, English, Chinese, unit, signed, stated by more than one source
_DEMANDS = (
    (0x01, "forward active demand", "正向有功", "mW", False, True),
    (0x02, "reverse active demand", "反向有功", "mW", False, True),
    (0x03, "combined reactive demand 1", "组合无功1", "mvar", True, False),
    (0x04, "combined reactive demand 2", "组合无功2", "mvar", True, False),
    (0x05, "reactive demand of quadrant 1", "第一象限无功", "mvar", False, False),
    (0x06, "reactive demand of quadrant 2", "第二象限无功", "mvar", False, False),
    (0x07, "reactive demand of quadrant 3", "第三象限无功", "mvar", False, False),
    (0x08, "reactive demand of quadrant 4", "第四象限无功", "mvar", False, False),
    (0x09, "forward apparent demand", "正向视在", "mVA", False, False),
    (0x0A, "reverse apparent demand", "反向视在", "mVA", False, False),
)

# DI2, English, Chinese, bytes, kind, unit, scale, first member of the block (0 = total, 1 = phase A)
_VARIABLES = (
    (0x01, "voltage", "电压", 2, "number", "mV", 100, 1),
    (0x02, "current", "电流", 3, "signed", "mA", 1, 1),
    (0x03, "active power", "有功功率", 3, "signed", "mW", 100, 0),
    (0x04, "reactive power", "无功功率", 3, "signed", "mvar", 100, 0),
    (0x05, "apparent power", "视在功率", 3, "signed", "mVA", 100, 0),
    (0x06, "power factor", "功率因数", 2, "signed", "permille", 1, 0),
    (0x07, "phase angle", "相角", 2, "number", "mdeg", 100, 1),
    (0x08, "voltage distortion", "电压波形失真度", 2, "number", "bp", 1, 1),
    (0x09, "current distortion", "电流波形失真度", 2, "number", "bp", 1, 1),
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
    (0x02800005, "reactive demand now", "当前无功需量", 3, "signed", "mvar", 100),
    (0x02800006, "apparent demand now", "当前视在需量", 3, "signed", "mVA", 100),
    (0x02800007, "temperature inside the meter", "表内温度", 2, "signed", "m°C", 100),
    (0x02800008, "clock battery voltage", "时钟电池电压", 2, "number", "mV", 10),
    (0x02800009, "backup battery voltage", "停电抄表电池电压", 2, "number", "mV", 10),
    (0x0280000A, "battery working time", "内部电池工作时间", 4, "number", "min", 1),
    (0x0280000B, "current tier price", "当前阶梯电价", 4, "number", "nf/Wh", 10_000),
    (0x02800020, "current price", "当前电价", 4, "number", "nf/Wh", 10_000),
    (0x02800021, "current rate price", "当前费率电价", 4, "number", "nf/Wh", 10_000),
)

# One firmware only: authentication left, and what the current and last month, year and settlement period took.
_ONE_SOURCE = (
    (0x02800022, "authentication time left, RS-485", "身份认证剩余时间", 2, "number", "min", 1),
    (0x02800023, "authentication time left, infrared", "红外认证剩余时间", 1, "number", "min", 1),
    (0x000B0000, "consumption of this settlement period", "当前结算周期用电量", 4, "number", "Wh", 10),
    (0x000B0001, "consumption of the last settlement period", "上1结算周期用电量", 4, "number", "Wh", 10),
    (0x000C0000, "consumption of this month", "当前月度用电量", 4, "number", "Wh", 10),
    (0x000C0001, "consumption of the last month", "上1月度用电量", 4, "number", "Wh", 10),
)

_HARMONICS_MAX = 63  # a meter sends as many as 04 00 02 06 says, the first being the fundamental
_HARMONICS_SINGLE = 21  # that have an identifier of their own
_HARMONICS = ((0x0A, "voltage harmonic", "电压谐波含量"), (0x0B, "current harmonic", "电流谐波含量"))


def entries() -> Iterator[Identifier]:
    """All entries of the table, each identifier once. Further rates and freezes come from `derived`."""
    yield from _energies()
    yield from _phase_energies()
    yield from _other_energies()
    yield from _demands()
    yield from _phase_demands()
    yield from _variables()
    yield from _harmonics()
    for di, name_en, name_zh, length, kind, unit, scale in _SINGLE:
        yield Identifier(di, name_en, name_zh, length, kind, unit, scale)
    for di, name_en, name_zh, length, kind, unit, scale in _ONE_SOURCE:
        yield Identifier(di, name_en, name_zh, length, kind, unit, scale, uncertain=True)
    yield from event_entries()
    yield from parameter_entries()
    yield from freeze_entries()
    yield from load_entries()


@lru_cache(maxsize=DERIVED_KEPT_MAX)
def derived(di: int) -> Identifier | None:
    """The entry of an identifier that follows a rule: rates 5..63, freezes, holidays, screens, extended events."""
    group = di >> 24
    if group == 0x05:
        return next((entry for entry in freezes_of(di >> 16 & 0xFF, di & 0xFF) if entry.di == di), None)
    if group == 0x04:
        return holiday(di) or screen(di)
    return extended(di) if group >= 0x10 else _further_rate(di)


def _further_rate(di: int) -> Identifier | None:
    rate, day = di >> 8 & 0xFF, di & 0xFF
    if di >> 24 > 0x01 or not USUAL_RATES < rate <= RATES_MAX or _SETTLEMENTS < day < _BLOCK:
        return None
    sources = _ENERGIES if di >> 24 == 0 else _DEMANDS
    if not any(row[0] == di >> 16 & 0xFF for row in sources):
        return None
    return _of_rate(di, rate)


def _of_rate(di: int, rate: int) -> Identifier:
    entry = ENTRIES[di & ~0xFF00 | 0x0100]
    items = tuple(item & ~0xFF00 | rate << 8 for item in entry.items)
    name_en, name_zh = entry.name_en.replace(", sharp", f", rate {rate}"), entry.name_zh.replace("尖", f"费率{rate}")
    return replace(entry, di=di, name_en=name_en, name_zh=name_zh, items=items)


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


def _phase_energies() -> Iterator[Identifier]:
    for phase in range(1, 4):
        phase_en, phase_zh = _PHASES[phase]
        for di2, en, zh, unit, signed in _ENERGIES[1:]:
            kind = "signed" if signed else "number"
            base = (_PHASE_ENERGY + (phase - 1) * _PHASE_STEP + di2 - 1) << 16
            for day in range(_SETTLEMENTS + 1):
                when_en, when_zh = _settlement(day)
                name_en, name_zh = f"{en}, {phase_en}{when_en}", f"{when_zh}{phase_zh}{zh}电能"
                yield Identifier(base | day, name_en, name_zh, 4, kind, unit, 10)
            days = tuple(base | day for day in range(_SETTLEMENTS + 1))
            name_en, name_zh = f"{en}, {phase_en}, all settlement days", f"{phase_zh}{zh}电能结算日数据块"
            yield Identifier(base | _BLOCK, name_en, name_zh, 4 * len(days), kind, unit, 10, days, len(days))


def _other_energies() -> Iterator[Identifier]:
    for di2, en, zh in _OTHER_ENERGIES:
        for phase, (phase_en, phase_zh) in enumerate(_PHASES):
            base = (di2 + phase * _PHASE_STEP) << 16
            for day in range(_SETTLEMENTS + 1):
                when_en, when_zh = _settlement(day)
                name_en, name_zh = f"{en}, {phase_en}{when_en}", f"{when_zh}{phase_zh}{zh}电能"
                yield Identifier(base | day, name_en, name_zh, 4, "signed", "Wh", 10, uncertain=True)


def _phase_demands() -> Iterator[Identifier]:
    for phase in range(1, 4):
        phase_en, phase_zh = _PHASES[phase]
        for di2, en, zh, unit, signed, _sure in _DEMANDS:
            kind = "signed demand" if signed else "demand"
            base = 0x01 << 24 | (_PHASE_ENERGY + (phase - 1) * _PHASE_STEP + di2 - 1) << 16
            for day in range(_SETTLEMENTS + 1):
                when_en, when_zh = _settlement(day)
                name_en, name_zh = f"maximum {en}, {phase_en}{when_en}", f"{when_zh}{phase_zh}{zh}最大需量"
                yield Identifier(base | day, name_en, name_zh, 8, kind, unit, 100, uncertain=True)


def _demands() -> Iterator[Identifier]:
    for di2, en, zh, unit, signed, sure in _DEMANDS:
        kind = "signed demand" if signed else "demand"
        for day in range(_SETTLEMENTS + 1):
            base = 0x01 << 24 | di2 << 16 | day
            when_en, when_zh = _settlement(day)
            for rate, (rate_en, rate_zh) in enumerate(_RATES):
                name_en, name_zh = f"maximum {en}, {rate_en}{when_en}", f"{when_zh}{zh}{rate_zh}最大需量"
                yield Identifier(base | rate << 8, name_en, name_zh, 8, kind, unit, 100, uncertain=not sure)
            name_en, name_zh = f"maximum {en}, block{when_en}", f"{when_zh}{zh}最大需量数据块"
            block = _rate_block(base, name_en, name_zh, 8, kind=kind, unit=unit, scale=100)
            yield replace(block, uncertain=not sure)
        for rate, (rate_en, rate_zh) in enumerate(_RATES):
            base = 0x01 << 24 | di2 << 16 | rate << 8
            days = tuple(base | day for day in range(_SETTLEMENTS + 1))
            name_en, name_zh = f"maximum {en}, {rate_en}, all settlement days", f"{zh}{rate_zh}最大需量结算日数据块"
            size, unsure = 8 * len(days), not sure
            yield Identifier(base | _BLOCK, name_en, name_zh, size, kind, unit, 100, days, len(days), uncertain=unsure)


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


def _harmonics() -> Iterator[Identifier]:
    """Harmonic nn of phase ph; DI0 counts in binary: 15H is the 21st and last (PyPI dlt645, a concentrator's table)."""
    for di2, en, zh in _HARMONICS:
        for phase in range(1, 4):
            phase_en, phase_zh = _PHASES[phase]
            for order in range(1, _HARMONICS_SINGLE + 1):
                di = 0x02 << 24 | di2 << 16 | phase << 8 | order
                yield Identifier(di, f"{en} {order}, {phase_en}", f"{phase_zh}{order}次{zh}", 2, "number", "bp", 1)
            di, name_en = 0x02 << 24 | di2 << 16 | phase << 8 | _BLOCK, f"{en}s, {phase_en}"
            yield Identifier(di, name_en, f"{phase_zh}{zh}数据块", 2, "number", "bp", 1, (), _HARMONICS_MAX)


def _settlement(day: int) -> tuple[str, str]:
    if day == 0:
        return "", "当前"
    return f", settlement day -{day}", f"上{day}结算日"


def _rate_block(base: int, en: str, zh: str, length: int, *, kind: str, unit: str, scale: int) -> Identifier:
    """A block over rates: five members are usual, a meter with more rates sends more."""
    members = tuple(base | rate << 8 for rate in range(len(_RATES)))
    total = length * len(members)
    return Identifier(base | _BLOCK << 8, en, zh, total, kind, unit, scale, members, RATES_MAX + 1)


ENTRIES: Mapping[int, Identifier] = MappingProxyType({entry.di: entry for entry in entries()})
