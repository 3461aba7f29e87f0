"""One web process: `python -P -m server.roles.web LINE LISTENER`, started by `processes` with two inherited sockets.

It reads the database by itself, and asks the process that started it for everything else. It ends when it is told to,
at SIGTERM, and at once when that process is gone, whatever it was doing: nothing that it holds is worth keeping.
"""

import os
import signal
import socket
import sys
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from server import garbage
from server.transport.channel import Channel
from server.transport.memory import Bell

if TYPE_CHECKING:
    from fastapi import FastAPI

    from server.roles.desk import Boot

ORPHANED = 3  # exit code
SWITCH_INTERVAL_S = 0.001  # how long a page that is being made may keep others from being begun (Python: 5 ms)


def main(arguments: Sequence[str]) -> int:
    """Serve until told to end."""
    line, listener = (socket.socket(fileno=int(one)) for one in arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    bell, begun, serving = Bell(), Future["Boot"](), Future["SiteServer"]()

    def ring(items: Sequence[tuple[str, str]]) -> None:
        for topic, key in items:
            bell.ring(topic, key)

    def stop() -> None:
        serving.add_done_callback(lambda found: found.result().end())

    # The line first: what is loaded next takes a second, and the other process may go meanwhile.
    channel = Channel(line, {"begin": begun.set_result, "ring": ring, "stop": stop}, lambda: os._exit(ORPHANED))
    channel.start()
    from server.roles.http import SiteServer, log_to_stderr

    log_to_stderr()
    site = _site(channel, bell, begun.result())
    server = SiteServer(site, on_ready=lambda: channel.tell("ready"), on_beat=lambda: channel.tell("beat"))
    serving.set_result(server)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    garbage.settle()
    server.serve_on(listener)
    site.state.web.engine.dispose()
    return 0


def _site(channel: Channel, bell: Bell, boot: "Boot") -> "FastAPI":
    """The site around what can be read here and asked there."""
    from server.clock import Clock
    from server.notify.gateway import open_gateway
    from server.pay.opening import open_providers
    from server.roles.remote import RemoteCollector, RemoteSearches, RemoteWriter
    from server.store.engine import open_engine
    from server.web.site import create_site
    from server.web.state import WebState

    collector = RemoteCollector(channel)
    return create_site(
        WebState(
            config=boot.config,
            clock=Clock(boot.anchor),
            engine=open_engine(boot.config.database_url),
            writer=RemoteWriter(channel, bell),
            bell=bell,
            providers=open_providers(boot.config),
            collector=collector,
            estate_id=boot.estate_id,
            clock_sane=collector.clock_sane,
            language=boot.config.language,
            searches=RemoteSearches(channel) if boot.searches else None,
            message_gateway=open_gateway(boot.config, boot.estate_id),
        )
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
