"""Where the facts of a cut come from: positions in the books, taken at the decision and looked up again later.

`books_of` notes them; `against_books` compares what was noted with the rows, which are append-only for the ledger and
kept for the rest, so that evidence can be shown to be neither invented nor changed.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from core.reading import ADVANCING
from server.domain.rulebook import replayed
from server.domain.supply import ARREARS, TripFacts
from server.store.account_lines import numbered
from server.store.archive import newest_end
from server.store.estates import get_account
from server.store.reading_archive import is_archived
from server.store.schema import account, alert, approval, line, meter_live, notice, reading
from server.store.schemes import rule_book, versions

READINGS_KEPT = 2
NOTICES_KEPT = 8
GIVEN = ("way", "recipient", "given_by")  # arguments of a notice that the staff gave by hand
AWAITED = ("cut_warning", "final_notice")
_READING = ("read_at", "received_ms", "total_wh", "source", "verdict", "raw_hex")
_NOTICE = ("notice_id", "kind", "channel", "created_ms", "status", "not_before_at", "delivered_at")
_APPROVAL = ("approval_id", "kind", "payload_sha256", "requested_by", "approved_by", "approved_ms")
_LINE = ("batch_seq", "line_no", "account_version", "balance_after_fen", "residue_after_nf")


def books_of(
    connection: Connection, estate_id: str, account_id: str, meter_id: str, now_s: int
) -> dict[str, object]:  # fmt: skip
    """The ledger position, the last readings, the notices before a cut, the approvals and the rules that stand now."""
    return {
        "ledger": _position(connection, estate_id, account_id),
        "readings": _readings(connection, estate_id, meter_id),
        "notices": _notices(connection, estate_id, account_id),
        "approvals": _approvals(connection, estate_id),
        "rules": rule_book(connection, estate_id, now_s).source(get_account(connection, estate_id, account_id)),
    }


def against_books(
    connection: Connection,
    estate_id: str,
    account_id: str,
    meter_id: str,
    evidence: Mapping[str, Any],
    facts: TripFacts,
) -> list[str]:
    """What of the evidence the books do not bear out, in short English sentences; empty when all agrees."""
    return [
        *_wrong_ledger(connection, estate_id, account_id, evidence["ledger"], facts),
        *_wrong_readings(connection, estate_id, meter_id, evidence["readings"], facts),
        *_wrong_notices(connection, estate_id, account_id, evidence["notices"], facts),
        *_wrong_approvals(connection, estate_id, evidence["approvals"]),
        *_wrong_order(connection, estate_id, meter_id, evidence.get("order"), facts),
        *(_wrong_rules(connection, estate_id, account_id, evidence["rules"], facts) if "rules" in evidence else ()),
    ]


def _position(connection: Connection, estate_id: str, account_id: str) -> dict[str, object] | None:
    query = (
        select(*(line.c[name] for name in _LINE))
        .select_from(line)
        .join(account, numbered(line, account.c.estate_id, account.c.account_id, account.c.version))
        .where(account.c.estate_id == estate_id, account.c.account_id == account_id)
    )
    return _first(connection.execute(query).mappings().all())


def _readings(connection: Connection, estate_id: str, meter_id: str) -> list[dict[str, object]]:
    newest = (
        select(meter_live.c.reading_at)
        .where(meter_live.c.estate_id == estate_id, meter_live.c.meter_id == meter_id)
        .scalar_subquery()
    )
    query = (
        select(*(reading.c[name] for name in _READING))
        .where(
            reading.c.estate_id == estate_id,
            reading.c.meter_id == meter_id,
            reading.c.verdict.in_(ADVANCING),
            reading.c.read_at <= newest,
        )
        .order_by(reading.c.read_at.desc())
        .limit(READINGS_KEPT)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def _notices(connection: Connection, estate_id: str, account_id: str) -> list[dict[str, object]]:
    """The newest of each kind that a cut must have waited for."""
    found: list[dict[str, object]] = []
    for kind in AWAITED:
        query = (
            select(notice.c.arguments, *(notice.c[name] for name in _NOTICE))
            .where(notice.c.estate_id == estate_id, notice.c.account_id == account_id, notice.c.kind == kind)
            .order_by(notice.c.created_ms.desc(), notice.c.notice_id)
            .limit(NOTICES_KEPT)
        )
        found += [_noted(row) for row in connection.execute(query).mappings()]
    return found


def _noted(row: RowMapping) -> dict[str, object]:
    """A notice as evidence has it, with who gave it, how and to whom where the staff did."""
    arguments = json.loads(row["arguments"])
    given = {name: arguments[name] for name in GIVEN if name in arguments}
    return {name: row[name] for name in _NOTICE} | ({"given": given} if given else {})


def _approvals(connection: Connection, estate_id: str) -> list[dict[str, object]]:
    """The newest act of each kind that two people agreed to."""
    query = (
        select(*(approval.c[name] for name in _APPROVAL))
        .where(approval.c.estate_id == estate_id, approval.c.status == "approved")
        .order_by(approval.c.approved_ms.desc())
        .limit(50)
    )
    newest: dict[str, dict[str, object]] = {}
    for row in connection.execute(query).mappings():
        newest.setdefault(row["kind"], dict(row))
    return list(newest.values())


def _wrong_ledger(
    connection: Connection, estate_id: str, account_id: str, noted: Mapping[str, Any] | None, facts: TripFacts
) -> list[str]:
    if noted is None:
        moved = facts.balance_fen or facts.residue_nf
        return ["the balance has no line in the ledger"] if moved else []
    query = select(*(line.c[name] for name in _LINE), line.c.account_id).where(
        line.c.estate_id == estate_id,
        line.c.batch_seq == noted["batch_seq"],
        line.c.line_no == noted["line_no"],
        line.c.account_id == account_id,
    )
    row = _first(connection.execute(query).mappings().all())
    where = f"line {noted['batch_seq']}/{noted['line_no']} of the ledger"
    if row is None and noted["batch_seq"] <= newest_end(connection, estate_id)[0]:
        return [f"{where} is archived; put the archive back to compare it"]
    if row is None or any(row[name] != noted[name] for name in _LINE):
        return [f"{where} is not as it was noted"]
    if (row["balance_after_fen"], row["residue_after_nf"]) != (facts.balance_fen, facts.residue_nf):
        return [
            f"line {noted['batch_seq']}/{noted['line_no']} of the ledger does not end at the balance of the decision"
        ]
    return []


def _wrong_readings(
    connection: Connection, estate_id: str, meter_id: str, noted: Sequence[Mapping[str, Any]], facts: TripFacts
) -> list[str]:
    wrong = []
    for one in noted:
        query = select(reading.c.total_wh, reading.c.raw_hex).where(
            reading.c.estate_id == estate_id, reading.c.meter_id == meter_id, reading.c.read_at == one["read_at"]
        )
        found = connection.execute(query).all()
        if not found and is_archived(connection, estate_id, int(one["read_at"])):
            continue  # it lies in a file, which verify follows
        if found != [(one["total_wh"], one["raw_hex"])]:
            wrong.append(f"the reading of {one['read_at']} is not as it was noted")
    used = [(one["read_at"], one["total_wh"]) for one in noted]
    newest = [] if facts.reading_at is None else [(facts.reading_at, facts.total_wh)]
    before = {facts.previous_wh} - {None}  # a hazard needs no reading, let alone two
    if used[:1] != newest or not before <= {one[1] for one in used[1:]}:
        wrong.append("the readings that were noted are not those of the decision")
    return wrong


def _wrong_notices(
    connection: Connection, estate_id: str, account_id: str, noted: Sequence[Mapping[str, Any]], facts: TripFacts
) -> list[str]:
    wrong = []
    for one in noted:
        query = select(notice.c.created_ms, notice.c.delivered_at).where(
            notice.c.estate_id == estate_id,
            notice.c.notice_id == one["notice_id"],
            notice.c.account_id == account_id,
        )
        row = connection.execute(query).one_or_none()
        changed = row is None or row[0] != one["created_ms"]
        if changed or (one["delivered_at"] is not None and row is not None and row[1] != one["delivered_at"]):
            wrong.append(f"notice {one['notice_id']} is not as it was noted")
    if facts.warned_at is not None and facts.warned_at not in (one["delivered_at"] for one in noted):
        wrong.append("no notice was noted as delivered when the decision says so")
    finals = [one["delivered_at"] for one in noted if one.get("kind") == "final_notice"]
    if facts.final_notice_s and facts.cause == ARREARS and facts.final_at not in finals:
        wrong.append("no final notice was noted as delivered when the decision says so")
    return wrong


def _wrong_approvals(connection: Connection, estate_id: str, noted: Sequence[Mapping[str, Any]]) -> list[str]:
    wrong = []
    for one in noted:
        query = select(*(approval.c[name] for name in _APPROVAL)).where(
            approval.c.estate_id == estate_id, approval.c.approval_id == one["approval_id"]
        )
        row = _first(connection.execute(query).mappings().all())
        if row != dict(one):
            wrong.append(f"approval {one['approval_id']} is not as it was noted")
    return wrong


def _wrong_order(
    connection: Connection, estate_id: str, meter_id: str, noted: Mapping[str, Any] | None, facts: TripFacts
) -> list[str]:
    """A hazard rests on one request, to which another person has agreed as it stands."""
    if facts.cause == ARREARS:
        return []
    if noted is None:
        return ["the order of two people is not noted"]
    query = select(approval).where(approval.c.estate_id == estate_id, approval.c.approval_id == noted["approval_id"])
    row = _first(connection.execute(query).mappings().all())
    where = f"the order of two people, approval {noted['approval_id']},"
    if row is None or (row["kind"], row["status"]) != ("isolate", "approved"):
        return [f"{where} is not there"]
    payload = json.loads(row["payload"])
    said = {name: payload[name] for name in ("meter", "cause", "reason", "case_id")}
    people = (row["requested_by"], row["approved_by"])
    hashes = {sha256(row["payload"].encode()).hexdigest(), row["payload_sha256"], noted["payload_sha256"]}
    wrong = len(hashes) > 1
    wrong = wrong or said != {name: noted[name] for name in said}
    wrong = wrong or people != (facts.asked_by, facts.agreed_by) or people != (noted["asked_by"], noted["agreed_by"])
    wrong = wrong or (payload["meter"], payload["cause"]) != (meter_id, facts.cause)
    return [f"{where} is not as it was noted"] if wrong else []


def _wrong_rules(
    connection: Connection, estate_id: str, account_id: str, noted: Mapping[str, Any], facts: TripFacts
) -> list[str]:
    """The scheme's version is append-only, alerts only end earlier, and grace and times must follow from the rules."""
    wrong = []
    if noted["scheme_id"] is not None:
        key = (noted["scheme_id"], noted["version"])
        rows = {(row["scheme_id"], row["version"]): row["definition"] for row in versions(connection, estate_id)}
        if key not in rows or json.loads(rows[key]) != noted["definition"]:
            wrong.append(f"scheme {key[0]}, version {key[1]}, is not as it was noted")
    known = connection.execute(select(alert.c.from_at, alert.c.kind).where(alert.c.estate_id == estate_id)).all()
    if not {(start, kind) for start, _, kind in noted["alerts"]} <= {(row[0], row[1]) for row in known}:
        wrong.append("an alert that was noted is not among the estate's")
    rules, times = replayed(noted, account_id)
    if (rules.grace_s, rules.final_notice_s, times) != (facts.grace_s, facts.final_notice_s, facts.times):
        wrong.append("grace, final notice or protected times of the decision do not follow from the rules noted")
    return wrong


def _first(rows: Sequence[RowMapping]) -> dict[str, Any] | None:
    return dict(rows[0]) if rows else None
