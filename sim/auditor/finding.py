"""What an audit finds: one difference between what a head-end says and what was so, in words with numbers."""

from dataclasses import dataclass

MISSING_READING, WRONG_READING, WRONG_HOLD = "missing reading", "wrong reading", "wrong hold"
CHARGE, RELAY = "charge", "relay state"
MISSED_ALARM, LATE_ALARM, FALSE_ALARM = "missed alarm", "late alarm", "false alarm"


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` is its class, `where` the meter, main meter or bus, `at_s` world epoch seconds."""

    what: str
    where: str
    at_s: float
    why: str
