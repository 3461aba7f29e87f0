"""`estate645 serve`: collect, deduct, warn, switch, take money and serve people, from one process."""

import argparse
import gc
import json
import logging
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from server.app import Application
from server.config import Config, load
from server.errors import ConfigError
from server.web.pages import refuse_without_assets
from server.web.wire import BoundedProtocol

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
KEEP_ALIVE_S = 30
SHUTDOWN_GRACE_S = 3


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("serve", help="run the head-end", description=__doc__)
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML)")
    parser.add_argument("--host", help="address to listen on, instead of the configured one")
    parser.add_argument("--port", type=int, help="port to listen on, instead of the configured one; 0: a free one")
    parser.add_argument("--ready", type=Path, metavar="FILE", help="write address and process id there once it serves")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = _with_options(load(arguments.config), arguments)
    refuse_without_assets()
    listener = _listen(config)
    port = listener.getsockname()[1]
    config = replace(config, port=port, public_url=config.public_url or f"http://{config.host}:{port}")
    application = Application(config)
    application.start()
    gc.collect()
    gc.freeze()  # what lives as long as the process is not searched again and again while buses wait
    try:
        if arguments.ready is not None:
            _write_ready(arguments.ready, config)
        serve_site(application, listener)
    finally:
        application.stop()
        listener.close()
    return 0


def serve_site(application: Application, listener: socket.socket) -> None:
    """Run HTTP on the main thread until a signal ends it."""
    settings = uvicorn.Config(
        application.site,
        loop="uvloop",
        http=BoundedProtocol,
        access_log=False,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
        server_header=False,
    )
    server = _Server(settings, application)
    for number in (signal.SIGINT, signal.SIGTERM):  # raised once more after the shutdown: it must not end us unclean
        signal.signal(number, _already_stopping)
    server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """Ends open event streams when the signal comes, since uvicorn would wait for them."""

    def __init__(self, settings: uvicorn.Config, application: Application) -> None:
        super().__init__(settings)
        self._application = application

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the shutdown."""
        self._application.site.state.live.close()
        super().handle_exit(sig, frame)


def _already_stopping(_number: int, _frame: FrameType | None) -> None:
    """The signal has been obeyed; what is left is to stop the parts in order."""


def _with_options(config: Config, arguments: argparse.Namespace) -> Config:
    if arguments.host:
        config = replace(config, host=arguments.host)
    if arguments.port is not None:
        if not 0 <= arguments.port <= 65535:
            raise ConfigError(f"--port {arguments.port} is wrong; allowed: 0 to 65535")
        config = replace(config, port=arguments.port)
    return config


def _listen(config: Config) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {config.host} port {config.port} ({error.strerror}); "
            "set another port (--port, or `port` in the settings; 0 takes a free one)"
        ) from error
    return listener


def _write_ready(path: Path, config: Config) -> None:
    """Written whole or not at all, so that a waiting parent never reads half of it."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"url": f"http://{config.host}:{config.port}", "pid": os.getpid()}), "utf-8")
    draft.replace(path)
