"""What people are told while the server's own clock is in doubt: why, what is held, and what to do."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection

from server.domain.clock_doubt import ahead_s
from server.store.cases import live_evidence
from server.web.formats import Formats
from server.web.i18n import mark as _

CLOCK_DOUBTS = {
    "meters": _("the clocks of most meters agree, and not with the server's"),
    "jumped": _("it jumped"),
    "behind": _("it is before what was written last"),
    "ahead": _("readings have times that are still to come"),
}
_HELD = _(
    "Meanwhile readings are held, nothing is charged and nobody is cut off; what is used is charged once the clock is "
    "right."
)
_SET = _(
    "Set the server's clock (timedatectl set-ntp true, or chrony); charging goes on by itself, no restart is needed, "
    "cutting once two people have closed the breaker. If the server is right, keep its clock by NTP and set the "
    "meters'."
)
_DISTRUSTED = (
    _(
        "Nobody is cut off until it is back where it was, the clocks of the meters agree with it, or the server is "
        "started again."
    ),
    _("See that NTP keeps it (timedatectl set-ntp true, or chrony); if it is wrong, set it."),
)
_HELD_AND_MENDED = {  # by doubt: what is held meanwhile, and what a person can do
    "meters": (_HELD, _SET),
    "jumped": _DISTRUSTED,
    "behind": _DISTRUSTED,
    "ahead": (
        _("What was charged by them could not be taken back by itself, and these meters are charged no further."),
        _("Correct their households by hand, and exchange each meter for itself with the register that it shows."),
    ),
}


class ClockSaid(NamedTuple):
    """A doubt in words."""

    title: str
    held: str
    todo: str
    ahead: bool


def clock_said(evidence: Mapping[str, Any], f: Formats) -> ClockSaid:
    """The words for what a case of kind `server_clock` holds."""
    reason = str(evidence.get("doubt", ""))
    off_s = ahead_s(evidence)
    if reason == "ahead":
        title = f.said(_("%(count)s meters were charged by times that are still to come")) % {
            "count": evidence.get("meters_ahead", 0)
        }
    elif reason == "meters":
        text = _("The server's clock is %(span)s ahead of the meters'") if off_s > 0 else _(
            "The server's clock is %(span)s behind the meters'"
        )  # fmt: skip
        title = f.said(text) % {"span": f.span(abs(off_s))}
    else:
        title = f.said(_("The server's clock is in doubt: %(why)s")) % {"why": f.said(CLOCK_DOUBTS.get(reason, reason))}
    held, mended = _HELD_AND_MENDED.get(reason, (_HELD, _SET))
    return ClockSaid(title, f.said(held), f.said(mended), reason == "ahead")


def clock_of(connection: Connection, estate_id: str, f: Formats) -> ClockSaid | None:
    """What is to be said now; None while there is no doubt."""
    found = live_evidence(connection, estate_id)
    return None if found is None else clock_said(json.loads(found), f)
