"""Reads and appends of the journal: batches, their lines, and the seals over them."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, RowMapping, bindparam, case, func, or_, select

from core.units import NF_PER_FEN
from server.domain.columns import Columns
from server.domain.ledger import LEDGERS, LINE_FIELDS, Line, Link, ledger_account
from server.store.account_lines import NEWEST_FIRST, lines_of
from server.store.archive import archived_balance
from server.store.bulk import Bundle, insert_rows
from server.store.direct import Query, send
from server.store.schema import account, batch, line, seal

BATCH_HEADER = (
    "batch_seq", "kind", "event_at", "created_ms", "idem_key", "payload_sha256", "lines", "turnover_fen", "actor",
    "memo",
)  # fmt: skip

_BATCHES = Query(
    lambda among: select(batch.c.idem_key, batch.c.batch_seq, batch.c.payload_sha256).where(
        batch.c.estate_id == bindparam("estate_id"), among(batch.c.idem_key, "idem_keys")
    )
)
_NEWEST = Query(
    lambda _: select(func.max(batch.c.batch_seq).label("newest")).where(batch.c.estate_id == bindparam("estate_id"))
)
_ACCOUNTS = Query(
    lambda among: select(account).where(
        account.c.estate_id == bindparam("estate_id"), among(account.c.account_id, "account_ids")
    )
)
_MOVED = (
    "account_id",
    "balance_fen",
    "residue_nf",
    "version",
    "level",
    "alarm1_fen",
    "alarm2_fen",
    "overdraft_fen",
    "close_allowed_fen",
)
_STANDING = Query(
    lambda among: select(*(account.c[name] for name in _MOVED)).where(
        account.c.estate_id == bindparam("estate_id"), among(account.c.account_id, "account_ids")
    )
)
Row = dict[str, Any]


@dataclass(slots=True)
class Standing:
    """What a booking goes by: batches that have its key, the accounts it moves, and the newest batch's number.

    Whoever books several in a row moves the rows of `batches` and `accounts` and the number along.
    """

    batches: dict[str, Row]
    accounts: dict[str, Row]
    newest: int


def standing(connection: Connection, estate_id: str, idem_keys: Sequence[str], account_ids: Sequence[str]) -> Standing:
    """All of it for these keys and accounts, in one round trip; what does not exist is absent."""
    batches, accounts, newest = send(
        connection,
        _BATCHES.of(connection, estate_id=estate_id, idem_keys=idem_keys),
        _STANDING.of(connection, estate_id=estate_id, account_ids=account_ids),
        _NEWEST.of(connection, estate_id=estate_id),
    )
    return Standing(
        {row["idem_key"]: row for row in _BATCHES.named(connection, batches)},
        {row["account_id"]: row for row in _STANDING.named(connection, accounts)},
        newest.rows[0][0] or 0,
    )


def batch_of_key(connection: Connection, estate_id: str, idem_key: str) -> Row | None:
    """Number and payload of the batch that was booked under this key, if any."""
    found = _BATCHES.ask(connection, estate_id=estate_id, idem_keys=[idem_key])
    return found[0] if found else None


def kind_of(connection: Connection, estate_id: str, batch_seq: int) -> str | None:
    """The kind of a batch, if there is one of this number."""
    query = select(batch.c.kind).where(batch.c.estate_id == estate_id, batch.c.batch_seq == batch_seq)
    found: str | None = connection.execute(query).scalar_one_or_none()
    return found


def next_batch_seq(connection: Connection, estate_id: str) -> int:
    """The number after the newest batch; the single writer makes it free."""
    newest: int | None = _NEWEST.ask(connection, estate_id=estate_id)[0]["newest"]
    return (newest or 0) + 1


Header = tuple[int, str, int, int, str, str, int, int, str, str]


def append(bundle: Bundle, estate_id: str, batches: Sequence[tuple[Header, Sequence[Line]]]) -> None:
    """Write batches with their lines; each header in the order of BATCH_HEADER."""
    rows = [(estate_id, header[0], *item) for header, lines in batches for item in lines]
    append_rows(bundle, estate_id, [header for header, _ in batches], rows, [len(lines) for _, lines in batches])


def append_rows(
    bundle: Bundle, estate_id: str, headers: Sequence[Header], rows: Sequence[tuple[Any, ...]], sizes: Sequence[int]
) -> None:
    """The same with lines as rows, estate and batch first; `sizes` is how many of them each batch has."""
    bundle.insert(batch, ("estate_id", *BATCH_HEADER), [(estate_id, *header) for header in headers])
    booked_ms = [header[3] for header, size in zip(headers, sizes, strict=True) for _ in range(size)]
    bundle.insert_lines(("estate_id", "batch_seq", *LINE_FIELDS), rows, booked_ms)


def append_columns(
    bundle: Bundle, estate_id: str, header: Header, lines: Columns, rows: Sequence[tuple[Any, ...]]
) -> None:
    """Write a batch of which some lines are in columns, from the account on, and the others follow as `rows` have them.

    Lines in columns are numbered from 1 on.
    """
    bundle.insert(batch, ("estate_id", *BATCH_HEADER), [(estate_id, *header)])
    names = ("estate_id", "batch_seq", *LINE_FIELDS)
    numbers = np.arange(1, lines.rows + 1)
    bundle.insert_line_columns(names, Columns((estate_id, header[0], numbers, *lines.columns), lines.rows), header[3])
    bundle.insert_lines(names, rows, [header[3]] * len(rows))


def lines_of_batch(connection: Connection, estate_id: str, batch_seq: int) -> list[Line]:
    """The lines of one batch in order."""
    query = select(*(line.c[name] for name in LINE_FIELDS)).where(
        line.c.estate_id == estate_id, line.c.batch_seq == batch_seq
    )
    return [Line(*row) for row in connection.execute(query.order_by(line.c.line_no))]


def lines_of_account(
    connection: Connection, estate_id: str, account_id: str, *, limit: int = 100, before_version: int | None = None
) -> Sequence[RowMapping]:
    """The newest lines of an account, each with kind, instant and memo of its batch."""
    query = (
        select(line, batch.c.kind, batch.c.event_at, batch.c.created_ms, batch.c.actor, batch.c.memo)
        .join(batch, (batch.c.estate_id == line.c.estate_id) & (batch.c.batch_seq == line.c.batch_seq))
        .where(*lines_of(estate_id, account_id, before=before_version, newest=limit))
        .order_by(*NEWEST_FIRST)
        .limit(limit)
    )
    return connection.execute(query).mappings().all()


def balance_at(connection: Connection, estate_id: str, account_id: str, at_s: int) -> tuple[int, int]:
    """(fen, residue in nanofen) of an account at an instant of world time.

    What counts is when energy was used or money paid, not when it was booked. The residue is what was charged beyond
    the fen that were posted for it. Archived (domain.archive) for an instant whose lines are not all at hand.
    """
    before_fen, before_nf = archived_balance(connection, estate_id, account_id, at_s)
    charged = or_(line.c.meter_id.is_not(None), line.c.charge_nf != 0)
    posted_fen = case((charged, line.c.amount_fen), else_=0)
    query = (
        select(func.sum(line.c.amount_fen), func.sum(line.c.charge_nf), func.sum(posted_fen))
        .join(batch, (batch.c.estate_id == line.c.estate_id) & (batch.c.batch_seq == line.c.batch_seq))
        .where(*lines_of(estate_id, account_id), func.coalesce(line.c.event_to, batch.c.event_at) <= at_s)
    )
    fen, charged_nf, charged_fen = (int(value or 0) for value in connection.execute(query).one())
    return before_fen + fen, before_nf + charged_nf + charged_fen * NF_PER_FEN


def ledger_balances(connection: Connection, estate_id: str, account_id: str) -> dict[str, int]:
    """Fen of a household by ledger; 0 where nothing was ever booked."""
    names = {ledger: ledger_account(account_id, ledger) for ledger in LEDGERS}
    found = accounts_by_id(connection, estate_id, list(names.values()))
    return {ledger: int(found[name]["balance_fen"]) if name in found else 0 for ledger, name in names.items()}


def accounts_by_id(connection: Connection, estate_id: str, account_ids: Sequence[str]) -> dict[str, Row]:
    """The named accounts that exist."""
    found = _ACCOUNTS.ask(connection, estate_id=estate_id, account_ids=list(account_ids))
    return {row["account_id"]: row for row in found}


def newest_event_at(connection: Connection, estate_id: str) -> int | None:
    """World time of what the newest batch booked; None for an empty journal."""
    query = select(batch.c.event_at).where(batch.c.estate_id == estate_id).order_by(batch.c.batch_seq.desc()).limit(1)
    return connection.execute(query).scalar_one_or_none()


def last_seal(connection: Connection, estate_id: str) -> RowMapping | None:
    """The newest link of the estate's hash chain."""
    query = select(seal).where(seal.c.estate_id == estate_id).order_by(seal.c.batch_seq.desc()).limit(1)
    return connection.execute(query).mappings().one_or_none()


def link_of(connection: Connection, estate_id: str, batch_seq: int) -> RowMapping | None:
    """The seal of one batch."""
    query = select(seal).where(seal.c.estate_id == estate_id, seal.c.batch_seq == batch_seq)
    return connection.execute(query).mappings().one_or_none()


def append_links(connection: Connection, estate_id: str, links: Sequence[Link]) -> None:
    """Append links to the chain, in order."""
    columns = ("estate_id", "batch_seq", "lines_sha256", "previous_hash", "hash", "sealed_ms", "form")
    insert_rows(connection, seal, columns, [(estate_id, *astuple(link)) for link in links])
