"""What is wrong with a port, in the language of the page or command: the collector says "PORT: cause" in English."""

import re
from collections.abc import Callable

from server.web.i18n import mark as _

CAUSES = (
    _("no such device; plug the adapter in or correct the url of the bus (see /dev/serial/by-id)"),
    _("no permission; add this user to the group that owns the device (often dialout) and log in again"),
    _("busy; stop the other program that holds it (fuser names it)"),
    _("not a serial port; name a tty such as /dev/ttyUSB0, or tcp://host:port"),
    _("a directory; name a tty such as /dev/ttyUSB0, or tcp://host:port"),
    _("too many open files; raise the limit (ulimit -n, LimitNOFILE= in a systemd unit)"),
    _("the device is there but does not work (unplugged, or its other side is closed); plug it in again"),
    _("its driver has no RS-485 mode; set rs485 = false if the adapter switches by itself"),
    _("connection refused; start the serial server or correct the port"),
    _("not connected"),
    _("the port is closed"),
    _("not a TCP address; write tcp://host:port with a port from 1 to 65535"),
    _("not a TCP address; write rfc2217://host:port with a port from 1 to 65535"),
    _("unknown kind of port; write /dev/ttyUSB0, tcp://host:port, rfc2217://host:port or dtu://ID"),
    _("does not speak RFC 2217; write tcp:// if it passes bytes as they are"),
    _("the DTU takes no bytes; check its network"),
)
_KNOWN = re.compile(f"(.+: )({'|'.join(map(re.escape, CAUSES))})")


def port_said(text: str, gettext: Callable[[str], str]) -> str | None:
    """The sentence in the language of `gettext`; None for one that is not about a port."""
    found = _KNOWN.fullmatch(text)
    return None if found is None else found[1] + gettext(found[2])
