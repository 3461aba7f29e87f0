"""The line that a command asks on: a port of its own, opened with the collector's own session and codec.

Who names a short wait means it: the margin on top of it is a quarter of it at most.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from server.collect.line import BusLine
from server.collect.port import LineSettings
from server.collect.ports import open_port
from server.collect.tally import Tally
from server.collect.work import Clocks, timing_for


@asynccontextmanager
async def opened(url: str, line: LineSettings, wait_ms: int) -> AsyncIterator[BusLine]:
    """The line of a port, open; `PortError` says what to do when it cannot be."""
    clocks = Clocks(time.time, lambda: int(time.time() * 1000))
    timing = timing_for(line, wait_ms)
    timing = replace(timing, margin_s=min(timing.margin_s, timing.reply_delay_max_s / 4))
    bus = BusLine(open_port(url, line), timing, clocks, Tally(), lambda: None)
    await bus.open()
    try:
        yield bus
    finally:
        bus.close()
        await asyncio.sleep(0)  # an aborted connection closes in the next round of the loop


def is_networked(url: str) -> bool:
    """Whether line settings are somebody else's: a serial server has its own."""
    return "://" in url
