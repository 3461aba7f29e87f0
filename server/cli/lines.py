"""The line that a command asks on: a port of its own, or a bus of the running server through its admin socket.

PORT names a bus of the server by its id or by its url; then the server asks, since the port is its own. On a port of
one's own, who names a short wait means it: the margin on top of it is a quarter of it at most.
"""

import argparse
import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from server.admin.client import Admin, AdminError, ServedBus
from server.admin.wire import socket_path
from server.cli.languages import mark as _
from server.cli.languages import wrong
from server.collect.line import BusLine
from server.collect.port import LineSettings
from server.collect.ports import open_port
from server.collect.tally import Tally
from server.collect.work import Clocks, timing_for
from server.config import load
from server.errors import NotFound

SERVED = _(
    "%(port)s: our own running server holds it as bus %(bus)s. The checklist needs the line for itself: stop the "
    "server (systemctl stop estate645), walk through it, and start it again. What only reads goes on beside it, "
    "through its admin socket %(socket)s: estate645 read %(bus)s ADDRESS IDENTIFIER, estate645 scan %(bus)s, "
    "estate645 trace %(bus)s, with the same --config or --database"
)


@asynccontextmanager
async def opened(url: str, line: LineSettings, wait_ms: int, clocks: Clocks | None = None) -> AsyncIterator[BusLine]:
    """The line of a port, open; `PortError` says what to do when it cannot be."""
    timing = timing_for(line, wait_ms)
    timing = replace(timing, margin_s=min(timing.margin_s, timing.reply_delay_max_s / 4))
    bus = BusLine(open_port(url, line), timing, clocks or machine_clocks(), Tally(), lambda: None)
    await bus.open()
    try:
        yield bus
    finally:
        bus.close()
        await asyncio.sleep(0)  # an aborted connection closes in the next round of the loop


def machine_clocks(time_zone: str = "Asia/Shanghai") -> Clocks:
    """World time as this machine has it, and the time zone of the meters' clocks."""
    return Clocks(time.time, lambda: int(time.time() * 1000), time_zone=time_zone)


def is_networked(url: str) -> bool:
    """Whether line settings are somebody else's: a serial server has its own."""
    return "://" in url


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """Which server may hold the port."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the server that may hold the port")
    parser.add_argument("--database", metavar="URL", help="its database, instead of the configured one")


def running_bus(arguments: argparse.Namespace) -> ServedBus | None:
    """The bus that PORT names, if a server runs that has it; NotFound for a name that can be no port either."""
    url = arguments.database or load(arguments.config).database_url
    admin = Admin.at(url)
    buses = []
    if admin is not None:
        buses = _buses(admin)
        for bus in buses:
            if arguments.port == bus["bus"] or _same_port(arguments.port, bus["url"]):
                return ServedBus(admin, bus)
        admin.close()
    if "/" in arguments.port or Path(arguments.port).exists():
        return None
    if admin is None:
        raise NotFound(
            f"{arguments.port} is no port, and no server runs on {url} that could have a bus of this name; name the "
            "server with --config FILE or --database URL, or write /dev/ttyUSB0 or tcp://host:port"
        )
    known = ", ".join(bus["bus"] for bus in buses) or "none"
    raise NotFound(f"the running server has no bus {arguments.port!r}; it has: {known}")


def told_of(url: str, bus_id: str) -> dict[str, Any]:
    """How a bus of the running server is doing now, as far as the server still tells; else nothing."""
    try:
        admin = Admin.at(url)
        if admin is None:
            return {}
        try:
            return next((dict(bus) for bus in _buses(admin) if bus["bus"] == bus_id), {})
        finally:
            admin.close()
    except AdminError:
        return {}


def refuse_served(port: str, url: str) -> None:
    """ConfigError where the server of the database at `url` runs and has this port: it is not merely busy."""
    admin = Admin.at(url)
    if admin is None:
        return
    buses = _buses(admin)
    admin.close()
    for bus in buses:
        if port == bus["bus"] or _same_port(port, bus["url"]):
            raise wrong(SERVED, port=port, bus=bus["bus"], socket=socket_path(url))


def _buses(admin: Admin) -> list[Any]:
    """The buses of the server; none of one that does not read meters."""
    try:
        return list(admin.ask("buses"))
    except BaseException:
        admin.close()
        raise


def _same_port(one: str, other: str) -> bool:
    """Whether two urls name one port; a link to a device is the device."""
    if is_networked(one) or is_networked(other):
        return one == other
    return os.path.realpath(one) == os.path.realpath(other)
