"""Who would be cut now, what holds the power of the others who owe, and what a person can do about it.

Households that owe nothing are counted and not listed: there is nothing to decide. What holds everybody (a switch of
the estate, a protected time) is said once. All others stand under the check of their own that says why.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from server.web.i18n import mark as _
from server.web.operator.decisions import Check, Verdict, telling

Gettext = Callable[[str], str]
JUDGED_MAX = 500  # households that owe, judged for one page; the list of all goes on
SHOWN = 12  # households of one group before the rest is a link
LASTING = frozenset({"prepaid", "not_protected", "no_keep_power"})  # nobody has anything to do about it
FOR_ALL = frozenset({"armed", "not_stopped", "breaker_closed", "clock_sane", "allowed_time"})
ACTS = {  # check: (what to do where it says no, the page where it is done)
    "account_normal": (_("Look at the account: it is paused or being closed."), "/accounts"),
    "prepaid": (_("Nothing to do: such a household is never cut for money."), ""),
    "not_protected": (_("Nothing to do as long as the protection lasts."), ""),
    "notice_delivered": (_("Ends by itself."), ""),
    "notice_missing": (
        _(
            "It waits for the end of quiet hours, and for the gateway. If it stays so: tell the household, and note it "
            "as given by hand."
        ),
        "/notices",
    ),
    "final_notice": (_("Ends by itself."), ""),
    "reading_fresh": (_("The next reading mends it. If it stays: look at the line."), "/buses"),
    "readings_agree": (_("The next reading mends it. Held readings: release or void them."), "/readings"),
    "relay_known_closed": (_("The next status read mends it. If it stays: look at the line."), "/buses"),
    "no_keep_power": (_("The meter refuses every cut. What was set on site is ended on site."), ""),
    "clock_sane": (_("Set the clock right, then start the server again."), ""),
    "allowed_time": (_("Ends by itself."), ""),
    "armed": (_("Only people arm it, two of them."), "/supply"),
    "not_stopped": (_("Starting again takes two people."), "/supply"),
    "breaker_closed": (_("Find out why it opened; two people close it."), "/supply"),
    "bus_limit": (_("Ends by itself: two a minute on each bus."), ""),
    "hour_limit": (_("They wait until two people have looked."), "/supply"),
    "day_limit": (_("They wait until two people have looked."), "/supply"),
    "system_limit": (_("Ends by itself."), ""),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """A check that says no, what to do about it, and where ("" where nowhere)."""

    name: str
    word: str
    waiting: bool
    detail: str
    act: str
    href: str

    @property
    def lasting(self) -> bool:
        """Whether it is meant to hold."""
        return self.name in LASTING


@dataclass(frozen=True, slots=True)
class Group:
    """Households under one reason; None: nothing of their own holds them."""

    reason: Reason | None
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class Holds:
    """`everywhere` holds all who owe; `groups` begin with those who are cut, or would be but for that."""

    everywhere: tuple[Reason, ...]
    groups: tuple[Group, ...]
    cut: int
    held: int


def holds_of(verdicts: Sequence[Verdict], gettext: Gettext) -> Holds:
    """Group those who owe."""
    common = _common(verdicts)
    groups: dict[str, list[Verdict]] = {}
    reasons: dict[str, Reason] = {}
    for one in verdicts:
        own = telling([check for check in one.checks if check.name not in common])
        word = own.word if own is not None else ""
        groups.setdefault(word, []).append(one)
        if own is not None and word not in reasons:
            reasons[word] = _reason(own, gettext)
    everywhere = tuple(_reason(check, gettext) for check in _for_all(verdicts, common, gettext))
    found = [Group(reasons.get(word), tuple(members)) for word, members in groups.items()]
    found.sort(key=_urgency)
    cut = sum(one.allowed for one in verdicts)
    return Holds(everywhere, tuple(found), cut, len(verdicts) - cut)


def _for_all(verdicts: Sequence[Verdict], common: frozenset[str], gettext: Gettext) -> list[Check]:
    """Each check that says no to everybody, with every detail that it has: an alert may not be what holds them all."""
    found = []
    for name in (check.name for check in (verdicts[0].checks if verdicts else ()) if check.name in common):
        checks = [check for one in verdicts for check in one.checks if check.name == name]
        details = dict.fromkeys(check.detail for check in checks if check.detail)
        found.append(replace(checks[0], detail=gettext(", ").join(details)))
    return found


def _common(verdicts: Sequence[Verdict]) -> frozenset[str]:
    """Checks about the estate that say no to everybody."""
    failed = [{check.name for check in one.checks if not check.passed} for one in verdicts]
    return frozenset(FOR_ALL.intersection(*failed)) if failed else frozenset()


def _reason(check: Check, gettext: Gettext) -> Reason:
    missing = check.name == "notice_delivered" and not check.detail  # where it runs there are figures
    act, href = ACTS.get("notice_missing" if missing else check.name, ("", ""))
    return Reason(check.name, check.word, check.waiting, check.detail, gettext(act) if act else "", href)


def _urgency(group: Group) -> tuple[int, int]:
    """First who is cut, then what people mend, what time mends, and what is to last; the larger group first."""
    why = group.reason
    rank = 0 if why is None else 3 if why.lasting else 2 if why.waiting else 1
    return rank, -len(group.verdicts)
