"""Explains the pieces of a data field that are times: deadlines, the clock of a broadcast, freezes, load records."""

from collections.abc import Callable

from core.dlt645 import values
from core.dlt645.anatomy import Text
from core.dlt645.explain_told import Told
from core.dlt645.frame import Frame
from core.errors import ValueFormatError


def explain_load(told: Told, piece: bytes, _frame: Frame) -> None:
    """Which load records a read asks for: how many blocks, and from when."""
    digits = f"{piece[0]:02X}"
    told.add(piece[:1], ("number of blocks", "负荷记录块数"), (digits, digits))
    if not digits.isdecimal():
        told.complain(f"number of blocks is not BCD: {digits}", f"负荷记录块数非BCD：{digits}")
    if len(piece) == 6:
        _instant(told, piece[1:], ("from", "给定时间"), values.decode_minute)
    elif len(piece) > 1:
        told.complain(f"a read has 4, 5 or 10 bytes, not {4 + len(piece)}", f"读命令数据域{4 + len(piece)}字节有误")


def explain_moment(told: Told, piece: bytes, _frame: Frame) -> None:
    """The instant until which a meter may obey a control command."""
    if any(piece):
        _instant(told, piece, ("deadline", "命令有效截止时间"), values.decode_datetime)
    else:
        told.add(piece, ("deadline", "命令有效截止时间"), ("none (all zero)", "无（全零）"))


def explain_time(told: Told, piece: bytes, _frame: Frame) -> None:
    """The time that a broadcast sets."""
    _instant(told, piece, ("date and time", "日期时间"), values.decode_datetime)


def _instant(told: Told, piece: bytes, name: Text, decode: Callable[[bytes], object]) -> None:
    try:
        text = str(decode(piece))
    except ValueFormatError as error:
        digits = piece[::-1].hex().upper()
        en, zh = f"{digits}: {error}", f"{digits}：无效时间"
        told.complain(f"no date and time: {en}", f"日期时间无效：{zh}")
        told.add(piece, name, (en, zh))
    else:
        told.add(piece, name, (text, text))


def explain_freeze(told: Told, piece: bytes, _frame: Frame) -> None:
    """When to freeze: at once, or every hour, day or month."""
    minute, hour, day, month = (f"{byte:02X}" for byte in piece)
    en, zh = f"every month on day {day} at {hour}:{minute}", f"每月{day}日{hour}:{minute}"
    if (month, day, hour, minute) == ("99",) * 4:
        en, zh = "at once", "立即冻结"
    elif (month, day, hour) == ("99",) * 3:
        en, zh = f"every hour at minute {minute}", f"每小时{minute}分"
    elif (month, day) == ("99",) * 2:
        en, zh = f"every day at {hour}:{minute}", f"每日{hour}:{minute}"
    if not _is_freeze_time(month, day, hour, minute):
        en, zh = f"{month}{day}{hour}{minute}: not a freeze time", f"{month}{day}{hour}{minute}：无效冻结时间"
        told.complain(f"freeze time {en}", f"冻结时间{zh}")
    told.add(piece, ("freeze time", "冻结时间"), (en, zh))


def _is_freeze_time(month: str, day: str, hour: str, minute: str) -> bool:
    """Whether all that is left open stands above all that is given, and what is given is a day, hour or minute."""
    rows = ((month, 99, 99), (day, 1, 31), (hour, 0, 23), (minute, 0, 59))
    given = [digits != "99" for digits, _, _ in rows]
    inside = all(digits == "99" or (digits.isdecimal() and low <= int(digits) <= high) for digits, low, high in rows)
    return inside and given == sorted(given)
