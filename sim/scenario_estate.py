"""What a scenario says of the whole estate: its climate and what happens in it by itself."""

from sim.estate import Events, FaultKind
from sim.section import Section
from sim.weather import Climate

KINDS = tuple(kind for kind in FaultKind if kind is not FaultKind.NONE)
PER_MILLE = 1000


def read_events(section: Section) -> Events:
    """Read the table [events]."""
    faults = section.inner("faults")
    events = Events(
        switchings=section.whole("switchings", 0, PER_MILLE, 0),
        paid_after_h=section.span("paid_after_h", 0, 24 * 30, (1, 72)),
        faults=tuple((kind, faults.whole(kind.value, 0, PER_MILLE, 0)) for kind in KINDS),
        fault_h=section.span("fault_h", 1, 24 * 365, (2, 240)),
    )
    faults.finish()
    section.finish()
    return events


def read_climate(section: Section) -> Climate:
    """Read the table [weather]; temperatures in tenths of a degree."""
    usual = Climate()
    climate = Climate(
        mean_tenths=section.whole("mean_tenths", -300, 400, usual.mean_tenths),
        swing_tenths=section.whole("swing_tenths", 0, 400, usual.swing_tenths),
        shock_tenths=section.whole("shock_tenths", 0, 200, usual.shock_tenths),
        warmest_day=section.whole("warmest_day", 1, 366, usual.warmest_day),
    )
    section.finish()
    return climate
