"""DL/T 645-1997 as a thin layer over a meter: which frames it answers, and with what.

Identifiers have two bytes, a write carries a password and no operator, errors are a byte of their own: 01 illegal data,
02 no such identifier, 04 password. Everything of 2007 is met with silence, as captures show. 99..99 and AA..AA are the
vendor's habit (`habits_1997`); a broadcast time is followed and never answered. No identifier switches a relay. The
word of 0CH is known from no source, so a meter refuses it and keeps its rate.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from core.dlt645.commands import ANY_ADDRESS, BROADCAST_ADDRESS, BROADCAST_TIME
from core.dlt645.edition1997 import (
    CHANGE_BAUD_97,
    CHANGE_PASSWORD_97,
    CLEAR_DEMAND_97,
    PASSWORD_BYTES,
    READ_97,
    READ_FOLLOW_97,
    REREAD_97,
    WRITE_97,
    WRITE_ADDRESS_97,
    lookup_97,
)
from core.dlt645.entry import READ_WRITE
from core.dlt645.frame import ABNORMAL_BIT, REPLY_BIT, Frame
from core.dlt645.identifiers import decode_entry
from core.dlt645.values import decode_date, decode_datetime, decode_time
from core.errors import CoreError, ValueFormatError
from sim.meters import events
from sim.meters.demand import clear_demand
from sim.meters.habits_1997 import HABITS_97
from sim.meters.items_1997 import DATE, TIME, keep_97, parameter_97, read_97
from sim.meters.parameters import set_address
from sim.meters.passwords import check_password, set_password
from sim.meters.refusal import ERR_BAUD, RefusedError

if TYPE_CHECKING:
    from datetime import datetime

    from sim.meters import Meter

__all__ = ["answer_97"]

ERR_DATA, ERR_IDENTIFIER = 0x01, 0x02
DI_BYTES = 2
WRITE_DATA_AT = DI_BYTES + PASSWORD_BYTES
FOREIGN_DI_BYTES = 4


def answer_97(meter: "Meter", request: Frame, at_ms: int) -> Frame | None:
    """What the meter says to a request at world time `at_ms`; None is silence."""
    if request.is_reply or meter.silent or meter.notes.mains_off:
        return None
    if request.address == BROADCAST_ADDRESS and request.control == BROADCAST_TIME:
        _sync(meter, request.data, at_ms)
        return None
    handle, who = _HANDLERS.get(request.control), _speaks_as(meter, request.address)
    if handle is None or who is None:
        return None
    try:
        data, control = handle(meter, request.data, at_ms), request.control | REPLY_BIT
    except RefusedError as refused:
        data, control = bytes((refused.err,)), request.control | REPLY_BIT | ABNORMAL_BIT
    except CoreError:
        data, control = bytes((ERR_DATA,)), request.control | REPLY_BIT | ABNORMAL_BIT
    if data is None:
        return None
    if request.control == READ_97:
        meter.own().pages = control, data
    elif request.control == REREAD_97:
        control = data[0] & ~READ_97 | REREAD_97
        data = data[1:]
    return Frame(who if who == ANY_ADDRESS else meter.address, control, data)


def _speaks_as(meter: "Meter", pattern: str) -> str | None:
    """The address that answers a request to `pattern`; None where this meter keeps quiet."""
    habits = HABITS_97[meter.profile.name]
    if pattern == meter.address or (pattern == BROADCAST_ADDRESS and habits.everybody):
        return meter.address
    return ANY_ADDRESS if pattern == ANY_ADDRESS and habits.any_echo else None


def _read(meter: "Meter", data: bytes, at_ms: int) -> bytes | None:
    """01H. Four bytes, as 2007 has them, were seen to be refused; other lengths are not answered."""
    if len(data) not in (DI_BYTES, FOREIGN_DI_BYTES):
        return None
    value = read_97(meter, int.from_bytes(data, "little"), at_ms)
    if value is None:
        raise RefusedError(ERR_IDENTIFIER)
    return data + value


def _read_follow(_meter: "Meter", _data: bytes, _at_ms: int) -> bytes | None:
    """02H: every answer of ours fits into one frame, so nothing follows."""
    raise RefusedError(ERR_IDENTIFIER)


def _reread(meter: "Meter", _data: bytes, _at_ms: int) -> bytes | None:
    """03H: the last answer to a read once more, its control code in front; silence when there was none."""
    said = meter.notes.pages
    return None if said is None else bytes((said[0],)) + said[1]


def _write(meter: "Meter", data: bytes, at_ms: int) -> bytes | None:
    """04H: identifier, password, value."""
    if len(data) <= WRITE_DATA_AT:
        raise RefusedError(ERR_DATA)
    _check(meter, data[DI_BYTES:WRITE_DATA_AT], at_ms)
    di, value = int.from_bytes(data[:DI_BYTES], "little"), data[WRITE_DATA_AT:]
    entry = lookup_97(di)
    writable = di in (DATE, TIME) or parameter_97(meter, di) is not None
    if entry is None or entry.access != READ_WRITE or not writable:
        raise RefusedError(ERR_IDENTIFIER)
    if HABITS_97[meter.profile.name].key_to_write and not meter.notes.programming:
        raise RefusedError(ERR_DATA)
    if entry.members_max == 1 and len(value) != entry.length:
        raise RefusedError(ERR_DATA)
    decode_entry(entry, value)
    if di in (DATE, TIME):
        meter.set_clock(at_ms, _moved_clock(meter, di, value, at_ms))
    else:
        keep_97(meter, di, value)
    events.note_programming(meter, di, at_ms, "00000000")
    return b""


def _moved_clock(meter: "Meter", di: int, value: bytes, at_ms: int) -> "datetime":
    """The clock with a new date or a new time of day."""
    now = meter.civil(at_ms)
    if di == DATE:
        return now.replace(**{part: getattr(decode_date(value), part) for part in ("year", "month", "day")})
    minutes, second = divmod(decode_time(value), 60)
    return now.replace(hour=minutes // 60, minute=minutes % 60, second=second, microsecond=0)


def _check(meter: "Meter", password: bytes, at_ms: int) -> None:
    """Four bytes, low byte first: six digits, and above them the level, 00 as the highest."""
    check_password(meter, password[3:] + password[:3], at_ms)


def _write_address(meter: "Meter", data: bytes, _at_ms: int) -> bytes | None:
    """0AH: only with the program key, otherwise silence."""
    if len(data) != 6 or not meter.notes.programming:
        return None
    set_address(meter, data)
    return b""


def _change_baud(_meter: "Meter", _data: bytes, _at_ms: int) -> bytes | None:
    raise RefusedError(ERR_BAUD)


def _change_password(meter: "Meter", data: bytes, at_ms: int) -> bytes | None:
    """0FH: the old password and the new one, which comes back."""
    if len(data) != 2 * PASSWORD_BYTES:
        raise RefusedError(ERR_DATA)
    _check(meter, data[:PASSWORD_BYTES], at_ms)
    new = data[PASSWORD_BYTES:]
    set_password(meter, new[3], new[:3])
    return new


def _clear_demand(meter: "Meter", data: bytes, at_ms: int) -> bytes | None:
    """10H: always with the password, so that nobody clears by accident."""
    if len(data) != PASSWORD_BYTES:
        raise RefusedError(ERR_DATA)
    _check(meter, data, at_ms)
    clear_demand(meter, at_ms)
    events.note(meter, events.DEMAND_CLEAR, at_ms)
    return b""


def _sync(meter: "Meter", data: bytes, at_ms: int) -> None:
    try:
        meter.sync_clock(at_ms, decode_datetime(data))
    except ValueFormatError:
        return


_HANDLERS: dict[int, Callable[["Meter", bytes, int], bytes | None]] = {
    READ_97: _read,
    READ_FOLLOW_97: _read_follow,
    REREAD_97: _reread,
    WRITE_97: _write,
    WRITE_ADDRESS_97: _write_address,
    CHANGE_BAUD_97: _change_baud,
    CHANGE_PASSWORD_97: _change_password,
    CLEAR_DEMAND_97: _clear_demand,
}
