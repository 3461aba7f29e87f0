"""What a scenario says, as values: buses, households, gate meters, tariff, faults.

Nothing here moves. `sim.scenario.scenario` reads these from a TOML file and refuses what cannot be; `sim.world` builds
the living estate from them and a seed.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sim.kinds import EDITION_2007
from sim.loads.weather import Climate
from sim.rates import RateCalendar
from sim.scenario.holidays import Holidays
from sim.wire.delay import DelaySpread
from sim.wire.uart import LineSettings, bits_per_byte

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sim.scenario.columns import Households, Members

LOADS = ("family", "single", "vacant", "heavy", "constant", "replay")
BUTTONS = ("prompt", "slow", "never")
CLOCKS = ("world", "machine")
WIRES = ("byte-true", "none")
PARITY_ERRORS = ("lost", "passed")
MISMATCHES = ("garble", "ignore")
PARITIES = ("N", "E", "O")
BAUDS = (600, 1200, 2400, 4800, 9600, 19200)
PROMPT_DELAY_S = (60, 300)
SLOW_DELAY_S = (1800, 7200)


@dataclass(frozen=True, slots=True)
class Dialling:
    """How a DTU behaves: what it says first, and what it says when it has been silent; machine seconds."""

    registration: bytes = b""
    heartbeat: bytes = b""
    heartbeat_s: int = 30
    redial_s: int = 5


@dataclass(frozen=True, slots=True)
class BusConfig:
    """One RS-485 line and how its meters answer; delays are machine milliseconds.

    `bit_errors_ppm` bits of a million are flipped on the way; `parity_errors` says whether a byte with wrong parity
    is lost or passed on as it came, as serial servers do; `mismatch` what happens when the client sets its line
    otherwise than the bus, as far as the port shows it.
    """

    bus_id: str
    port: str = "pty"
    baud: int = 9600
    parity: str = "E"
    stop_bits: int = 1
    reply_delay_ms: tuple[int, int] = (20, 20)
    preamble: int = 4
    byte_true: bool = True
    chunk_bytes: int = 5
    echo: bool = False
    bit_errors_ppm: int = 0
    parity_errors: str = "lost"
    mismatch: str = "garble"
    dialling: Dialling = Dialling()
    delay_spread: DelaySpread | None = None

    @property
    def line(self) -> LineSettings:
        """How every meter of the bus sends and listens."""
        return LineSettings(self.baud, self.parity, self.stop_bits)

    def wire_s(self, count: int) -> float:
        """Machine seconds that `count` bytes take on the line; 0 without a wire model."""
        if not self.byte_true:
            return 0.0
        return count * bits_per_byte(self.parity, self.stop_bits) / self.baud


@dataclass(frozen=True, slots=True)
class FaultConfig:
    """A fault that is scheduled at a household, gate or bus, in world epoch milliseconds or from the world's start.

    `sizes` are the kind's own keys that differ from what is usual, see `sim.faults`; `stands` is where a scenario
    says so, `sizes_stand` where it gives each size.
    """

    kind: str
    at_ms: int
    until_ms: int | None = None
    where: str = "household"
    name: str = ""
    sizes: tuple[tuple[str, object], ...] = ()
    from_start: bool = False
    stands: str = field(default="", compare=False)
    sizes_stand: tuple[tuple[str, str], ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Resident:
    """How somebody at home reacts once the meter permits closing; `clock` says which seconds the delay counts."""

    button: str = "prompt"
    button_delay_s: tuple[int, int] = PROMPT_DELAY_S
    clock: str = "world"


@dataclass(frozen=True, slots=True)
class MeterConfig:
    """One meter's own settings; `model` and `unit` belong to Modbus, where `address` is the number on the plate."""

    address: str
    bus_id: str
    start_register_wh: int = 0
    max_current_a: int = 60
    password: str = field(default="000000", repr=False)
    password_level: int = 2
    trip_delay_min: int = 0
    phases: int = 1
    vendor: str = "standard"
    clock_drift_ms_per_day: int = 0
    local_credit_fen: int | None = None
    protocol: str = EDITION_2007
    model: str = ""
    unit: int = 0


@dataclass(frozen=True, slots=True)
class HouseholdConfig:
    """A dwelling behind one meter."""

    household_id: str
    meter: MeterConfig
    load: str = "family"
    mean_power_w: int | None = None
    tier_used_wh: int = 0
    solar_w: int = 0
    profile: int = 0
    resident: Resident = Resident()
    fault: FaultConfig | None = None


@dataclass(frozen=True, slots=True)
class GateConfig:
    """A main meter that measures what its households draw, metered or not, plus the losses of the lines."""

    gate_id: str
    meter: MeterConfig
    feeds: str
    households: "Members"
    loss_permille: int = 0
    loss_ppm_per_kw: int = 0
    class_error_ppm: int = 0
    ct_ratio: int = 1
    common_power_w: int = 0
    common_drift_permille: int = 0


@dataclass(frozen=True, slots=True)
class Events:
    """What happens by itself per 1000 households and 30 days, and how many hours it lasts."""

    switchings: int = 0
    paid_after_h: tuple[int, int] = (1, 72)
    faults: tuple[tuple[str, int], ...] = ()
    fault_h: tuple[int, int] = (2, 240)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole estate before anything has happened."""

    estate_id: str
    name: str
    calendar: RateCalendar
    buses: tuple[BusConfig, ...]
    households: "Households"
    gates: tuple[GateConfig, ...] = ()
    profiles: "NDArray[np.int32] | None" = None
    events: Events = field(default_factory=Events)
    climate: Climate = field(default_factory=Climate)
    holidays: Holidays = field(default_factory=Holidays)
    faults: tuple[FaultConfig, ...] = ()
