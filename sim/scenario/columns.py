"""The households of a scenario as columns: fifty bytes for each, however they were written down.

A row says what `HouseholdConfig` says; the object is made when somebody asks for it. Ids are bytes of equal width,
residents and faults are kept once, so that 50,000 generated households take a few megabytes.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from sim.estate import LOADS, FaultConfig, HouseholdConfig, MeterConfig, Resident
from sim.kinds import kind_number, protocol_and_model
from sim.vendors import VENDOR_NAMES

ROW = np.dtype(
    [
        ("address", "i8"),
        ("start_register_wh", "i8"),
        ("tier_used_wh", "i8"),
        ("bus", "i4"),
        ("mean_power_w", "i4"),
        ("solar_w", "i4"),
        ("profile", "i4"),
        ("password", "i4"),
        ("trip_delay_min", "u2"),
        ("resident", "u2"),
        ("load", "u1"),
        ("max_current_a", "u1"),
        ("password_level", "u1"),
        ("phases", "u1"),
        ("vendor", "u1"),
        ("clock_drift_ms_per_day", "i4"),
        ("local_credit", "i4"),
        ("kind", "u1"),
        ("unit", "u1"),
    ]
)
NO_MEAN = 0
PLAIN_OF_METER = (
    "start_register_wh", "trip_delay_min", "max_current_a", "password_level", "phases", "clock_drift_ms_per_day",
    "unit",
)  # fmt: skip


class Ids(Sequence[str]):
    """Names of equal width in bytes, found by halving."""

    def __init__(self, names: NDArray[np.bytes_]) -> None:
        self.names = names
        self._order = np.argsort(names, kind="stable").astype(np.int32)

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [name.decode() for name in self.names[index]]
        return bytes(self.names[index]).decode()

    def find(self, name: str) -> int | None:
        """Where a name stands, or None."""
        wanted = name.encode()
        if not wanted or len(wanted) > self.names.dtype.itemsize:
            return None
        place = int(np.searchsorted(self.names, np.bytes_(wanted), sorter=self._order))
        if place == len(self.names) or self.names[self._order[place]] != wanted:
            return None
        return int(self._order[place])

    def with_prefix(self, prefix: str) -> NDArray[np.int32]:
        """Indices of the names that begin so: int32[k], ascending."""
        return np.flatnonzero(np.char.startswith(self.names, prefix.encode())).astype(np.int32)

    def twice(self) -> list[str]:
        """Names that stand more than once."""
        ordered = self.names[self._order]
        return sorted({name.decode() for name in ordered[1:][ordered[1:] == ordered[:-1]]})


class Members(Sequence[str]):
    """The ids of some households, by their indices."""

    def __init__(self, ids: Ids, indices: NDArray[np.int32]) -> None:
        self._ids = ids
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self._ids[int(member)] for member in self.indices[index]]
        return self._ids[int(self.indices[index])]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


class Households(Sequence[HouseholdConfig]):
    """All households of a scenario; `rows` is ROW[n], `faults` by index, `residents` by number."""

    def __init__(
        self,
        names: Iterable[bytes] | NDArray[np.bytes_],
        rows: NDArray[Any],
        bus_ids: Sequence[str],
        residents: Sequence[Resident],
        faults: dict[int, FaultConfig],
    ) -> None:
        self.ids = Ids(names if isinstance(names, np.ndarray) else np.array(list(names), "S"))
        self.rows = rows
        self.bus_ids = tuple(bus_ids)
        self.residents = tuple(residents)
        self.faults = faults

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[HouseholdConfig]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> HouseholdConfig: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[HouseholdConfig]: ...
    def __getitem__(self, index: int | slice) -> HouseholdConfig | Sequence[HouseholdConfig]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        row = self.rows[index]
        mean_power_w = int(row["mean_power_w"])
        return HouseholdConfig(
            household_id=self.ids[index],
            meter=self.meter(index),
            load=LOADS[row["load"]],
            mean_power_w=None if mean_power_w == NO_MEAN else mean_power_w,
            tier_used_wh=int(row["tier_used_wh"]),
            solar_w=int(row["solar_w"]),
            profile=int(row["profile"]),
            resident=self.residents[row["resident"]],
            fault=self.faults.get(index),
        )

    def with_credit(self) -> list[int]:
        """Indices of the households whose meters keep credit themselves."""
        return [int(index) for index in np.flatnonzero(self.rows["local_credit"])]

    def meter(self, index: int) -> MeterConfig:
        """The settings of one household's meter."""
        row = self.rows[index]
        protocol, model = protocol_and_model(row["kind"])
        return MeterConfig(
            address=f"{row['address']:012d}",
            bus_id=self.bus_ids[row["bus"]],
            start_register_wh=int(row["start_register_wh"]),
            max_current_a=int(row["max_current_a"]),
            password=f"{row['password']:06d}",
            password_level=int(row["password_level"]),
            trip_delay_min=int(row["trip_delay_min"]),
            phases=int(row["phases"]),
            vendor=VENDOR_NAMES[row["vendor"]],
            clock_drift_ms_per_day=int(row["clock_drift_ms_per_day"]),
            local_credit_fen=None if row["local_credit"] == 0 else int(row["local_credit"]) - 1,
            protocol=protocol,
            model=model,
            unit=int(row["unit"]),
        )


class HouseholdRows:
    """Collects households one by one and in bulk."""

    def __init__(self, bus_ids: Sequence[str]) -> None:
        self._bus_ids = list(bus_ids)
        self._bus_number = {bus_id: number for number, bus_id in enumerate(bus_ids)}
        self._names: list[NDArray[np.bytes_]] = []
        self._rows: list[NDArray[Any]] = []
        self._residents: dict[Resident, int] = {}
        self._faults: dict[int, FaultConfig] = {}
        self._count = 0

    def add(self, household: HouseholdConfig) -> None:
        """One household as it stands in the file."""
        meter = household.meter
        row = np.zeros(1, ROW)
        row["address"], row["password"] = int(meter.address), int(meter.password)
        row["bus"] = self._bus_number[meter.bus_id]
        for name in PLAIN_OF_METER:
            row[name] = getattr(meter, name)
        row["kind"] = kind_number(meter.protocol, meter.model)
        row["vendor"] = VENDOR_NAMES.index(meter.vendor)
        row["local_credit"] = 0 if meter.local_credit_fen is None else meter.local_credit_fen + 1
        for name in ("tier_used_wh", "solar_w", "profile"):
            row[name] = getattr(household, name)
        row["mean_power_w"] = household.mean_power_w or NO_MEAN
        row["load"] = LOADS.index(household.load)
        row["resident"] = self.resident(household.resident)
        if household.fault is not None:
            self._faults[self._count] = household.fault
        self.extend(np.array([household.household_id.encode()]), row)

    def extend(self, names: NDArray[np.bytes_], rows: NDArray[Any]) -> None:
        """Many households: bytes[n] and ROW[n]."""
        self._names.append(names)
        self._rows.append(rows)
        self._count += len(rows)

    def bus_number(self, bus_id: str) -> int:
        """Where a bus stands among the buses."""
        return self._bus_number[bus_id]

    def resident(self, resident: Resident) -> int:
        """The number of a kind of resident."""
        return self._residents.setdefault(resident, len(self._residents))

    def finish(self) -> Households:
        """All that was added, in its order."""
        names = np.concatenate(self._names) if self._names else np.zeros(0, "S1")
        rows = np.concatenate(self._rows) if self._rows else np.zeros(0, ROW)
        return Households(names, rows, self._bus_ids, list(self._residents), self._faults)
