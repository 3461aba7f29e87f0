"""What a meter can be asked for, group by group.

Each group of identifiers (DI3) has a module that computes its bytes for an instant; the table of `core.dlt645` says how
values are written. None means that this meter has no such data.
"""

from collections.abc import Callable

from sim.meters import Meter
from sim.meters.demand import demand_item
from sim.meters.energies import energy_item
from sim.meters.event_records import extended_event, relay_event, standard_event
from sim.meters.freezes import freeze_item
from sim.meters.load_records import load_records
from sim.meters.parameters import read_parameter
from sim.meters.variables import variable

LOAD_RECORDS = 0x06


def read_item(meter: Meter, di: int, at_ms: int, request: bytes = b"") -> bytes | None:
    """The bytes behind an identifier at world time `at_ms`; `request` is what followed it in the question."""
    group = di >> 24
    if group == LOAD_RECORDS:
        return load_records(meter, di, request, at_ms)
    if request:
        return None
    reader = _GROUPS.get(group)
    return None if reader is None else reader(meter, di, at_ms)


_GROUPS: dict[int, Callable[[Meter, int, int], bytes | None]] = {
    0x00: energy_item,
    0x01: demand_item,
    0x02: variable,
    0x03: standard_event,
    0x04: read_parameter,
    0x05: freeze_item,
    0x1D: relay_event,
    0x1E: relay_event,
    **dict.fromkeys((*range(0x10, 0x1D), 0x22), extended_event),
}
