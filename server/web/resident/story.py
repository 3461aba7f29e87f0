"""What a resident is told about the own household, in one thought: what is, since when, how much helps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server.domain.forecast import DaysLeft
from server.store.household import RelayWish
from server.store.wall import HouseholdRow
from server.web.formats import Formats, round_yuan, yuan

ROUND_FEN = 1000  # what helps is told in whole tens of yuan
Gettext = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Story:
    """The state's sentence, and the smallest round payment that mends it (0 where none is needed)."""

    sentence: str
    helps_fen: int


def helpful_fen(row: HouseholdRow) -> int:
    """The smallest whole ten yuan that lifts the balance above the level at which power may come back."""
    missing = row.close_allowed_fen - row.balance_fen + 1
    return max(ROUND_FEN, -(-missing // ROUND_FEN) * ROUND_FEN) if missing > 0 else 0


def story_of(
    row: HouseholdRow, state: str, left: DaysLeft | None, f: Formats, gettext: Gettext,
    cut_at: int | None = None, off_since: int | None = None,
) -> Story:  # fmt: skip
    """The sentence for `row`; `cut_at` is the time that the last warning announced, `off_since` that of the cut."""
    helps = helpful_fen(row)
    if state == "cut":
        return Story(_cut(row, off_since, f, gettext), helps)
    if state == "over":
        return Story(_over(row, helps, cut_at, f, gettext), helps)
    if state == "vlow":
        return Story(_very_low(left, f, gettext), 0)
    sentences = {
        "allow": gettext("You may switch on: hold the meter's button for 3 s."),
        "lost": gettext("The meter cannot be read; your power is not affected."),
    }
    return Story(sentences.get(state, gettext("Power is on")), 0)


def cut_since(wishes: Sequence[RelayWish]) -> int | None:
    """When the newest cut was read back; the relay itself is read again and again, which is not the time of the cut."""
    for wish in wishes:
        if wish.action == "trip":
            return next((step.world_at for step in wish.steps if step.step == "read_back"), wish.decided_at)
    return None


def _cut(row: HouseholdRow, off_since: int | None, f: Formats, gettext: Gettext) -> str:
    at = row.relay_at if off_since is None else off_since
    since = f.full(at) if at is not None else ""
    if row.cause != "arrears":
        return gettext("The power is off (%(since)s), not for arrears. Please call the office.") % {"since": since}
    return gettext("Cut for arrears (%(since)s). Comes back after payment, usually in 10 s.") % {"since": since}


def _over(row: HouseholdRow, helps_fen: int, cut_at: int | None, f: Formats, gettext: Gettext) -> str:
    if row.protected:
        return gettext("Protected: never cut for arrears.")
    figures = {"amount": yuan(max(0, -row.balance_fen)), "helps": round_yuan(helps_fen)}
    if cut_at is None:
        return gettext("Overdrawn by %(amount)s. Paying %(helps)s prevents a cut.") % figures
    text = gettext("Overdrawn by %(amount)s; power may be cut from %(when)s. Paying %(helps)s prevents it.")
    return text % {**figures, "when": f.full(cut_at)}


def _very_low(left: DaysLeft | None, f: Formats, gettext: Gettext) -> str:
    if left is None:
        return gettext("Please top up soon.")
    return gettext("About %(days)s left, please top up soon.") % {"days": f.days(left.days)}
