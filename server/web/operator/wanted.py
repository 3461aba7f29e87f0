"""What a person fills in for a meter that was found: read from the form, checked against the estate, made an entry."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.datastructures import FormData

from server.domain.estate_document import HouseholdEntry, RoomEntry
from server.store.estates import has_household, list_buildings
from server.store.meters import list_meters
from server.store.tariffs import load_tariffs
from server.web.state import FoundView

DIGITS = 12
STEP_WH = 10
TEXT_MAX = 64
FLOORS = range(-20, 301)
MODBUS = "modbus"
ROOM = re.compile(r"[^\s:/?#%&]{1,60}")  # it becomes part of an account's name and of addresses


@dataclass(frozen=True, slots=True)
class Wanted:
    """The fields of one meter; `floor` is None where it is no number."""

    room_id: str
    building_id: str
    floor: int | None
    holder: str
    tariff_id: str
    meter_id: str

    def room(self) -> RoomEntry:
        """The room that is new, or the same again."""
        return RoomEntry(self.room_id, self.building_id, self.floor or 0, self.room_id.rpartition("-")[2])

    def household(
        self, meter: FoundView, bus_id: str, register_wh: int | None, rates: tuple[int, ...]
    ) -> HouseholdEntry:
        """Its household, charged from the registers that were read now."""
        return HouseholdEntry(
            account_id=f"H{self.room_id}", room_id=self.room_id, holder=self.holder, tariff_id=self.tariff_id,
            meter_id=self.meter_id, bus_id=bus_id, start_wh=register_wh or 0, protocol=meter.protocol,
            start_rates_wh=(rates[0], rates[1], rates[2], rates[3]) if len(rates) == 4 else None,
            model=meter.profile if meter.protocol == MODBUS else "",
            unit=int(meter.address) if meter.protocol == MODBUS else None,
        )  # fmt: skip


def wanted_in(form: FormData | Mapping[str, object], meter: FoundView) -> Wanted | None:
    """What the form says of this meter; None when it is not ticked."""
    name = f"{meter.protocol}-{meter.address}"
    if not form.get(f"take-{name}"):
        return None

    def text(field: str) -> str:
        return str(form.get(f"{field}-{name}") or "").strip()[:TEXT_MAX]

    floor = text("floor")
    return Wanted(
        text("room"), text("building"), int(floor) if floor.removeprefix("-").isdecimal() else None, text("holder"),
        text("tariff"), text("meter") if meter.protocol == MODBUS else meter.address,
    )  # fmt: skip


def problems_of(
    conn: Connection, estate_id: str, wanted: Wanted, meter: FoundView, register_wh: int | None,
    rates: tuple[int, ...], taken: set[str],
) -> list[str]:  # fmt: skip
    """What stands against it, as names of `words.INSTALL_PROBLEMS`.

    `taken` are the rooms and meters that were named before on the same form.
    """
    tariffs = load_tariffs(conn, estate_id)
    tariff = tariffs.get(wanted.tariff_id)
    by_rates = tariff is not None and any(version.kind == "tou" for version in tariff.versions)
    busy = has_household(conn, estate_id, wanted.room_id)
    is_number = len(wanted.meter_id) == DIGITS and wanted.meter_id.isascii() and wanted.meter_id.isdecimal()
    fine = {
        "room": ROOM.fullmatch(wanted.room_id) is not None and wanted.room_id.isprintable(),
        "room_taken": not busy and wanted.room_id not in taken,
        "building": wanted.building_id in {row["building_id"] for row in list_buildings(conn, estate_id)},
        "floor": wanted.floor is not None and wanted.floor in FLOORS,
        "holder": bool(wanted.holder),
        "tariff": tariff is not None,
        "rates": not by_rates or len(rates) == 4,
        "meter": is_number,
        "meter_taken": wanted.meter_id not in taken | {row.meter_id for row in list_meters(conn, estate_id)},
        "model": meter.protocol != MODBUS or bool(meter.profile),
        "register": register_wh is not None and (
            meter.protocol == MODBUS or not any(wh % STEP_WH for wh in (register_wh, *rates))
        ),
    }  # fmt: skip
    return [name for name, holds in fine.items() if not holds]
