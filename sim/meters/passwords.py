"""Who may write, clear and switch: password levels, changed passwords, and the lock-out after wrong ones.

A request states its level PA (00 is the highest) and three bytes. The level must be the configured one or higher and
the digits must be those of that level. Each wrong try counts; after the profile's number of them everything that needs
a password is refused until the meter's clock shows the next day, even with the right password.
"""

from typing import TYPE_CHECKING

from core.dlt645.values import bcd_to_int
from core.errors import ValueFormatError
from sim.meters.refusal import ERR_PASSWORD, RefusedError

if TYPE_CHECKING:
    from sim.meters import Meter

PASSWORD_BYTES = 4
PLAIN_LEVEL_MAX = 9
PASSWORD_DI = 0x04000C00


def locked_out(meter: "Meter", at_ms: int) -> bool:
    """Whether too many passwords were wrong today."""
    notes = meter.notes
    if notes.wrong_passwords < meter.profile.wrong_passwords_max:
        return False
    return notes.wrong_day == meter.civil(at_ms).date()


def check_password(meter: "Meter", field: bytes, at_ms: int) -> None:
    """Pass PA P0 P1 P2, or refuse with ERR 04 and count the try."""
    if locked_out(meter, at_ms):
        raise RefusedError(ERR_PASSWORD)
    level, code = field[0], field[:0:-1].hex()
    if level > meter.config.password_level or code != password_of(meter, level):
        _count_wrong(meter, at_ms)
        raise RefusedError(ERR_PASSWORD)


def change_password(meter: "Meter", data: bytes, at_ms: int) -> bytes:
    """18H: DI, the old and the new password with their levels; the answer repeats the new one."""
    old, new = data[4:8], data[8:12]
    level = new[0]
    if int.from_bytes(data[:4], "little") != PASSWORD_DI + level + 1 or level > PLAIN_LEVEL_MAX or old[0] > level:
        raise RefusedError(ERR_PASSWORD)
    if locked_out(meter, at_ms):
        raise RefusedError(ERR_PASSWORD)
    if old[:0:-1].hex() != password_of(meter, old[0]):
        _count_wrong(meter, at_ms)
        raise RefusedError(ERR_PASSWORD)
    set_password(meter, level, new[1:])
    return new


def set_password(meter: "Meter", level: int, wire: bytes) -> None:
    """Keep a new password of one level; ERR 04 when it is no digits."""
    try:
        bcd_to_int(wire)
    except ValueFormatError as bad:
        raise RefusedError(ERR_PASSWORD) from bad
    meter.own().passwords = {**meter.notes.passwords, level: wire[::-1].hex()}


def password_of(meter: "Meter", level: int) -> str:
    """Six digits; as delivered, all levels have the same."""
    return meter.notes.passwords.get(level, meter.config.password)


def _count_wrong(meter: "Meter", at_ms: int) -> None:
    own, today = meter.own(), meter.civil(at_ms).date()
    own.wrong_passwords = own.wrong_passwords + 1 if own.wrong_day == today else 1
    own.wrong_day = today
