"""What is known of how meters differ from the standard and from each other, as data.

Each profile names its evidence. None of a field means that nobody has said; the standard's habit is then assumed. A
profile is a starting point for a bus: what a meter answers decides (`detection`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

EDITION_1997 = "1997"
EDITION_2007 = "2007"


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of meter. Times in seconds; `password_level` is what it accepts for relay commands by default.

    energy_block, combined_block, settled_block: whether it serves 0001FF00 (1997: 901F), 0000FF00 and 0001FF01;
    relay_reply_sizes: bytes of its answers to 1CH; reads_to_broadcast: whether it answers reads of 99..99.
    """

    name: str
    edition: str
    evidence: str
    baud: int | None = None
    parity: str = "E"
    reply_preamble: int | None = None
    reply_delay_min_s: float | None = None
    reply_delay_max_s: float | None = None
    password_level: int | None = None
    energy_block: bool | None = None
    combined_block: bool | None = None
    settled_block: bool | None = None
    relay_reply_sizes: tuple[int, ...] = (0,)
    reads_to_broadcast: bool | None = None
    note: str = ""


_STANDARD = "the standard, public implementations"  # a block of it is the habit of every meter not known to lack it
_ALL = (
    Profile("standard-2007", EDITION_2007, _STANDARD, 2400, reply_delay_min_s=0.02, reply_delay_max_s=0.5,
            energy_block=True, combined_block=True, settled_block=True, reads_to_broadcast=False,
            note="the limits of Td are not confirmed by clause; wait at least 1 s"),
    Profile("standard-1997", EDITION_1997, _STANDARD, 1200, energy_block=True),
    Profile("local-prepaid", EDITION_2007, "firmware sqf-ice/SY03A", reply_preamble=0, reply_delay_max_s=0.06,
            note="sets the follow bit for pending events; refuses money items in remote mode"),
    Profile("state-grid-three-phase", EDITION_2007, "firmware caokx/3jiliang", reply_preamble=4, password_level=98,
            relay_reply_sizes=(0, 2), note="plain levels 02 and 04 only close or allow to close; tripping needs 98"),
    Profile("landis-gyr-e650", EDITION_2007, "serial logs woowu/cutst, n = 782", reply_preamble=0,
            reply_delay_min_s=0.179, reply_delay_max_s=2.618, combined_block=False, settled_block=True,
            note="refuses 0000FF00, serves 0001FF01"),
    Profile("property-plain", EDITION_2007, "captures of cheap property meters", password_level=2,
            note="one six-digit password for everything, 000000 as delivered"),
    Profile("chint-ddsu666", EDITION_2007, "published frames and drivers",
            note="writing 0000 to 0A020000 switches it to Modbus"),
    Profile("dtsd22-1997", EDITION_1997, "serial log KTS-Intek/DLT645", reply_preamble=0, reads_to_broadcast=True),
    Profile("dtsf22-1997", EDITION_1997, "serial log KTS-Intek/DLT645", reply_preamble=4, reads_to_broadcast=True),
)  # fmt: skip

PROFILES: Mapping[str, Profile] = MappingProxyType({profile.name: profile for profile in _ALL})


def standard_of(edition: str) -> Profile:
    """What the standard of an edition says of every meter; None of a field is what it leaves to the meter."""
    return PROFILES[f"standard-{edition}"]
