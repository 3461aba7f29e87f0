"""Signs the ends of the hash chains and appends them to a file that belongs on another machine."""

import fcntl
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Connection, Engine

from server.clock import Clock
from server.domain.heads import Head, heads_of, is_torn, last_heads, serial_of, sign
from server.flows.heads import note_head
from server.store.engine import reader
from server.store.estates import list_estates
from server.store.ledger import last_seal
from server.store.unit import Writing


def next_heads(connection: Connection, now_ms: int, before: Mapping[str, Head] | None = None) -> list[Head]:
    """A head for each estate that has a sealed batch; numbered on from the heads `before`, None for no file."""
    heads = []
    for row in list_estates(connection):
        link = last_seal(connection, row["estate_id"])
        if link is not None:
            head = Head(row["estate_id"], link["batch_seq"], link["hash"], now_ms)
            if before is not None:
                last = before.get(head.estate_id)
                number, previous = (1, "") if last is None or not last.number else (last.number + 1, last.digest)
                head = replace(head, number=number, previous=previous)
            heads.append(head)
    return heads


def heads_in(path: Path, key: Ed25519PublicKey) -> tuple[list[Head], list[int]]:
    """The heads of a file, and which of its lines are torn; ConfigError for any that this key has not signed.

    OSError for a file that cannot be read. Nobody appends to it meanwhile.
    """
    with path.open(encoding="utf-8", errors="replace") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        lines = file.read().splitlines()
    torn = [number for number, text in enumerate(lines, 1) if is_torn(text)]
    whole = ["" if number in torn else text for number, text in enumerate(lines, 1)]
    return heads_of(whole, key, str(path)), torn


def append_heads(connection: Connection, key: Ed25519PrivateKey, now_ms: int, path: Path) -> list[Head]:
    """Sign heads that follow those of a file and append them durably; which ones.

    The file is locked meanwhile, so that two writers never number alike. ConfigError for a file of something else
    or of another key.
    """
    with path.open("a+", encoding="utf-8", errors="replace") as file:  # a torn line may end within a character
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        kept = file.readlines()
        heads = next_heads(connection, now_ms, last_heads(kept, str(path), serial_of(key.public_key())))
        lines = [sign(head, key) for head in heads]
        if lines and kept and not kept[-1].endswith("\n"):
            file.write("\n")
        file.writelines(f"{line}\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
    return heads


class HeadsJob:
    """Exports heads at the start and once an hour, and says so in the hash chain."""

    name = "heads"
    interval_s = 3600.0

    def __init__(self, engine: Engine, writer: Writing, clock: Clock, key: Ed25519PrivateKey, path: Path) -> None:
        self._engine, self._writer, self._clock, self._key, self._path = engine, writer, clock, key, path

    def run_once(self) -> None:
        """Sign what is sealed now."""
        now = self._clock.now()
        with reader(self._engine) as connection:
            heads = append_heads(connection, self._key, now.machine_ms, self._path)
        for head in heads:
            self._writer.run(lambda unit, head=head: note_head(unit, head, now))  # type: ignore[misc]
