"""`estate645 demo --check --faults`: what came of the faults, judged by the auditor and at the meters themselves.

The auditor of the simulator runs as a child on two files, the truth and our view (`estate645 view`), so that nothing
of ours judges itself. A trip is wrong when a simulated relay opened for a household that had money left by the posted
books (whose every charge the auditor has confirmed), that must never be cut, or that had no warning in time.
"""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import Connection, func, select

from server.cli.demo.estate import FACTOR, Play, meter_of
from server.cli.demo.faults import EXPECTED_CASES, NEVER_CUT, WITH_FAULTS
from server.cli.demo.stage import Stage
from server.cli.view import rows
from server.errors import EstateError
from server.store.account_lines import lines_of
from server.store.engine import open_engine, reader
from server.store.estates import get_estate
from server.store.schema import account, anomaly_case, batch, line, meter, notice

TOLERANCE_S = 2 * FACTOR  # a reading is stamped when its answer arrives; two machine seconds in world time
AUDIT_TIMEOUT_S = 60
CHARGE = "charge"


class AuditFailed(EstateError):
    """The auditor could not judge; the message carries what it said."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Figures of the last line, and the sentences behind `mismatches`."""

    faults: int
    cases: int
    audited: int
    wrong_trips: int
    wrong_charges: int
    problems: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """What joins the last line."""
        return {
            "faults": self.faults,
            "cases": self.cases,
            "audited": self.audited,
            "wrong_trips": self.wrong_trips,
            "wrong_charges": self.wrong_charges,
        }


def judge(stage: Stage, estate_id: str, play: Play = WITH_FAULTS) -> Judgement:
    """Judge the stopped server by the simulator, which still runs."""
    view = list(rows(stage.database_url, tolerance_s=TOLERANCE_S))
    findings = _audit(stage, view)
    wrong = Counter(finding["what"] for finding in findings)
    engine = open_engine(stage.database_url)
    try:
        with reader(engine) as connection:
            trips = _wrong_trips(stage, connection, estate_id)
            missing = _missing_cases(connection, estate_id)
            cases = _cases(connection, estate_id)
    finally:
        engine.dispose()
    said = [f"{one['where']} {one['what']}: {one['why']}" for one in findings]
    return Judgement(
        len(play.troubles), cases, len(view) - 1, len(trips), wrong[CHARGE], (*said, *trips, *missing)
    )  # fmt: skip


def has_expected_cases(stage: Stage, estate_id: str) -> bool:
    """Whether the server has noticed all that it must, so that the check may end."""
    engine = open_engine(stage.database_url)
    try:
        with reader(engine) as connection:
            return not _missing_cases(connection, estate_id)
    finally:
        engine.dispose()


def _audit(stage: Stage, view: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The auditor's findings on the truth of now and our view."""
    truth_path, view_path = stage.folder / "truth.jsonl", stage.folder / "view.jsonl"
    answer = httpx.get(f"{stage.simulator_url}/truth/export", timeout=AUDIT_TIMEOUT_S)
    answer.raise_for_status()
    truth_path.write_bytes(answer.content)
    view_path.write_text("".join(json.dumps(row) + "\n" for row in view), "utf-8")
    command = [sys.executable, "-P", "-m", "sim", "audit", str(truth_path), str(view_path), "--json"]
    audit = subprocess.run(command, capture_output=True, text=True, timeout=AUDIT_TIMEOUT_S, check=False)
    if audit.returncode not in (0, 1) or bool(audit.returncode) != bool(audit.stdout):
        raise AuditFailed(f"the auditor ended with code {audit.returncode}: {audit.stderr[-500:]}")
    return [json.loads(line) for line in audit.stdout.splitlines()]


def _wrong_trips(stage: Stage, connection: Connection, estate_id: str) -> list[str]:
    grace_s = get_estate(connection, estate_id)["grace_s"]
    spared = {meter_of(room) for room in NEVER_CUT}
    query = select(meter.c.meter_id, meter.c.account_id, account.c.protected).join(
        account, (account.c.estate_id == meter.c.estate_id) & (account.c.account_id == meter.c.account_id)
    )
    known = {row[0]: (row[1], row[2]) for row in connection.execute(query.where(meter.c.kind == "household"))}
    wrong = []
    for household in stage.truth("/truth")["households"]:
        for event in household["relay_events"]:
            if event["to"] != "open":
                continue
            at_s = int(event["at_s"])
            account_id, protected = known[household["meter"]]
            why = [
                *(["it must never be cut"] if household["meter"] in spared or protected else []),
                *_money_left(connection, estate_id, account_id, at_s),
                *_unwarned(connection, estate_id, account_id, at_s - grace_s),
            ]
            wrong += [f"{household['meter']} was cut wrongly at {at_s}: {reason}" for reason in why]
    return wrong


def _money_left(connection: Connection, estate_id: str, account_id: str, at_s: int) -> list[str]:
    """What was paid before an instant against what was charged up to it."""
    joined = (batch.c.estate_id == line.c.estate_id) & (batch.c.batch_seq == line.c.batch_seq)
    query = (
        select(func.sum(line.c.amount_fen))
        .join(batch, joined)
        .where(
            *lines_of(estate_id, account_id),
            func.coalesce(line.c.event_to, batch.c.event_at) <= at_s,
        )
    )
    left_fen = connection.execute(query).scalar() or 0
    return [f"{left_fen} fen were left"] if left_fen > 0 else []


def _unwarned(connection: Connection, estate_id: str, account_id: str, before_s: int) -> list[str]:
    query = select(func.min(notice.c.delivered_at)).where(
        notice.c.estate_id == estate_id, notice.c.account_id == account_id, notice.c.kind == "cut_warning"
    )
    delivered_at = connection.execute(query).scalar()
    return [] if delivered_at is not None and delivered_at <= before_s else ["it was not warned in time"]


def _cases(connection: Connection, estate_id: str) -> int:
    query = select(func.count()).select_from(anomaly_case).where(anomaly_case.c.estate_id == estate_id)
    return int(connection.execute(query).scalar_one())


def _missing_cases(connection: Connection, estate_id: str) -> list[str]:
    query = select(anomaly_case.c.kind, anomaly_case.c.subject).where(anomaly_case.c.estate_id == estate_id)
    found = {(row[0], row[1]) for row in connection.execute(query)}
    return [f"{subject}: no case {kind}" for kind, subject in EXPECTED_CASES if (kind, subject) not in found]
