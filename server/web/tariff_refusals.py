"""Why a tariff was refused, in the language of the page: the sentences of `core` and of the drafts, which are English.

A sentence opens with its place ("tariff 'x', version 2, season 1, ratios: "), which is said as well; keys stay as they
are written in the document. `tests/server/web/test_tariff_refusals.py` looks for sentences that nobody translated.
"""

import re
from collections.abc import Callable

from server.web.formats import kwh
from server.web.i18n import mark as _
from server.web.sentences import pattern_of
from server.web.tariff_names import DAY_KINDS, RATES

Gettext = Callable[[str], str]

SENTENCES = (
    # the document, its tables and keys
    _("the document has %(length)s characters; at most %(most)s are read"),
    _("the document is neither TOML nor JSON: %(why)s"),
    _("a draft is one tariff: one [[tariff]] and nothing beside it, or its keys alone"),
    _("a tariff is a table of keys, not %(value)s"),
    _("a tariff is a table of keys"),
    _('a tariff has no id; add one, such as id = "beijing-month"'),
    _("unknown key %(name)s; allowed are %(allowed)s"),
    _("give exactly one of %(keys)s, not %(given)s"),
    _("%(key)s: %(value)s is not a price in yuan/kWh: write digits with a point, like 12.34"),
    _("%(key)s: %(value)s is not a price in yuan/kWh: at most %(most)s decimals"),
    _("valid_from = %(value)s: clocks of %(zone)s skip or repeat this time; write the offset from UTC too"),
    _("valid_from = %(value)s: write a date or an instant in ISO 8601"),
    _("valid_from_s = %(value)s; give %(least)s..%(most)s seconds"),
    _("registers = %(value)s: name what T1, T2, T3 and T4 count, each another of %(known)s"),
    _("household_wh = %(value)s would lower the limits; give 0 or more"),
    _("free_quota_wh = %(value)s; give Wh, 0 for none"),
    _('%(key)s = %(value)s must be quoted text in yuan/kWh, such as "0.4883"'),
    _("%(key)s = %(value)s must be a list of integers"),
    _("%(key)s = %(value)s must be true or false"),
    _("%(key)s = %(value)s is no text; quote it"),
    _('%(key)s must be a list of text in yuan/kWh, such as ["0.05", "0.25"]'),
    _("seasons must be a list of tables with months and tier_limits_wh"),
    _("%(key)s must be a list of tables"),
    _("%(key)s %(value)s is unknown; use one of %(known)s"),
    _("%(value)s is no table of keys"),
    # prices
    _("base and ratios belong together; give both, or prices"),
    _("base x ratios.%(name)s = %(value)s has more than eight decimals of a yuan"),
    _("rate_prices_nf_per_wh holds %(count)s prices; give %(known)s"),
    _("a tier of tier_prices_nf_per_wh holds %(count)s prices, not four"),
    _("must name at least flat or peak"),
    _(
        "%(rates)s is counted by no register: T1 to T4 count %(known)s; say it with registers, such as "
        '["deep", "peak", "flat", "valley"]'
    ),
    _("registers of its own without prices; say what each rate costs in this season"),
    _(
        "it has prices of its own, and the version says its tiers as tier_prices; give the season its tier_prices "
        "too, or the version tier_steps"
    ),
    _("registers %(value)s; name four of sharp, peak, flat, valley and deep, each once, for a tariff of kind 'tou'"),
    _("a single price with several rates; give one price and no periods, or kind 'tou'"),
    _("prices and tier steps must be integers, four prices; use nanofen per Wh"),
    _("a price of %(price)s nanofen/Wh; prices cannot be negative"),
    _("levies of %(value)s nanofen/Wh in a price of %(price)s; prices contain the levies, so none is below them"),
    _(
        "the dearest price with all tier steps is %(price)s nanofen/Wh; at most %(most)s (21.47 yuan/kWh) can be "
        "charged exactly"
    ),
    _("prices must be 0..%(most)s nanofen/Wh"),
    _(
        "%(price)s yuan/kWh (tier %(tier)s, %(rate)s) is over the estate's price cap of %(cap)s; lower the price, or "
        "the cap of the price authority in the estate file (price_cap) if it has changed"
    ),
    _(
        "%(price)s yuan/kWh (tier %(tier)s) is over the estate's price cap of %(cap)s; lower the price, or the cap of "
        "the price authority in the estate file (price_cap) if it has changed"
    ),
    # tiers and the free quota
    _(
        "tier_period is %(period)s with %(tiers)s tier steps; tiers need a month or year to count over, and no tiers "
        "need 'none'"
    ),
    _("tier_period_start %(value)s of a month; use a day 1..%(most)s"),
    _("tier_period_start %(value)s of a year; use a day of every year as 'MMDD', such as '0101'"),
    _("settlement_day %(value)s; use a day 1..%(most)s"),
    _("both tier steps and tier prices; give one of them"),
    _(
        "tier prices by rate, kind %(kind)s, order_rule %(rule)s; use kind 'tou' and the order_rule of the price list, "
        "proportional or chronological"
    ),
    _("tier prices must be integers, four in each tier; use nanofen per Wh"),
    _("tier prices %(value)s; prices are 0..%(most)s nanofen/Wh"),
    _("%(limits)s tier limits for %(tiers)s tier steps; each limit has its step"),
    _("%(limits)s tier limits: give every rate %(tiers)s prices"),
    _("%(count)s tier steps; at most %(most)s are possible"),
    _("tier limits %(value)s; limits are positive integers of Wh"),
    _("tier limits %(value)s must be positive"),
    _("tier limits %(value)s do not ascend; list them from the lowest"),
    _("tier %(tier)s costs %(price)s nanofen/Wh; no tier may be negative"),
    _("a free quota with several rates; no rule says which rate it frees: use a single price"),
    _(
        "a free quota with tier_period %(period)s and %(tiers)s tier steps; it counts by the month, beside at most "
        "%(most)s tier steps"
    ),
    _("a free quota of %(quota_wh)s beyond the first limit; at most %(most_wh)s fit"),
    _("a free quota of %(quota_wh)s before a limit of %(limit_wh)s; together at most %(most_wh)s can be counted"),
    # seasons, versions and when they begin
    _("the seasons name the months %(months)s; name each month 1..12 exactly once"),
    _("it has no version; add at least one"),
    _("version %(number)s does not start after version %(before)s; list the versions by ascending start"),
    _("unknown time zone %(zone)s; use an IANA name such as Asia/Shanghai"),
    _("its time zone is %(zone)s and cannot change"),
    _(
        "it says a version that has begun otherwise, or one that begins in the past; leave begun versions out, and "
        "let new ones begin later than now"
    ),
    _("it says nothing that is not in force or planned already"),
    _("a period or season of the year %(year)s is beyond the calendar; ask for an earlier instant"),
    _(
        "no version is in force at %(time)s; the first one starts later: give it an earlier start or add a version"
    ),
    _(
        "the file changes a version that two people have published; draft the change and publish it, or leave the "
        "version out of the file"
    ),
    # windows of the day
    _("%(value)s is no time of the day; write \"08:00\" to \"24:00\""),
    _("rate %(rate)s of a period; rates are %(known)s"),
    _("rate %(rate)s of %(key)s; use %(known)s"),
    _("a period of the rate %(rate)s, which no register counts (%(known)s); name it in registers, or use one of these"),
    _("the periods leave or share minute %(minute)s of the day; cover 00:00 to 24:00 without gap or overlap"),
    _("the periods end at minute %(minute)s; cover 00:00 to 24:00"),
    _("%(count)s periods in a day; a meter's day table holds at most %(most)s"),
    _("windows of %(kinds)s without those of a workday; give periods too"),
    _("a season lists no periods while another does; list those of all seasons or of none"),
    _("%(count)s different days of windows; a meter keeps at most %(most)s day tables, so let some be the same"),
    _("this TOU version lists no periods; add them, or ask the meter for its schedule"),
)  # fmt: skip
PLACE, PLACE_ALONE = _("%(place)s: %(rest)s"), _("%(place)s %(rest)s")
TARIFF, VERSION = _("tariff '%(tariff)s'"), _("tariff version")
STEPS = (
    (r"version (?P<number>\d+)", _("version %(number)s")),
    (r"version from (?P<day>[\d-]+)", _("version from %(day)s")),
    (r"season (?P<number>\d+)", _("season %(number)s")),
    (r"ratios", _("ratios")),
    (r"prices", _("prices")),
    (r"periods", _("windows of workdays")),
    (r"weekend(?:_periods)?", _("windows of weekends")),
    (r"holiday(?:_periods)?", _("windows of statutory holidays")),
)
_STEP = re.sub(r"\?P<\w+>", "?:", "|".join(form for form, _text in STEPS))
_ID = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|.+?"""
_PLACED = re.compile(
    rf"tariff (?:version|(?P<tariff>{_ID}))(?P<steps>(?:, (?:{_STEP})|: prices(?=: | must ))*)"
    r"(?P<colon>: | (?=must ))(?P<rest>.+)",
    re.DOTALL,
)
_PATTERNS = tuple((pattern_of(one), one) for one in SENTENCES)


def tariff_refusal_said(detail: str, gettext: Gettext) -> str | None:
    """`detail` in the language of `gettext`, as plain text; None for what is no refusal of a tariff that is known."""
    placed = _PLACED.fullmatch(detail)
    if placed is None:
        return _sentence(detail, gettext)
    rest = _sentence(placed["rest"], gettext)
    if rest is None:
        return None
    joined = gettext(PLACE if placed["colon"] == ": " else PLACE_ALONE)
    return joined % {"place": _place(placed["tariff"], placed["steps"], gettext), "rest": rest}


def _place(tariff: str | None, steps: str, gettext: Gettext) -> str:
    """Where in a document it is: tariff, version, season, key."""
    name = tariff or ""
    if len(name) > 1 and name[0] in "'\"" and name[0] == name[-1]:
        name = name[1:-1]
    said = [gettext(VERSION) if tariff is None else gettext(TARIFF) % {"tariff": name}]
    for step in re.split(r", |: ", steps)[1:]:
        found = ((re.fullmatch(form, step), text) for form, text in STEPS)
        said += [gettext(text) % match.groupdict() for match, text in found if match]
    return gettext(_(", ")).join(said)


def _sentence(detail: str, gettext: Gettext) -> str | None:
    for pattern, text in _PATTERNS:
        if (found := pattern.fullmatch(detail)) is not None:
            fields = {name: _field(name, value, gettext) for name, value in found.groupdict().items()}
            return gettext(text) % fields if fields else gettext(text)
    return None


def _field(name: str, value: str, gettext: Gettext) -> str:
    if name.endswith("_wh"):
        return kwh(int(value.split(maxsplit=1)[0]))
    if name == "rate":
        return gettext(RATES.get(value, value))
    if name == "kinds":
        return gettext(_(" and ")).join(gettext(DAY_KINDS.get(kind, kind)) for kind in value.split(" and "))
    return gettext(_("none")) if value == "none" else value
