"""Whether the machine has enough pseudo-terminals and file descriptors, asked before anything is opened.

The soft limit of descriptors is raised by ourselves as far as the hard one allows. What stays short is refused with the
figures and with what would help, instead of a failure at the thousandth port.
"""

import resource
from collections.abc import Sequence
from pathlib import Path

from sim.errors import PortError
from sim.estate import BusConfig
from sim.ports.tcp import CLIENTS_MAX

FDS_SPARE = 64
"""Descriptors for the loop, the control API and its clients, recordings, and Python itself."""
FDS_PER_BUS = {"pty": 2, "memory": 0}
FDS_PER_TCP_BUS = 1 + CLIENTS_MAX
FDS_PER_OTHER_BUS = 6
"""A UART or a DTU's connection; a recording of each bus is counted apart."""
PTY_LIMITS = Path("/proc/sys/kernel/pty")


def check_limits(buses: Sequence[BusConfig], *, recorded: bool = False, pty_limits: Path = PTY_LIMITS) -> None:
    """Raise the soft limit if need be; PortError says what is short and what to do."""
    ptys = sum(bus.port == "pty" for bus in buses)
    free = _free_ptys(pty_limits)
    if free is not None and ptys > free:
        raise PortError(
            f"{ptys} buses need a pseudo-terminal each, the system has {free} left "
            f"(kernel.pty.max less reserve and those in use); raise it with `sysctl -w kernel.pty.max={ptys + 2048}`, "
            'put more meters on a bus (meters_per_bus), or use port = "tcp://127.0.0.1:0"'
        )
    _raise_descriptors(len(buses), descriptors_needed(buses, recorded=recorded))


def descriptors_needed(buses: Sequence[BusConfig], *, recorded: bool = False) -> int:
    """File descriptors that a run on these buses may hold at once."""
    return FDS_SPARE + sum(_descriptors(bus.port) + recorded for bus in buses)


def _descriptors(port: str) -> int:
    """What one port may hold at once: a TCP port listens and has its clients."""
    return FDS_PER_TCP_BUS if port.startswith("tcp://") else FDS_PER_BUS.get(port, FDS_PER_OTHER_BUS)


def _free_ptys(limits: Path) -> int | None:
    """Pseudo-terminals that an ordinary mount of /dev/pts still gives; None where the system does not tell."""
    try:
        most, reserve, used = (int((limits / name).read_text("ascii")) for name in ("max", "reserve", "nr"))
    except (OSError, ValueError):
        return None
    return max(0, most - used - (0 if _in_first_namespace() else reserve))


def _in_first_namespace() -> bool:
    """Whether /dev/pts is the system's own, to which the reserve belongs."""
    try:
        return Path("/proc/self/ns/mnt").readlink() == Path("/proc/1/ns/mnt").readlink()
    except OSError:  # only root may look; then the port that fails says so itself
        return True


def _raise_descriptors(buses: int, needed: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise PortError(
            f"{buses} buses need {needed} file descriptors, the hard limit is {hard}; "
            f"raise it (`ulimit -Hn {needed}` as root, LimitNOFILE= in a systemd unit, --ulimit nofile in a container)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
