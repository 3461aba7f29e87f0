"""Power cuts by replay: what may lie on the disk when the power fails at any point of a recorded run.

A child process does real bookings through the real writer on a VFS that writes everything down (trace_vfs.c). A cut
at some record leaves of each file what was synced, and of every later write each sector kept, lost or torn. The
database made of that must open, hold no half batch, and know every key whose booking somebody was told is durable.
"""

import ctypes
import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pysqlite3

from server.flows.verification import verify
from server.store.engine import open_engine, reader
from tests.server.estates import ESTATE

SOURCE = Path(__file__).with_name("trace_vfs.c")
ROOT = Path(__file__).parents[3]
SECTOR = 512
HEAD = struct.Struct("=BBqq")
RUN_S = 120
VERIFY_EVERY = 20  # cuts; between them SQL asks the questions that matter, which is ten times quicker
HALF_BATCHES = """
SELECT b.batch_seq FROM batch b LEFT JOIN line l ON l.estate_id = b.estate_id AND l.batch_seq = b.batch_seq
GROUP BY b.batch_seq HAVING count(l.line_no) <> b.lines OR sum(l.amount_fen) <> 0
"""
WRONG_BALANCES = """
SELECT a.account_id FROM account a LEFT JOIN line l
ON +l.estate_id = a.estate_id AND l.account_id = a.account_id AND l.account_version = a.version
AND l.account_version / 8 = a.version / 8
WHERE a.balance_fen <> coalesce(l.balance_after_fen, 0) OR a.residue_nf <> coalesce(l.residue_after_nf, 0)
"""


def library(folder: Path) -> Path:
    """The VFS, compiled by what has compiled `core`."""
    built = folder / "trace_vfs.so"
    subprocess.run(
        [os.environ.get("CC", "cc"), "-O1", "-shared", "-fPIC", "-o", built, SOURCE, "-lpthread"], check=True
    )
    return built


def begin_trace(built: Path, trace: Path) -> ctypes.CDLL:
    """Record what this process does with SQLite files from now on."""
    import pysqlite3._sqlite3 as driver

    sqlite, vfs = ctypes.CDLL(driver.__file__), ctypes.CDLL(str(built))
    vfs.trace_mark.argtypes = [ctypes.c_int64]
    assert vfs.trace_begin(str(trace).encode(), sqlite.sqlite3_vfs_find, sqlite.sqlite3_vfs_register) == 0
    return vfs


def recorded(built: Path, database: Path, trace: Path, *, synchronous: str, seed: int) -> None:
    """Run the workload on a copy of `database` in a process of its own."""
    command = [sys.executable, "-P", "-m", "tests.server.power.workload"]
    arguments = [str(built), str(database), str(trace), synchronous, str(seed)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([*command, *arguments], check=True, cwd=ROOT, env=environment, timeout=RUN_S)


@dataclass(slots=True)
class Disk:
    """One file: what is durable, and what was written since its last sync."""

    durable: bytearray
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)  # (offset, data) or (size, None)

    def sync(self) -> None:
        """All that was written is durable."""
        for offset, data in self.pending:
            _apply(self.durable, offset, data)
        self.pending.clear()

    def after_cut(self, luck: random.Random) -> bytes:
        """What the power cut leaves: of each unsynced sector all, nothing or a part."""
        left, kept = bytearray(self.durable), luck.choice((0.0, 0.5, 0.5, 0.9, 1.0))
        for offset, data in self.pending:
            if data is None:
                if luck.random() < kept:
                    _apply(left, offset, None)
                continue
            for start in range(0, len(data), SECTOR):
                sector = data[start : start + SECTOR]
                if luck.random() >= kept:
                    if luck.random() < 0.8:
                        continue
                    sector = sector[: luck.randrange(len(sector))]
                _apply(left, offset + start, sector)
        return bytes(left)


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        return
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that happened: see trace_vfs.c."""

    kind: str
    file: int
    offset: int
    data: bytes


def records(trace: Path) -> list[Record]:
    """The whole trace."""
    raw, at, found = trace.read_bytes(), 0, []
    while at < len(raw):
        kind, file, offset, length = HEAD.unpack_from(raw, at)
        at += HEAD.size
        found.append(Record(chr(kind), file, offset, raw[at : at + length]))
        at += length
    return found


def cuts(trace: Path, before: Path, count: int, luck: random.Random) -> Iterator[tuple[list[int], dict[str, bytes]]]:
    """(numbers marked until then, contents by file name) of `count` power cuts in the order of time."""
    happened = records(trace)
    first = next(number for number, record in enumerate(happened) if record.kind == "M")
    places = sorted(luck.randrange(first, len(happened)) for _ in range(count))
    disks: dict[str, Disk] = {}
    names: dict[int, str] = {}
    marks: list[int] = []
    for number, record in enumerate(happened):
        while places and places[0] == number:
            places.pop(0)
            yield list(marks), {name: disk.after_cut(luck) for name, disk in disks.items()}
        if record.kind == "M":
            marks.append(record.offset)
        elif record.kind == "O":
            name = names[record.file] = Path(record.data.decode()).name
            if name not in disks:
                old = before.parent / name
                disks[name] = Disk(bytearray(old.read_bytes() if old.exists() else b""))
        elif record.kind == "S":
            disks[names[record.file]].sync()
        else:
            disks[names[record.file]].pending.append((record.offset, record.data if record.kind == "W" else None))


def losses(trace: Path, before: Path, folder: Path, count: int, seed: int) -> int:
    """Cuts after which an acknowledged key is missing; AssertionError for a database that is broken otherwise."""
    lost = 0
    for number, (marks, files) in enumerate(cuts(trace, before, count, random.Random(seed))):
        here = folder / "after"
        shutil.rmtree(here, ignore_errors=True)
        here.mkdir()
        for name, content in files.items():
            (here / name).write_bytes(content)
        lost += bool(set(marks) - _durable(here / before.name, f"seed {seed}, cut {number}"))
        if number % VERIFY_EVERY == 0:
            engine = open_engine(f"sqlite:///{here / before.name}")
            with reader(engine) as connection:
                assert verify(connection, ESTATE).mismatches == (), f"seed {seed}, cut {number}"
            engine.dispose()
    return lost


def _durable(path: Path, where: str) -> set[int]:
    """The numbers whose top-ups are in the books after recovery."""
    connection = pysqlite3.connect(str(path))
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], where
        assert connection.execute(HALF_BATCHES).fetchall() == [], where
        assert connection.execute(WRONG_BALANCES).fetchall() == [], where
        keys = connection.execute("SELECT idem_key FROM batch WHERE kind = 'topup'").fetchall()
    finally:
        connection.close()
    return {int(key.removeprefix("t-")) for (key,) in keys}
