"""Numbers of meters as people read them on nameplates and write them down."""

import re

from server.errors import Refused

DIGITS = 12
ADDRESSES_MAX = 256  # of one search: four full buses
CHARS_MAX = 4096  # of what is written
_BETWEEN = re.compile(r"[\s,;、，；]+")


def addresses_in(text: str) -> tuple[str, ...]:
    """The numbers in what a person wrote, apart by commas or blanks; `Refused` says which is none.

    A shorter number has leading zeros, as on the wire.
    """
    parts = tuple(dict.fromkeys(part.zfill(DIGITS) for part in _BETWEEN.split(text) if part))
    for part in parts:
        if not (part.isascii() and part.isdecimal() and len(part) == DIGITS):
            raise Refused(
                f"{part.lstrip('0')[:40]} is no number of a meter: up to {DIGITS} digits, as on its nameplate"
            )
    if len(parts) > ADDRESSES_MAX:
        raise Refused(f"{len(parts)} numbers at once; at most {ADDRESSES_MAX}")
    return parts
