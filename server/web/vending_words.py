"""What meters that keep the credit, and their vending backend, say of a recharge: a part of `server.web.details`."""

import re
from collections.abc import Callable

from server.web.i18n import mark as _

OUTCOMES = frozenset(
    (
        _("the meter refused"), _("the meter did not answer; nothing was booked"),
        _("the vending backend did not answer"), _("the meter's status has a wrong MAC"),
        _("the meter belongs to another customer"), _("another purchase has taken this count"),
        _("the meter's count is too low for this purchase"),
        _("the meter accepted the purchase but did not book it"), _("the purchase count could not be read"),
        _("the authentication could not be ended"), _("the record of the purchase could not be read"),
        _("later purchases hide this one"), _("the meter's count went back: replaced or cleared?"),
        _("the meter now belongs to another customer"), _("the vending backend could not judge the status"),
        _("other error"), _("repeated recharge"), _("ESAM verification failed"),
        _("identity authentication failed"), _("customer number does not match"), _("wrong recharge count"),
        _("purchase exceeds the hoarding limit"), _("address or file error"),
        _("remote authentication suspended"), _("terminal close failed"), _("password setting error"),
        _("no vending backend is configured; set vending_backend"),
    )
)  # fmt: skip
PROOFS = {
    "record": _("count %(count)s, proven by the meter's record"),
    "count": _("count %(count)s, proven by the meter's count"),
}
_BOOKED = re.compile(r"count (?P<count>\d+), proven by its (?P<proof>record|count)")
_ISSUING = (
    (re.compile(r"meter \S+ did not tell its purchase count"), _("the purchase count could not be read")),
    (re.compile(r"the status of meter \S+ has a wrong MAC"), _("the meter's status has a wrong MAC")),
)


def vending_said(text: str, gettext: Callable[[str], str]) -> str | None:
    """An outcome of a recharge, or the bits of an error word with semicolons between; None for anything else."""
    if text in OUTCOMES:
        return gettext(text)
    if found := _BOOKED.fullmatch(text):
        return gettext(PROOFS[found["proof"]]) % {"count": found["count"]}
    for pattern, said in _ISSUING:
        if pattern.fullmatch(text):
            return gettext(said)
    names = text.split("; ")
    return gettext(", ").join(map(gettext, names)) if OUTCOMES.issuperset(names) else None
