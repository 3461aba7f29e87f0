"""Bulk changes of rules: what may be done to many households, or to many days, at once.

A change is a list with what each entry has now and is to have, so that the second person sees it all, and so that an
entry which has changed meanwhile is left alone.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final, NamedTuple

from server.domain.schemes import KEEP_POLICIES

SCHEME: Final = "scheme"
PROTECT: Final = "protect"
UNPROTECT: Final = "unprotect"
KEEP: Final = "keep_power"
DAYS: Final = "days"
ACTS: Final = (SCHEME, PROTECT, UNPROTECT, KEEP, DAYS)
DAY_KINDS: Final = ("off", "work", "drop")  # drop: the statutory calendar holds again
CHUNK: Final = 20  # entries of one unit: a payment never waits long behind a bulk change


TERMS: Mapping[str, tuple[str, ...]] = {
    SCHEME: ("scheme_id",), PROTECT: ("until_at",), UNPROTECT: (), KEEP: ("policy",), DAYS: ("days", "kind", "name"),
}  # fmt: skip


class Entry(NamedTuple):
    """One household or day: what it has now and is to have; `because` says why it is left out."""

    subject: str
    room: str
    before: str
    after: str
    because: str = ""

    def as_json(self) -> dict[str, str]:
        """For the list that is approved."""
        kept = {"account": self.subject, "room": self.room, "before": self.before}
        return kept | ({"because": self.because} if self.because else {"after": self.after})


def terms_of(act: str, terms: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be done, checked as far as it can be without the estate; ValueError says what is wrong."""
    if act not in ACTS:
        raise ValueError(f"a bulk change is one of {', '.join(ACTS)}")
    found = {name: terms.get(name) for name in TERMS[act]}
    if act == PROTECT and not isinstance(found["until_at"], int):
        raise ValueError("a protection needs an end")
    if act == KEEP and found["policy"] not in (*KEEP_POLICIES, ""):
        raise ValueError(f"keep_power is one of {', '.join(KEEP_POLICIES)}, or empty: as its scheme says")
    if act == DAYS:
        if found["kind"] not in DAY_KINDS:
            raise ValueError(f"a day is one of {', '.join(DAY_KINDS)}")
        found["days"] = sorted({date.fromisoformat(day).isoformat() for day in found["days"] or ()})
        found["name"] = str(found["name"] or "").strip()
    return found
