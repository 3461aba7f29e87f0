"""How meters of the 1997 edition differ from each other, as data.

DTSD22 and DTSF22 are as a published serial log shows them: both answer everything that is sent to 99..99 with their own
address; the DTSF22 has no voltages and refuses writes with ERR 01 while its programming key is not pressed. A meter
that echoes AA..AA instead of naming itself was met by a concentrator's search; a block that ends in AA was captured.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Habits97:
    """`everybody` answers requests to 99..99, `any_echo` those to AA..AA from that very address."""

    everybody: bool = False
    any_echo: bool = False
    block_end: bool = False
    voltages: bool = True
    key_to_write: bool = False


HABITS_97: Mapping[str, Habits97] = MappingProxyType(
    {
        "standard-1997": Habits97(),
        "dtsd22-1997": Habits97(everybody=True),
        "dtsf22-1997": Habits97(everybody=True, voltages=False, key_to_write=True),
        "any-echo-1997": Habits97(any_echo=True),
        "block-end-1997": Habits97(block_end=True),
    }
)
