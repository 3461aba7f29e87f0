"""The state of a household as people see it: one of seven, derived from facts and never stored.

If several hold, the first of cut, allow, lost, over, vlow, low, normal counts. The relay speaks only by its last
read-back; the balance of a household without contact is the last known one, and that of one that pays afterwards says
nothing of its state.
"""

from typing import Protocol

from server.domain.accounts import POSTPAID

CONTACT_CYCLES_MAX = 4  # without an answer for so many reading cycles, a meter counts as lost
TRIP_LEVEL, ALARM2_LEVEL, ALARM1_LEVEL = 3, 2, 1

STATES = ("cut", "allow", "lost", "over", "vlow", "low", "normal")


class HouseholdFacts(Protocol):
    """What the state depends on; `contact_at` is world time of the meter's last answer."""

    @property
    def balance_fen(self) -> int: ...
    @property
    def level(self) -> int: ...
    @property
    def relay(self) -> str | None: ...
    @property
    def contact_at(self) -> int | None: ...
    @property
    def payment(self) -> str: ...


def state_of(facts: HouseholdFacts, now_s: int, cycle_s: int) -> str:
    """The state of a household at world time `now_s`, read every `cycle_s` seconds."""
    if facts.relay == "open":
        return "cut"
    if facts.relay == "permitted":
        return "allow"
    if facts.contact_at is None or now_s - facts.contact_at > CONTACT_CYCLES_MAX * cycle_s:
        return "lost"
    if facts.payment == POSTPAID:
        return "normal"
    if facts.balance_fen < 0 or facts.level >= TRIP_LEVEL:
        return "over"
    return {ALARM2_LEVEL: "vlow", ALARM1_LEVEL: "low"}.get(facts.level, "normal")
