"""DL/T 645-2007 as a thin layer over a meter: which frames it answers, and with what.

Silence is an answer too: for foreign addresses, for broadcasts, for frames that another meter sent (bit 7),
for AA-addressed writes and relay commands, and for 13H or 08H that it does not accept. A read of something the
meter lacks gives D1 with ERR 02, a wrong password or deadline ERR 04. The reply of 1CH only means "accepted".
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from core.dlt645.commands import (
    BROADCAST_ADDRESS,
    BROADCAST_TIME,
    READ,
    READ_ADDRESS,
    READ_FOLLOW,
    RELAY,
    WRITE,
    RelayAction,
)
from core.dlt645.frame import ABNORMAL_BIT, REPLY_BIT, Frame
from core.dlt645.identifiers import DATE, DATE_TIME, TRIP_DELAY
from core.dlt645.values import address_to_bytes, bcd_to_int, decode_date, decode_datetime, decode_time
from core.errors import CoreError, ValueFormatError
from sim.meters import Meter
from sim.meters.items import AMOUNTS, read_item

ERR_OTHER = 0x01
ERR_NO_DATA = 0x02
ERR_PASSWORD = 0x04
RELAY_BYTES = 16
WRITE_DATA_AT = 12
IDENTIFIER_BYTES = 4


class RefusedError(Exception):
    """The meter answers abnormally with this ERR byte."""

    def __init__(self, err: int) -> None:
        super().__init__(f"ERR {err:02X}H")
        self.err = err


def fits(pattern: str, address: str) -> bool:
    """Whether an address field names this meter: equal, or AA in unbroken leading pairs and equal below."""
    if pattern == address:
        return True
    digits = pattern.lstrip("A")
    return len(digits) < len(pattern) and len(digits) % 2 == 0 and address.endswith(digits)


def answer(meter: Meter, request: Frame, at_ms: int) -> Frame | None:
    """What the meter says to a request at world time `at_ms`; None is silence."""
    if request.is_reply or meter.silent:
        return None
    if request.address == BROADCAST_ADDRESS:
        if request.control == BROADCAST_TIME:
            _set_time(meter, request, at_ms)
        return None
    if not fits(request.address, meter.address) or not _allows(request):
        return None
    control = request.control | REPLY_BIT
    try:
        answered = _HANDLERS.get(request.control, _unknown)(meter, request, at_ms)
    except RefusedError as refused:
        control, answered = control | ABNORMAL_BIT, bytes([refused.err])
    except CoreError:
        control, answered = control | ABNORMAL_BIT, bytes([ERR_OTHER])
    return None if answered is None else Frame(meter.address, control, answered)


def _allows(request: Frame) -> bool:
    """A wildcard address reads and discovers; it never writes, switches or reaches an unknown command."""
    return "A" not in request.address or request.control in _WILDCARD_CONTROLS


def _unknown(_meter: Meter, _request: Frame, _at_ms: int) -> bytes | None:
    raise RefusedError(ERR_NO_DATA)


def _set_time(meter: Meter, request: Frame, at_ms: int) -> bytes | None:
    """08H: broadcast only in effect; a wrong length or an impossible date is passed over in silence."""
    try:
        civil = decode_datetime(request.data)
    except ValueFormatError:
        return None
    meter.sync_clock(at_ms, civil)
    return None


def _read(meter: Meter, request: Frame, at_ms: int) -> bytes | None:
    if len(request.data) < IDENTIFIER_BYTES:
        return None
    data = read_item(meter, int.from_bytes(request.data[:IDENTIFIER_BYTES], "little"), at_ms)
    if data is None:
        raise RefusedError(ERR_NO_DATA)
    return request.data[:IDENTIFIER_BYTES] + data


def _read_follow(_meter: Meter, request: Frame, _at_ms: int) -> bytes | None:
    """No item of this meter needs a second frame, so nothing ever follows."""
    if len(request.data) != IDENTIFIER_BYTES + 1:
        return None
    raise RefusedError(ERR_NO_DATA)


def _read_address(meter: Meter, request: Frame, _at_ms: int) -> bytes | None:
    return None if request.data else address_to_bytes(meter.address)


def _write(meter: Meter, request: Frame, at_ms: int) -> bytes | None:
    if len(request.data) <= WRITE_DATA_AT:
        raise RefusedError(ERR_OTHER)
    _check_password(meter, request.data[4:8])
    di = int.from_bytes(request.data[:IDENTIFIER_BYTES], "little")
    value = request.data[WRITE_DATA_AT:]
    writer = _WRITERS.get(di)
    if writer is None:
        raise RefusedError(ERR_NO_DATA)
    writer(meter, di, value, at_ms)
    return b""


def _relay(meter: Meter, request: Frame, at_ms: int) -> bytes | None:
    if len(request.data) != RELAY_BYTES:
        raise RefusedError(ERR_OTHER)
    _check_password(meter, request.data[:4])
    _check_deadline(meter, request.data[10:16], at_ms)
    if not meter.has_relay:
        raise RefusedError(ERR_OTHER)
    _obey(meter, request.data[8], at_ms)
    return b""


def _obey(meter: Meter, action: int, at_ms: int) -> None:
    if action == RelayAction.TRIP:
        if not meter.trip(at_ms):
            raise RefusedError(ERR_OTHER)
    elif action == RelayAction.ALLOW_CLOSE:
        meter.allow_close(at_ms)
    elif action == RelayAction.CLOSE:
        meter.close(at_ms)
    elif action in (RelayAction.ALARM_ON, RelayAction.ALARM_OFF):
        meter.relay.alarm = action == RelayAction.ALARM_ON
    elif action in (RelayAction.KEEP_POWER, RelayAction.CANCEL_KEEP_POWER):
        meter.keep_power(at_ms, action == RelayAction.KEEP_POWER)
    else:
        raise RefusedError(ERR_OTHER)


def _check_password(meter: Meter, field: bytes) -> None:
    """PA P0 P1 P2: the level may be the configured one or higher (00 is the highest)."""
    level, code = field[0], field[:0:-1].hex()
    if level > meter.config.password_level or code != meter.config.password:
        raise RefusedError(ERR_PASSWORD)


def _check_deadline(meter: Meter, field: bytes, at_ms: int) -> None:
    """The command lives until the meter's own clock passes the deadline; an impossible date never lives."""
    try:
        deadline = decode_datetime(field)
    except ValueFormatError as bad:
        raise RefusedError(ERR_PASSWORD) from bad
    if meter.civil(at_ms).replace(microsecond=0) > deadline:
        raise RefusedError(ERR_PASSWORD)


def _write_date(meter: Meter, _di: int, value: bytes, at_ms: int) -> None:
    day = decode_date(value)
    clock = meter.civil(at_ms)
    meter.set_clock(at_ms, clock.replace(year=day.year, month=day.month, day=day.day))


def _write_time(meter: Meter, _di: int, value: bytes, at_ms: int) -> None:
    seconds = decode_time(value)
    clock = meter.civil(at_ms)
    hour, rest = divmod(seconds, 3600)
    meter.set_clock(at_ms, clock.replace(hour=hour, minute=rest // 60, second=rest % 60))


def _write_date_time(meter: Meter, _di: int, value: bytes, at_ms: int) -> None:
    if len(value) != 7:
        raise RefusedError(ERR_OTHER)
    civil: datetime = decode_datetime(value[:3] + value[4:])
    meter.set_clock(at_ms, civil)


def _write_trip_delay(meter: Meter, _di: int, value: bytes, _at_ms: int) -> None:
    if len(value) != 2:
        raise RefusedError(ERR_OTHER)
    meter.trip_delay_min = bcd_to_int(value)


def _write_amount(meter: Meter, di: int, value: bytes, _at_ms: int) -> None:
    if len(value) != 4:
        raise RefusedError(ERR_OTHER)
    bcd_to_int(value)
    meter.set_parameter(di, value)


Handler = Callable[[Meter, Frame, int], bytes | None]
Writer = Callable[[Meter, int, bytes, int], None]

_HANDLERS: dict[int, Handler] = {
    BROADCAST_TIME: _set_time,
    READ: _read,
    READ_FOLLOW: _read_follow,
    READ_ADDRESS: _read_address,
    WRITE: _write,
    RELAY: _relay,
}
_WILDCARD_CONTROLS: Sequence[int] = (READ, READ_FOLLOW, READ_ADDRESS)
_WRITERS: dict[int, Writer] = {
    DATE: _write_date,
    DATE_TIME: _write_date_time,
    0x04000102: _write_time,
    TRIP_DELAY: _write_trip_delay,
    **dict.fromkeys(AMOUNTS, _write_amount),
}
