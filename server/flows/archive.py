"""Moving old lines into a file, and back, so that at every moment all of them are in the database or in the file.

    file written and followed -> durable under its name -> the act committed -> lines deleted, a few thousand at a time

Whatever stops it in between, the next call goes on from there: lines that are archived and still here are checked like
any others, and a file that is there already is taken if it says what a new one would. Each act is also a batch of the
journal without lines, so that the hash chain says when it was done and with which file.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection

from server.domain.archive import AGE_DAYS_MIN, MOVED, RESTORED, Act, present, sealed_act
from server.domain.heads import Head, sign
from server.domain.ledger import GENESIS
from server.domain.settlement import KINDS as SETTLEMENT_KINDS
from server.errors import Conflict, NotFound, Refused, StorageUnavailable
from server.flows.ledger import post_act
from server.flows.verification import followed
from server.store import archive as store
from server.store import ledger as journal
from server.store import settlement
from server.store.archive_file import (
    About,
    about_of,
    lines_of,
    sha256_of,
    standing_of,
    write_rows,
    write_standing,
)
from server.store.copying import whole_file
from server.store.months import add_months, month_of
from server.store.rerating import with_status
from server.store.unit import Unit
from server.store.verification_windows import line_hashes

if TYPE_CHECKING:
    from server.clock import Now

LINES_A_UNIT = 2_000  # some 20 ms of the writer; payments go first between two units
DAY_S = 86_400


class FiledAct(Protocol):
    """What acts on lines and acts on readings have in common."""

    @property
    def act(self) -> str: ...
    @property
    def file(self) -> str: ...
    @property
    def file_sha256(self) -> str: ...
    @property
    def actor(self) -> str: ...


AnyAct = TypeVar("AnyAct", bound=FiledAct)


def write_archive(
    connection: Connection,
    estate_id: str,
    until_at: int,
    folder: Path,
    now: "Now",
    key: Ed25519PrivateKey | None = None,
) -> Path:
    """Write the file of all lines up to the last sealed batch of before `until_at`, in a reader's transaction.

    Refused when `until_at` is too young or nothing is left to archive, StorageUnavailable when the books do not agree:
    then nothing may be archived.
    """
    if until_at > now.world_s - AGE_DAYS_MIN * DAY_S:
        raise Refused(f"what is younger than {AGE_DAYS_MIN} days is not archived; name an earlier date")
    first = store.newest_end(connection, estate_id)[0] + 1
    last = store.last_movable(connection, estate_id, first - 1, until_at)
    last = min(last, _closed_through(connection, estate_id, until_at))
    if last < first:
        raise Refused("no sealed batch of before that date is left in the database; name a later date")
    before, link = (journal.link_of(connection, estate_id, seq) for seq in (first - 1, last))
    signed = sign(Head(estate_id, last, link["hash"], now.machine_ms), key) if key and link else ""
    about = About(
        estate_id, first, last, until_at, 0, before["hash"] if before else GENESIS, link["hash"] if link else "", "",
        now.machine_ms, signed,
    )  # fmt: skip
    path = folder.joinpath(f"{re.sub(r'[^A-Za-z0-9_-]', '_', estate_id)}-{first:09d}-{last:09d}.archive")
    if path.exists():
        return _again(connection, path, about)
    with whole_file(path) as part:
        lines = write_rows(part, connection, estate_id, first, last)
        stood, mismatches = followed(connection, estate_id, last, part)
        if mismatches:
            raise StorageUnavailable(
                f"{len(mismatches)} numbers do not agree (the first: {mismatches[0].subject}: {mismatches[0].detail}); "
                "nothing was archived, run estate645 verify"
            )
        write_standing(part, replace(about, lines=lines, standing_sha256=stood.sha256()), stood)
    return path


def _closed_through(connection: Connection, estate_id: str, until_at: int) -> int:
    """The last batch that a closed day and a closed month have counted; Refused when one ends before `until_at`.

    Sums of open periods are derived from lines, which must be at hand for that.
    """
    newest = {kind: settlement.newest(connection, estate_id, kind) for kind in SETTLEMENT_KINDS}
    behind = [kind for kind, period in newest.items() if period is None or period.to_at < until_at]
    if behind:
        raise Refused(f"close every {' and '.join(behind)} of before that date first; open periods are not archived")
    return min(period.through_seq for period in newest.values() if period is not None)


def _again(connection: Connection, path: Path, about: About) -> Path:
    """A file that was written before somebody stopped us; Conflict when it is another."""
    found = about_of(path)
    stood, mismatches = followed(connection, about.estate, about.last_seq, path)
    same = replace(found, created_ms=about.created_ms, head=about.head, lines=0, standing_sha256="")
    if mismatches or same != about or stood.sha256() != found.standing_sha256:
        raise Conflict(f"{path} exists and is not this archive; name another folder")
    return path


def move(unit: Unit, estate_id: str, path: Path, sha256: str, actor: str, now: "Now") -> Act:
    """Keep the act by which the lines of a file count as archived; from then on `clear` may delete them.

    Again for a file that is archived already it changes nothing.
    """
    acts = store.acts(unit.connection, estate_id)
    known = next((act for act in present(acts) if act.file_sha256 == sha256), None)
    if known is not None:
        return known
    if any(one.from_at < about_of(path).until_at for one in with_status(unit.connection, estate_id, "running")):
        raise Conflict("a re-rating still posts corrections for some of these lines; archive them after its end")
    about, stood = about_of(path), standing_of(path)
    link = journal.link_of(unit.connection, estate_id, about.last_seq)
    if (
        about.estate != estate_id
        or about.first_seq != store.newest_end(unit.connection, estate_id)[0] + 1
        or link is None
        or (link["hash"], stood.sha256()) != (about.hash, about.standing_sha256)
    ):
        raise Conflict(f"{path} is not the next archive of this estate; write it anew")
    act = Act(
        len(acts) + 1, MOVED, about.first_seq, about.last_seq, about.last_seq, about.until_at, about.lines, path.name,
        sha256, about.hash, about.standing_sha256, actor, now.machine_ms,
    )  # fmt: skip
    note(unit, estate_id, act, sealed_act(act), now)
    store.add_act(unit.connection, estate_id, act, stood)
    return act


def clear(unit: Unit, estate_id: str) -> int:
    """Delete some lines that are archived; how many, 0 when none is left."""
    return store.clear(unit.connection, estate_id, LINES_A_UNIT)


def is_next_to_restore(connection: Connection, estate_id: str, path: Path, sha256: str) -> Act:
    """The act by which a file was archived; NotFound, or Conflict when it is changed or not the newest."""
    kept = present(store.acts(connection, estate_id))
    found = act_of_file(kept, path, sha256)
    if found is not kept[-1]:
        raise Conflict(f"put back {kept[-1].file} first: archives come back in the opposite order")
    return found


def act_of_file(kept: Sequence[AnyAct], path: Path, sha256: str) -> AnyAct:
    """The act by which a file was archived; NotFound, or Conflict when the file is changed."""
    named = next((act for act in kept if act.file == path.name), None)
    if named is None:
        raise NotFound(f"{path.name} is no archive of this estate, or was put back already")
    if named.file_sha256 != sha256:
        raise Conflict(f"{path} was changed since it was archived (SHA-256 {sha256}); take another copy of it")
    return named


def missing_batches(connection: Connection, estate_id: str, act: Act) -> Iterator[list[int]]:
    """The batches of an archive whose lines are not here, in runs of some thousand lines."""
    here = store.batches_with_lines(connection, estate_id, act.first_seq, act.last_seq)
    run: list[int] = []
    left = LINES_A_UNIT
    for seq, lines, _ in store.headers(connection, estate_id, act.first_seq, act.last_seq):
        if seq in here or not lines:
            continue
        run.append(seq)
        left -= lines
        if left <= 0:
            yield run
            run, left = [], LINES_A_UNIT
    if run:
        yield run


def put_back(unit: Unit, estate_id: str, path: Path, batches: list[int]) -> int:
    """Insert the lines of some batches that are not here."""
    here = store.batches_with_lines(unit.connection, estate_id, min(batches), max(batches))
    wanted = [seq for seq in batches if seq not in here]
    if unit.connection.dialect.name == "postgresql":
        booked = store.headers(unit.connection, estate_id, min(batches), max(batches))
        add_months(unit.connection, "line", sorted({month_of(ms // 1000) for _, _, ms in booked}))
    rows = lines_of(path, wanted)
    for seq, own in line_hashes(rows).items():
        link = journal.link_of(unit.connection, estate_id, seq)
        if link is None or (link["form"] != 1 and link["lines_sha256"] != own):
            raise Conflict(f"{path}: the lines of batch {seq} are not those that were sealed; take another copy of it")
    store.put_back(unit.connection, estate_id, rows)
    return len(rows)


def restored(unit: Unit, estate_id: str, act: Act, actor: str, now: "Now") -> Act:
    """Keep the act by which the lines of an archive, all of them here again, count as the database's own."""
    if next(missing_batches(unit.connection, estate_id, act), None):
        raise Conflict(f"lines of {act.file} are missing still; put it back once more")
    acts = store.acts(unit.connection, estate_id)
    kept = present(acts)
    if not kept or kept[-1].archive_no != act.archive_no:
        raise Conflict(f"{act.file} is not the newest archive any more; nothing was changed")
    before = kept[-2] if len(kept) > 1 else None
    undone = act._replace(
        archive_no=len(acts) + 1, act=RESTORED, until_seq=act.first_seq - 1,
        until_at=before.until_at if before else 0, actor=actor, created_ms=now.machine_ms,
    )  # fmt: skip
    note(unit, estate_id, undone, sealed_act(undone), now)
    store.add_act(unit.connection, estate_id, undone)
    return undone


def note(unit: Unit, estate_id: str, act: FiledAct, sealed: tuple[str, str], now: "Now") -> None:
    """Put an act into the hash chain as a batch without lines; `sealed` is the key and the payload of the batch."""
    key, payload = sealed
    post_act(unit, estate_id, "archive", key, payload, actor=act.actor, memo=f"{act.act} {act.file}", now=now)


def file_hash(path: Path) -> str:
    """SHA-256 of a file; NotFound when it cannot be read."""
    try:
        return sha256_of(path)
    except OSError as error:
        raise NotFound(f"{path} cannot be read ({error.strerror}); name a file of `estate645 archive`") from error
