"""Signs the ends of the hash chains and appends them to a file that belongs on another machine."""

import fcntl
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Engine

from server.clock import Clock
from server.domain.heads import Head, last_heads, sign
from server.store.engine import reader
from server.store.estates import list_estates
from server.store.ledger import last_seal


def signed_heads(
    connection: Connection, key: Ed25519PrivateKey, now_ms: int, before: Mapping[str, Head] | None = None
) -> list[str]:
    """One line for each estate that has a sealed batch; numbered on from the heads `before`, None for no file."""
    lines = []
    for row in list_estates(connection):
        link = last_seal(connection, row["estate_id"])
        if link is not None:
            head = Head(row["estate_id"], link["batch_seq"], link["hash"], now_ms)
            if before is not None:
                last = before.get(head.estate_id)
                number, previous = (1, "") if last is None or not last.number else (last.number + 1, last.digest)
                head = replace(head, number=number, previous=previous)
            lines.append(sign(head, key))
    return lines


def append_heads(connection: Connection, key: Ed25519PrivateKey, now_ms: int, path: Path) -> int:
    """Sign heads that follow those of a file and append them durably; how many.

    The file is locked meanwhile, so that two writers never number alike. ConfigError for a file of something else.
    """
    with path.open("a+", encoding="utf-8", errors="replace") as file:  # a torn line may end within a character
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        kept = file.readlines()
        lines = signed_heads(connection, key, now_ms, last_heads(kept, str(path)))
        if lines and kept and not kept[-1].endswith("\n"):
            file.write("\n")
        file.writelines(f"{line}\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
    return len(lines)


class HeadsJob:
    """Exports heads once an hour."""

    name = "heads"
    interval_s = 3600.0

    def __init__(self, engine: Engine, clock: Clock, key: Ed25519PrivateKey, path: Path) -> None:
        self._engine, self._clock, self._key, self._path = engine, clock, key, path

    def run_once(self) -> None:
        """Sign what is sealed now."""
        with reader(self._engine) as connection:
            append_heads(connection, self._key, self._clock.now().machine_ms, self._path)
