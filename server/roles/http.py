"""HTTP of one process: uvicorn around the site, on a listening socket that is open already."""

import logging
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from server.web.wire import BoundedProtocol

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
KEEP_ALIVE_S = 30
SHUTDOWN_GRACE_S = 3
TICKS_A_BEAT = 10


def log_to_stderr() -> None:
    """One line a message, quiet about what is usual."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)


class SiteServer(uvicorn.Server):
    """Ends open event streams before it waits for requests, since those would not end by themselves."""

    def __init__(self, site: FastAPI, on_ready: Callable[[], None], on_beat: Callable[[], None]) -> None:
        """`on_ready` is called once requests are accepted, `on_beat` every second that the loop goes round."""
        super().__init__(
            uvicorn.Config(
                site,
                loop="uvloop",
                http=BoundedProtocol,
                access_log=False,
                log_level="warning",
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
                server_header=False,
            )
        )
        self._site = site
        self._on_ready = on_ready
        self._on_beat = on_beat

    def serve_on(self, listener: socket.socket) -> None:
        """Serve on the main thread until a signal or `end`."""
        for number in (signal.SIGINT, signal.SIGTERM):  # raised again after the shutdown: it must not end us unclean
            signal.signal(number, _already_stopping)
        self.run(sockets=[listener])

    def end(self) -> None:
        """Begin the shutdown, from any thread."""
        self._site.state.live.close()
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, and say so."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if counter % TICKS_A_BEAT == 0:
            self._on_beat()
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the shutdown for a signal."""
        self._site.state.live.close()
        super().handle_exit(sig, frame)


def _already_stopping(_number: int, _frame: FrameType | None) -> None:
    """The signal has been obeyed; what is left is to stop the parts in order."""
