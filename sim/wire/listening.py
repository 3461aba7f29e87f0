"""Which ears a line has: one for each protocol of its meters, DL/T 645 first; a line without meters listens to that.

The Modbus side is imported only where there is such a meter, since it brings pymodbus with it.
"""

from collections.abc import Mapping

from sim.estate import BusConfig
from sim.fleet.members import BusMeters
from sim.kinds import MODBUS_FIRST
from sim.meters import Meter
from sim.wire.dlt645_ear import Dlt645Ear
from sim.wire.ear import Ear


def ears_of(bus: BusConfig, meters: BusMeters, units: Mapping[int, Meter]) -> list[Ear]:
    """The ears of one bus; `meters` by address, `units` by Modbus unit."""
    ears: list[Ear] = [Dlt645Ear(bus, meters)] if len(meters) or not units else []
    if units:
        ears.append(_rtu_ear(bus, units))
    return ears


def ear_alone(bus: BusConfig, meter: Meter) -> Ear:
    """The ear of one meter by itself, on a line that is set as `bus`."""
    if meter.kind >= MODBUS_FIRST:
        return _rtu_ear(bus, {meter.unit: meter})
    return Dlt645Ear(bus, BusMeters.alone(meter))


def _rtu_ear(bus: BusConfig, units: Mapping[int, Meter]) -> Ear:
    from sim.wire.rtu_ear import RtuEar

    return RtuEar(bus, units)
