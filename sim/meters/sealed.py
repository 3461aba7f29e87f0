"""Command 1CH at password level 98: action and deadline sealed, for vendors whose plain passwords only close.

The seal is a dummy of ours, as that of `core.vending`: the key is public and no real meter has it. Behind the operator
come N1, N2 and the deadline, eight zeros, and four bytes of tag "control" over these sixteen. With P2 = 01 the meter
says in a word of two bytes what it does (9CH) or why it does not (DCH); otherwise it answers as to a plain command.
"""

import hmac
from typing import TYPE_CHECKING

from core.dlt645.commands import RelayAction
from core.dlt645.frame import ABNORMAL_BIT
from core.vending.dummy import factor_of, tag
from sim.meters.commands import operator_of
from sim.meters.refusal import ERR_PASSWORD, MAC_WRONG, NOT_ALLOWED, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.meters import Meter

SEALED_AT, PLAIN_BYTES, ORDER_BYTES = 8, 16, 8
SEALED_LEVEL = 0x98
WORD_WANTED = 0x01
EXECUTED: dict[int, int] = {
    RelayAction.CLOSE: 0, RelayAction.ALLOW_CLOSE: 1, RelayAction.TRIP: 2, RelayAction.KEEP_POWER: 8,
    RelayAction.CANCEL_KEEP_POWER: 9, RelayAction.ALARM_ON: 10, RelayAction.ALARM_OFF: 11,
}  # fmt: skip
DELAYED, RESTORING_BIT = 3, 4


def seal(address: str, order: bytes) -> bytes:
    """What follows the operator: an order of eight bytes (N1, N2, deadline) under the public key."""
    plain = order.ljust(PLAIN_BYTES, b"\0")
    return plain + tag(factor_of(address), "control", plain)


def obey_sealed(meter: "Meter", data: bytes, carry_out: "Callable[[bytes, str], None]") -> tuple[int, bytes]:
    """Judge the seal and let `carry_out(order, operator)` do the rest."""
    wants_word = data[3] == WORD_WANTED
    delayed = bool(meter.trip_delay_min)
    try:
        order = _opened(meter, data)
        carry_out(order, operator_of(data))
    except RefusedError as refused:
        if not wants_word:
            raise
        return ABNORMAL_BIT, refused.word.to_bytes(2, "little")
    bit = DELAYED if order[0] == RelayAction.TRIP and delayed else EXECUTED.get(order[0], RESTORING_BIT)
    return 0, (1 << bit).to_bytes(2, "little") if wants_word else b""


def _opened(meter: "Meter", data: bytes) -> bytes:
    """The order inside, or why nobody may give it."""
    if not meter.profile.sealed_control or data[0] != SEALED_LEVEL:
        raise RefusedError(ERR_PASSWORD, NOT_ALLOWED)
    sealed = data[SEALED_AT:]
    if not hmac.compare_digest(seal(meter.address, sealed[:ORDER_BYTES]), sealed):
        raise RefusedError(ERR_PASSWORD, MAC_WRONG)
    return sealed[:ORDER_BYTES]
