"""DL/T 645-2007 as a thin layer over a meter: which frames it answers, and with what.

Silence is an answer too: for foreign addresses, for broadcasts, for frames that another meter sent (bit 7), for writes
and relay commands to a wildcard, for 13H or 15H that it does not accept, and without mains. A read of something the
meter lacks gives D1 with ERR 02, a wrong password or deadline ERR 04. The reply of 1CH only means "accepted". What a
wildcard may carry and how unknown commands are met differs by vendor (`profiles`).
"""

from collections.abc import Callable

from core.dlt645.commands import (
    BROADCAST_ADDRESS,
    BROADCAST_TIME,
    CHANGE_BAUD,
    CHANGE_PASSWORD,
    CLEAR_DEMAND,
    CLEAR_EVENTS,
    CLEAR_METER,
    FREEZE,
    READ,
    READ_ADDRESS,
    READ_FOLLOW,
    RELAY,
    SECURITY,
    TERMINAL,
    WRITE,
    WRITE_ADDRESS,
)
from core.dlt645.frame import ABNORMAL_BIT, FOLLOW_BIT, REPLY_BIT, Frame
from core.dlt645.security import Serr
from core.dlt645.values import address_to_bytes, decode_datetime
from core.errors import CoreError, ValueFormatError
from core.vending import SecurityRefused
from sim.meters import Meter, commands
from sim.meters.control import obey_control
from sim.meters.follow import first_part, next_part
from sim.meters.items import read_item
from sim.meters.parameters import write_parameter
from sim.meters.passwords import check_password
from sim.meters.prepaid import account_of, authenticate
from sim.meters.refusal import ERR_NO_DATA, ERR_OTHER, ERR_PASSWORD, RefusedError

__all__ = ["RefusedError", "answer", "fits"]

WRITE_DATA_AT = 12
WRITE_BYTES_MAX = 50
IDENTIFIER_BYTES = 4
EVERYBODY = "A" * 12
READ_SIZES = (4, 5, 10)
ENERGIES = 0x00


def fits(pattern: str, address: str) -> bool:
    """Whether an address field names this meter: equal, or AA in unbroken leading pairs and equal below."""
    if pattern == address:
        return True
    digits = pattern.lstrip("A")
    return len(digits) < len(pattern) and len(digits) % 2 == 0 and address.endswith(digits)


def answer(meter: Meter, request: Frame, at_ms: int) -> Frame | None:
    """What the meter says to a request at world time `at_ms`; None is silence."""
    if request.control & REPLY_BIT or meter.silent or meter.notes.mains_off:
        return None
    if request.address == BROADCAST_ADDRESS:
        return _broadcast(meter, request, at_ms)
    address = meter.address
    if request.address != address or request.control == WRITE_ADDRESS:
        if not fits(request.address, address):
            return None
        if not _carries(meter, request):
            return _wild_baud(meter, request)
    control = request.control | REPLY_BIT
    try:
        said = _HANDLERS.get(request.control, _unknown)(meter, request, at_ms)
    except RefusedError as refused:
        said = ABNORMAL_BIT, bytes([refused.err])
    except CoreError:
        said = ABNORMAL_BIT, bytes([ERR_OTHER])
    if said is None:
        return None
    return Frame(address if request.control == READ else meter.address, control | said[0], said[1])


Said = tuple[int, bytes] | None
"""Bits beside the reply bit, and the data; None is silence."""


def _broadcast(meter: Meter, request: Frame, at_ms: int) -> Frame | None:
    """Time, freezes and the terminal's output are done and never answered."""
    if request.control == BROADCAST_TIME:
        _sync(meter, request.data, at_ms)
    elif request.control in (FREEZE, TERMINAL):
        try:
            _HANDLERS[request.control](meter, request, at_ms)
        except RefusedError:
            return None
    return None


def _carries(meter: Meter, request: Frame) -> bool:
    """Whether the address field may carry this command: a new address goes to everybody, much does not go to AA."""
    if request.control == WRITE_ADDRESS:
        return request.address == EVERYBODY
    return "A" not in request.address or request.control in meter.profile.wild_controls


def _wild_baud(meter: Meter, request: Frame) -> Frame | None:
    if request.control != CHANGE_BAUD or not meter.profile.wild_baud_refused:
        return None
    return Frame(meter.address, CHANGE_BAUD | REPLY_BIT | ABNORMAL_BIT, bytes([ERR_PASSWORD]))


def _unknown(meter: Meter, _request: Frame, _at_ms: int) -> Said:
    err = meter.profile.unknown_command_err
    return None if err is None else (ABNORMAL_BIT, bytes([err]))


def _sync(meter: Meter, data: bytes, at_ms: int) -> bool | None:
    """Follow a broadcast time; None for a wrong length or an impossible date."""
    try:
        civil = decode_datetime(data)
    except ValueFormatError:
        return None
    return meter.sync_clock(at_ms, civil)


def _set_time(meter: Meter, request: Frame, at_ms: int) -> Said:
    """08H to the meter's own address: passed over, except by vendors that take it and say so."""
    if not meter.profile.own_address_time:
        return None
    followed = _sync(meter, request.data, at_ms)
    if followed is None:
        return None
    return (0, b"") if followed else (ABNORMAL_BIT, bytes([ERR_PASSWORD]))


def _read(meter: Meter, request: Frame, at_ms: int) -> Said:
    if len(request.data) not in READ_SIZES:
        return None
    di = request.data[:IDENTIFIER_BYTES]
    data = read_item(meter, int.from_bytes(di, "little"), at_ms, request.data[IDENTIFIER_BYTES:])
    if data is None:
        raise RefusedError(ERR_NO_DATA)
    flipped_bit = meter.notes.flipped_bit
    if flipped_bit is not None and di[3] == ENERGIES:
        data = _flipped(data, flipped_bit)
    said, more = first_part(meter, di, data)
    return FOLLOW_BIT if more else 0, said


def _flipped(data: bytes, bit: int) -> bytes:
    """The energy that a memory with one wrong bit holds; what follows the first register is sound."""
    place, bit = divmod(bit, 8)
    return bytes(byte ^ 1 << bit if number == place else byte for number, byte in enumerate(data))


def _read_follow(meter: Meter, request: Frame, _at_ms: int) -> Said:
    if len(request.data) != IDENTIFIER_BYTES + 1:
        return None
    said, more = next_part(meter, request.data)
    return FOLLOW_BIT if more else 0, said


def _read_address(meter: Meter, request: Frame, _at_ms: int) -> Said:
    return None if request.data else (0, address_to_bytes(meter.address))


def _write(meter: Meter, request: Frame, at_ms: int) -> Said:
    if len(request.data) > WRITE_BYTES_MAX:
        return None
    if len(request.data) <= WRITE_DATA_AT:
        raise RefusedError(ERR_OTHER)
    check_password(meter, request.data[4:8], at_ms)
    di = int.from_bytes(request.data[:IDENTIFIER_BYTES], "little")
    operator = commands.operator_of(request.data[4:WRITE_DATA_AT])
    write_parameter(meter, di, request.data[WRITE_DATA_AT:], operator, at_ms)
    return 0, b""


def _authenticate(meter: Meter, request: Frame, at_ms: int) -> Said:
    """03H. Without a security module nothing can be proved: SERR 0001."""
    if len(request.data) < 2 * IDENTIFIER_BYTES:
        return None
    if account_of(meter) is None:
        return ABNORMAL_BIT, Serr.OTHER.to_bytes(2, "little")
    try:
        return 0, authenticate(meter, request.data, at_ms)
    except SecurityRefused as refused:
        return ABNORMAL_BIT, refused.serr.to_bytes(2, "little")


def _relay(meter: Meter, request: Frame, at_ms: int) -> Said:
    return obey_control(meter, request.data, at_ms)


Handler = Callable[[Meter, Frame, int], Said]


def _plain(command: Callable[[Meter, bytes, int], bytes | None]) -> Handler:
    def handle(meter: Meter, request: Frame, at_ms: int) -> Said:
        said = command(meter, request.data, at_ms)
        return None if said is None else (0, said)

    return handle


_HANDLERS: dict[int, Handler] = {
    SECURITY: _authenticate,
    BROADCAST_TIME: _set_time,
    READ: _read,
    READ_FOLLOW: _read_follow,
    READ_ADDRESS: _read_address,
    WRITE: _write,
    WRITE_ADDRESS: _plain(commands.write_address),
    FREEZE: _plain(commands.freeze),
    CHANGE_BAUD: _plain(commands.change_baud),
    CHANGE_PASSWORD: _plain(commands.new_password),
    CLEAR_DEMAND: _plain(commands.reset_demand),
    CLEAR_METER: _plain(commands.clear_meter),
    CLEAR_EVENTS: _plain(commands.clear_events),
    RELAY: _relay,
    TERMINAL: _plain(commands.terminal),
}
