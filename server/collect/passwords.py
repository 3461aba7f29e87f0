"""Passwords on their way to meters, and those that a meter has refused.

A meter locks itself after a few wrong passwords, many after five, until midnight by its own clock, and then refuses the
right one too: a household that has paid would stay dark for the rest of the day. So a password that was refused twice
is kept back for hours, until another one is stored, or until the next day. The same error may also speak of a deadline;
the second try has a fresh one. A close, for which somebody may have paid, has a third one: the refusals may have been
of other writes. All of a day together are no more than `DAY_MAX`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from server.collect.work import Unlock
from server.errors import SecretLocked

REFUSALS_MAX = 2
DAY_MAX = 4  # locks no meter that allows five
AGAIN = timedelta(hours=8)  # after two at once, one in so long


@dataclass(frozen=True, slots=True)
class _Refused:
    stored: str
    times: int
    at: datetime


class Passwords:
    """An `Unlock` that keeps back what a meter refuses; may be asked from any thread."""

    def __init__(self, unlock: Unlock, civil_now: Callable[[], datetime]) -> None:
        """`civil_now` is world time in the zone of the estate, as the meters' clocks have it."""
        self._unlock = unlock
        self._civil_now = civil_now
        self._lock = Lock()
        self._refused: dict[str, _Refused] = {}

    @classmethod
    def over(cls, unlock: Unlock, civil_now: Callable[[], datetime]) -> "Passwords":
        """`unlock` itself if it keeps passwords back already, as one that several senders share does."""
        return unlock if isinstance(unlock, cls) else cls(unlock, civil_now)

    def __call__(self, meter_id: str, stored: str, *, closing: bool = False) -> str:
        """The password to send, `closing` a relay or not; `SecretLocked` when it cannot be opened, or is kept back."""
        with self._lock:
            known, now = self._refused.get(meter_id), self._civil_now()
            if known is not None and (known.stored != stored or known.at.date() != now.date()):
                del self._refused[meter_id]
                known = None
        at_once = REFUSALS_MAX + 1 if closing else REFUSALS_MAX
        if known is not None and (known.times >= DAY_MAX or (known.times >= at_once and now - known.at < AGAIN)):
            raise SecretLocked(
                f"the meter has refused its password {known.times} times today, and more would lock it until midnight; "
                "import the right one"
            )
        return self._unlock(meter_id, stored)

    def refused(self, meter_id: str, stored: str) -> None:
        """The meter says that this password is wrong."""
        with self._lock:
            known = self._refused.get(meter_id)
            times = known.times if known is not None and known.stored == stored else 0
            self._refused[meter_id] = _Refused(stored, times + 1, self._civil_now())

    def accepted(self, meter_id: str) -> None:
        """The meter took it."""
        with self._lock:
            self._refused.pop(meter_id, None)
