"""The keys of a meter within [[household]] and [[gate]]: what every kind has, and what only some protocols know.

A key that a meter's protocol has no use for is refused like any unknown key: Modbus meters have no password, clock or
vendor here, and only meters of 2007 delay a trip or keep credit.
"""

from collections.abc import Sequence

from core.units import REGISTER_MODULUS_WH, WH_PER_STEP
from sim.estate import BusConfig, MeterConfig
from sim.kinds import EDITION_1997, EDITION_2007, MODBUS, MODELS, PROTOCOLS
from sim.scenario.section import Section
from sim.timing.spans import HOUR_MS
from sim.vendors import VENDORS_1997, VENDORS_2007

DRIFT_MAX = HOUR_MS
CREDIT_FEN_MAX = 99_999_999
UNIT_MAX = 247


def read_meter(section: Section, buses: Sequence[BusConfig]) -> MeterConfig:
    """Read the meter's keys of a household or a gate."""
    start_wh = section.whole("start_register_wh", 0, REGISTER_MODULUS_WH - WH_PER_STEP, 0)
    if start_wh % WH_PER_STEP:
        raise section.wrong("start_register_wh", f"a multiple of {WH_PER_STEP}, the step of the register")
    address = section.digits("meter", 12)
    if address == "9" * 12:
        raise section.wrong("meter", "any address but the broadcast address")
    bus_id = section.choice("bus", [bus.bus_id for bus in buses])
    bus = next(bus for bus in buses if bus.bus_id == bus_id)
    max_current_a = section.whole("max_current_a", 1, 100, 60)
    protocol = section.choice("protocol", PROTOCOLS, EDITION_2007)
    if protocol == MODBUS:
        model = section.choice("model", tuple(MODELS))
        _check_baud(section, model, bus)
        return MeterConfig(
            address=address,
            bus_id=bus_id,
            start_register_wh=start_wh,
            max_current_a=max_current_a,
            phases=_phases(section, MODELS[model].phases),
            protocol=protocol,
            model=model,
            unit=section.whole("unit", 1, UNIT_MAX),
        )
    newer = protocol == EDITION_2007
    return MeterConfig(
        address=address,
        bus_id=bus_id,
        start_register_wh=start_wh,
        max_current_a=max_current_a,
        password=section.digits("password", 6, "000000"),
        password_level=section.whole("password_level", 0, 9, 2),
        trip_delay_min=section.whole("trip_delay_min", 0, 9999, 0) if newer else 0,
        phases=_phases(section, (1, 3)),
        vendor=_vendor(section, protocol),
        local_credit_fen=_local_credit_fen(section) if newer else None,
        clock_drift_ms_per_day=section.whole("clock_drift_ms_per_day", -DRIFT_MAX, DRIFT_MAX, 0),
        protocol=protocol,
    )


def read_pattern(section: Section, bus: BusConfig) -> MeterConfig:
    """What all generated meters have in common: protocol, model or vendor, and phases."""
    protocol = section.choice("protocol", PROTOCOLS, EDITION_2007)
    if protocol != MODBUS:
        return MeterConfig(
            "0" * 12, "", phases=_phases(section, (1, 3)), vendor=_vendor(section, protocol), protocol=protocol
        )
    model = section.choice("model", tuple(MODELS))
    _check_baud(section, model, bus)
    return MeterConfig("0" * 12, "", phases=_phases(section, MODELS[model].phases), protocol=protocol, model=model)


def _vendor(section: Section, protocol: str) -> str:
    names = VENDORS_1997 if protocol == EDITION_1997 else VENDORS_2007
    return section.choice("vendor", names, names[0])


def _local_credit_fen(section: Section) -> int | None:
    if not section.has("local_credit_fen"):
        section.raw("local_credit_fen")
        return None
    return section.whole("local_credit_fen", 0, CREDIT_FEN_MAX)


def _phases(section: Section, allowed: tuple[int, ...]) -> int:
    phases = section.whole("phases", 1, 3, allowed[0])
    if phases not in allowed:
        raise section.wrong("phases", " or ".join(map(str, allowed)))
    return phases


def _check_baud(section: Section, model: str, bus: BusConfig) -> None:
    """A model whose rates are known works at one of them; of the DDSU666 only the rate as delivered is."""
    from core.modbus.meters import METERS

    bauds = METERS[MODELS[model].map_key].bauds
    if len(bauds) > 1 and bus.baud not in bauds:
        wanted = ", ".join(map(str, sorted(bauds)))
        raise section.refuse("model", f"model {model} cannot work at the {bus.baud} baud of bus {bus.bus_id}: {wanted}")
