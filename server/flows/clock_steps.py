"""After the server's clock had stood ahead: readings that came later with earlier times lead to what looks like a jump.

    accepted, stamped tomorrow ----------------------------------------------- today's last one: a jump, by the stamps
        accepted, stamped rightly -> late -> late -> ... -> late (each more than the accepted one) -> plausible

A live reading is stamped by the clock of the server when it comes. One that is stamped before the accepted reading and
shows more than it came after it all the same, so the accepted one has its time from a clock that stood ahead. Its
register is true, and so is what was charged by it. Where every step from the last reading with a sound time over all of
these is plausible, the new reading goes on from there; one step that is not leaves the jump to a person.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

from sqlalchemy import Connection

from core.reading import Judged, Verdict, plausible_wh
from server.domain.readings import MeterReading
from server.domain.registers import step_wh
from server.domain.verification import Installed
from server.store import readings as kept
from server.store.readings import LiveState

AGREEING_MIN = 2  # one could be a line's mistake

Follow = Callable[[LiveState, MeterReading], bool]
"""Judges a reading after a state and, if it is accepted, moves the state to it."""


def explained(
    connection: Connection, estate_id: str, state: LiveState, item: MeterReading, follow: Follow
) -> Judged | None:
    """The verdict of a live reading that was taken for a jump, where a clock that stood ahead explains it; else None.

    Steps are in Wh of the register; the one that is charged begins at the accepted register.
    """
    late = kept.overtaken(connection, estate_id, item.meter_id, state)
    if len(late) < AGREEING_MIN:
        return None
    before = kept.true_before(connection, estate_id, item.meter_id, late[0].read_at, since=state.installed_at)
    if before is None:
        return None
    way = replace(state, usual_w=None, usual_from=None, pending_wh=None, pending_at=None)
    way.total_wh, way.at, way.rates_wh = before.total_wh, before.read_at, before.rates_wh
    if not all(follow(way, one) for one in (*late, item)):
        return None
    reason = f"{len(late)} readings stamped before the accepted one lead here: the server's clock had stood ahead"
    return Judged(Verdict.ACCEPTED, step_wh(state.total_wh, item.total_wh), item.total_wh, reason)


def stood_ahead(connection: Connection, estate_id: str, meter: Installed, begun: int, ended: int) -> bool:
    """Whether readings show that a charge from `begun` to `ended` took longer than its stamps say (epoch seconds).

    For `verify`: found again from what was read, whatever the reason of the reading says. The readings that came by its
    end have to lead there from the last true one before them and before the charge, no step above the meter's power.
    """
    newest = kept.newest_accepted(connection, estate_id, meter.meter_id, ended)
    if len(newest) < 2 or newest[0].read_at != ended:
        return False
    end, ahead = newest
    stood = LiveState(
        meter.install_no, meter.max_power_w, meter.installed_at, meter.start_wh, ahead.total_wh, None, ahead.read_at,
        ahead.received_ms, None, None,
    )  # fmt: skip
    late = kept.overtaken(connection, estate_id, meter.meter_id, stood)
    late = [one for one in late if one.received_ms <= end.received_ms and one.total_wh <= end.total_wh]
    lower = [one for one in late if one.total_wh < end.total_wh]
    return any(_leads(connection, estate_id, meter, begun, [*some, end]) for some in (late, lower))


def _leads(
    connection: Connection, estate_id: str, meter: Installed, begun: int, way: Sequence[MeterReading]
) -> bool:  # fmt: skip
    """Whether readings lead from the last true one before them and before the charge to the last of them.

    A clock that was set back once more, after that one came, leaves readings with its register or more in between.
    """
    if len(way) <= AGREEING_MIN:
        return False
    at = min(begun + 1, way[0].read_at)
    before = kept.true_before(connection, estate_id, meter.meter_id, at, since=meter.installed_at)
    return before is not None and all(
        0 <= after.total_wh - one.total_wh <= plausible_wh(after.read_at - one.read_at, meter.max_power_w)
        for one, after in pairwise((before, *way))
    )
