"""`estate645 serve`: collect, deduct, warn, switch, take money and serve people."""

import argparse
import json
import logging
import os
import socket
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from server import garbage
from server.app import Application
from server.cli.outputs import refuse_unwritable
from server.config import Config, load
from server.errors import ConfigError
from server.roles.desk import Desk
from server.roles.http import SiteServer, log_to_stderr
from server.roles.processes import WebProcesses
from server.web.pages import refuse_without_assets

log = logging.getLogger("estate645")


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("serve", help="run the head-end", description=__doc__)
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML)")
    parser.add_argument("--database", metavar="URL", help="database to serve, instead of the configured one")
    parser.add_argument("--host", help="address to listen on, instead of the configured one")
    parser.add_argument("--port", type=int, help="port to listen on, instead of the configured one; 0: a free one")
    parser.add_argument(
        "--ready",
        type=Path,
        metavar="FILE",
        help="write address and process ids there once it serves, and again when they change",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    log_to_stderr()
    refuse_unwritable(arguments.ready)
    config = _with_options(load(arguments.config), arguments)
    refuse_without_assets()
    listener = _listen(config)
    port = listener.getsockname()[1]
    config = replace(config, port=port, public_url=config.public_url or _url(config.host, port))
    with listener:
        if config.web_processes:
            _serve_in_processes(config, listener, arguments.ready)
        else:
            _serve_here(config, listener, arguments.ready)
    return 0


def _serve_in_processes(config: Config, listener: socket.socket, ready: Path | None) -> None:
    """HTTP in processes of its own, which load while this one builds the rest."""
    with ExitStack() as parts:
        webs = WebProcesses(config.web_processes, listener)
        parts.callback(webs.stop)
        application = _started(config, parts)
        desk = Desk(application.state)
        parts.callback(desk.close)
        parts.callback(webs.stop)  # first of all: what people asked for is answered before its writer ends
        webs.begin(desk, application.bell)
        _write_ready(ready, config, webs.pids)
        webs.watch(lambda pids: _say_again(ready, config, pids))


def _serve_here(config: Config, listener: socket.socket, ready: Path | None) -> None:
    """HTTP on the main thread of the one process."""
    from server.web.site import create_site

    with ExitStack() as parts:
        application = _started(config, parts)
        site = create_site(application.state)
        _write_ready(ready, config, [])
        SiteServer(site, on_ready=_nothing, on_beat=_nothing).serve_on(listener)


def _started(config: Config, parts: ExitStack) -> Application:
    """The collector, the jobs and the writer at work, until `parts` are left."""
    application = Application(config)
    parts.callback(application.stop)
    application.start()
    garbage.settle()
    return application


def _say_again(ready: Path | None, config: Config, web_pids: list[int]) -> None:
    """Other web processes serve now; a full disk keeps nobody from reading meters."""
    try:
        _write_ready(ready, config, web_pids)
    except OSError as error:
        log.warning("%s still names web processes that have ended: %s", ready, error.strerror)


def _nothing() -> None:
    """Who waits for the ready file has it."""


def _with_options(config: Config, arguments: argparse.Namespace) -> Config:
    if arguments.database:
        config = replace(config, database_url=arguments.database)
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


def _url(host: str, port: int) -> str:
    """An IPv6 address stands in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _write_ready(path: Path | None, config: Config, web_pids: list[int]) -> None:
    """Written whole or not at all, so that a waiting parent never reads half of it."""
    if path is None:
        return
    draft = path.with_suffix(".draft")
    said = {"url": _url(config.host, config.port), "pid": os.getpid(), "web_pids": web_pids}
    draft.write_text(json.dumps(said), "utf-8")
    draft.replace(path)
