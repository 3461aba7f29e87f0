"""Explains the data field of a frame: its pieces by control code, its values by identifier.

Rows hold the bytes without the 33H offset, in wire order (low byte first). What cannot be read stays as bytes with
the reason beside it. No byte of a password is shown, however long the value and whatever the level.
"""

from collections.abc import Callable, Sequence

from core.dlt645 import blocks, values
from core.dlt645.anatomy import Text
from core.dlt645.catalogue_events import FAMILIES
from core.dlt645.commands import RELAY, refusal_names
from core.dlt645.commands import SECURITY as SECURITY_FUNCTION
from core.dlt645.display import Reading, readings, shown
from core.dlt645.edition1997 import decode_value_97, error_names_97, lookup_97
from core.dlt645.entry import Field
from core.dlt645.explain_times import explain_freeze, explain_load, explain_moment, explain_time
from core.dlt645.explain_told import Told
from core.dlt645.frame import Frame
from core.dlt645.identifiers import decode_value, lookup
from core.dlt645.layouts import (
    ACTIONS,
    FUNCTIONS_1997,
    FUNCTIONS_2007,
    LEVELS,
    SEALED_LEVELS,
    TERMINALS,
    split,
)
from core.dlt645.security import EXECUTION, SECURITY, bit_names
from core.dlt645.service import PASSWORD_DI, SEALED_BYTES
from core.errors import ValueFormatError

PAGED = ("value", "value97", "part")
ALL_OF_KIND = 0xFF
EXECUTION_BYTES = 2
_NOT_SHOWN = ("not shown", "不显示")


def explain_data(frame: Frame, edition: str) -> Told:
    """Explain the data field of a frame of an edition ("" for a vendor's)."""
    told = Told()
    if frame.abnormal and frame.is_reply and edition:
        _refusal(told, frame, edition)
        return told
    function = (FUNCTIONS_1997 if edition == "1997" else FUNCTIONS_2007).get(frame.function) if edition else None
    if function is None:
        if frame.data:
            told.add(frame.data, ("data", "数据域"), ("vendor code: no layout is known", "厂家自定义，格式未知"))
        return told
    data, pieces = frame.data, function.reply if frame.is_reply else function.request
    if _is_sealed(frame):
        pieces = (*pieces[: len(pieces) - (3 if frame.function == RELAY else 1)], ("cipher", SEALED_BYTES))
    parts, rest = split(pieces, data)
    needed = sum(size for _, size in pieces if size > 0)
    if pieces and pieces[-1][0] == "security" and len(data) == needed:
        parts.append(("security", b""))
    told.holds_password = any(role == "secret" for role, _ in pieces)
    for role, piece in parts:
        _ROLES[role](told, piece, frame)
    if rest:  # what is left may be a piece of a password
        told.add(b"" if told.holds_password else rest, ("surplus bytes", "多余数据"))
    if len(data) < needed:
        told.complain(f"data of {len(data)} bytes, expected {needed}", f"数据域{len(data)}字节，应为{needed}字节")
    elif rest:
        told.complain(f"{len(rest)} bytes more than the command has", f"数据域多出{len(rest)}字节")
    elif pieces and pieces[-1][0].startswith("value") and len(data) == needed:
        told.complain("a value is missing", "缺少数据")
    if frame.follow and frame.is_reply and not any(role in PAGED for role, _ in function.reply):
        told.complain("only answers to reads have following frames", "仅读数据应答可有后续帧")
    return told


def _is_sealed(frame: Frame) -> bool:
    sealed = len(frame.data) == 8 + SEALED_BYTES and frame.data[0] in SEALED_LEVELS
    return sealed and frame.function == RELAY and not frame.is_reply


def _refusal(told: Told, frame: Frame, edition: str) -> None:
    data = frame.data
    word = int.from_bytes(data, "little")
    if not 1 <= len(data) <= 2:
        told.complain(f"a refusal has 1 or 2 bytes, not {len(data)}", f"异常应答应为1或2字节，收到{len(data)}字节")
    label = "SERR" if edition != "1997" and frame.function == SECURITY_FUNCTION else "ERR"
    names = error_names_97(word) if edition == "1997" else refusal_names(frame.function, data)
    shown = f"{label} {data[::-1].hex().upper()}H"
    en = f"{shown}: {', '.join(name for name, _ in names) or 'no reason given'}"
    zh = f"{shown}：{'，'.join(name for _, name in names) or '未说明原因'}"
    told.refusal = ((en, zh),)
    told.add(data, ("error", "错误信息字"), (en, zh))


def _identifier(told: Told, piece: bytes, frame: Frame) -> None:
    told.di = int.from_bytes(piece, "little")
    told.identifier = f"{told.di:08X}"
    entry = SECURITY.get(told.di) if frame.function == SECURITY_FUNCTION else lookup(told.di)
    if entry is None:
        family = next((row for row in FAMILIES if told.di & row[0] == row[1]), None)
        en, zh = (f" ({family[2]})", f"（{family[3]}）") if family else ("", "")
        text = f"{told.identifier}, not in the table{en}", f"{told.identifier}，未收录{zh}"
    else:
        mark = (" (uncertain)", "（待核实）") if getattr(entry, "uncertain", False) else ("", "")
        text = f"{told.identifier}, {entry.name_en}{mark[0]}", f"{told.identifier}，{entry.name_zh}{mark[1]}"
    told.holds_password |= told.di & ~0xFF == PASSWORD_DI
    told.add(piece, ("identifier", "数据标识"), text)


def _identifier_97(told: Told, piece: bytes, _frame: Frame) -> None:
    told.di = int.from_bytes(piece, "little")
    told.identifier = f"{told.di:04X}"
    entry = lookup_97(told.di)
    names = (entry.name_en, entry.name_zh) if entry else ("not in the table", "未收录")
    mark = (" (uncertain)", "（待核实）") if entry is not None and entry.uncertain else ("", "")
    names = names[0] + mark[0], names[1] + mark[1]
    told.add(piece, ("identifier", "数据标识"), (f"{told.identifier}, {names[0]}", f"{told.identifier}，{names[1]}"))


def _value(told: Told, piece: bytes, frame: Frame) -> None:
    entry = lookup(told.di)
    if told.di & ~0xFF == PASSWORD_DI:
        _password_value(told, piece, frame)
        return
    if frame.follow:
        why = "first part of a longer answer: join it with what 12H brings", "首帧，需与12H后续帧拼接"
        told.add(piece, ("value", "数据"), why)
        return
    if told.level in LEVELS:
        told.add(piece, ("value and MAC", "数据及MAC"))
        return
    if entry is None:
        told.add(piece, ("value", "数据"), ("unknown identifier, bytes as sent", "数据标识未收录，原样显示"))
        return
    if blocks.is_freeze_block(told.di) or blocks.is_load_record(told.di):
        _block(told, piece)
        return
    try:
        row = decode_value(told.di, piece)
    except ValueFormatError as error:
        _unreadable(told, piece, error)
    else:
        told.add_values(piece, readings(entry, row, lookup))


def _password_value(told: Told, piece: bytes, frame: Frame) -> None:
    """A password as a value: whatever its length and whatever travels with it, none of its bytes is shown."""
    sealed = frame.follow or told.level in LEVELS
    entry = lookup(told.di)
    if not sealed and entry is not None and len(piece) == entry.length:
        told.add_values(b"", readings(entry, decode_value(told.di, piece), lookup))
        return
    if not sealed:
        told.complain(f"a password of {len(piece)} bytes, expected 4", f"密码{len(piece)}字节，应为4字节")
    told.add(b"", ("value", "数据"), _NOT_SHOWN)


def _follow_part(told: Told, piece: bytes, frame: Frame) -> None:
    _plain("part of the data", "后续数据", shown=told.di & ~0xFF != PASSWORD_DI)(told, piece, frame)


def _block(told: Told, piece: bytes) -> None:
    """A whole freeze or load records, item by item."""
    try:
        if blocks.is_freeze_block(told.di):
            found = _section_readings(blocks.decode_freeze(told.di, piece))
        else:
            found = tuple(one for part in blocks.decode_load_records(told.di, piece) for one in _of_record(part))
    except ValueFormatError as error:
        _unreadable(told, piece, error)
    else:
        told.add_values(piece, found)


def _section_readings(sections: Sequence[blocks.Section]) -> tuple[Reading, ...]:
    return tuple(one for part in sections for one in readings(part.entry, part.values, lookup))


def _of_record(part: blocks.LoadRecord) -> tuple[Reading, ...]:
    text = ("not recorded", "无记录") if part.at is None else (str(part.at), str(part.at))
    return (Reading("recorded at", "记录时间", part.at, "", *text), *_section_readings(part.sections))


def _value_97(told: Told, piece: bytes, frame: Frame) -> None:
    if frame.follow:
        why = "first part of a longer answer: join it with what 02H brings", "首帧，需与02H后续帧拼接"
        told.add(piece, ("value", "数据"), why)
        return
    entry = lookup_97(told.di)
    if entry is None:
        told.add(piece, ("value", "数据"), ("unknown identifier, bytes as sent", "数据标识未收录，原样显示"))
        return
    try:
        row = decode_value_97(told.di, piece)
    except ValueFormatError as error:
        _unreadable(told, piece, error)
    else:
        told.add_values(piece, readings(entry, row, lookup_97))


def _unreadable(told: Told, piece: bytes, error: ValueFormatError) -> None:
    wrong_zh = f"{told.identifier}的{len(piece)}字节长度或内容不符合其格式"
    told.add(piece, ("value", "数据"), (f"cannot be read: {error}", f"无法解析：{wrong_zh}"))
    told.complain(f"value cannot be read: {error}", f"数据无法解析：{wrong_zh}")


def _security(told: Told, piece: bytes, frame: Frame) -> None:
    item = SECURITY.get(told.di)
    fields = None if item is None else (item.reply if frame.is_reply else item.request)
    if fields is None:
        if piece:
            told.add(piece, ("data", "数据"), ("layout not confirmed", "格式待核实"))
        return
    size = sum(one.length for one in fields)
    if size != len(piece):
        told.complain(f"data of {len(piece)} bytes, expected {size}", f"数据{len(piece)}字节，应为{size}字节")
        if piece:
            told.add(piece, ("data", "数据"), ("wrong length", "长度有误"))
        return
    start = 0
    for one in fields:
        part = piece[start : start + one.length]
        start += one.length
        _security_field(told, one, part)


def _security_field(told: Told, one: Field, part: bytes) -> None:
    """Ciphers, MACs and random numbers stay bytes; amounts and counts are binary, the rest is BCD."""
    names = one.name_en, one.name_zh
    if one.kind == "raw":
        told.add(part, names)
        return
    digits = part[::-1].hex().upper()
    if one.kind != "binary" and not digits.isdecimal():
        told.complain(f"{one.name_en} is not BCD: {digits}", f"{one.name_zh}非BCD：{digits}")
        told.add(part, names, (digits, digits))
        return
    value = digits if one.kind == "address" else int.from_bytes(part, "little") if one.kind == "binary" else int(digits)
    text = shown(one.kind, one.unit, one.scale, value)
    told.values += (Reading(*names, value, one.unit, *text),)
    told.add(part, names, text)


def _level(told: Told, piece: bytes, _frame: Frame) -> None:
    en, zh = LEVELS.get(piece[0], ("", ""))
    told.level, shown = piece[0], f"{piece[0]:02X}"
    told.add(piece, ("password level", "密级"), (f"{shown} {en}".strip(), f"{shown} {zh}".strip()))


def _baud(told: Told, piece: bytes, _frame: Frame) -> None:
    try:
        text = f"{values.decode_baud(piece[0])} bd"
    except ValueFormatError as error:
        told.complain(str(error), f"通信速率特征字{piece[0]:02X}H无效")
        text = "?"
    told.add(piece, ("baud word", "通信速率特征字"), (text, text))


def _events(told: Told, piece: bytes, _frame: Frame) -> None:
    di = piece[::-1].hex().upper()
    if piece[0] != ALL_OF_KIND:
        told.complain(f"an event is cleared by its kind, DI0 FFH: {di}", f"事件清零的DI0应为FFH：{di}")
    told.add(piece, ("what to clear", "事件总清零"), ("all events", "全部事件") if di == "F" * 8 else (di, di))


def _execution(told: Told, piece: bytes, _frame: Frame) -> None:
    if len(piece) != EXECUTION_BYTES:
        told.complain(f"an execution word has 2 bytes, not {len(piece)}", f"执行状态字应为2字节，收到{len(piece)}字节")
    names = bit_names(EXECUTION, int.from_bytes(piece, "little"))
    text = ", ".join(en for en, _ in names), "，".join(zh for _, zh in names)
    told.add(piece, ("execution word", "执行状态字"), text)


def _named(name: Text, table: dict[int, Text]) -> Callable[[Told, bytes, Frame], None]:
    def tell(told: Told, piece: bytes, _frame: Frame) -> None:
        en, zh = table.get(piece[0], ("unknown", "未知"))
        if piece[0] not in table:
            told.complain(f"{name[0]} {piece[0]:02X}H is unknown", f"{name[1]}{piece[0]:02X}H未知")
        told.add(piece, name, (f"{piece[0]:02X} {en}", f"{piece[0]:02X} {zh}"))

    return tell


def _plain(en: str, zh: str, *, shown: bool = True) -> Callable[[Told, bytes, Frame], None]:
    def tell(told: Told, piece: bytes, _frame: Frame) -> None:
        digits = piece[::-1].hex().upper()
        told.add(piece if shown else b"", (en, zh), (digits, digits) if shown else _NOT_SHOWN)

    return tell


def _address(told: Told, piece: bytes, frame: Frame) -> None:
    digits = piece[::-1].hex().upper()
    if not digits.isdecimal():
        told.complain(f"address is not BCD: {digits}", f"通信地址非BCD：{digits}")
    _plain("address", "通信地址")(told, piece, frame)


def _sequence(told: Told, piece: bytes, frame: Frame) -> None:
    if not any(piece):
        told.complain("sequence numbers count from 1", "帧序号应从1开始")
    _plain("sequence number", "帧序号")(told, piece, frame)


_ROLES: dict[str, Callable[[Told, bytes, Frame], None]] = {
    "di": _identifier,
    "di97": _identifier_97,
    "value": _value,
    "value97": _value_97,
    "security": _security,
    "load": explain_load,
    "moment": explain_moment,
    "datetime": explain_time,
    "pa": _level,
    "freeze": explain_freeze,
    "baud": _baud,
    "events": _events,
    "execution": _execution,
    "action": _named(("action", "控制命令"), ACTIONS),
    "terminal": _named(("output", "输出信号"), TERMINALS),
    "secret": _plain("password", "密码", shown=False),
    "operator": _plain("operator", "操作者代码"),
    "parameter": _plain("parameter N2", "参数N2"),
    "address": _address,
    "seq": _sequence,
    "part": _follow_part,
    "cipher": _plain("ciphertext and MAC", "密文及MAC"),
    "rest": _plain("data", "数据"),
}
