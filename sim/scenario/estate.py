"""What a scenario says of the whole estate: its climate, what happens in it by itself, how main meters err."""

from sim.estate import Events
from sim.loads.weather import Climate
from sim.scenario.faults import read_rates
from sim.scenario.section import Section

PER_MILLE = 1000
HOURS_MAX = 24 * 365


def read_events(section: Section, random: Section) -> Events:
    """Read the tables [events] and [faults]; rates in either are the same, those in [faults] come last."""
    events = Events(
        switchings=section.whole("switchings", 0, PER_MILLE, 0),
        paid_after_h=section.span("paid_after_h", 0, 24 * 30, (1, 72)),
        faults=tuple(dict(read_rates(section, "faults") + read_rates(random, "rates")).items()),
        fault_h=random.span("lasts_h", 1, HOURS_MAX, section.span("fault_h", 1, HOURS_MAX, (2, 240))),
    )
    section.finish()
    random.finish()
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


def read_gate_traits(section: Section) -> dict[str, int]:
    """What a main meter loses and how it errs: keys of [[gate]] and of a generator's gate."""
    return {
        "loss_permille": section.whole("loss_permille", 0, 500, 0),
        "loss_ppm_per_kw": section.whole("loss_ppm_per_kw", 0, 10_000, 0),
        "class_error_ppm": section.whole("class_error_ppm", -50_000, 50_000, 0),
        "ct_ratio": section.whole("ct_ratio", 1, 10_000, 1),
        "common_power_w": section.whole("common_power_w", 0, 1_000_000, 0),
        "common_drift_permille": section.whole("common_drift_permille", 0, 1000, 0),
    }
