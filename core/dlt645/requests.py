"""Reads a request frame of 2007 back into its typed command, as a meter or a listener on the bus needs it.

`ValueFormatError` says why a frame is no request that this project knows: a reply, another code, a wrong length, digits
that are none. What comes out encodes to the same data again.
"""

from collections.abc import Callable, Mapping

from core.dlt645 import commands as codes
from core.dlt645 import service, values
from core.dlt645.commands import (
    BroadcastTime,
    Command,
    Password,
    Read,
    ReadAddress,
    ReadFollow,
    RelayAction,
    RelayControl,
    Write,
)
from core.dlt645.frame import Frame
from core.errors import ProtocolMisuse, ValueFormatError


def parse_request(frame: Frame) -> Command:
    """The command that a request frame carries; `ValueFormatError` when it carries none."""
    parse = _PARSERS.get(frame.control)
    if parse is None:
        raise ValueFormatError(f"control code {frame.control:02X}H is no request of the 2007 edition")
    try:
        command = parse(frame)
        again = command.to_frame().data
    except ProtocolMisuse as error:
        raise ValueFormatError(f"no master may send this {frame.control:02X}H: {error}") from error
    if again != frame.data:
        raise ValueFormatError(f"{frame.control:02X}H with data that no command has: {frame.data.hex().upper()}")
    return command


def _sized(frame: Frame, *sizes: int) -> bytes:
    if len(frame.data) not in sizes:
        allowed = " or ".join(map(str, sizes))
        raise ValueFormatError(f"{frame.control:02X}H has {allowed} bytes of data, not {len(frame.data)}")
    return frame.data


def _at_least(frame: Frame, size: int) -> bytes:
    if len(frame.data) < size:
        raise ValueFormatError(f"{frame.control:02X}H has at least {size} bytes of data, not {len(frame.data)}")
    return frame.data


def _di(data: bytes) -> int:
    return int.from_bytes(data[:4], "little")


def _password(data: bytes) -> Password:
    return Password(values.bcd_to_int(data[:1]), f"{values.bcd_to_int(data[1:4]):06d}")


def _operator(data: bytes) -> str:
    return f"{values.bcd_to_int(data[:4]):08d}"


def _read(frame: Frame) -> Command:
    data = _sized(frame, 4, 5, 10)
    if len(data) == 4:
        return Read(frame.address, _di(data))
    since = values.decode_minute(data[5:]) if len(data) == 10 else None
    return service.ReadRecords(frame.address, _di(data), values.bcd_to_int(data[4:5]), since)


def _follow(frame: Frame) -> Command:
    data = _sized(frame, 5)
    if data[4] == 0:
        raise ValueFormatError("a sequence number begins at 1")
    return ReadFollow(frame.address, _di(data), data[4])


def _address(frame: Frame) -> Command:
    _sized(frame, 0)
    return ReadAddress(frame.address)


def _write(frame: Frame) -> Command:
    data = _at_least(frame, 13)
    return Write(frame.address, _di(data), data[12:], _password(data[4:8]), _operator(data[8:12]))


def _authenticate(frame: Frame) -> Command:
    data = _at_least(frame, 8)
    return service.Authenticate(frame.address, _di(data), data[8:], _operator(data[4:8]))


def _time(frame: Frame) -> Command:
    return BroadcastTime(values.decode_datetime(_sized(frame, 6)), frame.address)


def _new_address(frame: Frame) -> Command:
    data = _sized(frame, 6)
    values.bcd_to_int(data)
    return service.WriteAddress(frame.address, values.address_from_bytes(data))


def _freeze(frame: Frame) -> Command:
    minute, hour, day, month = (values.bcd_to_int(bytes((byte,))) for byte in _sized(frame, 4))
    return service.Freeze(frame.address, month, day, hour, minute)


def _baud(frame: Frame) -> Command:
    return service.ChangeBaud(frame.address, values.decode_baud(_sized(frame, 1)[0]))


def _new_password(frame: Frame) -> Command:
    data = _sized(frame, 12)
    command = service.ChangePassword(frame.address, _password(data[4:8]), _password(data[8:12]))
    if _di(data) != service.PASSWORD_DI + command.new.level + 1:
        raise ValueFormatError(f"{_di(data):08X} is not the password of level {command.new.level}")
    return command


def _clear_demand(frame: Frame) -> Command:
    data = _sized(frame, 8)
    return service.ClearDemand(frame.address, _password(data), _operator(data[4:]))


def _clear_meter(frame: Frame) -> Command:
    data = _sized(frame, 8, 8 + service.SEALED_BYTES)
    return service.ClearMeter(frame.address, _password(data), _operator(data[4:8]), data[8:])


def _clear_events(frame: Frame) -> Command:
    data = _sized(frame, 12)
    return service.ClearEvents(frame.address, _password(data), _operator(data[4:8]), _di(data[8:]))


def _relay(frame: Frame) -> Command:
    data = _sized(frame, 16, 8 + service.SEALED_BYTES)
    password, operator = _password(data), _operator(data[4:8])
    if len(data) != 16:
        return service.SealedControl(frame.address, password, data[8:], operator)
    try:
        action = RelayAction(data[8])
    except ValueError as error:
        raise ValueFormatError(f"relay action {data[8]:02X}H is not known") from error
    deadline = values.decode_datetime(data[10:])
    return RelayControl(frame.address, action, deadline, password, operator, data[9])


def _terminal(frame: Frame) -> Command:
    return service.Terminal(frame.address, _sized(frame, 1)[0])


_PARSERS: Mapping[int, Callable[[Frame], Command]] = {
    codes.SECURITY: _authenticate,
    codes.BROADCAST_TIME: _time,
    codes.READ: _read,
    codes.READ_FOLLOW: _follow,
    codes.READ_ADDRESS: _address,
    codes.WRITE: _write,
    codes.WRITE_ADDRESS: _new_address,
    codes.FREEZE: _freeze,
    codes.CHANGE_BAUD: _baud,
    codes.CHANGE_PASSWORD: _new_password,
    codes.CLEAR_DEMAND: _clear_demand,
    codes.CLEAR_METER: _clear_meter,
    codes.CLEAR_EVENTS: _clear_events,
    codes.RELAY: _relay,
    codes.TERMINAL: _terminal,
}
