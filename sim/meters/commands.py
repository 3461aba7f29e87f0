"""The rarer commands of a 2007 master at the meter: address, freeze, baud, passwords, clearing, terminal.

Each takes the data field and gives the data of a normal answer, None for silence, or a `RefusedError`. A wrong length
is silence for 08, 13, 15, 16, 17, 19 and 1D. A new address needs the program key; the answer to it comes from the new
one, the answer to a new baud rate at the old one. Clearing leaves records that cannot be cleared.
"""

from typing import TYPE_CHECKING

from core.dlt645.identifiers import encode_value
from core.dlt645.values import BAUD_WORDS, int_to_bcd
from sim.meters import events
from sim.meters.demand import clear_demand, demand_row
from sim.meters.freezes import order_freeze
from sim.meters.parameters import set_address
from sim.meters.passwords import change_password, check_password
from sim.meters.refusal import ERR_BAUD, ERR_NO_DATA, ERR_OTHER, RefusedError

if TYPE_CHECKING:
    from sim.meters import Meter

TERMINAL_OUTPUTS = (0, 1, 2)
CLEAR_BYTES = 8
CLEAR_EVENTS_BYTES = 12
FORWARD_DEMAND, DEMAND_BYTES = 0x01010000, 8


def write_address(meter: "Meter", data: bytes, _at_ms: int) -> bytes | None:
    """15H: only with the program key, otherwise silence."""
    if len(data) != 6 or not meter.notes.programming or not meter.profile.new_address:
        return None
    try:
        set_address(meter, data)
    except RefusedError:
        return None
    return b""


def freeze(meter: "Meter", data: bytes, at_ms: int) -> bytes | None:
    """16H."""
    if len(data) != 4:
        return None
    order_freeze(meter, data, at_ms)
    return b""


def change_baud(meter: "Meter", data: bytes, _at_ms: int) -> bytes | None:
    """17H: the word of the new rate, one bit set."""
    if len(data) != 1:
        return None
    found = [baud for baud, word in BAUD_WORDS.items() if word == data[0]]
    if not found:
        raise RefusedError(ERR_BAUD)
    meter.own().baud = found[0]
    return data


def new_password(meter: "Meter", data: bytes, at_ms: int) -> bytes | None:
    """18H."""
    if len(data) != 12:
        raise RefusedError(ERR_OTHER)
    return change_password(meter, data, at_ms)


def reset_demand(meter: "Meter", data: bytes, at_ms: int) -> bytes | None:
    """19H: the maxima begin anew; what they were stays in the record."""
    if len(data) != CLEAR_BYTES:
        return None
    check_password(meter, data[:4], at_ms)
    detail = encode_value(FORWARD_DEMAND, demand_row(meter, 1, 0, at_ms)[:2]) + bytes(5 * DEMAND_BYTES)
    clear_demand(meter, at_ms)
    events.note(meter, events.DEMAND_CLEAR, at_ms, operator=operator_of(data), detail=detail)
    return b""


def clear_meter(meter: "Meter", data: bytes, at_ms: int) -> bytes | None:
    """1AH: registers, demands, freezes and events are gone; the clock, parameters and the record of this stay."""
    if len(data) != CLEAR_BYTES:
        raise RefusedError(ERR_OTHER)
    check_password(meter, data[:4], at_ms)
    registers = b"".join(int_to_bcd(wh // 10, 4) for wh in meter.register.shown_wh(at_ms)[:1]) + bytes(4 * 5)
    meter.register.set_back(at_ms, sum(meter.register.rates_wh(at_ms)))
    clear_demand(meter, at_ms)
    own = meter.own()
    own.freeze_patterns, own.instant_freezes_ms, own.cleared_ms = (), (), at_ms
    own.events = {kind: log for kind, log in own.events.items() if kind in events.KEPT}
    events.note(meter, events.METER_CLEAR, at_ms, operator=operator_of(data), detail=registers)
    return b""


def clear_events(meter: "Meter", data: bytes, at_ms: int) -> bytes | None:
    """1BH: all events, or one kind (DI0 = FF)."""
    if len(data) != CLEAR_EVENTS_BYTES:
        raise RefusedError(ERR_OTHER)
    check_password(meter, data[:4], at_ms)
    if data[8] != 0xFF:
        raise RefusedError(ERR_NO_DATA)
    events.clear(meter, int.from_bytes(data[8:], "little"), at_ms, operator_of(data))
    return b""


def terminal(meter: "Meter", data: bytes, _at_ms: int) -> bytes | None:
    """1DH: what the terminal gives out."""
    if len(data) != 1:
        return None
    if data[0] not in TERMINAL_OUTPUTS:
        raise RefusedError(ERR_NO_DATA)
    meter.own().terminal = data[0]
    return data


def operator_of(data: bytes) -> str:
    """C0..C3 behind the password as eight digits; a code that is none counts as zero."""
    code = data[4:8][::-1].hex()
    return code if code.isdecimal() else "00000000"
