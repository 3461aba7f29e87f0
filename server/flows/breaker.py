"""The breaker's own doubts: whether now is a moment at which our figures cannot be trusted with switches."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from server.domain.breaker import CLOCK_DOUBT, PAYING_MS, SILENCE_MS, callbacks_silent, paying, plausible_candidates
from server.domain.breaker import too_many as too_many_candidates
from server.domain.supply import is_candidate
from server.store import breaker as kept
from server.store.approvals import newest_approved
from server.store.estates import get_estate
from server.store.supply import Candidate
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

ACCEPTED_MS = 24 * 3600 * 1000  # for so long two people accept an implausible number of candidates


def count_candidates(found: Sequence[Candidate], now: "Now") -> int:
    """How many households count as about to be cut."""
    return len({one.account_id for one in found if is_candidate(one.facts, now.world_s)})


def doubt(
    unit: Unit, estate_id: str, found: Sequence[Candidate], now: "Now", homes: int, *, clock_sane: bool
) -> str:  # fmt: skip
    """Why nobody of `homes` households may be cut at present, or nothing; then the day's candidates are kept.

    Two people who close the breaker accept as many candidates as there were, for a day.
    """
    if not clock_sane:
        return CLOCK_DOUBT
    connection = unit.connection
    count = count_candidates(found, now)
    zone = ZoneInfo(get_estate(connection, estate_id)["time_zone"])
    day = datetime.fromtimestamp(now.world_s, zone).date().isoformat()
    plausible = plausible_candidates(homes, kept.history(connection, estate_id, day))
    reason = "" if count <= _accepted(unit, estate_id, now) else too_many_candidates(count, plausible)
    if count and not reason:
        reason = _money_doubt(unit, estate_id, found, count, now)
    if not reason:
        kept.note_candidates(connection, estate_id, day, count)
    return reason


def _money_doubt(unit: Unit, estate_id: str, found: Sequence[Candidate], count: int, now: "Now") -> str:
    accounts = sorted({one.account_id for one in found if is_candidate(one.facts, now.world_s)})
    under_way = kept.payments_under_way(unit.connection, estate_id, accounts, now.machine_ms - PAYING_MS)
    news = kept.news_of_payments(unit.connection, estate_id, now.machine_ms - SILENCE_MS)
    return paying(count, under_way) or callbacks_silent(*news)


def _accepted(unit: Unit, estate_id: str, now: "Now") -> int:
    row = newest_approved(unit.connection, estate_id, "breaker_reset", now.machine_ms - ACCEPTED_MS)
    return 0 if row is None else int(json.loads(row["payload"]).get("candidates", 0))
