"""Names of the kinds of meters that a scenario can ask for; `sim.meters.profiles` says how they behave."""

VENDOR_NAMES = (
    "standard",
    "local-prepaid",
    "state-grid-three-phase",
    "landis-gyr-e650",
    "property-plain",
    "short-blocks",
    "standard-1997",
    "dtsd22-1997",
    "dtsf22-1997",
    "any-echo-1997",
    "block-end-1997",
)
VENDORS_1997 = tuple(name for name in VENDOR_NAMES if name.endswith("-1997"))
VENDORS_2007 = tuple(name for name in VENDOR_NAMES if name not in VENDORS_1997)
