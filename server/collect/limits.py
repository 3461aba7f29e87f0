"""File descriptors for many ports, asked for before the first one is opened.

The soft limit, often 1024, is raised by ourselves as far as the hard one allows. What stays short is refused with the
figures and with what would help, instead of a failure at the thousandth port.
"""

import resource

from server.collect.dtu_listener import UNREGISTERED_MAX
from server.collect.port import PortError

FDS_PER_BUS = 2  # its port, and for a moment the DTU that replaces another
FDS_SPARE = 256  # the loop, HTTP and its clients, the database, and Python itself


def descriptors_needed(buses: int) -> int:
    """Descriptors that a head-end of so many buses may hold at once."""
    return FDS_SPARE + UNREGISTERED_MAX + FDS_PER_BUS * buses


def raise_descriptors(buses: int) -> None:
    """Raise the soft limit if need be; `PortError` says what is short and what to do."""
    needed = descriptors_needed(buses)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise PortError(
            f"{buses} buses need {needed} file descriptors, the hard limit is {hard}; "
            f"raise it (`ulimit -Hn {needed}` as root, LimitNOFILE= in a systemd unit, --ulimit nofile in a container)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
