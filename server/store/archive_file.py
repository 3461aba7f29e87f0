"""An archive as a file: an SQLite database of form 1, to be read by any program that knows SQLite, never written again.

Table `about` says what it is (form, estate, batches, hash of the batch before and of the last, standing, signed head),
`batch` and `seal` are copies of the headers and links, `line` has the lines with the accepted register at the end of
each charge (`read_wh`), `account` and `meter` say where everything stood after the last batch. Integers and texts are
those of the database; hashes are recomputed from them as docs/archive.md tells.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from server.domain.archive import FORM, AccountStanding, MeterStanding, Standing
from server.domain.line_words import COLUMNS
from server.errors import ConfigError
from server.store.file_tables import fill, kind_of, make, opened, streamed, written
from server.store.ledger import BATCH_HEADER
from server.store.schema import batch, line, seal
from server.store.verification_windows import joined_lines_query

_SEAL = ("batch_seq", "lines_sha256", "previous_hash", "hash", "sealed_ms", "form")


@dataclass(frozen=True, slots=True)
class About:
    """What an archive says of itself; `head` is a signed head of its last batch, or empty."""

    estate: str
    first_seq: int
    last_seq: int
    until_at: int
    lines: int
    previous_hash: str
    hash: str
    standing_sha256: str
    created_ms: int
    head: str = ""


def sha256_of(path: Path) -> str:
    """Hash of the whole file."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def write_rows(path: Path, connection: Connection, estate_id: str, first: int, last: int) -> int:
    """Put headers, seals and lines of these batches into the empty file; the number of lines."""
    with written(path) as file:
        make(file, "batch", {name: kind_of(batch, name) for name in BATCH_HEADER}, "batch_seq")
        make(file, "seal", {name: kind_of(seal, name) for name in _SEAL}, "batch_seq")
        kinds = {name: kind_of(line, name) if name in line.c else "INTEGER" for name in COLUMNS}
        make(file, "line", kinds, "batch_seq, line_no")
        for table, names in ((batch, BATCH_HEADER), (seal, _SEAL)):
            own = table.c.batch_seq
            query = select(*(table.c[name] for name in names)).where(table.c.estate_id == estate_id)
            _filled(file, table.name, connection, query.where(own.between(first, last)).order_by(own))
        return _filled(file, "line", connection, joined_lines_query(estate_id, first - 1, last))


def _filled(file: Any, name: str, connection: Connection, query: Any) -> int:
    count = 0
    for rows in streamed(connection, query):
        fill(file, name, rows)
        count += len(rows)
    return count


def write_standing(path: Path, about: About, stood: Standing) -> None:
    """Put in what the file is and where everything stood; the last that is written."""
    with written(path) as file:
        texts = {name: str(getattr(about, name)) for name in About.__slots__}
        make(file, "about", {"name": "TEXT", "value": "TEXT"}, "name")
        file.executemany("INSERT INTO about VALUES (?, ?)", [("form", str(FORM)), *texts.items()])
        for name, kind, rows in (
            ("account", AccountStanding, stood.accounts), ("meter", MeterStanding, stood.meters),
        ):  # fmt: skip
            key = "account_id" if name == "account" else "meter_id, install_no"
            make(file, name, {field: "TEXT" if _is_text(field) else "INTEGER" for field in kind._fields}, key)
            marks = ", ".join("?" * len(kind._fields))
            file.executemany(f"INSERT INTO {name} VALUES ({marks})", [tuple(row) for row in rows])  # noqa: S608


def _is_text(field: str) -> bool:
    return field in ("account_id", "meter_id", "rates_wh", "order_rates_wh")


def about_of(path: Path) -> About:
    """What a file says of itself."""
    with opened(path) as file:
        texts = dict(file.execute("SELECT name, value FROM about").fetchall())
    if texts.pop("form", None) != str(FORM) or set(texts) != set(About.__slots__):
        raise ConfigError(f"{path} is no archive of form {FORM}; use the release that wrote it")
    numbers = {"first_seq", "last_seq", "until_at", "lines", "created_ms"}
    try:
        values: dict[str, Any] = {name: int(value) if name in numbers else value for name, value in texts.items()}
        return About(**values)
    except ValueError as error:
        raise ConfigError(f"{path} was changed: {error}") from error


def standing_of(path: Path) -> Standing:
    """Where everything stood at its end."""
    with opened(path) as file:
        accounts = file.execute(f"SELECT {', '.join(AccountStanding._fields)} FROM account").fetchall()  # noqa: S608
        meters = file.execute(f"SELECT {', '.join(MeterStanding._fields)} FROM meter").fetchall()  # noqa: S608
    return Standing(sorted(AccountStanding(*row) for row in accounts), sorted(MeterStanding(*row) for row in meters))


def lines_of(path: Path, batches: Sequence[int]) -> list[tuple[Any, ...]]:
    """The lines of some batches in order: batch number and LINE_FIELDS."""
    if not batches:
        return []
    wanted = set(batches)
    with opened(path) as file:
        found = file.execute(
            f"SELECT {', '.join(COLUMNS[:-1])} FROM line WHERE batch_seq BETWEEN ? AND ? "  # noqa: S608
            "ORDER BY batch_seq, line_no",
            (min(wanted), max(wanted)),
        ).fetchall()
    return [row for row in found if row[0] in wanted]
