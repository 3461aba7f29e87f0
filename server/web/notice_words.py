"""Notices in words: what, when, how much helps, what to do next; the arguments are integers of the flow.

Arguments that a kind does not carry are left out of the sentence rather than guessed.
"""

from collections.abc import Callable, Mapping
from typing import Any

from server.web.formats import Formats, round_yuan, yuan

Gettext = Callable[[str], str]


def told(kind: str, arguments: Mapping[str, Any], f: Formats, gettext: Gettext, protected: tuple[int, int]) -> str:
    """The text of a notice of `kind`; `protected` are the minutes of the day between which nobody is cut off."""
    _ = gettext
    balance_fen = int(arguments.get("balance_fen", 0))
    fields = {
        "money": yuan(balance_fen),
        "debt": yuan(max(0, -balance_fen)),
        "when": f.full(int(arguments["earliest_at"])) if "earliest_at" in arguments else "",
        "from": f.minute_of_day(protected[0]),
        "to": f.minute_of_day(protected[1]),
        "pay": round_yuan(int(arguments.get("pay_fen", 0))),
    }
    texts = {
        "alarm1": _("%(money)s left. Please top up in time."),
        "alarm2": _("%(money)s left. Please top up soon."),
        "cut_warning": _(
            "Overdrawn by %(debt)s. Without a top-up, power is cut after %(when)s; never between %(from)s and %(to)s. "
            "%(pay)s prevents it."
        ),
        "cut": _("Cut for arrears. Comes back after payment."),
        "restored": _("The power is back on, or the meter permits closing."),
        "topup": _("Payment received. The balance is %(money)s."),
    }
    return texts.get(kind, kind) % fields
