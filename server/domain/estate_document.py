"""What an import file says about an estate, checked and in the units of the project.

One frozen value a row; nothing here knows TOML, CSV or SQL. Registers are Wh before the ratio, amounts fen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.tariff import Tariff
from server.domain.payments import TOPUP_MAX_FEN, TOPUP_MIN_FEN
from server.domain.readings import Rates
from server.domain.refunds import ALONE_MAX_FEN


@dataclass(frozen=True, slots=True)
class EstateEntry:
    """The estate's policy; an import never changes the mode of an estate that exists."""

    estate_id: str
    name: str
    time_zone: str
    close_policy: str = "allow"
    reading_cycle_s: int = 900
    status_cycle_s: int = 900
    variables_cycle_s: int = 3600
    clock_cycle_s: int = 21_600
    daily_freeze: int = 1
    billing_cycle_s: int = 3600
    grace_s: int = 86400
    command_ttl_s: int = 120
    trips_without_deadline: int = 0
    reading_fresh_s: int = 1800
    protected_from_min: int = 1020
    protected_to_min: int = 540
    protect_weekends: int = 1
    protect_holidays: int = 1
    spread_s: int = 1800
    trips_per_hour_max: int | None = None
    trips_per_day_max: int | None = None
    topup_min_fen: int = TOPUP_MIN_FEN
    topup_max_fen: int = TOPUP_MAX_FEN
    balance_max_fen: int | None = None
    sales_day_max_fen: int | None = None
    refund_alone_max_fen: int = ALONE_MAX_FEN
    adjust_alone_fen: int = 10_000
    phone: str = ""
    price_cap_nf_per_wh: int | None = None
    scheme_id: str | None = None  # None keeps the one that the estate has


@dataclass(frozen=True, slots=True)
class SchemeVersionEntry:
    """One dated version of a scheme; `rules` as domain.schemes reads them."""

    valid_from: int
    rules: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SchemeEntry:
    """A named set of supply rules."""

    scheme_id: str
    name: str
    versions: tuple[SchemeVersionEntry, ...]


@dataclass(frozen=True, slots=True)
class HolidayEntry:
    """One day of the estate's own calendar: off, or work."""

    day: str
    kind: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class BusEntry:
    """One RS-485 line: where it is and how it speaks."""

    bus_id: str
    url: str
    baud: int = 2400
    parity: str = "E"
    stop_bits: int = 1
    reply_delay_max_ms: int = 1000
    frame_gap_ms: int = 30
    attempts_max: int = 3
    rs485: int = 0


@dataclass(frozen=True, slots=True)
class BuildingEntry:
    """One building."""

    building_id: str
    name: str


@dataclass(frozen=True, slots=True)
class RoomEntry:
    """One flat or shop, by the label people use."""

    room_id: str
    building_id: str
    floor: int
    door: str


@dataclass(frozen=True, slots=True)
class HouseholdEntry:
    """An account with its meter; `start_wh` is the total register at installation.

    `own_rules` are those of domain.schemes that the household has otherwise than its scheme. None, and no own rules,
    keep what is there.
    """

    account_id: str
    room_id: str
    holder: str
    tariff_id: str
    meter_id: str
    bus_id: str
    start_wh: int
    phone: str = ""
    start_rates_wh: Rates | None = None
    installed_at: int | None = None
    ratio: int = 1
    opening_fen: int = 0
    scheme_id: str | None = None
    own_rules: Mapping[str, Any] = field(default_factory=dict)
    protected: int | None = None
    protected_reason: str | None = None
    protected_until: int | None = None
    max_power_w: int = 15840
    password_level: int = 2
    protocol: str = "2007"
    model: str = ""
    unit: int | None = None
    fee: str = "remote"
    customer: str = ""
    password: str = field(default="000000", repr=False)


@dataclass(frozen=True, slots=True)
class GateEntry:
    """A meter above others; it is read and compared, never charged."""

    meter_id: str
    bus_id: str
    name: str
    meter_ids: tuple[str, ...]
    start_wh: int
    ratio: int = 1
    max_power_w: int = 1_000_000
    protocol: str = "2007"
    model: str = ""
    unit: int | None = None


@dataclass(frozen=True, slots=True)
class UserEntry:
    """A login; `password_hash` is empty where the user exists already and keeps the password."""

    login: str
    role: str
    name: str
    account_id: str | None = None
    language: str = "zh_CN"
    password: str = field(default="", repr=False)
    password_hash: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ApiClientEntry:
    """A program that may call the API, with its shared secret."""

    client_id: str
    name: str
    scopes: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DayRegister:
    """A register of the past: what a meter showed at the end of a local day."""

    meter_id: str
    day: str
    register_wh: int


@dataclass(frozen=True, slots=True)
class EstateDocument:
    """Everything one import brings."""

    estate: EstateEntry
    tariffs: tuple[Tariff, ...] = ()
    buses: tuple[BusEntry, ...] = ()
    buildings: tuple[BuildingEntry, ...] = ()
    rooms: tuple[RoomEntry, ...] = ()
    households: tuple[HouseholdEntry, ...] = ()
    gates: tuple[GateEntry, ...] = ()
    users: tuple[UserEntry, ...] = ()
    api_clients: tuple[ApiClientEntry, ...] = ()
    history: tuple[DayRegister, ...] = ()
    schemes: tuple[SchemeEntry, ...] = ()
    holidays: tuple[HolidayEntry, ...] = ()
    preset: str | None = None  # the scheme of an estate that is new and names none
