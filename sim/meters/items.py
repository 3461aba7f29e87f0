"""What a single-phase prepaid meter can be asked for, identifier by identifier.

Each entry computes its values for an instant in the project's units; the table of `core.dlt645` turns them
into bytes. Energy comes as total and four rates, now and at the last daily freezes; phases B and C, which a
single-phase meter lacks, are FF. Money stays zero: the balance lives in the head-end, not in this meter.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from core.dlt645 import identifiers as ids
from core.dlt645.identifiers import Value, encode_value
from core.units import REGISTER_MODULUS_WH
from sim.meters import Meter

AMOUNTS = (
    ids.ALARM_AMOUNT_1,
    ids.ALARM_AMOUNT_2,
    ids.OVERDRAFT_LIMIT,
    ids.HOARD_LIMIT,
    ids.CLOSE_ALLOWED_AMOUNT,
)
METER_NUMBER = 0x04000402
FREEZE_DAYS = 62
RATES = 4
FREQUENCY_MHZ = 50_000
UNITY_PERMILLE = 1000
CURRENT_MAX_MA = 799_999
POWER_MAX_MW = 79_999_900
NO_REVERSE: list[Value] = [0] * (RATES + 1)

Row = list[Value]


def read_item(meter: Meter, di: int, at_ms: int) -> bytes | None:
    """The bytes behind an identifier at world time `at_ms`; None if this meter has no such data."""
    reader = _READERS.get(di)
    if reader is not None:
        return encode_value(di, reader(meter, at_ms))
    if di in AMOUNTS:
        return meter.parameters.get(di, bytes(4))
    if di >> 24 == 0x05:
        return _freeze(meter, di, at_ms)
    return None


def _energy(member: int | None) -> Callable[[Meter, int], Row]:
    """Forward energy: the total (0), a rate (1..4), or all five (None)."""

    def read(meter: Meter, at_ms: int) -> Row:
        if member == 0:
            return [meter.register.shown_total_wh(at_ms)]
        shown = meter.register.shown_wh(at_ms)
        return list(shown) if member is None else [shown[member]]

    return read


def _combined(member: int | None) -> Callable[[Meter, int], Row]:
    """Combined active energy is signed, so its magnitude ends at 799,999.99 kWh."""

    def read(meter: Meter, at_ms: int) -> Row:
        span_wh = REGISTER_MODULUS_WH // 10 * 8
        shown: Row = [wh % span_wh for wh in meter.register.shown_wh(at_ms)]
        return shown if member is None else [shown[member]]

    return read


def _constant(*values: Value) -> Callable[[Meter, int], Row]:
    return lambda _meter, _at_ms: list(values)


def _freeze(meter: Meter, di: int, at_ms: int) -> bytes | None:
    """Daily freezes 05 06 xx nn: nn = 1 is the last midnight of the meter's own clock."""
    kind, number = di >> 8 & 0xFF, di & 0xFF
    if di >> 16 != 0x0506 or not 1 <= number <= FREEZE_DAYS or kind not in (0, 1, 2):
        return None
    civil = meter.civil(at_ms)
    midnight = civil.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=number - 1)
    # the clock counts whole seconds, so the question's own milliseconds must not move the midnight
    frozen_ms = at_ms // 1000 * 1000 - round((civil - midnight).total_seconds() * 1000)
    if frozen_ms < meter.register.origin_ms:
        return None
    if kind == 0:
        return encode_value(di, [midnight])
    return encode_value(di, list(meter.register.shown_wh(frozen_ms)) if kind == 1 else NO_REVERSE)


def status_words(meter: Meter) -> Row:
    """Status words 1 to 7; word 3 holds the relay, nothing else is ever wrong with this meter."""
    return [0, 0, meter.relay.status_bits, 0, 0, 0, 0]


def _status_word(number: int) -> Callable[[Meter, int], Row]:
    return lambda meter, _at_ms: [status_words(meter)[number - 1]]


def _current(meter: Meter, at_ms: int) -> Value:
    """Current in mA, or None (FF) beyond 799.999 A: a gate meter may carry more than the field can say."""
    current_ma = meter.current_ma(at_ms)
    return current_ma if current_ma <= CURRENT_MAX_MA else None


def _power(meter: Meter, at_ms: int) -> Value:
    """Power in mW, or None (FF) beyond 79.9999 kW."""
    power_mw = meter.power_mw(at_ms)
    return power_mw if power_mw <= POWER_MAX_MW else None


def _clock(meter: Meter, at_ms: int) -> Row:
    now: datetime = meter.civil(at_ms)
    return [now]


def _readers() -> dict[int, Callable[[Meter, int], Row]]:
    readers: dict[int, Callable[[Meter, int], Row]] = {
        ids.ENERGY_BLOCK: _energy(None),
        0x0000FF00: _combined(None),
        0x0002FF00: _constant(*NO_REVERSE),
        ids.VOLTAGE_A: lambda meter, at_ms: [meter.voltage_mv(at_ms)],
        ids.VOLTAGE_BLOCK: lambda meter, at_ms: [meter.voltage_mv(at_ms), None, None],
        ids.CURRENT_A: lambda meter, at_ms: [_current(meter, at_ms)],
        ids.CURRENT_BLOCK: lambda meter, at_ms: [_current(meter, at_ms), None, None],
        ids.POWER_TOTAL: lambda meter, at_ms: [_power(meter, at_ms)],
        0x02030100: lambda meter, at_ms: [_power(meter, at_ms)],
        ids.POWER_BLOCK: lambda meter, at_ms: [_power(meter, at_ms)] * 2 + [None, None],
        ids.POWER_FACTOR_TOTAL: _constant(UNITY_PERMILLE),
        ids.FREQUENCY: _constant(FREQUENCY_MHZ),
        ids.REMAINING_AMOUNT: _constant(0),
        ids.OVERDRAFT_AMOUNT: _constant(0),
        ids.DATE: _clock,
        ids.TIME: _clock,
        ids.DATE_TIME: _clock,
        ids.ADDRESS: lambda meter, _at_ms: [meter.address],
        METER_NUMBER: lambda meter, _at_ms: [meter.address],
        ids.STATUS_BLOCK: lambda meter, _at_ms: status_words(meter),
        ids.TRIP_DELAY: lambda meter, _at_ms: [meter.trip_delay_min],
        0x04000204: _constant(RATES),
        0x04000306: _constant(1),
        0x04000307: _constant(1),
        0x1D000001: lambda meter, _at_ms: [sum(e.to == "open" for e in meter.relay.events)],
        0x1E000001: lambda meter, _at_ms: [sum(e.to == "closed" for e in meter.relay.events)],
    }
    for member in range(RATES + 1):
        readers[member << 8] = _combined(member)
        readers[ids.ENERGY_TOTAL | member << 8] = _energy(member)
        readers[ids.REVERSE_TOTAL | member << 8] = _constant(0)
    for number in range(1, 8):
        readers[0x04000500 | number] = _status_word(number)
    return readers


_READERS = _readers()
