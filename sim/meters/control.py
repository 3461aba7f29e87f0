"""Command 1CH at the meter: who may order it, until when, and what the relay does about it.

PA P0..P2, operator, action, parameter, deadline. The deadline is the last second of the meter's own clock; an
impossible date never lives (one vendor ignores zeros). A plain password may not order everything everywhere. Trips with
auto-restore close by themselves after so many times five minutes.
"""

from typing import TYPE_CHECKING

from core.dlt645.commands import RelayAction
from core.dlt645.values import decode_datetime
from core.errors import ValueFormatError
from sim.meters import prepaid
from sim.meters.commands import operator_of
from sim.meters.passwords import check_password
from sim.meters.refusal import (
    DEADLINE_INVALID,
    ERR_OTHER,
    ERR_PASSWORD,
    RESTORE_KEPT,
    RESTORE_TIME_INVALID,
    RESTORE_TRIPPED,
    TRIP_KEPT,
    RefusedError,
)
from sim.meters.sealed import obey_sealed
from sim.timing.spans import MINUTE_MS

if TYPE_CHECKING:
    from sim.meters import Meter

RELAY_BYTES, SEALED_BYTES = 16, 28
RESTORE_UNIT_MS = 5 * MINUTE_MS
RESTORING = (RelayAction.TRIP_AND_RESTORE, RelayAction.TRIP_AND_RESTORE_1E)
CLOSING = (RelayAction.ALLOW_CLOSE, RelayAction.CLOSE)


def obey_control(meter: "Meter", data: bytes, at_ms: int) -> tuple[int, bytes]:
    """Do what 1CH orders, or refuse it."""
    if len(data) == SEALED_BYTES:
        return obey_sealed(meter, data, lambda order, operator: _carry_out(meter, order, operator, at_ms))
    if len(data) != RELAY_BYTES:
        raise RefusedError(ERR_OTHER)
    check_password(meter, data[:4], at_ms)
    action = data[8]
    if meter.profile.plain_actions is not None and action not in meter.profile.plain_actions:
        raise RefusedError(ERR_PASSWORD)
    _carry_out(meter, data[8:], operator_of(data), at_ms)
    return 0, b""


def _carry_out(meter: "Meter", order: bytes, operator: str, at_ms: int) -> None:
    """N1, N2 and the deadline."""
    check_deadline(meter, order[2:8], at_ms)
    obey(meter, order[0], order[1], operator, at_ms)


def check_deadline(meter: "Meter", field: bytes, at_ms: int) -> None:
    """The command lives until the meter's own clock passes the deadline."""
    if meter.profile.zero_deadline and not any(field):
        return
    try:
        deadline = decode_datetime(field)
    except ValueFormatError as bad:
        raise RefusedError(ERR_PASSWORD, DEADLINE_INVALID) from bad
    if meter.civil(at_ms).replace(microsecond=0) > deadline:
        raise RefusedError(ERR_PASSWORD, DEADLINE_INVALID)


def obey(meter: "Meter", action: int, parameter: int, operator: str, at_ms: int) -> None:
    """Move the relay, or refuse with ERR 01: no relay, keep-power, an action that it does not know."""
    if not meter.has_relay:
        raise RefusedError(ERR_OTHER)
    if operator != meter.notes.operator:
        meter.own().operator = operator
    if action == RelayAction.TRIP or action in RESTORING:
        _trip(meter, action, parameter, at_ms)
    elif action in CLOSING and prepaid.holds_open(meter):
        return  # accepted, and debt keeps it open
    elif action == RelayAction.ALLOW_CLOSE:
        meter.allow_close(at_ms)
    elif action == RelayAction.CLOSE:
        meter.close(at_ms)
    elif action in (RelayAction.ALARM_ON, RelayAction.ALARM_OFF):
        meter.relay.alarm = action == RelayAction.ALARM_ON
    elif action in (RelayAction.KEEP_POWER, RelayAction.CANCEL_KEEP_POWER):
        meter.keep_power(at_ms, action == RelayAction.KEEP_POWER)
        if meter.notes.account is not None:
            meter.run_credit(at_ms)
    else:
        raise RefusedError(ERR_OTHER)


def _trip(meter: "Meter", action: int, parameter: int, at_ms: int) -> None:
    restoring = action in RESTORING
    if restoring and (parameter == 0 or meter.relay.shown_open):
        raise RefusedError(ERR_OTHER, RESTORE_TRIPPED if parameter else RESTORE_TIME_INVALID)
    restore_ms = at_ms + parameter * RESTORE_UNIT_MS if restoring else None
    if not meter.trip(at_ms, restore_ms):
        raise RefusedError(ERR_OTHER, RESTORE_KEPT if restoring else TRIP_KEPT)
