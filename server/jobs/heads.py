"""Signs the ends of the hash chains and appends them to a file that belongs on another machine."""

import os
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Engine

from server.clock import Clock
from server.domain.heads import Head, last_heads, sign
from server.store.engine import reader
from server.store.estates import list_estates
from server.store.ledger import last_seal


def signed_heads(connection: Connection, key: Ed25519PrivateKey, now_ms: int, file: Path | None = None) -> list[str]:
    """One line for each estate that has a sealed batch; numbered on from the heads of the `file` they go to."""
    before = {} if file is None else _last_heads(file)
    lines = []
    for row in list_estates(connection):
        link = last_seal(connection, row["estate_id"])
        if link is not None:
            head = Head(row["estate_id"], link["batch_seq"], link["hash"], now_ms)
            last = before.get(head.estate_id)
            if file is not None:
                number, previous = (1, "") if last is None or not last.number else (last.number + 1, last.digest)
                head = replace(head, number=number, previous=previous)
            lines.append(sign(head, key))
    return lines


def _last_heads(path: Path) -> dict[str, Head]:
    try:
        with path.open(encoding="utf-8") as file:
            return last_heads(file, str(path))
    except FileNotFoundError:
        return {}


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
            lines = signed_heads(connection, self._key, self._clock.now().machine_ms, self._path)
        append_heads(self._path, lines)
