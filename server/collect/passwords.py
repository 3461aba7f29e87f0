"""Passwords on their way to meters, and those that a meter has refused.

A meter locks itself after a few wrong passwords, many after five, until midnight by its own clock, and then refuses the
right one too: a household that has paid would stay dark for the rest of the day. So a password that was refused twice
is kept back for hours, until another one is stored, or until the next day. The same error may also speak of a deadline;
the second try has a fresh one. A close, for which somebody may have paid, has a third one: the refusals may have been
of other writes. All of a day together, of whatever command and password, are no more than `DAY_MAX`; only a password
that was never tried has one try even then, since without it the meter is as good as locked. What was counted is kept
(`Kept`), so a new process does not begin anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from threading import Lock
from typing import Protocol

from server.collect.work import Unlock
from server.errors import SecretLocked

REFUSALS_MAX = 2
DAY_MAX = 4  # locks no meter that allows five
AGAIN = timedelta(hours=8)  # after two at once, one in so long


@dataclass(frozen=True, slots=True)
class Refused:
    """How often a meter has refused the password with this digest, and all of today; `at` is when it did last."""

    stored_sha256: str
    times: int
    day_times: int
    at: datetime


class Kept(Protocol):
    """Where the counts outlive the process; `save` does not wait."""

    def load(self) -> Mapping[str, Refused]:
        """By meter."""
        ...

    def save(self, meter_id: str, refused: Refused | None) -> None:
        """Keep the count of a meter, or forget it."""
        ...


class Nowhere:
    """Counts that end with the process."""

    def load(self) -> Mapping[str, Refused]:
        """None."""
        return {}

    def save(self, meter_id: str, refused: Refused | None) -> None:
        """Nothing to do."""


class Passwords:
    """An `Unlock` that keeps back what a meter refuses; may be asked from any thread."""

    def __init__(self, unlock: Unlock, civil_now: Callable[[], datetime], kept: Kept | None = None) -> None:
        """`civil_now` is world time in the zone of the estate, as the meters' clocks have it."""
        self._unlock = unlock
        self._civil_now = civil_now
        self._lock = Lock()
        self._kept = kept or Nowhere()
        self._refused = dict(self._kept.load())

    @classmethod
    def over(cls, unlock: Unlock, civil_now: Callable[[], datetime]) -> "Passwords":
        """`unlock` itself if it keeps passwords back already, as one that several senders share does."""
        return unlock if isinstance(unlock, cls) else cls(unlock, civil_now)

    def __call__(self, meter_id: str, stored: str, *, closing: bool = False) -> str:
        """The password to send, `closing` a relay or not; `SecretLocked` when it cannot be opened, or is kept back."""
        with self._lock:
            known, now = self._today(meter_id), self._civil_now()
        at_once = REFUSALS_MAX + 1 if closing else REFUSALS_MAX
        if known is not None and known.stored_sha256 == _digest(stored):
            waits = known.times >= at_once and now - known.at < AGAIN
            if waits or known.day_times >= DAY_MAX:
                raise SecretLocked(
                    f"the meter has refused its password {known.times} times today, and more would lock it until "
                    "midnight; import the right one"
                )
        return self._unlock(meter_id, stored)

    def refused(self, meter_id: str, stored: str) -> None:
        """The meter says that this password is wrong."""
        with self._lock:
            known, digest = self._today(meter_id), _digest(stored)
            times = known.times if known is not None and known.stored_sha256 == digest else 0
            day_times = 0 if known is None else known.day_times
            self._refused[meter_id] = Refused(digest, times + 1, day_times + 1, self._civil_now())
            self._kept.save(meter_id, self._refused[meter_id])

    def accepted(self, meter_id: str) -> None:
        """The meter took it."""
        with self._lock:
            if self._refused.pop(meter_id, None) is not None:
                self._kept.save(meter_id, None)

    def today(self, meter_id: str) -> int:
        """How often a meter has refused any password today."""
        with self._lock:
            known = self._today(meter_id)
        return 0 if known is None else known.day_times

    def _today(self, meter_id: str) -> Refused | None:
        known = self._refused.get(meter_id)
        return known if known is not None and known.at.date() == self._civil_now().date() else None


def _digest(stored: str) -> str:
    return sha256(stored.encode()).hexdigest()
