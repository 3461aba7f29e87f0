"""What a resident is told about the own household, in one thought: what is, since when, how much helps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server.domain.bills import Bill
from server.domain.forecast import DaysLeft
from server.domain.supply import SAFETY
from server.store.household import RelayWish
from server.store.wall import DARK, HouseholdRow, is_isolated
from server.web import words
from server.web.bill_words import when
from server.web.formats import Formats, kwh_exact, round_yuan, signed_yuan, yuan
from server.web.standing import MeterStanding, energy_today, meter_state

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
    cut_at: int | None = None, off_since: int | None = None, phone: str = "",
) -> Story:  # fmt: skip
    """The sentence for `row`; `cut_at` is the time that the last warning announced, `off_since` that of the cut."""
    if is_isolated(row):
        return Story(_isolated(row, off_since, phone, f, gettext), 0)
    helps = helpful_fen(row)
    if state == "cut":
        return Story(_cut(row, helps, off_since, f, gettext), helps)
    if state == "over":
        return Story(_over(row, helps, cut_at, f, gettext), helps)
    if state == "vlow":
        return Story(_very_low(left, f, gettext), 0)
    sentences = {
        "allow": gettext("You may switch on: hold the meter's button for 3 s."),
        "lost": gettext("The meter cannot be read; your power is not affected."),
    }
    return Story(sentences.get(state, gettext("Power is on")), 0)


@dataclass(frozen=True, slots=True)
class OwnMeter:
    """One meter of a household that has several: what it gives, the register and the energy of today."""

    row: HouseholdRow
    state: str
    said: str
    today_wh: int | None


def own_meters(meters: Sequence[MeterStanding], f: Formats, cycle_s: int, gettext: Gettext) -> list[OwnMeter]:
    """Each meter as its household is told of it; none where there is only one, of which the page itself speaks."""
    if len(meters) == 1:
        return []
    found = []
    for one in meters:
        state = meter_state(one.row, f.now_s, cycle_s)
        found.append(OwnMeter(one.row, state, _of_one(one.row, state, gettext), energy_today(one.days, f)))
    return found


def _of_one(row: HouseholdRow, state: str, gettext: Gettext) -> str:
    if is_isolated(row):
        return gettext("Off for safety") if row.cause == SAFETY else gettext("Off: tampered with")
    words = {
        "cut": gettext("Power is off"),
        "allow": gettext("Press the button"),
        "lost": gettext("Cannot be read now"),
    }
    if state == "normal" and row.relay == "closed":
        return gettext("Power is on")
    return words.get(state, gettext("Switch never read"))


def some_off(meters: Sequence[OwnMeter], gettext: Gettext) -> str:
    """How many of several meters give no power, where it is not all of them; "" else."""
    off = sum(one.row.relay in DARK for one in meters)
    if off in (0, len(meters)):
        return ""
    return gettext("Without power: %(off)d of your %(all)d meters, see below.") % {"off": off, "all": len(meters)}


def cut_since(wishes: Sequence[RelayWish]) -> int | None:
    """When the newest cut was read back; the relay itself is read again and again, which is not the time of the cut."""
    for wish in wishes:
        if wish.action == "trip":
            return next((step.world_at for step in wish.steps if step.step == "read_back"), wish.decided_at)
    return None


def _cut(row: HouseholdRow, helps_fen: int, off_since: int | None, f: Formats, gettext: Gettext) -> str:
    at = row.relay_at if off_since is None else off_since
    since = f.full(at) if at is not None else ""
    if row.cause != "arrears":
        return gettext("The power is off (%(since)s), not for arrears. Please call the office.") % {"since": since}
    if not helps_fen:
        return gettext("Cut for arrears (%(since)s). Comes back after payment, usually in 10 s.") % {"since": since}
    text = gettext("Cut for arrears (%(since)s). Comes back after payment, usually in 10 s; %(helps)s is enough.")
    return text % {"since": since, "helps": round_yuan(helps_fen)}


def _isolated(row: HouseholdRow, off_since: int | None, phone: str, f: Formats, gettext: Gettext) -> str:
    at = row.relay_at if off_since is None else off_since
    since = f.full(at) if at is not None else ""
    if row.cause == SAFETY:
        why = gettext("Switched off for your safety (%(since)s): a danger was found. It stays off until it is mended.")
    else:
        why = gettext("Switched off (%(since)s): the meter or its wires were tampered with. The office settles it.")
    call = gettext("Call the office: %(phone)s.") % {"phone": phone} if phone else gettext("Please call the office.")
    return gettext("%(first)s %(then)s") % {"first": why % {"since": since}, "then": call}


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


def bill_title(bill: Bill, f: Formats, gettext: Gettext) -> str:
    """What a bill is about: its month, its day, or the kind and time of its line."""
    name = bill.name
    if name.number is not None or name.first is None:
        line = bill.lines[0]
        return f"{gettext(words.LEDGER.get(line.booked.kind, line.booked.kind))} · {when(line, f)}"
    period = str(name).removeprefix(f"{name.account_id}:")
    return gettext("Bill of %(period)s") % {"period": f.period(period)}


def bill_story(bill: Bill, gettext: Gettext) -> str:
    """A bill in one breath: what was used and what it cost, what came in, where the balance went."""
    told = gettext("The balance went from %(before)s to %(after)s.") % {
        "before": yuan(bill.balance_before_fen), "after": yuan(bill.balance_after_fen),
    }  # fmt: skip
    if bill.other_fen:
        other = gettext("Top-ups and corrections: %(money)s.") % {"money": signed_yuan(bill.other_fen)}
        told = gettext("%(first)s %(then)s") % {"first": other, "then": told}
    if bill.energy_wh or bill.charged_fen:
        figures = {"energy": kwh_exact(bill.energy_wh), "money": yuan(bill.charged_fen)}
        used = gettext("You used %(energy)s, which cost %(money)s.") % figures
        told = gettext("%(first)s %(then)s") % {"first": used, "then": told}
    return told
