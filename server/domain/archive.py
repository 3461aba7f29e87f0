"""Old lines that lie in files: what an archive is, and where everything stood at its end.

An archive holds the lines of a run of sealed batches, from the first or from the end of the archive before. Headers
and seals of the batches stay in the database, so keys stay unique and the hash chain unbroken; instead of the lines
the database keeps the standing: balance, residue and version of each account, registers and counters of each meter,
after the last archived batch. The lines that follow must go on from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from server.domain.ledger import payload_sha256
from server.errors import Refused

AGE_DAYS_MIN = 90  # what is younger may still be asked for, corrected and re-rated
MOVED, RESTORED = "moved", "restored"
FORM = 1


class Archived(Refused):
    """What was asked for lies in an archive; the message says from when on the books are at hand."""


class AccountStanding(NamedTuple):
    """Where an account stood."""

    account_id: str
    balance_fen: int
    residue_nf: int
    version: int


class MeterStanding(NamedTuple):
    """Where the charges of one installation of a meter stood; rates are "r1,r2,r3,r4" or None."""

    meter_id: str
    install_no: int
    total_wh: int
    read_at: int
    rates_wh: str | None
    tier_period_start: int | None
    tier_period_wh: int
    order_start: int
    order_rates_wh: str | None
    charged_wh: int
    charges: int


class Act(NamedTuple):
    """One act of archiving, in the order of the table's columns after the estate.

    After it the lines of batches up to `until_seq` are archived, of which every one is from before `until_at`.
    """

    archive_no: int
    act: str
    first_seq: int
    last_seq: int
    until_seq: int
    until_at: int
    lines: int
    file: str
    file_sha256: str
    hash: str
    standing_sha256: str
    actor: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """A file that is at hand, with the hash of all its bytes."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where everything stood after some batch, sorted by account and by meter."""

    accounts: Sequence[AccountStanding] = ()
    meters: Sequence[MeterStanding] = ()

    def sha256(self) -> str:
        """Hash of all of it."""
        digest = sha256()
        for row in (*self.accounts, *self.meters):
            digest.update(f"{tuple(row)!r}\n".encode())
        return digest.hexdigest()


def present(acts: Sequence[Act]) -> list[Act]:
    """Of all acts in order those that moved what is archived now, oldest first; as far as they lead back."""
    until_seq = acts[-1].until_seq if acts else 0
    newest = {act.last_seq: act for act in acts if act.act == MOVED and act.first_seq <= act.last_seq}
    kept: list[Act] = []
    while act := newest.pop(until_seq, None):
        kept.append(act)
        until_seq = act.first_seq - 1
    return kept[::-1]


def sealed_act(act: Act) -> tuple[str, str]:
    """Idempotency key and payload hash of the batch without lines that puts an act into the hash chain."""
    return f"archive:{act.archive_no}", payload_sha256("archive", *act)
