"""The Protocol of a channel for notices, and what it may promise.

`delivered` is only ever set by a receipt: the page channel when the notice was shown to the person, the gateway and
the sandbox channel when a signed receipt comes back. A notice that was merely sent does not allow a cut.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One notice on its way: rendered text in the account's language; `event_at` is world time."""

    estate_id: str
    notice_id: str
    account_id: str
    kind: str
    phone: str
    text: str
    language: str = ""
    event_at: int = 0


@dataclass(frozen=True, slots=True)
class Dispatch:
    """What the channel said: handed over (`sent`), or why not.

    away: the channel takes nothing now, whatever it is given. final: this notice it will never take.
    """

    sent: bool
    delivered: bool
    failure: str = ""
    away: bool = False
    final: bool = False


class Sender(Protocol):
    """One channel."""

    channel: str

    def send(self, outgoing: Outgoing) -> Dispatch:
        """Hand the notice over; must not raise for the channel's own failures."""
        ...
