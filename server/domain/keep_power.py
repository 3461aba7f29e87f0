"""Keep-power: whose meters are told to refuse every cut, and when that is taken back.

It protects beyond this server: a meter that keeps the power on refuses the trips of anybody, and one that charges by
itself does not cut. So it is given at once, and taken back only at a moment at which a cut would be allowed too.
"""

from typing import Final, Literal

from server.domain.calendar import ProtectedTimes, protected_because
from server.domain.schemes import KEEP_ALWAYS, KEEP_NEVER

ON: Final = "on"
OFF: Final = "off"
State = Literal["on", "off"]
Action = Literal["keep", "free"]
PROTOCOL: Final = "2007"  # no other protocol's command for it is known
BACKOFF_MIN_MS: Final = 30_000
BACKOFF_MAX_MS: Final = 3_600_000
TRIES_TO_CASE: Final = 3  # then a person has to look: whom we promised power, any other command may leave in the dark


def kept_because(policy: str, *, protected: bool) -> str:
    """Why the household's meter is to keep the power on: protected, policy, or nothing."""
    if policy == KEEP_NEVER:
        return ""
    if protected:
        return "protected"
    return "policy" if policy == KEEP_ALWAYS else ""


def may_be_taken_back(times: ProtectedTimes, now_s: int, *, stopped: bool, breaker: str, clock_sane: bool) -> bool:
    """Whether keep-power may end now. A clock in doubt may have ended a protection, and a meter may cut at once."""
    return clock_sane and not stopped and breaker == "closed" and protected_because(times, now_s) is None


def action_of(state: str) -> Action:
    """The command that brings a state about."""
    return "keep" if state == ON else "free"


def next_try_ms(tries: int, now_ms: int) -> int:
    """When a command that failed is tried again: after half a minute, doubling to an hour."""
    return now_ms + min(BACKOFF_MAX_MS, BACKOFF_MIN_MS << min(tries, 10))
