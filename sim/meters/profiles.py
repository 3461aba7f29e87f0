"""How one vendor's meters differ from the next one's on the wire, as data.

Every field is a habit that was seen in firmware or in captures (`core.dlt645.profiles` names the evidence for a
head-end; this is the meter's side of it). None means that the bus decides. A scenario gives a meter its profile.
"""

from dataclasses import dataclass

from core.dlt645.commands import RelayAction
from sim.vendors import VENDOR_NAMES

WRONG_PASSWORDS_MAX = 5
"""Wrong passwords on one day of the meter's clock before it locks out. Firmware has a number; none is published."""


@dataclass(frozen=True, slots=True)
class VendorProfile:
    """Habits of one kind of meter. Times in milliseconds of the machine.

    `phase_filler` fills phases that the meter lacks in a block: FF, 00, or nothing at all for a shorter block.
    `plain_actions` are the relay actions that a plain password may order, None for all. `wild_controls` are the
    requests that an address with AA in it may carry.
    """

    name: str
    preamble: int | None = None
    reply_delay_ms: tuple[int, int] | None = None
    energy_blocks: bool = True
    combined_blocks: bool = True
    phase_filler: int | None = 0xFF
    plain_actions: frozenset[int] | None = None
    zero_deadline: bool = False
    sealed_control: bool = False
    own_address_time: bool = False
    unknown_command_err: int | None = 0x02
    wild_controls: frozenset[int] = frozenset((0x11, 0x12, 0x13, 0x15, 0x16))
    wild_baud_refused: bool = False
    new_address: bool = True
    money: bool = True
    wrong_passwords_max: int = WRONG_PASSWORDS_MAX


_ALL = (
    VendorProfile("standard"),
    VendorProfile(
        "local-prepaid",
        preamble=0,
        reply_delay_ms=(60, 60),
        own_address_time=True,
        wild_controls=frozenset((0x03, 0x11, 0x12, 0x13, 0x15, 0x16, 0x19)),
        wild_baud_refused=True,
        money=False,
    ),
    VendorProfile(
        "state-grid-three-phase",
        preamble=4,
        plain_actions=frozenset((RelayAction.ALLOW_CLOSE, RelayAction.CLOSE)),
        sealed_control=True,
        unknown_command_err=None,
        new_address=False,
        wild_controls=frozenset((0x03, 0x11, 0x12, 0x13, 0x16, 0x1D)),
    ),
    VendorProfile("landis-gyr-e650", preamble=0, reply_delay_ms=(179, 397), combined_blocks=False),
    VendorProfile("property-plain", zero_deadline=True, phase_filler=0x00),
    VendorProfile("short-blocks", energy_blocks=False, phase_filler=None),
    # what is peculiar to 1997 stands in `habits_1997`
    VendorProfile("standard-1997"),
    VendorProfile("dtsd22-1997", preamble=0),
    VendorProfile("dtsf22-1997", preamble=4),
    VendorProfile("any-echo-1997", preamble=0),
    VendorProfile("block-end-1997"),
)

_BY_NAME = {profile.name: profile for profile in _ALL}
VENDORS = tuple(_BY_NAME[name] for name in VENDOR_NAMES)
