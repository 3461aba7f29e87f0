"""A small estate for tests: documents, instants and a shorthand for its imported form."""

from core.tariff import Tariff, tariff_from_dict
from server.clock import Now
from server.domain.estate_document import (
    BuildingEntry,
    BusEntry,
    EstateDocument,
    EstateEntry,
    GateEntry,
    HouseholdEntry,
    RoomEntry,
)
from server.flows.estates import import_estate
from server.store.writer import Writer

ESTATE = "plum"
START_S = 1_791_853_500  # 2026-10-13 09:05 in Shanghai
MACHINE_MS = 1_700_000_000_000

SINGLE = {
    "id": "single",
    "name": "one price with two tiers a month",
    "versions": [
        {
            "valid_from": "2021-01-01",
            "price": "0.58886875",
            "tier_steps": ["0.05", "0.25"],
            "tier_limits_wh": [200_000, 400_000],
            "tier_period": "month",
        }
    ],
}
SIMULATED = {key: SINGLE["versions"][0][key] for key in ("price", "tier_steps", "tier_limits_wh", "tier_period")}
"""The same tariff as a simulator's scenario writes it."""
BY_RATES = {
    "id": "tou",
    "name": "four rates",
    "versions": [
        {
            "valid_from": "2021-01-01",
            "prices": {"sharp": "1.2", "peak": "0.9", "flat": "0.6", "valley": "0.3"},
            "periods": [
                {"from": "08:00", "to": "22:00", "rate": "peak"},
                {"from": "22:00", "to": "08:00", "rate": "valley"},
            ],
        }
    ],
}


def at(world_s: int = 0, machine_ms: int | None = None) -> Now:
    """An instant `world_s` after the estate's start; machine time runs along unless given."""
    return Now(START_S + world_s, MACHINE_MS + (world_s * 1000 if machine_ms is None else machine_ms))


def meter_id(number: int) -> str:
    """The address of household `number` (from 1)."""
    return f"{202600000000 + number:012d}"


def account_id(number: int) -> str:
    """The account of household `number` (from 1)."""
    return f"H{number:04d}"


def household(number: int, **changes: object) -> HouseholdEntry:
    """Household `number`: meter at 1 MWh, 50 yuan of credit, single tariff."""
    values: dict[str, object] = {
        "account_id": account_id(number),
        "room_id": f"1-{number:04d}",
        "holder": f"holder {number}",
        "phone": "",
        "tariff_id": "single",
        "meter_id": meter_id(number),
        "bus_id": "bus-1",
        "start_wh": 1_000_000,
        "opening_fen": 5000,
        **changes,
    }
    return HouseholdEntry(**values)  # type: ignore[arg-type]


def document(
    households: int | list[HouseholdEntry] = 2, *, tariffs: tuple[dict[str, object], ...] = (SINGLE, BY_RATES)
) -> EstateDocument:
    """An estate of one building and one bus, with a gate meter over all households."""
    homes = [household(n + 1) for n in range(households)] if isinstance(households, int) else households
    return EstateDocument(
        estate=EstateEntry(ESTATE, "Plum Garden", "Asia/Shanghai"),
        tariffs=tuple(tariff(definition) for definition in tariffs),
        buses=(BusEntry("bus-1", "/dev/ttyUSB0"),),
        buildings=(BuildingEntry("1", "Building 1"),),
        rooms=tuple(RoomEntry(home.room_id, "1", 1, home.room_id[2:]) for home in homes),
        households=tuple(homes),
        gates=(GateEntry("202699000001", "bus-1", "gate of 1", tuple(home.meter_id for home in homes), 0),),
    )


def tariff(definition: dict[str, object]) -> Tariff:
    """A tariff from its dictionary."""
    return tariff_from_dict(definition)


def plant(writer: Writer, households: int | list[HouseholdEntry] = 2, **more: object) -> EstateDocument:
    """Import a small estate at `at()`."""
    planned = document(households, **more)  # type: ignore[arg-type]
    writer.run(lambda unit: import_estate(unit, planned, at()))
    return planned
