"""From the url of a bus to its port, and what a world's speed allows.

`/dev/ttyUSB0` or any other path of a tty, `tcp://host:port`, `rfc2217://host:port` for a serial server that sets its
line, or `dtu://ID` for a DTU that dials in. Real hardware and the simulator's ptys are opened by the same code; only
a scaled world tells them apart, because a real meter's clock runs in real time.
"""

import os
import re
import stat
from urllib.parse import urlsplit

from server.collect.dtu_listener import DtuListener
from server.collect.port import LineSettings, Port, PortError
from server.collect.rfc2217_port import Rfc2217Port
from server.collect.serial_port import UNIX98_MAJORS, SerialPort, scaled_world_error
from server.collect.tcp_port import TcpPort
from server.errors import ConfigError

COMMAND_LIFETIME_MIN_S = 2.0  # machine time; less, and an ordinary delay makes every command too late
_DTU_ID = re.compile(r"[0-9A-Za-z._:-]{1,64}")


def open_port(url: str, settings: LineSettings, *, factor: int = 1, dtus: DtuListener | None = None) -> Port:
    """The port of `url`, not opened yet; `PortError` for a url that names none. `dtus` is where DTUs dial in."""
    if url.startswith("tcp://"):
        return TcpPort(*_host_port(url, "tcp"))
    if url.startswith("rfc2217://"):
        return Rfc2217Port(*_host_port(url, "rfc2217"), settings)
    if url.startswith("dtu://"):
        return (dtus or DtuListener(None)).port(dtu_id_of(url))
    if "://" in url or not url:
        raise PortError(
            f"{url or 'empty url'}: unknown kind of port; write /dev/ttyUSB0, tcp://host:port, rfc2217://host:port or dtu://ID"
        )
    return SerialPort(url, settings, factor=factor)


def dtu_id_of(url: str) -> str:
    """The id by which the DTU of `dtu://ID` registers."""
    dtu_id = url.removeprefix("dtu://")
    if not _DTU_ID.fullmatch(dtu_id):
        raise PortError(
            f"{url}: not the id of a DTU; write dtu://ID with 1 to 64 letters, digits, '-', '_', '.' or ':'"
        )
    return dtu_id


def _host_port(url: str, scheme: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise PortError(f"{url}: not a TCP address; write {scheme}://host:port with a port from 1 to 65535")
    return host, port


def check_world(factor: int, ttl_s: int, url: str) -> None:
    """Refuse a world that is too fast for this bus; `ConfigError` names the setting to change.

    `ttl_s` is the lifetime of a control frame in world seconds. A port that is not there yet is checked again
    when it is opened.
    """
    if ttl_s < COMMAND_LIFETIME_MIN_S * factor:
        raise ConfigError(
            f"command_ttl_s = {ttl_s} lasts {ttl_s / factor:.2f} s of machine time at factor {factor}; allowed:"
            f" a factor up to {int(ttl_s // COMMAND_LIFETIME_MIN_S)}, or a lifetime from"
            f" {int(COMMAND_LIFETIME_MIN_S * factor)} s (at most 600 s)"
        )
    if factor > 1 and (_is_real_tty(url) or _is_elsewhere(url)):
        raise ConfigError(str(scaled_world_error(url, factor)))


def is_simulated(url: str) -> bool:
    """Whether nothing but a simulation can be there: a pty, or an address of this machine. A DTU may be anywhere."""
    if "://" in url:
        return url.startswith(("tcp://", "rfc2217://")) and not _is_elsewhere(url)
    try:
        found = os.stat(url)
    except OSError:
        return False
    return stat.S_ISCHR(found.st_mode) and os.major(found.st_rdev) in UNIX98_MAJORS


def _is_elsewhere(url: str) -> bool:
    """Whether `url` names a serial server that is not on this machine, where only a simulator could be fast."""
    return url.startswith(("tcp://", "rfc2217://")) and urlsplit(url).hostname not in ("127.0.0.1", "::1", "localhost")


def _is_real_tty(url: str) -> bool:
    """Whether `url` names a character device that is no pty."""
    if "://" in url:
        return False
    try:
        found = os.stat(url)
    except OSError:
        return False
    return stat.S_ISCHR(found.st_mode) and os.major(found.st_rdev) not in UNIX98_MAJORS
