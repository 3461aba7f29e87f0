"""Why an act was refused, in the language of the page: what the flows say in English when somebody asked too much.

A sentence is known by its own text: `%(name)s` stands for what differs, and its name says what it is (`_fen` money,
`_wh` energy, `_s` a span, `rest` another sentence). `OTHERWISE` holds what a person is told in other words than a
program. `tests/server/web/test_refusal_words.py` looks for sentences of the flows that nobody translated. What the
rules of tariffs refuse stands in `tariff_refusals`.
"""

import re
from collections.abc import Callable, Mapping

from markupsafe import Markup

from server.web.bill_file_words import BILL_FILES
from server.web.check_words import ALL_CHECKS
from server.web.details import detail_said
from server.web.formats import Formats, kwh, yuan
from server.web.i18n import mark as _
from server.web.sentences import pattern_of
from server.web.tariff_refusals import tariff_refusal_said
from server.web.words import BASES, CAUSES, LEDGERS, ROLES

SENTENCES = (
    # who asks, and from where
    _("no such order, or this link is not complete"),
    _("this login has no household; staff find households on the room wall"),
    _("this account is closed; the office has its bills and receipts"),
    _("only residents pay here; the counter is for staff"),
    _("too many people are signing in at once; try again in a few seconds"),
    _("a change must come from a page of this site"),
    _("the month %(period)s is not closed, so there is no statement of it"),
    # accounts, and who lives where
    _("an account's id has up to 64 characters, and no space and none of : / ? # % &"),
    _("there is an account %(account)s already; give this one another id"),
    _("there is no room '%(room)s' in this estate"),
    _("room %(room)s has a household; move it out first"),
    _("there is no tariff '%(tariff)s' in this estate"),
    _("there is no household '%(account)s' in this estate"),
    _("there is no open household '%(account)s' in this estate"),
    _("no household in %(room)s"),
    _("no household %(account)s"),
    _("there is no household in %(rooms)s"),
    _("account %(account)s is closed"),
    _("account '%(account)s' has no meter"),
    _("there is no meter '%(meter)s' in this estate"),
    _("an account cannot be carried over to itself"),
    _(
        "%(account)s is another holder's, and more than %(limit_fen)s would go over; pay it out and book it "
        "there, with a second person"
    ),
    _("an amount of %(sum_fen)s is not possible"),
    _("an amount of %(sum_fen)s is not possible; it must be positive"),
    _("the ledger %(ledger)s has %(have_fen)s; %(wanted_fen)s cannot be paid out of it"),
    _("there are only %(have_fen)s in the ledger %(ledger)s, so %(wanted_fen)s cannot be moved"),
    _("electricity is charged from meters; book a fee in another ledger"),
    _("this account has its opening balance already; correct it by an adjustment"),
    _("credit cannot be moved to where it is"),
    _("%(rest)s; withdraw this request"),
    _("a balance was changed by somebody else at the same time; nothing was booked, try again"),
    _("a meter was charged by somebody else at the same time; nothing was booked, try again"),
    _("the meter was charged by somebody else at the same time; nothing was booked, try again"),
    _("the amount is no sum of money; write it like 100 or 99.50"),
    # moves and registers
    _("a second person must agree to what no meter has said"),
    _("give the final register of each of its meters, once: %(meters)s"),
    _("meter %(meter)s keeps no credit; give its register"),
    _("meter %(meter)s is not vacant: %(why)s"),
    _("tariff %(tariff)s charges by rates; give the base register of each rate"),
    _("meter %(meter)s was read %(age_s)s ago; read it now, or type what it shows"),
    _("the register of meter %(meter)s cannot be read; write it like 1234.56"),
    _("type what the meter shows"),
    _("no final register of meter %(meter)s was estimated for household %(account)s"),
    _("another household has this meter by now; correct the account by an adjustment instead"),
    _("say who has read it, and how"),
    _("no reading of this meter counts, so nothing can be estimated"),
    _("less than a day of this meter's use is known; nothing can be estimated from that"),
    _("meter %(meter)s is installed already, at %(room)s"),
    _("the ratio is %(ratio)s; give another one, of at least 1"),
    _("meter %(meter)s feeds no household; only those are charged, and exchanged here"),
    _("the exchange lies in the future"),
    _("give the register of each rate, or of none"),
    _(
        "meter %(meter)s cannot be charged up to %(final_wh)s: its account has no tariff, or one that needs "
        "the final register of each rate"
    ),
    _("no meter was named"),
    # readings
    _("the meter has been exchanged since; this reading belongs to what was before"),
    _("there is no reading of meter '%(meter)s' at %(time)s in this estate"),
    _("readings before and after it are accepted, and it does not lie between them: %(rest)s"),
    _(
        "%(read_wh)s or a rate of it is below the accepted register (%(accepted_wh)s): it cannot be charged; "
        "record the exchange of the meter with its final and its new register instead"
    ),
    _("an exchange goes by this reading; it cannot be taken back"),
    _("what was charged by this reading is archived; it cannot be taken back"),
    _("who was charged by this reading has moved out; correct the account by hand instead"),
    _("%(moved_fen)s would be counter-posted; more than %(limit_fen)s take a second person"),
    _("the charges have changed since this was asked; ask again"),
    _("the readings around it do not tell what to charge instead; exchange the meter"),
    # notices
    _("this notice is delivered already"),
    _("this key stood for another notice given; take a new one"),
    _("say who received it, in up to %(most)s characters"),
    # two people
    _("two people agree to this: somebody who signs in asks for it, not a key of the API"),
    _("the second person signs in: a key of the API cannot agree to anything"),
    _("there is no such request in this estate"),
    _("there is no such request waiting in this estate"),
    _("this request has been decided already"),
    _("a second person must approve; you asked for it yourself"),
    _("a second person must agree: %(rest)s"),
    _("this request has expired; ask again"),
    _("what you approve is not what was asked for; load the page again"),
    _("this key came before with another request; nothing was booked, use a new key"),
    # supply
    _("this was asked for already and waits for its second person; withdraw that first to ask anew"),
    _("cutting is not stopped"),
    _("cutting has been started again already"),
    _("the breaker is closed already"),
    _("the breaker has changed since this was asked; ask again"),
    _("the mode has changed since this was asked; ask again"),
    _("this meter was opened for %(cause)s: two people give its power back"),
    _("this meter cannot be opened from here now: %(check)s"),
    _("this meter feeds no household, or keeps its credit itself: it is switched off on site"),
    _("this meter is not open for safety or tampering"),
    _("this meter was opened anew since this was asked; ask again"),
    _("another household has this meter by now; ask again"),
    _("say what was found: the reason is kept"),
    _("say why the power may come back: the reason is kept"),
    _("the relay is closed, or permitted to close, already"),
    _("meter '%(meter)s' has no relay in this estate"),
    _("none of these households can be cut now; see the reason of each"),
    _("cutting is not armed, or stopped, or the breaker is open; nothing was started"),
    _("there is no such bulk cut under way in this estate"),
    _("there is no such bulk change under way in this estate"),
    _("the request of a bulk change under way has gone"),
    _("nothing would change; everything on the list is so already, or cannot be changed"),
    _("a list holds at most %(most)s entries"),
    _("alarm1 must be at least alarm2"),
    _("an alarm must not lie beyond the overdraft below 0.00: it would come after the cut"),
    _("close_allowed lies beyond the overdraft; power would come back and go again"),
    _("%(first)s and %(second)s belong together; give both or neither"),
    _("the protection must end after now"),
    _("this household is not protected"),
    _("an alert ends after now and within %(days)s days"),
    _("there is no such alert running in this estate"),
    _("the estate's calendar has no %(day)s"),
    _("'%(text)s' is no day; write YYYY-MM-DD"),
    _("'%(text)s' is no time; write YYYY-MM-DDThh:mm"),
    _("there is no scheme '%(scheme)s'; known: %(known)s"),
    _("a scheme needs an id and a name"),
    _("%(field)s: '%(text)s' cannot be read; write it like %(example)s"),
    _("there is no case '%(case)s' in this estate"),
    _("this case is closed already; look at its result"),
    # payments and refunds
    _("at least %(least_fen)s must be paid, not %(given_fen)s"),
    _("at most %(most_fen)s can be paid at once, not %(given_fen)s"),
    _("the balance may not rise above %(limit_fen)s; at most %(room_fen)s can be paid"),
    _("one cashier may take %(limit_fen)s a day; %(taken_fen)s were taken; hand over the till"),
    _("there is no such payment in this estate"),
    _("there is no such sale at the counter of this estate"),
    _("only your own last sale can be reversed; give the money back by a refund instead"),
    _("this sale is not of today, or part of it is consumed; give the money back by a refund"),
    _("the lines of this sale are archived; give the money back by a refund"),
    _("a refund of %(sum_fen)s is not possible; the amount must be positive"),
    _("of this payment %(left_fen)s can still be given back, not %(given_fen)s"),
    _("the account %(account)s is closed and settled; nothing is left to give back"),
    _("this refund would take other money now than when it was asked for; withdraw it and ask again"),
    _("a second person must agree: what a provider did is decided by people here"),
    _("another household for it waits for a second person already; withdraw that first"),
    _("a decision on this refund waits for its second person already; withdraw that first"),
    _("it was asked for %(tries)s times only; after %(least)s people may decide"),
    _("there is no such refund in this estate"),
    _("this payment has a household already"),
    _("this payment went back, or is on its way back; look at its refunds"),
    _("%(strays)s of %(rows)s rows are not of %(day)s; name the day of the file"),
    _("this file was the one of %(day)s before, and another one took its place"),
    _("only a payment that is missing here can be taken in"),
    _("you uploaded this file yourself; more than %(limit_fen)s of it are taken in by somebody else"),
    _("there is no such difference in this estate"),
    # meters that keep the credit
    _("no meter of this household keeps the credit itself; its balance is kept here"),
    _("nobody knows what is left in meter %(meter)s; read its credit first"),
    _(
        "meter %(meter)s has not said lately what it still has; read its credit first, or let two people "
        "decide the amount"
    ),
    _("a second person must agree to what is left in a meter that cannot be read"),
    _("%(sum_fen)s cannot be left in a meter"),
    _("meter %(meter)s keeps no credit of its own; its household's balance is kept here"),
    _("meter %(meter)s keeps no credit of its own, so nothing is set in it"),
    _("recharge %(recharge)s of meter %(meter)s is not decided yet"),
    _("say what the meter shows: its purchase count and its last purchase"),
    _("the meter is being asked just now; look again in a minute"),
    _("the meter was asked %(tries)s times only; after %(least)s a person may decide"),
    _("nothing was sent to the meter yet, so it cannot have booked it"),
    _("there is no such recharge in this estate"),
    _("a recharge of %(sum_fen)s is not possible; allowed: %(least_fen)s to %(most_fen)s"),
    _("the account has %(have_fen)s; a recharge takes no more than that"),
    _("name at least one setting"),
    # debts and shared costs
    _("a plan begins today or later; what was due before was not agreed"),
    _("household %(account)s has a plan already; end that first"),
    _("household %(account)s has no plan"),
    _("nothing is owed in these ledgers"),
    _("an instalment is 1 to %(most_fen)s, not %(given_fen)s"),
    _("the day of a month is %(days)s, not %(day)s"),
    _("the day of a week is %(days)s, not %(day)s"),
    _("a rule begins now or later; what was booked under another one stays as it is"),
    _("nobody takes part: no household has any weight by %(basis)s"),
    _("there is nothing to share"),
    _(
        "the gate meters saw %(gate_wh)s, the meters behind them %(meters_wh)s and known public meters "
        "%(known_wh)s: there is nothing left to share; look at the readings"
    ),
    _("name what is shared, in at most %(most)s characters"),
    _("a subject has no space before or after it: it would be shared beside itself"),
    _("give either an amount, or energy and its price"),
    _("energy is either given or what the gate meters lost, not both"),
    _("an amount, energy or price is out of range"),
    _("'%(text)s' is no energy; write kWh with up to two decimals"),
    _("'%(text)s' is no price; write yuan per kWh with up to eight decimals"),
    _("line %(line)s: write a room and its area in m2, such as 1-0101 88.5"),
    _("give areas of 0.01 to %(most)s m2; look at %(rooms)s"),
    _("there are no rooms %(rooms)s; no area was set"),
    _("the month %(month)s is not closed; costs are shared over closed months"),
    _("%(subject)s of %(month)s was shared otherwise already (%(sum_fen)s by %(basis)s); reverse that first"),
    _("there is no allocation '%(allocation)s' in this estate"),
    _("the gate meters %(gates)s were not read in %(month)s"),
    _("the lines of this allocation are archived; put the archive back to reverse it"),
    _("the area of %(count)s rooms is not known: %(rooms)s"),
    # closing and tariffs
    _("this period is being closed through another batch; look again"),
    _("another period was closed meanwhile; nothing was closed, look again"),
    _(
        "%(held)s readings are held and %(missing)s meters are not charged up to the end of %(period)s; "
        "settle them, or say why it is closed all the same"
    ),
    _("the lines of account %(account)s do not lead from its opening to its closing balance"),
    _(
        "account %(account)s stands at %(balance_fen)s, its lines make %(derived_fen)s: nothing is closed over wrong "
        "books; run estate645 verify"
    ),
    _("the journal does not balance by %(sum_fen)s at the end of the period"),
    _("a reason has at most %(most)s characters"),
    _("there is no such draft in this estate"),
    _("nobody is on tariff '%(tariff)s' yet; say whose energy to take: %(known)s"),
    _("simulate the draft on the last year first: who approves has to see what it changes"),
    _("tariff '%(tariff)s' has changed since this was drafted; draft it again"),
    _("a version that this draft leaves out has begun since it was drafted; draft it again"),
    _("the draft is not what was asked for; ask again"),
    _("a re-rating is about the past: give a begin before its end, and an end not later than now"),
    _("re-rating %(rerate)s shares a part of this span; give exactly its span, or none of it"),
    _("a re-rating of this tariff is under way; wait for its end"),
    _("nobody would be charged otherwise; there is nothing to correct"),
    _("this re-rating is not what was asked for any more; ask again"),
    _("a charge of this span was taken back since this was asked; ask again"),
    _("there is no such re-rating in this estate"),
    _("the rates of %(count)s households were not read (%(rooms)s); a tariff by time of use cannot charge them again"),
    *BILL_FILES,
)  # fmt: skip
OTHERWISE = tuple(
    (re.compile(pattern, re.DOTALL), text)
    for pattern, text in (
        (r"say (?:why|what was|how)\b.*", _("a reason is missing: it is kept with what is done")),
        (r"write who pays, and .+", _("write who pays")),
        (r"the account is \S+ already", _("the account pays this way already")),
        (
            r"the account is \S+; this needs it to be .+",
            _("the account is in another state by now; load its page again"),
        ),
        (r"the account cannot be closed: .+", _("something of this account is still open; its page lists it")),
        (
            r"nobody moves out while something is open: .+",
            _("something of this account is still open; its page lists it"),
        ),
        (r"the page is out of date \(CSRF .+", _("this page was open for too long; load it again")),
        (r"the role (?P<role>\S+) lacks the right [a-z.]+(?:: .+)?", _("the role %(role)s has no right to this")),
        (r"name at least one meter; .+", _("choose at least one meter")),
        (r"this reading is not held; .+|this reading does not count; .+", _("this reading has been decided already")),
        (
            r"this (?:refund|recharge) has been decided already: .+",
            _("this has been decided already; load the page again"),
        ),
        (r"this draft is \S+ already", _("this draft is under way or decided already")),
        (r"the estate is in mode \S+ already", _("the estate is in this mode already")),
        (r"from \S+ the next mode is \S+: one step at a time", _("modes change one step at a time")),
        (
            r"a correction of this register waits .+",
            _("a request for this waits for its second person already; withdraw that first"),
        ),
        (
            (
                r"the register of (?P<final_wh>\d+) Wh does not follow from the last accepted reading of "
                r"(?P<read_wh>\d+) Wh .+"
            ),
            _(
                "the register of %(final_wh)s does not follow from the last accepted reading of %(read_wh)s; if it is "
                "right, read the meter and release that reading first"
            ),
        ),
        (
            r"scheme '(?P<scheme>.+)' changes rules that are in force; .+",
            _("scheme %(scheme)s: rules in force are not changed; let the new version begin later"),
        ),
        (r"(?:household|scheme) \S+: (?P<rest>.+)", _("these rules do not go together: %(rest)s")),
        (r"a share is 0 to .+", _("a share is 0 to 100 per cent")),
        (r"name each ledger of debts once, of .+", _("name each kind of debt once")),
        (
            r"the \S+ (?P<period>\S+) has not ended yet; .+",
            _("%(period)s has not ended yet; it can be closed afterwards"),
        ),
        (
            r"the \S+ (?P<period>\S+) is closed already; .+",
            _("%(period)s is closed already, and stays as it is"),
        ),
        (
            r"the \S+ after (?P<period>\S+) comes first: (?P<next>\S+)",
            _("%(next)s comes first: the one after %(period)s, which was closed last"),
        ),
        (
            r"a version of this draft would have begun already; .+",
            _("a version of this draft would have begun already; let it begin later"),
        ),
    )
)  # fmt: skip
_FIXED = frozenset(sentence for sentence in SENTENCES if "%(" not in sentence)
_PATTERNS = tuple((pattern_of(one), one) for one in SENTENCES if "%(" in one)


def refusal_said(detail: str, f: Formats, gettext: Callable[[str], str]) -> str | None:
    """`detail` in the language of `gettext`; None for a sentence that is not known."""
    if detail in _FIXED:
        return Markup.escape(gettext(detail))
    for pattern, text in (*OTHERWISE, *_PATTERNS):
        found = pattern.fullmatch(detail)
        if found:
            parts = found.groupdict()
            said = Markup.escape(gettext(text))
            return said % _fields(parts, f, gettext) if parts else said
    if (tariff := tariff_refusal_said(detail, gettext)) is not None:
        return Markup.escape(tariff)
    known = detail_said(detail, f, gettext)
    return None if known == detail or known.startswith("<span") else known


def _fields(parts: Mapping[str, str], f: Formats, gettext: Callable[[str], str]) -> dict[str, str]:
    """Each part of a sentence as people read it."""
    said = {}
    for name, value in parts.items():
        kind = name.rpartition("_")[2]
        if kind == "fen":
            said[name] = yuan(int(value.split()[0]))
        elif kind == "wh":
            said[name] = kwh(int(value.split()[0]))
        elif name == "age_s":
            said[name] = f.span(int(value.split()[0]))
        elif name == "basis":
            said[name] = gettext(BASES.get(value, value))
        elif name == "role":
            said[name] = gettext(ROLES.get(value, value))
        elif name == "rest":
            said[name] = refusal_said(value, f, gettext) or detail_said(value, f, gettext)
        elif name == "check":
            said[name] = gettext(ALL_CHECKS[value][1] if value in ALL_CHECKS else value)
        elif name == "cause":
            said[name] = gettext(CAUSES.get(value, value))
        else:
            said[name] = gettext(LEDGERS.get(value, value)) if value else ""
    return said
