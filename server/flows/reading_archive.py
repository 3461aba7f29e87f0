"""Moving old readings into files, a month of UTC a file, and back, so that each is in the database or in a file.

    file written -> durable under its name -> the act committed -> readings leave, by a whole partition or by their keys

Readings leave only when no line of the database charges energy of their month any more: those lines are in archives of
the journal, which carry the registers. Whatever stops it in between, the next call goes on from there.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection

from server.domain.archive import MOVED, RESTORED
from server.domain.reading_archive import AboutReadings, ReadingAct, present, sealed_act, signed
from server.errors import Conflict, Refused
from server.flows.archive import act_of_file, note
from server.store import reading_archive as store
from server.store.copying import whole_file
from server.store.file_tables import streamed
from server.store.months import add_months, begin_of, month_of
from server.store.reading_file import SUFFIX, about_of, hash_of, rows_after, write_about, write_rows
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

ROWS_A_UNIT = 2_000  # some 20 ms of the writer; payments go first between two units
START = (-1, "")
Row = tuple[Any, ...]


def name_of(month: int) -> str:
    """A month of UTC, as 2026-10."""
    return f"{month // 12:04d}-{month % 12 + 1:02d}"


def last_month(now: "Now", months: int, before_s: int | None = None) -> int:
    """The month before which readings may leave: so many whole months stay, and more if `before_s` is earlier."""
    newest = month_of(now.world_s) - months
    if before_s is not None and month_of(before_s) > newest:
        raise Refused(f"the last {months} months of readings stay in the database; name an earlier date")
    return newest if before_s is None else month_of(before_s)


def months_to_move(connection: Connection, estate_id: str, before: int) -> list[int]:
    """The months before `before` of which readings may leave, oldest first."""
    oldest = store.oldest(connection, estate_id)
    if oldest is None:
        return []
    months = range(month_of(max(0, oldest)), before)
    return [one for one in months if store.count_movable(connection, estate_id, begin_of(one), begin_of(one + 1))]


def unfinished(connection: Connection, estate_id: str) -> list[ReadingAct]:
    """Acts after which readings are here still, or a month of PostgreSQL is not gone: somebody was stopped."""
    return [
        act
        for act in present(store.acts(connection, estate_id))
        if is_detached(connection, act) or store.count_movable(connection, estate_id, act.from_at, act.to_at)
    ]


def is_detached(connection: Connection, act: ReadingAct) -> bool:
    """Whether an act's month was taken out of the readings on PostgreSQL and waits to be compared and dropped."""
    part = store.part_of(connection, act)
    return part is not None and not store.is_attached(connection, part)


def write_readings(
    connection: Connection,
    estate_id: str,
    month: int,
    folder: Path,
    now: "Now",
    key: Ed25519PrivateKey | None = None,
) -> Path:
    """Write the file of a month, in a reader's transaction.

    Refused while lines of the database rest on its readings: then the journal is archived first.
    """
    from_at, to_at = begin_of(month), begin_of(month + 1)
    name = name_of(month)
    if store.lines_resting_on(connection, estate_id, from_at, to_at):
        raise Refused(
            f"lines of the journal still rest on readings of {name}; close the months up to it and move its lines "
            "first (estate645 archive --before DATE --out DIR)"
        )
    number = len(store.acts(connection, estate_id)) + 1
    path = folder.joinpath(f"{re.sub(r'[^A-Za-z0-9_-]', '_', estate_id)}-{name}-{number:04d}{SUFFIX}")
    query = store.movable(estate_id, from_at, to_at)
    if path.exists():
        return _again(path, estate_id, name, streamed(connection, query))
    with whole_file(path) as part:
        count, rows_sha256 = write_rows(part, streamed(connection, query))
        about = AboutReadings(estate_id, name, from_at, to_at, count, rows_sha256, now.machine_ms)
        write_about(part, replace(about, signature=signed(about, key) if key else ""))
    return path


def _again(path: Path, estate_id: str, month: str, portions: Iterator[list[Row]]) -> Path:
    """A file that was written before somebody stopped us; Conflict when it is another."""
    about = about_of(path)
    if (about.estate, about.month, about.rows_sha256) != (estate_id, month, hash_of(portions)[1]):
        raise Conflict(f"{path} exists and is not this archive; name another folder")
    return path


def move(unit: Unit, estate_id: str, path: Path, sha256: str, actor: str, now: "Now") -> ReadingAct:
    """Keep the act by which the readings of a file count as archived; from then on they may leave.

    Again for a file that is archived already it changes nothing.
    """
    connection, about = unit.connection, about_of(path)
    acts = store.acts(connection, estate_id)
    known = next((act for act in present(acts) if act.file_sha256 == sha256), None)
    if known is not None:
        return known
    if about.estate != estate_id or store.lines_resting_on(connection, estate_id, about.from_at, about.to_at):
        raise Conflict(f"{path} cannot be archived now; write it anew")
    act = ReadingAct(
        len(acts) + 1, MOVED, about.month, about.from_at, about.to_at, about.readings, path.name, sha256,
        about.rows_sha256, actor, now.machine_ms,
    )  # fmt: skip
    _keep(unit, estate_id, act, now)
    return act


def detach(unit: Unit, estate_id: str, act: ReadingAct, staying: Sequence[Row]) -> bool:
    """On PostgreSQL, take the act's month out of the readings as a whole; False when it goes by keys or later."""
    part = store.part_of(unit.connection, act)
    if part is None or not store.is_attached(unit.connection, part):
        return False
    return store.detach(unit.connection, estate_id, part, staying)


def differing(connection: Connection, act: ReadingAct, path: Path) -> list[Row]:
    """The rows of a detached month that the file does not say."""
    part = store.part_of(connection, act)
    if part is None:
        return []
    found: list[Row] = []
    told = _rows_of_file(path)
    next_told = next(told, None)
    for rows in store.rows_of(connection, part):
        for row in rows:
            while next_told is not None and next_told[:2] < row[:2]:
                next_told = next(told, None)
            if next_told != row:
                found.append(row)
    return found


def _rows_of_file(path: Path) -> Iterator[Row]:
    after = START
    while rows := rows_after(path, after, ROWS_A_UNIT):
        yield from rows
        after = rows[-1][:2]


def drop(unit: Unit, estate_id: str, act: ReadingAct, differing: Sequence[Row]) -> int:
    """Let a detached month go; how many readings that were."""
    part = store.part_of(unit.connection, act)
    if part is None or store.is_attached(unit.connection, part):
        raise Conflict(f"the month {act.month} is not detached; nothing was changed")
    return store.drop(unit.connection, estate_id, part, act, differing)


def clear(unit: Unit, estate_id: str, path: Path, after: tuple[int, str]) -> tuple[int, tuple[int, str] | None]:
    """Delete some readings of a file that is archived, from behind a key on; how many, and the key to go on from.

    None in place of the key when the file has no more.
    """
    rows = rows_after(path, after, ROWS_A_UNIT)
    if not rows:
        return 0, None
    return store.delete_rows(unit.connection, estate_id, rows), rows[-1][:2]


def to_restore(connection: Connection, estate_id: str, path: Path, sha256: str) -> ReadingAct:
    """The act behind a file that can be put back; NotFound or Conflict."""
    return act_of_file(present(store.acts(connection, estate_id)), path, sha256)


def put_back(unit: Unit, estate_id: str, path: Path, after: tuple[int, str]) -> tuple[int, tuple[int, str] | None]:
    """Insert some readings of a file, from behind a key on; how many it says, and the key to go on from."""
    rows = rows_after(path, after, ROWS_A_UNIT)
    if not rows:
        return 0, None
    add_months(unit.connection, "reading", sorted({month_of(row[0]) for row in (rows[0], rows[-1])}))
    store.put_back(unit.connection, estate_id, rows)
    return len(rows), rows[-1][:2]


def restored(unit: Unit, estate_id: str, act: ReadingAct, actor: str, now: "Now") -> ReadingAct:
    """Keep the act by which the readings of a file, all of them here again, count as the database's own."""
    if store.count_within(unit.connection, estate_id, act.from_at, act.to_at) < act.readings:
        raise Conflict(f"readings of {act.file} are missing still; put it back once more")
    acts = store.acts(unit.connection, estate_id)
    undone = act._replace(archive_no=len(acts) + 1, act=RESTORED, actor=actor, created_ms=now.machine_ms)
    _keep(unit, estate_id, undone, now)
    return undone


def _keep(unit: Unit, estate_id: str, act: ReadingAct, now: "Now") -> None:
    """Keep an act, and put it into the hash chain."""
    store.add_act(unit.connection, estate_id, act)
    note(unit, estate_id, act, sealed_act(act), now)
