"""What meters and the lines to them say when something fails: a part of `server.web.details`."""

import re

from server.web.i18n import mark as _

FIXED = {
    one: one
    for one in (
        _("illegal data"), _("identifier error"), _("wrong password"), _("illegal function"),
        _("illegal data address"), _("illegal data value"), _("device failure"), _("acknowledge, still working"),
        _("device busy"), _("negative acknowledge"), _("memory parity error"), _("a code of the vendor"),
        _("gateway path unavailable"), _("gateway target did not respond"),
        _("the meter's clock shows no date or no time"),
    )
}  # fmt: skip
PATTERNS = tuple(
    (re.compile(pattern, re.DOTALL), text)
    for pattern, text in (
        (r"meter .+? refused with ERR (?P<code>[0-9A-F]{2})H: (?P<names>.+)", _("meter's error %(code)s: %(names)s")),
        (
            r"unit \d+ refused with Modbus exception (?P<code>[0-9A-F]{2})H: (?P<rest>.+)",
            _("Modbus exception %(code)s: %(rest)s"),
        ),
        (r"meter .+? did not answer in time", _("the meter did not answer in time")),
        (
            r"meter .+? did not answer in time, only (?P<bytes>\d+) bytes of noise",
            _("the meter did not answer in time; %(bytes)s bytes of noise"),
        ),
        (r"meter .+? was not asked: no attempts left", _("the meter was not asked again")),
        (
            r"meter .+? was read (?P<times>\d+) times and never twice alike, for noise",
            _("the meter was read %(times)s times and never twice alike, for noise"),
        ),
        (
            r"meter .+? shows an energy below zero: (?P<wh>-?\d+) Wh",
            _("the meter shows an energy below zero: %(wh)s"),
        ),
        (r"meter .+? has no total in its energy block", _("the meter's energy has no total")),
        (
            r"meter .+? has no (?P<identifier>[0-9A-F]{8}) in its protocol",
            _("the meter has no %(identifier)s in its protocol"),
        ),
        (r"identifier (?P<identifier>[0-9A-F]{8}) holds no value", _("%(identifier)s holds no value")),
        (
            r"the relay's register holds (?P<value>\S+), neither 1 \(closed\) nor 0 \(open\)",
            _("the relay's register holds %(value)s, neither 1 (closed) nor 0 (open)"),
        ),
    )
)
