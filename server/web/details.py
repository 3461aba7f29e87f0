"""Technical details in words: what lines, meters and judges noted down, said in the language of the page.

Details are stored as short English sentences with figures. Each known sentence is taken apart and said again; what
follows a colon is looked up in turn. A sentence that nobody foresaw is shown as it stands, marked as English.
"""

import re
from collections.abc import Callable, Mapping
from html import unescape

from markupsafe import Markup

from server.web import meter_words
from server.web.formats import Formats, kwh, yuan
from server.web.i18n import mark as _
from server.web.port_words import port_said
from server.web.vending_words import vending_said

Gettext = Callable[[str], str]
FIXED = {
    "its rates came with another answer of that time": _("its rates came with another answer of that time"),
    "the mode has changed since this was asked; ask again": _("the mode has changed since this was asked; ask again"),
    "cutting has been started again already": _("cutting has been started again already"),
    "the breaker has changed since this was asked; ask again": _(
        "the breaker has changed since this was asked; ask again"
    ),
    "the meter has accepted; the relay is read back": _("the meter has answered; the relay is read back"),
    "the meter has no status word: the relay's state is unknown": _("the meter has no status word; relay unknown"),
    "a newer wish exists": _("a newer wish exists"),
    "a newer wish exists, or something now speaks against a cut": _(
        "a newer wish exists, or something now speaks against a cut"
    ),
    "the wish to trip is too old": _("the wish to cut is too old"),
    "somebody else has opened the relay": _("somebody else has opened the relay"),
    "the meter's clock cannot be read": _("the meter's clock cannot be read"),
    "meters of DL/T 645-1997 have no relay command": _("meters of DL/T 645-1997 have no relay command"),
    "a Modbus command has no deadline; set trips_without_deadline of the estate to send it all the same": _(
        "a Modbus command has no deadline; trips_without_deadline of the estate would allow it"
    ),
    "no register of a Modbus meter is known that keeps the power on": _(
        "no register of a Modbus meter is known that keeps the power on"
    ),
    "forward within the meter's power": _("forward within the meter's power"),
    "the same reading again": _("the same reading again"),
    "no key is configured; set meter_keys": _("no key is configured (setting meter_keys)"),
    "it was changed in the database; import it again": _("it was changed in the database; import it again"),
    "late, with nothing to compare it with": _("late, with nothing to compare it with"),
    "charged by the meter itself": _("charged by the meter itself"),
    "the meter does not tell it": _("the meter does not tell it"),
    "no reason given": _("no reason given"),
    "taken in": _("taken in"),
    "paid what was owed": _("paid what was owed"),
    "other error": _("other error"),
    "no such data": _("no such data"),
    "wrong password or not authorised": _("wrong password or not authorised"),
    "baud rate cannot be changed": _("baud rate cannot be changed"),
    "too many zones of the year": _("too many zones of the year"),
    "too many slots of the day": _("too many slots of the day"),
    "too many rates": _("too many rates"),
    "the clock is in doubt": _("the clock is in doubt"),
    "the file of signed heads is gone": _("the file of signed heads is gone"),
    "the file of signed heads was cut": _("heads are missing from the file of signed heads"),
    "the file of signed heads was edited": _("the file of signed heads was edited, or is of another key"),
    "the journal is not the one that was signed": _(
        "the journal is not the one that was signed: after a restore, move the old file of signed heads away; "
        "otherwise find out who wrote to the database"
    ),
    "the estate's switches": _("cutting was switched off"),
    "the collector is stopping": _("reading is being stopped"),
    "the provider is at it": _("the provider is at it"),
    "told by the provider": _("told by the provider"),
    "refused by the provider": _("refused by the provider"),
    "no receipt came": _("no receipt came"),
    "the household has no phone number": _("the household has no phone number"),
    "no message gateway is set up": _("no message gateway is set up"),
    "the message gateway takes messages again": _("the message gateway takes messages again"),
    "no message gateway is set up any more": _("no message gateway is set up any more"),
    "the balance is above the limit again": _("the balance is above the limit again"),
    "the account is not in normal prepaid service any more": _("the account is not in normal prepaid service any more"),
    "the household is protected by now": _("the household is protected by now"),
    "a newer or graver notice has followed": _("a newer or graver notice has followed"),
    "it was given to the household by hand": _("it was given to the household by hand"),
    "cash goes back alone only on the day of the sale and by its cashier": _(
        "cash goes back alone only on the day of the sale and by its cashier"
    ),
}
POSITIONS = {"open": _("open"), "closed": _("closed")}
_ESTIMATED = r"estimated: (?P<wh>\d+) Wh in (?P<age_s>\d+) s without readings, "
_AS_BEFORE = r"as (?P<used_wh>\d+) Wh in the (?P<span_s>\d+) s before"
PATTERNS = tuple(
    (re.compile(pattern, re.DOTALL), text)
    for pattern, text in (
        (
            r"status (?P<word>[0-9A-F]{4}): relay (?P<relay>\w+), command (?P<command>\w+)",
            _("status word %(word)s: relay %(relay)s, command %(command)s"),
        ),
        (
            r"status (?P<word>[0-9A-F]{4}): relay (?P<relay>\w+), command (?P<command>\w+), keeps the power on",
            _("status word %(word)s: relay %(relay)s, command %(command)s, keeps the power on"),
        ),
        (
            r"(?:trip|allow|close|keep|free) until (?P<time>[0-9 :-]+) of the meter's clock",
            _("valid until %(time)s on the meter's clock"),
        ),
        (r"(?:trip|allow|close|keep|free), without a deadline", _("without a deadline")),
        (
            r"no register of the (?P<model>.+) is known to switch a relay",
            _("no register of the %(model)s is known to switch a relay"),
        ),
        (
            r"(?P<name>\S+) took this money itself and gives it back itself; agree with it, and book what it did",
            _("%(name)s took this money itself and gives it back itself; agree with it, and book what it did"),
        ),
        (
            r"(?P<name>\S+) has named neither an order nor a transaction, so it cannot be asked to send this back",
            _("the provider has named neither an order nor a transaction, so it cannot be asked to send this back"),
        ),
        (r"no answer from the gateway \((?P<error>\w+)\)", _("no answer from the gateway (%(error)s)")),
        (r"the gateway did not answer within (?P<span>\d+) s", _("the gateway did not answer within %(span)s s")),
        (r"the gateway answered (?P<code>\d+)", _("the gateway answered %(code)s")),
        (r"the gateway answered (?P<code>\d+): (?P<words>.+)", _("the gateway answered %(code)s: %(words)s")),
        (r"no answer from (?P<name>.+) \((?P<error>\w+)\)", _("no answer from the payment service (%(error)s)")),
        (r"dtu://\S+: waiting for the DTU to dial in", _("waiting for the DTU")),
        (r"not sent: already (?P<rest>.+)", _("not sent, as it is so already: %(rest)s")),
        (r"not sent: (?P<rest>.+)", _("not sent: %(rest)s")),
        (
            r"the meter's clock is off by (?P<off>-?\d+) s, allowed are (?P<allowed>\d+) s",
            _("the meter's clock is off by %(off)s s, allowed are %(allowed)s s"),
        ),
        (r"the meter keeps the power on: (?P<rest>.+)", _("the meter keeps the power on: %(rest)s")),
        (r"the meter's clock is off by (?P<off>-?\d+) s", _("the meter's clock is off by %(off)s s")),
        (
            r"(?P<number>\S+) is no number of a meter: up to 12 digits, as on its nameplate",
            _("%(number)s is no number of a meter: up to 12 digits, as on its nameplate"),
        ),
        (r"(?P<count>\d+) numbers at once; at most (?P<most>\d+)", _("%(count)s numbers at once; at most %(most)s")),
        (r"ERR (?P<code>[0-9A-F]{2}): (?P<names>.+)", _("meter's error %(code)s: %(names)s")),
        (r"the port went away: (?P<rest>.+)", _("the port went away: %(rest)s")),
        (
            r"read-back failed, the relay's state is unknown: (?P<rest>.+)",
            _("no read-back, relay unknown: %(rest)s"),
        ),
        (
            (
                r"the meter has refused its password (?P<times>\d+) times today, "
                r"and more would lock it until midnight; import the right one"
            ),
            _(
                "the meter has refused its password %(times)s times today, and more would lock it until midnight; "
                "import the right one"
            ),
        ),
        (
            r"the password of meter \d+ cannot be opened: (?P<rest>.+)",
            _("the meter's password cannot be opened: %(rest)s"),
        ),
        (
            r"it is locked with key (?P<key>\w+), which the key file does not hold",
            _("it is locked with key %(key)s, which the key file does not hold"),
        ),
        (r"(?P<path>\S+): the key file cannot be read .+", _("the key file %(path)s cannot be read")),
        (r"(?P<wh>\d+) Wh is no multiple of (?P<step_wh>\d+) Wh", _("%(wh)s is no multiple of %(step_wh)s")),
        (
            r"(?P<wh>\d+) Wh forward, at most (?P<limit_wh>\d+) Wh are plausible",
            _("%(wh)s forward, at most %(limit_wh)s are plausible"),
        ),
        (r"through (?P<end_wh>\d+) Wh, (?P<wh>\d+) Wh forward", _("rolled over at %(end_wh)s, %(wh)s forward")),
        (
            r"(?P<wh>\d+) Wh backwards: reset or replacement suspected",
            _("%(wh)s backwards: reset or replacement suspected"),
        ),
        (
            r"reads 0 Wh after (?P<wh>\d+) Wh: a placeholder, a reset or a replacement",
            _("reads 0 after %(wh)s: a placeholder, a reset or a replacement"),
        ),
        (
            r"(?P<age_s>-?\d+) s older than the last accepted reading",
            _("%(age_s)s older than the last accepted reading"),
        ),
        (
            r"late, (?P<part_wh>\d+) of the (?P<span_wh>\d+) Wh between its neighbours",
            _("late, %(part_wh)s of the %(span_wh)s between its neighbours"),
        ),
        (
            r"late, and not between its neighbours (?P<before_wh>\d+) and (?P<after_wh>\d+) Wh",
            _("late, and not between its neighbours %(before_wh)s and %(after_wh)s"),
        ),
        (
            r"the rates moved by (?P<rates_wh>\d+) Wh, the total by (?P<wh>\d+) Wh",
            _("the rates moved by %(rates_wh)s, the total by %(wh)s"),
        ),
        (
            r"still (?P<wh>\d+) Wh within (?P<age_s>\d+) s; a person has to release it",
            _("still %(wh)s within %(age_s)s; a person has to release it"),
        ),
        (
            r"(?P<wh>\d+) Wh forward, usual are at most (?P<limit_wh>\d+) Wh; waits for the next reading",
            _("%(wh)s forward, usual are at most %(limit_wh)s; waits for the next reading"),
        ),
        (
            r"(?P<count>\d+) readings stamped before the accepted one lead here: the server's clock had stood ahead",
            _("%(count)s readings stamped before the accepted one lead here: the server's clock had stood ahead"),
        ),
        (r"rate (?P<rate>\d+): (?P<rest>.+)", _("rate %(rate)s: %(rest)s")),
        (
            r"(?P<count>\d+) households are candidates at once, (?P<limit>\d+) are plausible",
            _("%(count)s households would be cut at once, %(limit)s are plausible"),
        ),
        (
            r"(?P<count>\d+) of (?P<all>\d+) candidates have payments under way that are not booked",
            _("%(count)s of %(all)s households to be cut have payments under way that are not booked"),
        ),
        (
            r"(?P<count>\d+) payments of the last hour were found by asking only, no callback came",
            _("%(count)s payments of the last hour were found by asking only, no callback came"),
        ),
        (
            r"the ledger does not verify: (?P<count>\d+) mismatches",
            _("the ledger does not verify: %(count)s mismatches"),
        ),
        (
            r"(?P<count>\d+) of (?P<all>\d+) households of wave (?P<wave>\d+) have paid",
            _("%(count)s of %(all)s households of wave %(wave)s have paid"),
        ),
        (r"only (?P<sum_fen>\d+) fen are not consumed", _("only %(sum_fen)s are not consumed")),
        (r"more than (?P<sum_fen>\d+) fen(?: of one payment)?", _("more than %(sum_fen)s")),
        (
            r"nobody can be asked: (?P<provider>\S+) is not set up here",
            _("nobody can be asked: %(provider)s is not set up here"),
        ),
        (r"(?P<fen>-?\d+) fen charged", _("%(fen)s charged")),
        (r"(?P<fen>-?\d+) fen charged; (?P<rest>.+)", _("%(fen)s charged; %(rest)s")),
        (
            f"{_ESTIMATED}{_AS_BEFORE}",
            _("estimated: %(wh)s in %(age_s)s without readings, as %(used_wh)s in the %(span_s)s before"),
        ),
        (r"(?P<wh>\d+) Wh were estimated; (?P<fen>-?\d+) fen", _("%(wh)s had been estimated; %(fen)s by it")),
        (
            r"the meter said (?P<left_fen>\d+) fen left, (?P<over_fen>\d+) fen overdrawn",
            _("the meter said %(left_fen)s left, %(over_fen)s overdrawn"),
        ),
        (r"decided by two people: (?P<fen>-?\d+) fen left", _("decided by two people: %(fen)s left")),
        (r"taken over in the meter: (?P<fen>-?\d+) fen", _("taken over in the meter: %(fen)s")),
        (
            r"(?P<wh>-?\d+) Wh charged to nobody, tiers of the household",
            _("%(wh)s since the household before were charged to nobody; tiers begin anew"),
        ),
        (
            r"(?P<wh>-?\d+) Wh charged to nobody, tiers of the premises",
            _("%(wh)s since the household before were charged to nobody; tiers go on"),
        ),
        (
            r"(?P<count>\d+) steps split by time at a tariff boundary(?:, to the nearest Wh)?",
            _("%(count)s steps split by time at a tariff boundary (estimate)"),
        ),
        (r"at least (?P<fen>-?\d+) fen stay for electricity", _("at least %(fen)s stay for electricity")),
        (
            r"(?P<subject>.+) of (?P<period>\d{4}-\d\d), when it lived there",
            _("%(subject)s of %(period)s, when it lived there"),
        ),
        (r"(?P<subject>.+) of (?P<period>\d{4}-\d\d), given back", _("%(subject)s of %(period)s, given back")),
    )
)


def detail_said(detail: str, f: Formats, gettext: Gettext) -> str:
    """`detail` in the language of `gettext`; unknown sentences come back as English text, marked as such."""
    if (fixed := FIXED.get(detail) or meter_words.FIXED.get(detail)) is not None:
        return Markup.escape(gettext(fixed))
    for pattern, text in (*PATTERNS, *meter_words.PATTERNS):
        found = pattern.fullmatch(detail)
        if found:
            return Markup.escape(gettext(text)) % _fields(found.groupdict(), f, gettext)
    for say in (port_said, vending_said):
        if (said := say(detail, gettext)) is not None:
            return Markup.escape(said)
    return Markup('<span lang="en">{}</span>').format(detail) if detail.isascii() and detail else detail


def memo_said(memo: str, f: Formats, gettext: Gettext) -> str:
    """The note of a booking as plain text: what the books wrote is said by `gettext`, what people wrote stays."""
    said = detail_said(memo, f, gettext)
    return unescape(re.sub("<[^>]*>", "", said)) if isinstance(said, Markup) else memo


def _fields(parts: Mapping[str, str], f: Formats, gettext: Gettext) -> dict[str, str]:
    """Each part of a sentence by its name: energies with unit, ages as spans, nested sentences said in turn."""
    said = {}
    for name, value in parts.items():
        if name.endswith("wh"):
            said[name] = kwh(int(value))
        elif name.endswith("fen"):
            said[name] = yuan(int(value))
        elif name in ("age_s", "span_s"):
            said[name] = f.span(int(value))
        elif name == "rest":
            said[name] = detail_said(value, f, gettext)
        elif name == "names":
            said[name] = Markup(", ").join(detail_said(one, f, gettext) for one in value.split(", "))
        else:
            said[name] = gettext(POSITIONS[value]) if value in POSITIONS else value
    return said
