"""What a gateway for messages says of a notice afterwards."""

from dataclasses import dataclass

DELIVERED = "delivered"
FAILED = "failed"
STATES = (DELIVERED, FAILED)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A verified receipt: `state` is one of STATES, `reason` the gateway's own words where it failed."""

    notice_id: str
    state: str
    reason: str = ""
