"""Locking meter passwords anew: all of a database in one unit, so that a rotation is done or not begun.

What cannot be opened stays as it is and is named; its meter is read on, and controlled once its password is imported
again. Nothing here sees a key: how to relock is an argument.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.domain.passwords import is_locked
from server.errors import SecretLocked
from server.store import audit
from server.store.estates import list_estates
from server.store.passwords import replace_passwords, stored_passwords
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

Relock = Callable[[str, str, str], str]
"""From estate, meter and what is stored to what shall be stored; `SecretLocked` says why not."""


@dataclass(frozen=True, slots=True)
class Relocked:
    """How many passwords are locked now, how many of them were changed, and which meters' could not be opened."""

    locked: int
    changed: int
    unopened: tuple[str, ...]


def relock_passwords(unit: Unit, relock: Relock, now: "Now", *, actor: str = "rekey") -> Relocked:
    """Lock every password of every estate with the current key."""
    locked, changed, unopened = 0, 0, []
    for site in list_estates(unit.connection):
        estate_id = site["estate_id"]
        fresh = {}
        for meter_id, stored in stored_passwords(unit.connection, estate_id).items():
            try:
                new = relock(estate_id, meter_id, stored)
            except SecretLocked:
                unopened.append(meter_id)
                continue
            locked += is_locked(new)
            if new != stored:
                fresh[meter_id] = new
        changed += replace_passwords(unit.connection, estate_id, fresh)
        if fresh:
            audit.record(unit.connection, estate_id, actor, "passwords.locked", str(len(fresh)), now)
    return Relocked(locked, changed, tuple(unopened))
