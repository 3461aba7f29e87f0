"""The words of rules, lists and meters of supply; `words` has them among all others."""

from server.web.i18n import mark as _

KEEPS = {"on": _("power kept on"), "off": _("not kept on")}
KEEP_REASONS = {
    "protected": _("the household is protected"),
    "policy": _("its scheme says so"),
    "ended": _("the reason has ended"),
    "lost": _("the meter had lost it"),
}
RECHARGES = {
    "waiting": _("waiting for the meter's count"),
    "running": _("the meter decides"),
    "booked": _("in the meter"),
    "refused": _("given back"),
}
SETTINGS = {"waiting": _("to be written"), "confirmed": _("read back"), "failed": _("not taken")}
BULK_ACTS = {
    "scheme": _("Scheme"),
    "protect": _("Protect"),
    "unprotect": _("End the protection"),
    "keep_power": _("Keep-power of the meter"),
    "days": _("Days of the estate"),
}
BULK_LEFT = {"already so": _("already so"), "no open household": _("no open household")}
BULK_CUTS = {"running": _("under way"), "done": _("finished"), "stopped": _("stopped")}
ALERTS = {"heat": _("heat"), "cold": _("cold"), "order": _("by order")}
DAY_KINDS = {"off": _("no cuts"), "work": _("an ordinary day")}
SUPPLY = {
    "keep_words": KEEPS,
    "keep_reason_words": KEEP_REASONS,
    "recharge_words": RECHARGES,
    "setting_words": SETTINGS,
    "bulk_act_words": BULK_ACTS,
    "bulk_left_words": BULK_LEFT,
    "bulk_cut_words": BULK_CUTS,
    "alert_words": ALERTS,
    "day_words": DAY_KINDS,
}
