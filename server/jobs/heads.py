"""Signs the ends of the hash chains and appends them to a file that belongs on another machine."""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Engine

from server.clock import Clock
from server.domain.heads import Head, sign
from server.store.engine import reader
from server.store.estates import list_estates
from server.store.ledger import last_seal


def signed_heads(connection: Connection, key: Ed25519PrivateKey, now_ms: int) -> list[str]:
    """One line for each estate that has a sealed batch."""
    lines = []
    for row in list_estates(connection):
        link = last_seal(connection, row["estate_id"])
        if link is not None:
            lines.append(sign(Head(row["estate_id"], link["batch_seq"], link["hash"], now_ms), key))
    return lines


def append_heads(path: Path, lines: list[str]) -> None:
    """Append lines to a file, durably."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())


class HeadsJob:
    """Exports heads once an hour."""

    name = "heads"
    interval_s = 3600.0

    def __init__(self, engine: Engine, clock: Clock, key: Ed25519PrivateKey, path: Path) -> None:
        self._engine, self._clock, self._key, self._path = engine, clock, key, path

    def run_once(self) -> None:
        """Sign what is sealed now."""
        with reader(self._engine) as connection:
            lines = signed_heads(connection, self._key, self._clock.now().machine_ms)
        append_heads(self._path, lines)
