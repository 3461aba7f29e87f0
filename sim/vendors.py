"""Names of the kinds of meters that a scenario can ask for; `sim.meters.profiles` says how they behave."""

VENDOR_NAMES = (
    "standard",
    "local-prepaid",
    "state-grid-three-phase",
    "landis-gyr-e650",
    "property-plain",
    "short-blocks",
)
