"""Command line of the sandbox provider: binds, says where it is in the ready file, serves until it is stopped."""

import argparse
import json
import os
import socket
import sys
from pathlib import Path

import uvicorn

from server.pay.sandbox_provider.app import Desk, create_provider
from server.pay.sandbox_provider.delivery import Delivery
from server.pay.sandbox_provider.seal import fingerprint, private_key, public_key


def main(arguments: list[str] | None = None) -> int:
    """Run the provider; 2 when a key or the port cannot be used."""
    given = _parser().parse_args(arguments)
    try:
        key, merchant_key = private_key(given.private_key), public_key(given.merchant_key)
        listener = socket.create_server((given.host, given.port))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"sandbox provider: {error}\n")
        return 2
    delivery = Delivery(key, fingerprint(merchant_key), late_s=given.late_s)
    app = create_provider(Desk(key, merchant_key, delivery), faults=given.faults)
    with listener:
        if given.ready is not None:
            _tell(given.ready, f"http://{given.host}:{listener.getsockname()[1]}")
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
        uvicorn.Server(config).run(sockets=[listener])
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -P -m server.pay.sandbox_provider",
        description="A payment provider for demonstrations and tests; no real money moves.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    parser.add_argument("--private-key", type=Path, required=True, help="PEM file of the provider's Ed25519 key")
    parser.add_argument("--merchant-key", type=Path, required=True, help="PEM file of the merchant's public key")
    parser.add_argument("--ready", type=Path, help="file that names the address once it listens (JSON: url, pid)")
    parser.add_argument("--faults", action="store_true", help="allow tests to plant faults (POST /v1/faults)")
    parser.add_argument("--late-s", type=float, default=3.0, help="seconds that a late callback waits")
    return parser


def _tell(ready: Path, url: str) -> None:
    """Write the ready file whole or not at all."""
    part = ready.with_name(f"{ready.name}.part")
    part.write_text(json.dumps({"url": url, "pid": os.getpid()}), "utf-8")
    part.replace(ready)


if __name__ == "__main__":
    sys.exit(main())
