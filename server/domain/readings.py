"""What comes off a bus, before anybody judged it; the values that collect hands to the flows."""

from dataclasses import dataclass

Rates = tuple[int, int, int, int]
ANSWERED_NOW = ("live", "demand")  # the other sources tell of another time than that of the answer


@dataclass(frozen=True, slots=True)
class MeterReading:
    """Cumulative registers of one meter: watt-hours, primary side of the register (before the ratio).

    `read_at` is world time in epoch seconds, `received_ms` machine time; `rates_wh` are the registers of rates
    1..4 (sharp, peak, flat, valley), None when the meter has only a total.
    """

    meter_id: str
    read_at: int
    received_ms: int
    total_wh: int
    rates_wh: Rates | None = None
    reverse_wh: int | None = None
    source: str = "live"
    raw_hex: str = ""


@dataclass(frozen=True, slots=True)
class MeterVariables:
    """Momentary values of phase A and the total power: mV, mA, mW; None where the meter has no value."""

    meter_id: str
    at: int
    voltage_mv: int | None
    current_ma: int | None
    power_mw: int | None


@dataclass(frozen=True, slots=True)
class StatusRead:
    """Status word 3 (04000503) as read back; `clock_offset_s` is meter clock minus world time when it was read."""

    meter_id: str
    at: int
    ms: int
    status3: int
    clock_offset_s: int | None = None


@dataclass(frozen=True, slots=True)
class ContactFailure:
    """A meter that did not answer after all attempts of one item."""

    meter_id: str
    at: int
    ms: int
    reason: str
