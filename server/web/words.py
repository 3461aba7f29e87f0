"""The words of the state language, once for all pages: what a stored name is called in front of people.

Keys are the names that domain and store use; values are message ids. `said_in` translates them all for one language.
"""

from collections.abc import Callable, Mapping

from server.web import tariff_names
from server.web.evidence_words import EVIDENCE
from server.web.i18n import mark as _
from server.web.supply_words import SUPPLY

STATES = {
    "normal": _("Normal"),
    "low": _("Low"),
    "vlow": _("Very low"),
    "over": _("Overdrawn"),
    "cut": _("Cut off"),
    "allow": _("Press the button"),
    "lost": _("No contact"),
    "keep": _("Protected"),
    "case": _("In review"),
}
RESIDENT_STATES = {**STATES, "normal": _("Power is on"), "low": _("Balance low")}
MODES = {"observe": _("Observe"), "dry_run": _("Dry run"), "armed": _("Armed")}
RELAYS = {"closed": _("closed"), "open": _("open"), "permitted": _("may be closed"), "unknown": _("Unknown")}
STEPS = {
    "queued": _("queued"),
    "cleared": _("may be sent"),
    "sent": _("sent"),
    "accepted": _("accepted"),
    "refused": _("refused by the meter"),
    "no_reply": _("no reply"),
    "read_back": _("read back"),
    "confirmed": _("read back"),
    "failed": _("failed"),
    "expired": _("expired"),
    "superseded": _("superseded"),
    "none": _("none"),
}
ACTIONS = {"trip": _("Cut"), "allow": _("Allow closing"), "close": _("Close relay")}
CAUSES = {
    "none": _("none"),
    "arrears": _("arrears"),
    "safety": _("safety"),
    "tamper": _("tampering"),
    "order": _("by order"),
    "paid": _("paid"),
    "by_hand": _("by hand"),
    "stopped": _("stopped by the red button"),
    "trip_expired": _("the cut ran out of time"),
    "late_trip": _("the cut came too late"),
    "closed_on_site": _("closed on site"),
    "opened_elsewhere": _("opened by somebody else"),
    "mode": _("the mode was lowered"),
    "breaker": _("the breaker opened"),
    "restore_all": _("power back for everybody"),
    "kept": _("its power is kept on"),
    "bulk_stopped": _("the bulk cut was stopped"),
    "clock": _("the clock is in doubt"),
    "paused": _("the account was paused"),
    "postpaid": _("pays afterwards now"),
    "moved_in": _("another household moved in"),
    "released": _("released by two people"),
}
NOTICES = {
    "alarm1": _("Balance low"),
    "alarm2": _("Balance very low"),
    "cut_warning": _("Before a cut"),
    "final_notice": _("Final notice"),
    "cut": _("Power cut"),
    "restored": _("Power back"),
    "topup": _("Payment received"),
    "refund": _("Refund under way"),
    "refund_return": _("Refund came back"),
    "plan_set": _("Plan for debts"),
    "instalment": _("Instalment of debts"),
    "instalment_missed": _("Instalment not paid whole"),
}
CHANNELS = {
    "page": _("in page"), "sandbox": _("test channel"), "gateway": _("text message"), "hand": _("by hand"),
    "none": _("no message gateway is set up; give it by hand"),
}  # fmt: skip
GIVEN_WAYS = {"telephone": _("by telephone"), "letter": _("by letter"), "in_person": _("in person")}
DELIVERY = {
    "queued": _("waiting"), "sent": _("waiting for receipt"), "delivered": _("delivered"), "failed": _("failed"),
    "needless": _("not sent, true no more"),
}  # fmt: skip
LEDGER = {
    "charge": _("Energy"),
    "topup": _("Top-up"),
    "opening": _("Opening balance"),
    "refund": _("Refund"),
    "refund_paid": _("Refund paid out"),
    "refund_return": _("Refund came back"),
    "assignment": _("Found payment"),
    "reversal": _("Reversal"),
    "correction": _("Correction"),
    "void": _("Reading taken back"),
    "recharge": _("Into the meter"),
    "recharge_return": _("Back from the meter"),
    "fee": _("Fee"),
    "transfer": _("Moved between ledgers"),
    "adjustment": _("Adjustment"),
    "payout": _("Paid out"),
    "carry": _("Carried over"),
    "allocation": _("Shared areas"),
    "recovery": _("Paid to debts"),
    "recovery_return": _("Back from debts"),
    "meter_settled": _("Credit of the meter"),
    "instalment": _("Instalment of debts"),
    "rerate": _("Re-rating"),
}
BASES = {"equal": _("equal parts"), "area": _("by area"), "usage": _("by use")}
VACANT = {"spread": _("borne by the other households"), "estate": _("borne by the estate")}
SPLITS = {"order": _("in this order"), "pro_rata": _("in proportion")}
PERIODS = {"day": _("Days"), "month": _("Months")}
SALES = {
    "online": _("Online"),
    "kiosk": _("Kiosk"),
    "counter": _("Counter"),
    "third_party": _("Third party"),
    "cash": _("Cash"),
    "wechat": _("WeChat Pay"),
    "alipay": _("Alipay"),
    "hmac": _("Partner payment"),
    "sandbox": _("Test wallet"),
    "suspense": _("Out of suspense"),
}
PAYMENTS = {"credited": _("credited"), "suspense": _("in suspense"), "assigned": _("assigned")}
REFUNDS = {
    "reserved": _("waiting"),
    "asked": _("asked for"),
    "refunded": _("given back"),
    "released": _("back in the balance"),
}
DIFFERENCES = {
    "missing_here": _("missing here"),
    "missing_there": _("missing there"),
    "amount": _("another amount"),
    "state": _("another state"),
    "duplicate": _("twice in the file"),
    "day_boundary": _("in the file of the next day"),
}
DIFFERENCE_ACTS = {
    "missing_here": _("Ask the provider; book it if the money is there"),
    "missing_there": _("Ask the provider; give the credit back if no money came"),
    "amount": _("Ask the provider which amount is right"),
    "state": _("Look at the provider's platform and at the refund here"),
    "duplicate": _("Ask the provider whether it was taken twice"),
    "day_boundary": _("nothing to do"),
}
REFUND_ACTS = {"missing_here": _("Ask the provider who gave it back, and settle it with the household")}
BILL_ITEMS = {"payment": _("payment"), "refund": _("refund")}
BILL_STATES = {"done": _("done"), "pending": _("under way"), "failed": _("not done"), "none": _("unknown")}
BILL_OWNERS = {"operator": _("Operator"), "provider": _("provider"), "nobody": _("nobody")}
INSTALL_PROBLEMS = {
    "room": _("give the room a name without spaces and without : / ? # % &"),
    "room_taken": _("this room has a household already, or is named twice"),
    "building": _("choose a building"),
    "floor": _("the floor is a whole number from -20 to 300"),
    "holder": _("write who pays"),
    "tariff": _("choose a tariff"),
    "rates": _("this tariff charges by time of use, and the meter shows no four rates"),
    "meter": _("write the 12 digits of the nameplate"),
    "meter_taken": _("this meter is installed already, or is named twice"),
    "model": _("its model is not known; import it with a file"),
    "register": _("it did not tell its register just now; read it again"),
}
PROTOCOLS = {"2007": _("DL/T 645-2007"), "1997": _("DL/T 645-1997"), "modbus": _("Modbus unit")}
SEARCH_DOUBTS = {
    "edition": _("refuses every read, so its edition is uncertain; look at its nameplate"),
    "clash": _("several meters speak at this address; give one another address with only it connected"),
    "nameless": _("a meter answers without its address; read it from the nameplate"),
    "doubt": _("more was heard here than was found; search again, or connect them one at a time"),
    "silent": _("nobody answers to this number of a nameplate; look at it, the wires, baud and parity"),
}
CASES = {
    "open_relay_energy": _("Energy through an open relay"),
    "relay_disobeys": _("Relay does not obey"),
    "backwards": _("Register went backwards"),
    "silent": _("Meter is silent"),
    "gate_loss": _("Gate meter against the sum of its meters"),
    "clock": _("Clock of the meter is wrong"),
    "stuck": _("Register stands still"),
    "jump": _("Register jumped"),
    "breaker": _("The breaker has stopped all cuts"),
    "keep_power_fails": _("Keep-power does not reach the meter"),
    "refund_open": _("Refund without an answer"),
    "refund_unknown": _("Money went back by another hand"),
    "refund_contradicted": _("Provider contradicts a refund"),
    "bill_difference": _("Difference to a provider's bill"),
    "server_clock": _("The server's own clock is in doubt"),
    "message_gateway": _("The message gateway is away"),
}
CASE_STATUS = {"open": _("new"), "acknowledged": _("acknowledged"), "closed": _("finished")}
CASE_VERBS = {
    "opened": _("Opened"), "seen": _("Seen again"), "acknowledged": _("Acknowledged"), "closed": _("Closed"),
    "isolated": _("Power cut because of it"), "released": _("Power given back"),
}  # fmt: skip
SEVERITIES = {"high": _("high"), "medium": _("medium"), "low": _("low")}
ROLES = {
    "admin": _("Administrator"),
    "operator": _("Operator"),
    "cashier": _("Cashier"),
    "reader": _("Reader"),
    "resident": _("Resident"),
    "kiosk": _("Kiosk"),
}
VERDICTS = {
    "accepted": _("counted"),
    "rolled_over": _("rolled over"),
    "released": _("released by a person"),
    "filled": _("filled in later"),
    "duplicate": _("the same again"),
    "late": _("late"),
    "backwards": _("held: backwards"),
    "zero": _("held: reads zero"),
    "jump": _("held: jump"),
    "spike": _("held: spike"),
    "sum_differs": _("held: rates and total differ"),
    "not_multiple": _("held: not a step of the register"),
    "voided": _("voided"),
    "revoked": _("taken back"),
}
SOURCES = {
    "live": _("in the cycle"),
    "demand": _("on demand"),
    "freeze": _("freeze of the meter"),
    "load": _("load record of the meter"),
    "manual": _("typed in"),
    "estimate": _("estimated"),
    "import": _("imported"),
}
READING_ACTS = {
    "released": _("Released"),
    "filled": _("Released"),
    "voided": _("Voided"),
    "revoked": _("Taken back"),
}
EXCHANGES = {"replacement": _("Meter replaced"), "ratio": _("Ratio changed"), "move": _("Another household")}
APPROVALS = {
    "mode": _("Change of mode"),
    "start_again": _("Start again"),
    "breaker_reset": _("Close the breaker"),
    "bulk_cut": _("Bulk cut"),
    "isolate": _("Open for safety or tampering"),
    "reconnect": _("Give the power back"),
    "refund": _("Refund"),
    "refund_decision": _("Decision on a refund"),
    "assignment": _("Money in suspense for a household"),
    "move_out": _("Move out"),
    "booking": _("Booking on an account"),
    "void_reading": _("Take a reading back"),
    "final_corrected": _("Correct a final register"),
    "bulk_edit": _("Bulk change"),
    "tariff": _("Publish a tariff"),
    "rerate": _("Re-rating"),
}
QUALITIES = {
    "very good": _("very good"), "good": _("good"), "fair": _("fair, not official"), "weak": _("weak, not official"),
    "example": _("example, not official"),
}  # fmt: skip
VERSION_STATES = {"over": _("over"), "in_force": _("in force"), "to_come": _("to come")}
ACCOUNT_STATES = {
    "initial": _("opened, not moved in"), "normal": _("in service"), "paused": _("paused"),
    "left": _("moved out, not settled"), "closed": _("account closed"),
}  # fmt: skip
WAYS_TO_PAY = {"prepaid": _("pays in advance"), "postpaid": _("pays afterwards")}
ACTS = {
    "opened": _("Account opened"),
    "moved_in": _("Moved in"),
    "paused": _("Paused"), "resumed": _("Resumed"),
    "moved_out": _("Moved out"),
    "meter_settled": _("Credit of the meter"),
    "final_corrected": _("Final register corrected"),
    "closed": _("Account closed"), "reopened": _("Opened again"),
    "payment": _("Way of paying changed"),
    "adjusted": _("Adjustment"),
    "opening": _("Opening balance"),
    "assigned": _("Top-up out of suspense"),
    "paid_out": _("Paid out"),
    "carried": _("Carried over"),
    "fee_booked": _("Fee"), "transferred": _("Moved between ledgers"),
}  # fmt: skip
OPEN_THINGS = {
    "order": _("a payment order is not decided"),
    "recharge": _("a recharge of the meter is not decided"),
    "refund": _("a refund is not decided"),
    "command": _("a relay command is not read back"),
    "held_reading": _("a held reading is not decided"),
    "request": _("a booking waits for its second person"),
    "meter": _("a meter still feeds it"),
    "balance": _("a ledger is not at zero"),
}
LEDGERS = {
    "electricity": _("Electricity"),
    "shared": _("Shared areas"),
    "property": _("Property fees"),
    "arrears": _("Arrears"),
}
PAYOUTS = {"cash": _("in cash"), "bank": _("by bank transfer")}
TIERS = {"1": _("Tier 1"), "2": _("Tier 2"), "3": _("Tier 3"), "4": _("Tier 4"), "5": _("Tier 5")}
GROUPS = {
    **SUPPLY,
    "tier_words": TIERS,
    "state_words": STATES,
    "resident_words": RESIDENT_STATES,
    "mode_words": MODES,
    "relay_words": RELAYS,
    "step_words": STEPS,
    "action_words": ACTIONS,
    "cause_words": CAUSES,
    "notice_words": NOTICES,
    "channel_words": CHANNELS,
    "given_words": GIVEN_WAYS,
    "delivery_words": DELIVERY,
    "ledger_words": LEDGER,
    "basis_words": BASES,
    "vacant_words": VACANT,
    "split_words": SPLITS,
    "period_words": PERIODS,
    "sale_words": SALES,
    "payment_words": PAYMENTS,
    "refund_words": REFUNDS,
    "difference_words": DIFFERENCES,
    "difference_act_words": DIFFERENCE_ACTS,
    "refund_act_words": {**DIFFERENCE_ACTS, **REFUND_ACTS},
    "bill_item_words": BILL_ITEMS,
    "bill_state_words": BILL_STATES,
    "bill_owner_words": BILL_OWNERS,
    "install_problem_words": INSTALL_PROBLEMS,
    "protocol_words": PROTOCOLS,
    "search_doubt_words": SEARCH_DOUBTS,
    "case_words": CASES,
    "case_status_words": CASE_STATUS,
    "case_verb_words": CASE_VERBS,
    "severity_words": SEVERITIES,
    "role_words": ROLES,
    "verdict_words": VERDICTS,
    "source_words": SOURCES,
    "reading_act_words": READING_ACTS,
    "exchange_words": EXCHANGES,
    "evidence_words": EVIDENCE,
    "approval_words": APPROVALS,
    "account_state_words": ACCOUNT_STATES,
    "way_words": WAYS_TO_PAY,
    "act_words": ACTS,
    "open_words": OPEN_THINGS,
    "ledger_name_words": LEDGERS,
    "payout_words": PAYOUTS,
    **tariff_names.GROUPS,
    "version_words": VERSION_STATES,
    "quality_words": QUALITIES,
}


class Words(dict[str, str]):
    """Translated words; a name that nobody foresaw shows as itself instead of breaking the page."""

    def __missing__(self, key: str) -> str:
        kind, _colon, name = key.partition(":")
        if kind == "client" and "third_party" in self:  # a way of paying: somebody else's program took the money
            return f"{self['third_party']} · {name}"
        return key.replace("_", " ")


def said_in(gettext: Callable[[str], str]) -> Mapping[str, Words]:
    """All groups in one language, as the templates use them."""
    return {group: Words((key, gettext(text)) for key, text in words.items()) for group, words in GROUPS.items()}
