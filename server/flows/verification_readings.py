"""What `verify` checks of readings in files: the acts, the files, and that archived lines rest on their registers."""

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection

from server.domain.archive import Act, ArchiveFile
from server.domain.reading_archive import ReadingAct, present, sealed_act
from server.domain.verification import Findings, note_rates
from server.store import ledger as journal
from server.store import reading_archive as store
from server.store import verification as books
from server.store.reading_file import rates_besides, registers_besides
from server.store.readings import accepted_at


def check_readings(
    found: Findings, connection: Connection, estate_id: str, files: Sequence[ArchiveFile], lines: Sequence[Act]
) -> int:
    """Note what is wrong; how many archived readings were not at hand.

    `files` are those at hand of both kinds, `lines` the acts by which lines are archived now.
    """
    acts = store.acts(connection, estate_id)
    for act in acts:
        key, payload = sealed_act(act)
        booked = journal.batch_of_key(connection, estate_id, key)
        subject = f"archive of readings {act.archive_no}"
        found.expect(7, subject, "hash of what was done", booked and booked["payload_sha256"], payload)
    at_hand = {one.sha256: one.path for one in files}
    named = {one.path.name: one for one in files}
    journals = [at_hand[act.file_sha256] for act in lines if act.file_sha256 in at_hand]
    mirrors = books.mirrors(connection, estate_id)
    months: dict[str, list[ReadingAct]] = {}
    absent = 0
    for act in present(acts):
        months.setdefault(act.month, []).append(act)
        if act.file_sha256 not in at_hand:
            absent += act.readings
            if act.file in named:
                found.expect(7, f"archive {act.file}", "SHA-256", named[act.file].sha256, act.file_sha256)
    for own in months.values():
        for act in own:
            if act.file_sha256 in at_hand:
                _rates(found, at_hand[act.file_sha256], journals, mirrors)
        paths = [at_hand[act.file_sha256] for act in own if act.file_sha256 in at_hand]
        if len(paths) == len(own):  # a month whose files are not all at hand tells nothing
            for one in journals:
                _rest(found, connection, estate_id, own[0], paths, one)
    return absent


def _rates(found: Findings, path: Path, journals: Sequence[Path], mirrors: set[int]) -> None:
    """Every archived line that ends at a reading of the file does so at its rate registers too."""
    for one in journals:
        note_rates(found, [beside for beside in rates_besides(path, one) if beside.batch_seq not in mirrors])


def _rest(
    found: Findings, connection: Connection, estate_id: str, act: ReadingAct, paths: Sequence[Path], lines: Path
) -> None:
    """Every archived line that ends in the month does so at the register of a file, or of a row that stayed."""
    besides = [{row[:2]: row for row in registers_besides(path, lines, act.from_at, act.to_at)} for path in paths]
    doubtful = {key: [one[key] for one in besides] for key in besides[0] if all(key in one for one in besides)}
    if not doubtful:
        return
    here = accepted_at(connection, estate_id, [(rows[0][2], rows[0][3]) for rows in doubtful.values()])
    for (batch_seq, line_no), rows in doubtful.items():
        _, _, meter_id, at, register_wh, _ = rows[0]
        told_wh = [row[5] for row in rows if row[5] is not None] or [here.get((meter_id, at), (None,))[0]]
        found.expect(
            6, f"batch {batch_seq} line {line_no}", "register that was read at its end", register_wh, told_wh[0]
        )
