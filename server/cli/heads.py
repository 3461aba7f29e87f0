"""`estate645 heads`: sign the end of each estate's hash chain, to be kept on another machine.

`verify --heads FILE --public-key FILE` compares such heads with the journal: rows that were rewritten and chained
anew no longer lead to them.
"""

import argparse
from pathlib import Path
from typing import Any

from server.cli.verify import database_of, existing
from server.clock import Clock
from server.config import load
from server.domain.heads import sign
from server.errors import ConfigError
from server.jobs.heads import append_heads, next_heads
from server.signing.ed25519 import generate_key_pair, load_private_key
from server.store.engine import reader


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("heads", help="sign the ends of the hash chains", description=__doc__)
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the server")
    parser.add_argument("--database", metavar="URL", help="database whose chains are signed")
    parser.add_argument("--key", type=Path, metavar="FILE", help="Ed25519 private key (default: setting heads_key)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="append to FILE instead of printing")
    parser.add_argument("--new-key", type=Path, metavar="DIR", help="make DIR/private.pem and DIR/public.pem, and end")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Sign what is sealed now."""
    if arguments.new_key:
        if (arguments.new_key / "private.pem").exists():
            raise ConfigError(f"{arguments.new_key}/private.pem exists; heads signed with it would lose their key")
        pair = generate_key_pair(arguments.new_key)
        print(f"wrote {pair.private} (keep it) and {pair.public} (give it to whoever verifies)")
        return 0
    path = arguments.key or load(arguments.config).heads_key
    if not path:
        raise ConfigError("no key: name one with --key FILE or the setting heads_key; --new-key DIR makes one")
    key = load_private_key(Path(path))
    with existing(database_of(arguments)) as engine, reader(engine) as connection:
        now_ms = Clock().now().machine_ms
        if arguments.out:
            heads, lines = append_heads(connection, key, now_ms, arguments.out), []
        else:
            heads = next_heads(connection, now_ms)
            lines = [sign(head, key) for head in heads]
    if not heads:
        raise ConfigError("no batch is sealed yet, so there is nothing to sign; run the server for a second")
    if lines:
        print("\n".join(lines))
    return 0
