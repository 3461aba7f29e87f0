"""The words of tariffs: rates, kinds of days, states of drafts and re-ratings; a part of `server.web.words`."""

from collections.abc import Mapping

from server.web.i18n import mark as _

RATES = {
    "sharp": _("Sharp"), "peak": _("Peak"), "flat": _("Flat"), "valley": _("Valley"), "deep": _("Deep valley"),
}  # fmt: skip
DAY_KINDS = {"workday": _("workdays"), "weekend": _("weekends"), "holiday": _("statutory holidays")}
DRAFTS = {"draft": _("draft"), "published": _("published"), "discarded": _("put aside")}
RERATES = {
    "asked": _("waits for approval"), "running": _("is being posted"), "done": _("posted"), "withdrawn": _("withdrawn"),
}  # fmt: skip
GROUPS: Mapping[str, Mapping[str, str]] = {
    "rate_words": RATES,
    "day_kind_words": DAY_KINDS,
    "draft_words": DRAFTS,
    "rerate_words": RERATES,
}
