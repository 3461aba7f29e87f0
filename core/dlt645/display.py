"""Turns decoded values into what a person reads: display units, digits as the meter shows them, two languages.

Integer arithmetic only: 1234567800 Wh of a register that counts 10 Wh is "1234567.80 kWh".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from core.dlt645.entry import Identifier
from core.dlt645.identifiers import Value
from core.dlt645.status import status_names, status_number

# unit of the project: unit shown, Chinese, how many of ours are one of them
_SHOWN = {
    "Wh": ("kWh", "kWh", 1000),
    "varh": ("kvarh", "kvarh", 1000),
    "VAh": ("kVAh", "kVAh", 1000),
    "mAh": ("Ah", "安时", 1000),
    "mV": ("V", "V", 1000),
    "mA": ("A", "A", 1000),
    "mW": ("kW", "kW", 10**6),
    "mvar": ("kvar", "kvar", 10**6),
    "mVA": ("kVA", "kVA", 10**6),
    "permille": ("", "", 1000),
    "bp": ("%", "%", 100),
    "mdeg": ("°", "°", 1000),
    "mHz": ("Hz", "Hz", 1000),
    "m°C": ("°C", "°C", 1000),
    "fen": ("yuan", "元", 100),
    "nf/Wh": ("yuan/kWh", "元/kWh", 10**8),
    "min": ("min", "分钟", 1),
}
UNUSED_DAY = "day 99 hour 99"  # what takes the second and the third settlement day out of use


@dataclass(frozen=True, slots=True)
class Reading:
    """One value: in the project's unit for programs, as text for people; None where the meter has none."""

    name_en: str
    name_zh: str
    value: Value
    unit: str
    text_en: str
    text_zh: str


def readings(entry: Identifier, row: Sequence[Value], find: Callable[[int], Identifier | None]) -> tuple[Reading, ...]:
    """The decoded row of an identifier, each value with the name of its member or field."""
    if entry.fields:
        pairs = zip(entry.fields, row, strict=False)
        return tuple(
            Reading(one.name_en, one.name_zh, value, one.unit, *shown(one.kind, one.unit, one.scale, value))
            for one, value in pairs
        )
    found = []
    for at, value in enumerate(row):
        member = at // entry.values_per_member
        name_en, name_zh = _name(entry, member, len(row) // entry.values_per_member, find)
        unit = entry.unit
        if at % entry.values_per_member:
            name_en, name_zh, unit = f"{name_en}, at", f"{name_zh}发生时间", ""
        text = _bits(entry, member, value) or shown(entry.kind, unit, entry.scale, value)
        found.append(Reading(name_en, name_zh, value, unit, *text))
    return tuple(found)


def _name(entry: Identifier, member: int, count: int, find: Callable[[int], Identifier | None]) -> tuple[str, str]:
    if member < len(entry.items):
        item = find(entry.items[member])
        if item is not None:
            return item.name_en, item.name_zh
    if count == 1:
        return entry.name_en, entry.name_zh
    return f"{entry.name_en}, {member + 1}", f"{entry.name_zh}{member + 1}"


def _bits(entry: Identifier, member: int, value: Value) -> tuple[str, str] | None:
    if entry.kind != "bits" or not isinstance(value, int):
        return None
    number, digits = status_number(entry.di), f"{value:0{2 * entry.item_length}X}H"
    names = () if number is None else status_names(number or member + 1, value)
    if not names:
        return digits, digits
    return f"{digits}: {', '.join(en for en, _ in names)}", f"{digits}：{'，'.join(zh for _, zh in names)}"


def shown(kind: str, unit: str, scale: int, value: Value) -> tuple[str, str]:
    """One value as text, English and Chinese."""
    if value is None:
        return "not available", "无数据"
    if kind == "date" and isinstance(value, datetime):
        return f"{value:%Y-%m-%d}", f"{value:%Y-%m-%d}"
    if kind == "time" and isinstance(value, int):
        text = f"{value // 3600:02d}:{value // 60 % 60:02d}:{value % 60:02d}"
        return text, text
    if kind == "dayhour" and value == UNUSED_DAY:
        return "off", "停用"
    if not isinstance(value, int):
        return str(value), str(value)
    unit_en, unit_zh, factor = _SHOWN.get(unit, (unit, unit, 1))
    digits = _decimal(value, factor, scale)
    return f"{digits} {unit_en}".rstrip(), f"{digits} {unit_zh}".rstrip()


def _decimal(value: int, factor: int, scale: int) -> str:
    """`value / factor` with as many decimals as one count of `scale` needs."""
    places = max(0, len(str(factor // scale)) - 1) if factor > 1 else 0
    whole, rest = divmod(abs(value) * 10**places // factor, 10**places)
    sign = "-" if value < 0 else ""
    return f"{sign}{whole}.{rest:0{places}d}" if places else f"{sign}{whole}"
