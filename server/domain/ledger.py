"""Double entry: what a batch and its lines say, and the bytes that seals are made of.

A household's balance is its credit. The lines of a batch sum to zero; a line carries the account's balance, residue
and version after it, so that each account is a chain of its own. A charge line also carries what it was computed
from: meter, registers, instants and the tier counter. The canonical form of a line is 184 bytes, little-endian, so
that a hash over lines needs no serialiser and cannot depend on one.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

REVENUE = "revenue"
OPENING = "opening"
CASH = "cash"
SUSPENSE = "suspense"
ASSIGNMENT = "assignment"  # the kind of batches that give money in suspense to a household
METER_CREDIT = "meter_credit"  # what meters with local fee control were given to charge by themselves
REFUNDS = "refunds"  # what has left a balance and is on its way back to its payer; made when it is needed
ELECTRICITY = "electricity"
LEDGERS = (ELECTRICITY, "shared", "property", "arrears")  # a household has an account in each
SYSTEM_ACCOUNTS = (REVENUE, OPENING, CASH, SUSPENSE, METER_CREDIT)

GENESIS = "0" * 64
SEAL_FORM = 2  # of new seals; form 1 hashed rate registers as text and left out when a batch was sealed
_ABSENT = -(2**63)
_LINE = struct.Struct("<q16sqqqqq16sq16sqq16s16sqqqq")


def provider_account(provider: str) -> str:
    """The account that stands for the money a payment provider holds for us."""
    return CASH if provider == CASH else f"provider:{provider}"


def ledger_account(account_id: str, ledger: str) -> str:
    """A household's account in one of its ledgers; its own id is that of electricity."""
    return account_id if ledger == ELECTRICITY else f"{account_id}:{ledger}"


@dataclass(frozen=True, slots=True)
class Link:
    """One seal: a batch's place in the hash chain of its estate."""

    batch_seq: int
    lines_sha256: str
    previous_hash: str
    hash: str
    sealed_ms: int
    form: int = SEAL_FORM


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a booking that is no charge: an amount on an account."""

    account_id: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class PostedTopup:
    """What a booked top-up did; `repeated` is True when this key had been booked before."""

    batch_seq: int
    balance_fen: int
    level: int
    repeated: bool = False


class Line(NamedTuple):
    """One line of a batch, in the order of the table's columns after estate and batch number."""

    line_no: int
    account_id: str
    amount_fen: int
    balance_after_fen: int
    account_version: int
    charge_nf: int = 0
    residue_after_nf: int = 0
    meter_id: str | None = None
    install_no: int | None = None
    tariff_id: str | None = None
    from_wh: int | None = None
    to_wh: int | None = None
    from_rates_wh: str | None = None
    to_rates_wh: str | None = None
    tier_period_start: int | None = None
    tier_from_wh: int | None = None
    event_from: int | None = None
    event_to: int | None = None


LINE_FIELDS = Line._fields


@lru_cache(maxsize=200_000)
def _digest(text: str | None) -> bytes:
    return b"\0" * 16 if text is None else sha256(text.encode()).digest()[:16]


def _number(value: int | None) -> int:
    return _ABSENT if value is None else value


def canonical_line(line: Line) -> bytes:
    """The fixed-width form of a line: int64 little-endian, texts as the first 16 bytes of their SHA-256."""
    return _LINE.pack(
        line.line_no,
        _digest(line.account_id),
        line.amount_fen,
        line.balance_after_fen,
        line.account_version,
        line.charge_nf,
        line.residue_after_nf,
        _digest(line.meter_id),
        _number(line.install_no),
        _digest(line.tariff_id),
        _number(line.from_wh),
        _number(line.to_wh),
        _digest(line.from_rates_wh),
        _digest(line.to_rates_wh),
        _number(line.tier_period_start),
        _number(line.tier_from_wh),
        _number(line.event_from),
        _number(line.event_to),
    )


def lines_sha256(lines: Iterable[Line]) -> str:
    """Hash of the lines in line_no order, as hex; of seals of form 1 (form 2: `server.domain.line_words`)."""
    return sha256(b"".join(map(canonical_line, lines))).hexdigest()


def sealed_header(header: tuple[object, ...], sealed_ms: int, form: int) -> tuple[object, ...]:
    """What a link is made of besides hashes: form 1 knew only the batch, form 2 also when it was sealed."""
    return header if form == 1 else (*header, sealed_ms, form)


def chain_hash(previous_hash: str, header: tuple[object, ...], lines_hash: str) -> str:
    """Hash of a batch: of the one before, its own header (columns in table order) and its lines."""
    parts = [previous_hash, *(repr(value) for value in header), lines_hash]
    return sha256("\n".join(parts).encode()).hexdigest()


def payload_sha256(*parts: object) -> str:
    """Hash of what a booking was asked to do, to tell a repeat from another request under the same key."""
    return sha256("\n".join(repr(part) for part in parts).encode()).hexdigest()
