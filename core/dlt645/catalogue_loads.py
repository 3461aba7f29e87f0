"""Entries of the load records (06): the blocks that are asked for, and what each of the six classes holds.

    06 0c 00 xx   c = 0 all classes, 1..6 one; xx = 00 the earliest block, 01 from a given time, 02 the latest

The layout of a class is the standard's order of the same items elsewhere; no two sources state it byte by byte.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from core.dlt645.entry import Field, Identifier, raw, record

_WHICH = ((0, "earliest", "最早"), (1, "from a given time", "给定时间"), (2, "latest", "最近"))
_PHASES = (("phase A", "A相"), ("phase B", "B相"), ("phase C", "C相"))
_ALL = (("total", "总"), *_PHASES)


def _each(
    members: tuple[tuple[str, str], ...], en: str, zh: str, length: int, unit: str, scale: int
) -> Iterator[Field]:
    kind = "number" if unit == "mV" else "signed"
    for member_en, member_zh in members:
        yield Field(f"{en}, {member_en}", f"{member_zh}{zh}", length, kind, unit, scale)


_FIELDS: tuple[tuple[Field, ...], ...] = (
    (*_each(_PHASES, "voltage", "电压", 2, "mV", 100), *_each(_PHASES, "current", "电流", 3, "mA", 1),
     Field("frequency", "频率", 2, "number", "mHz", 10)),
    (*_each(_ALL, "active power", "有功功率", 3, "mW", 100),
     *_each(_ALL, "reactive power", "无功功率", 3, "mvar", 100)),
    tuple(_each(_ALL, "power factor", "功率因数", 2, "permille", 1)),
    (Field("forward active energy", "正向有功总电能", 4, "number", "Wh", 10),
     Field("reverse active energy", "反向有功总电能", 4, "number", "Wh", 10),
     Field("combined reactive energy 1", "组合无功1总电能", 4, "signed", "varh", 10),
     Field("combined reactive energy 2", "组合无功2总电能", 4, "signed", "varh", 10)),
    tuple(Field(f"reactive energy of quadrant {q}", f"第{q}象限无功总电能", 4, "number", "varh", 10)
          for q in range(1, 5)),
    (Field("active demand now", "当前有功需量", 3, "signed", "mW", 100),
     Field("reactive demand now", "当前无功需量", 3, "signed", "mvar", 100)),
)  # fmt: skip

# The row of each class, under the identifier of its latest block.
LOAD_CLASSES: Mapping[int, Identifier] = MappingProxyType(
    {
        number: record(
            0x06000002 | number << 16, f"load record of class {number}", f"第{number}类负荷记录", fields, uncertain=True
        )
        for number, fields in enumerate(_FIELDS, 1)
    }
)


def load_entries() -> Iterator[Identifier]:
    """The blocks that can be asked for; `core.dlt645.blocks` reads them."""
    for which, en, zh in _WHICH:
        yield raw(0x06 << 24 | which, f"load record, {en}", f"{zh}负荷记录块")
        for number in LOAD_CLASSES:
            di = 0x06 << 24 | number << 16 | which
            yield raw(di, f"load record of class {number}, {en}", f"第{number}类{zh}负荷记录块")


def load_class(di: int) -> int | None:
    """The class that an identifier asks for, 0 for all; None for another identifier."""
    number = di >> 16 & 0xFF
    asked = di >> 24 == 0x06 and not di >> 8 & 0xFF and di & 0xFF < len(_WHICH)
    return number if asked and number <= len(LOAD_CLASSES) else None
