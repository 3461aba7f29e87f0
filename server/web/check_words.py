"""What the checks of a cut are called, on pages, in refusals and in the replay of a decision."""

from server.web.i18n import mark as _

CHECKS = {  # name: (what must hold, said when it does not)
    "overdrawn": (_("Balance at or below the overdraft limit"), _("Within the overdraft limit")),
    "account_normal": (_("Account in normal service"), _("Account not in normal service")),
    "prepaid": (_("Household pays in advance"), _("Household pays afterwards")),
    "not_protected": (_("Not a protected household"), _("Protected household")),
    "notice_delivered": (_("Cut warning delivered, grace over"), _("Cut warning delivered, grace still runs")),
    "final_notice": (_("Final notice delivered in time"), _("Final notice delivered, its time still runs")),
    "reading_fresh": (_("Reading is fresh"), _("Reading is too old")),
    "readings_agree": (_("Two readings agree"), _("Two readings do not agree yet")),
    "relay_known_closed": (_("Relay read back as closed"), _("Relay not read back as closed")),
    "no_keep_power": (_("Meter is not set to keep power"), _("Meter is set to keep power")),
    "clock_sane": (_("Clocks agree"), _("Clocks do not agree")),
    "allowed_time": (_("Outside protected times"), _("Protected time")),
    "armed": (_("Cutting is armed"), _("Cutting is not armed")),
    "not_stopped": (_("Cutting is not stopped"), _("Cutting is stopped")),
    "breaker_closed": (_("Breaker is closed"), _("Breaker is open")),
    "bus_limit": (_("Within the limit of the bus"), _("Limit of the bus reached")),
    "hour_limit": (_("Within the limit of the hour"), _("Limit of the hour reached")),
    "day_limit": (_("Within the limit of the day"), _("Limit of the day reached")),
    "system_limit": (_("Within the limit of all estates"), _("Limit of all estates reached")),
}
HAZARD_CHECKS = {  # that only a cut for safety or tampering has
    "two_people": (_("Two people agree"), _("The second person is missing")),
    "relay_known": (_("Relay read back lately"), _("Relay not read back lately")),
}
ALL_CHECKS = CHECKS | HAZARD_CHECKS
LEFT_OUT = {name: fails for name, (_holds, fails) in CHECKS.items()} | {  # why a bulk cut leaves a household out
    "notice_delivered": _("No cut warning delivered with its grace over"),
    "wanted_open": _("Its cut is wanted already"),
}
