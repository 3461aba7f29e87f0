"""Who may try a password: wrong ones count where they come from, so that nobody can keep somebody else out.

Five for one person at one place bar the person there for 15 minutes, fifty for anybody bar the place, and a hundred
from many places bar the person at every strange place. A device on which the person signed in before is a place of
its own and no strange one, so whoever works with the system keeps working while others guess. All of it is kept in
rows: a restart lifts nothing. A tried bar is not prolonged.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import RowMapping

from server.store import audit, lockout
from server.store import people as kept
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

HERE_MAX = 5  # one person at one place
PLACE_MAX = 50  # anybody at one place; a whole estate may share one address
EVERYWHERE_MAX = 100  # one person at all strange places together
LOCK_MS = 15 * 60 * 1000
ANYBODY = ""  # no login is empty


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody signs in: a known device of the person, or a network address."""

    name: str
    is_known: bool = False


def is_barred(unit: Unit, row: RowMapping | None, place: Place, now: "Now") -> bool:
    """Whether the right password does not open at this place now; `row` is the person, None for a stranger."""

    def count(login: str) -> int:
        return lockout.failures_of(unit.connection, place.name, login, now.machine_ms)

    if row is not None and count(row["login"]) >= HERE_MAX:
        return True
    if place.is_known:
        return False
    return count(ANYBODY) >= PLACE_MAX or (row is not None and row["locked_until_ms"] > now.machine_ms)


def note_failure(unit: Unit, row: RowMapping | None, place: Place, now: "Now") -> None:
    """Count a wrong password; a stranger's counts against the place alone."""
    lockout.forget_past(unit.connection, now.machine_ms)
    if not place.is_known:
        _count(unit, place, ANYBODY, now)
    if row is None:
        return
    if _count(unit, place, row["login"], now) == HERE_MAX:
        _tell(unit, row, f"{HERE_MAX} wrong passwords at one place", now)
    if not place.is_known:
        _count_everywhere(unit, row, now)


def note_success(unit: Unit, row: RowMapping, place: Place) -> None:
    """The right password forgets the wrong ones at this place, and those from everywhere."""
    lockout.forget(unit.connection, row["login"], place.name)
    if row["failures"]:
        kept.update_user(unit.connection, row["estate_id"], row["user_id"], failures=0)


def _count(unit: Unit, place: Place, login: str, now: "Now") -> int:
    failures = lockout.failures_of(unit.connection, place.name, login, now.machine_ms) + 1
    lockout.set_failures(unit.connection, place.name, login, failures, now.machine_ms + LOCK_MS)
    return failures


def _count_everywhere(unit: Unit, row: RowMapping, now: "Now") -> None:
    failures, until_ms = row["failures"] + 1, row["locked_until_ms"]
    if failures >= EVERYWHERE_MAX:
        failures, until_ms = 0, now.machine_ms + LOCK_MS
        _tell(unit, row, f"{EVERYWHERE_MAX} wrong passwords from many places", now)
    kept.update_user(
        unit.connection, row["estate_id"], row["user_id"], failures=failures, locked_until_ms=until_ms
    )  # fmt: skip


def _tell(unit: Unit, row: RowMapping, why: str, now: "Now") -> None:
    audit.record(unit.connection, row["estate_id"], row["login"], "login.locked", row["user_id"], now, why)
