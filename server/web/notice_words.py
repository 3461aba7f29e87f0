"""Notices in words: what, when, how much helps, what to do next; the arguments are integers of the flow.

Arguments that a kind does not carry are left out of the sentence rather than guessed.
"""

from collections.abc import Callable, Mapping
from typing import Any

from server.flows.notices import MESSAGE
from server.web.formats import Formats, round_yuan, yuan
from server.web.words import CHANNELS

Gettext = Callable[[str], str]


def channel_word(notice: Mapping[str, Any], message_channel: str) -> str:
    """The word for how a notice goes; what no channel has taken yet is said to go by the one that is there."""
    channel = notice["channel"]
    if channel == MESSAGE or (channel == "sandbox" and notice["status"] != "delivered"):
        channel = message_channel
    return CHANNELS[channel]


def told(
    kind: str, arguments: Mapping[str, Any], f: Formats, gettext: Gettext, protected: tuple[int, int], phone: str = ""
) -> str:
    """The text of a notice; `phone` is the office's.

    Nobody is cut off between the minutes `protected`, which are the estate's, where the notice has none of its own.
    """
    _ = gettext
    from_min, to_min = (int(arguments.get(f"protected_{end}_min", protected[end == "to"])) for end in ("from", "to"))
    balance_fen = int(arguments.get("balance_fen", 0))
    fields = {
        "money": yuan(balance_fen),
        "sum": yuan(int(arguments.get("amount_fen", 0))),
        "debt": yuan(max(0, -balance_fen)),
        "when": f.full(int(arguments["earliest_at"])) if "earliest_at" in arguments else "",
        "from": f.minute_of_day(from_min),
        "to": f.minute_of_day(to_min),
        "pay": round_yuan(int(arguments.get("pay_fen", 0))),
        "at": f.moment(int(arguments["at"])) if "at" in arguments else "",
        "phone": phone,
        "owed": yuan(int(arguments.get("owed_fen", 0))),
        "missed": yuan(int(arguments.get("missed_fen", 0))),
        "day": f.local_day(str(arguments["due_day"])) if "due_day" in arguments else "",
        "debts": yuan(int(arguments.get("recovered_fen", 0))),
    }
    texts = {
        "alarm1": _("%(money)s left. Please top up in time."),
        "alarm2": _("%(money)s left. Please top up soon."),
        "alarm_overdrawn": _("Overdrawn by %(debt)s. Please top up soon."),
        "cut_warning": _(
            "Overdrawn by %(debt)s. Without a top-up, power is cut after %(when)s; never between %(from)s and %(to)s. "
            "%(pay)s prevents it."
        ),
        "cut_warning_any_time": _(
            "Overdrawn by %(debt)s. Without a top-up, power is cut after %(when)s. %(pay)s prevents it."
        ),
        "final_notice": _(
            "Final notice: overdrawn by %(debt)s. Without a top-up, power is cut from %(when)s on. %(pay)s prevents it."
        ),
        "cut": _("Cut for arrears. Comes back after payment."),
        "cut_at": _("Cut for arrears at %(at)s. Comes back after payment."),
        "cut_at_call": _(
            "Cut for arrears at %(at)s. Comes back after payment. Someone old or ill at home: call %(phone)s."
        ),
        **_of_hazards(gettext),
        "restored": _("The power is back on, or the meter permits closing."),
        "restored_on": _("The power is back on."),
        "topup": _("Payment received. The balance is %(money)s."),
        "refund": _("%(sum)s is on its way back to where it was paid from. The balance is %(money)s."),
        "refund_return": _("%(sum)s could not be given back and is yours again. The balance is %(money)s."),
        "plan_set": _("Agreed: %(sum)s goes to your debts of %(owed)s, first on %(day)s, while the balance allows it."),
        "instalment": _("%(sum)s went to your debts as agreed; %(owed)s is still owed. The balance is %(money)s."),
        "instalment_missed": _(
            "The balance had no room for the whole instalment of %(day)s: %(sum)s went to your debts, %(missed)s did "
            "not. Nobody is cut off for it; %(owed)s is still owed."
        ),
        "topup_debts": _("Payment received, of which %(debts)s went to debts. The balance is %(money)s."),
    }
    if kind == "cut" and arguments.get("cause"):
        kind = f"cut_{arguments['cause']}" + ("_call" if phone else "")
    elif kind == "cut" and fields["at"]:
        kind = "cut_at_call" if phone else "cut_at"
    if kind in ("alarm1", "alarm2") and balance_fen < 0:
        kind = "alarm_overdrawn"
    if kind == "cut_warning" and from_min == to_min:
        kind = "cut_warning_any_time"
    if kind == "topup" and arguments.get("recovered_fen"):
        kind = "topup_debts"
    return texts.get(kind, kind) % fields


def _of_hazards(gettext: Gettext) -> dict[str, str]:
    """What is told to who is without power for safety or tampering; with `_call`, whom to call."""
    _ = gettext
    return {
        "cut_safety": _("Switched off for your safety at %(at)s: a danger was found. Please call the office."),
        "cut_safety_call": _("Switched off for your safety at %(at)s: a danger was found. Call the office: %(phone)s."),
        "cut_tamper": _("Switched off at %(at)s: the meter or its wires were tampered with. Please call the office."),
        "cut_tamper_call": _(
            "Switched off at %(at)s: the meter or its wires were tampered with. Call the office: %(phone)s."
        ),
    }
