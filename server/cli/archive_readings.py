"""`estate645 archive --readings`: months of readings that are older than the setting `readings_months` into files.

One file a month and estate. Readings leave only after the lines that were charged by them; registers of days stay.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from server.admin.archiving import READINGS
from server.cli.languages import mark as _
from server.cli.languages import told
from server.clock import Now
from server.domain.reading_archive import ReadingAct, present
from server.flows import reading_archive as flow
from server.flows.archive import file_hash
from server.store import reading_archive as store
from server.store.engine import reader
from server.store.unit import Writing

Step = Callable[..., dict[str, Any]]


def move_months(
    engine: Engine, estate_id: str, step: Step, writer: Writing | None, before: int, out: Path, now: Now,
    key: Ed25519PrivateKey | None, lang: str = "both",
) -> None:  # fmt: skip
    """Move every month before the month `before`; `writer` is this process's own, None beside a running server."""
    with reader(engine) as connection:
        stopped = flow.unfinished(connection, estate_id)
    absent = set()
    for act in stopped:
        path = out / act.file
        if path.is_file() and file_hash(path) == act.file_sha256:
            if count := _leave(engine, estate_id, step, writer, act, path):
                cleared = _("estate %(estate)s: %(count)s readings that were archived before are deleted now")
                print(told(cleared, lang, estate=estate_id, count=count))
        else:
            absent.add(act.month)
            here = _("estate %(estate)s: readings of %(month)s are here still; name the folder with %(file)s")
            print(told(here, lang, estate=estate_id, month=act.month, file=act.file))
    with reader(engine) as connection:
        months = flow.months_to_move(connection, estate_id, before)
    moved = 0
    for month in months:
        name = flow.name_of(month)
        if name in absent:
            continue
        with reader(engine) as connection:
            path = flow.write_readings(connection, estate_id, month, out, now, key)
        act = ReadingAct(**step(step=f"{READINGS}move", file=str(path)))
        written = _("estate %(estate)s: %(count)s readings of %(month)s are in %(path)s")
        print(told(written, lang, estate=estate_id, count=act.readings, month=name, path=path))
        print(f"  SHA-256 {act.file_sha256}")
        if key is None:
            print("  " + told(_("not signed: there is no heads_key"), lang))
        gone = _leave(engine, estate_id, step, writer, act, path)
        print("  " + told(_("%(count)s readings deleted from the database"), lang, count=gone))
        moved += 1
    if not moved:
        none = _("estate %(estate)s: no reading of before %(month)s is left to archive")
        print(told(none, lang, estate=estate_id, month=flow.name_of(before)))


def _leave(
    engine: Engine, estate_id: str, step: Step, writer: Writing | None, act: ReadingAct, path: Path
) -> int:  # fmt: skip
    """Let the readings of an act leave: on PostgreSQL the month as a whole, what is left by keys."""
    total = 0
    if writer is not None and engine.dialect.name == "postgresql":
        with reader(engine) as connection:
            staying = store.staying(connection, estate_id, act)
        if staying is not None:
            writer.run(lambda unit: flow.detach(unit, estate_id, act, staying))
        with reader(engine) as connection:
            detached = flow.is_detached(connection, act)
            besides = flow.differing(connection, act, path) if detached else []
        if detached:
            total = writer.run(lambda unit: flow.drop(unit, estate_id, act, besides))
    with reader(engine) as connection:
        left = store.count_movable(connection, estate_id, act.from_at, act.to_at)
    after: tuple[int, str] | None = flow.START
    while left and after is not None:
        done = step(step=f"{READINGS}clear", file=str(path), after=after)
        total, after = total + int(done["readings"]), done["after"]
    return total


def restore_month(engine: Engine, estate_id: str, step: Step, path: Path, lang: str = "both") -> None:
    """Put the readings of a file back."""
    with reader(engine) as connection:
        act = flow.to_restore(connection, estate_id, path, file_hash(path))
    after: tuple[int, str] | None = flow.START
    while after is not None:
        after = step(step=f"{READINGS}put_back", file=str(path), after=after)["after"]
    step(step=f"{READINGS}restored", file=str(path))
    back = _("estate %(estate)s: %(count)s readings of %(month)s are in the database again")
    print(told(back, lang, estate=estate_id, count=act.readings, month=act.month))


def list_months(engine: Engine, estate_id: str, lang: str) -> None:
    """Say which months are in which files."""
    with reader(engine) as connection:
        kept = present(store.acts(connection, estate_id))
    for act in kept:
        said = told(_("%(count)s readings of %(month)s"), lang, count=act.readings, month=act.month)
        print(f"  {act.file}: {said}; SHA-256 {act.file_sha256}")
