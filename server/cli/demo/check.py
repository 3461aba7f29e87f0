"""`estate645 demo --check`: the story without a person, then every number against the simulator's truth.

The server is stopped first, so that the books stand still. Then, household by household and to the nanofen: the sum of
the charges equals what the simulator says that the way from the start register to the ledger's cursor costs; the
cursor's register was really shown at that time; opening + top-ups - charges is the balance; and what the server
believes of each relay is what the relay did. The journal is verified as `estate645 verify` does it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from core.units import NF_PER_FEN
from server.cli.demo.estate import FACTOR, STORY, Play
from server.cli.demo.stage import Stage
from server.flows.verification import verify
from server.store.engine import open_engine, reader
from server.store.schema import account, batch, line, meter, meter_cursor, notice, reading, relay_attempt, supply
from server.store.statistics import pay_to_power_ms

WINDOW_TOLERANCE_S = 2 * FACTOR  # a reading is stamped when its answer arrives; two machine seconds in world time
EXPECTED_TRIPS = ("online", "counter", "third_party")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The last line of the check, and the sentences behind `mismatches`."""

    reads: int
    charges: int
    trips: int
    restores: int
    pay_to_power_s: float | None
    mismatches: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """The document of the last line."""
        return {
            "reads": self.reads,
            "charges": self.charges,
            "trips": self.trips,
            "restores": self.restores,
            "pay_to_power_s": self.pay_to_power_s,
            "mismatches": len(self.mismatches),
        }


@dataclass(frozen=True, slots=True)
class Books:
    """One household as the head-end has it: cursor, charges, balance, relay."""

    account_id: str
    meter_id: str
    room: str
    read_at: int
    total_wh: int
    charged_nf: int
    opening_fen: int
    topups_fen: int
    balance_fen: int
    residue_nf: int
    relay: str


def compare(stage: Stage, estate_id: str, play: Play = STORY) -> Outcome:
    """Compare the stopped server's database with the truth of the simulator, which still runs."""
    engine = open_engine(stage.database_url)
    try:
        with reader(engine) as connection:
            books = list(_books(connection, estate_id))
            problems = [f"{one.subject}: {one.detail}" for one in verify(connection, estate_id).mismatches]
            reads = _count(connection, reading)
            charges = _count(connection, line, line.c.to_wh.is_not(None))
            trips = _confirmed(connection, "open")
            restores = _restores(connection)
            times_ms = pay_to_power_ms(connection, estate_id, 0)
            problems += _story_problems(connection, play)
    finally:
        engine.dispose()
    problems += _charge_problems(stage, books)
    if play is STORY:  # relays that lie are the auditor's
        problems += _relay_problems(stage, books, trips, restores)
    if not times_ms:
        problems.append("no payment was followed to a relay's read-back")
    middle = times_ms[len(times_ms) // 2] / 1000 if times_ms else None
    return Outcome(reads, charges, trips, restores, middle, tuple(problems))


def _count(connection: Connection, table: Any, *where: Any) -> int:
    return int(connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one())


def _confirmed(connection: Connection, relay: str) -> int:
    """Cuts that were read back: notices of the kind "cut" are written at the read-back, one on each channel."""
    kind = "cut" if relay == "open" else "restored"
    return _count(connection, notice, notice.c.kind == kind, notice.c.channel == "page")


def _restores(connection: Connection) -> int:
    return _confirmed(connection, "closed")


def _books(connection: Connection, estate_id: str) -> Iterator[Books]:
    charged: dict[str, int] = {}
    money: dict[tuple[str, str], int] = {}
    query = select(line.c.account_id, line.c.charge_nf, line.c.amount_fen, batch.c.kind).join(
        batch, (batch.c.estate_id == line.c.estate_id) & (batch.c.batch_seq == line.c.batch_seq)
    )
    for name, charge_nf, amount_fen, kind in connection.execute(query):
        if kind == "charge":
            charged[name] = charged.get(name, 0) + charge_nf
        else:
            money[name, kind] = money.get((name, kind), 0) + amount_fen
    joined = (
        select(account, meter_cursor.c.read_at, meter_cursor.c.total_wh, meter.c.meter_id, supply.c.relay)
        .join(meter, (meter.c.estate_id == account.c.estate_id) & (meter.c.account_id == account.c.account_id))
        .join(meter_cursor, meter_cursor.c.meter_id == meter.c.meter_id)
        .join(supply, supply.c.meter_id == meter.c.meter_id)
        .where(account.c.estate_id == estate_id, account.c.kind == "household")
    )
    for row in connection.execute(joined).mappings():
        name = row["account_id"]
        yield Books(
            name,
            row["meter_id"],
            row["room_id"],
            row["read_at"],
            row["total_wh"],
            charged.get(name, 0),
            money.get((name, "opening"), 0),
            money.get((name, "topup"), 0),
            row["balance_fen"],
            row["residue_nf"],
            row["relay"],
        )


def _charge_problems(stage: Stage, books: list[Books]) -> Iterator[str]:
    cursors = [{"meter": one.meter_id, "at_s": one.read_at, "register_wh": one.total_wh} for one in books]
    for one, truth in zip(books, stage.truth("/truth/charges", {"cursors": cursors}), strict=True):
        if truth["error"]:
            yield f"{one.room}: cursor at {one.total_wh} Wh: {truth['error']}"
            continue
        if one.charged_nf != int(truth["charge_nf"]):
            yield f"{one.room}: charged {one.charged_nf} nf up to {one.total_wh} Wh, true are {truth['charge_nf']} nf"
        entered_s, left_s = truth["window"]
        too_early = one.read_at < entered_s - WINDOW_TOLERANCE_S
        too_late = left_s is not None and one.read_at > left_s + WINDOW_TOLERANCE_S
        if too_early or too_late:
            yield f"{one.room}: {one.total_wh} Wh was shown from {entered_s} to {left_s}, not at {one.read_at}"
        due_nf = (one.opening_fen + one.topups_fen) * NF_PER_FEN - int(truth["charge_nf"])
        if one.balance_fen * NF_PER_FEN - one.residue_nf != due_nf:
            yield f"{one.room}: balance {one.balance_fen} fen, residue {one.residue_nf} nf; true are {due_nf} nf"


def _relay_problems(stage: Stage, books: list[Books], trips: int, restores: int) -> Iterator[str]:
    households = {one["meter"]: one for one in stage.truth("/truth")["households"]}
    opened = closed = 0
    for one in books:
        truth = households[one.meter_id]
        for event in truth["relay_events"]:
            opened += event["to"] == "open"
            closed += event["to"] == "closed"
        shown = "open" if truth["relay"] == "open" else "closed"
        believed = "open" if one.relay in ("open", "permitted") else one.relay
        if believed not in (shown, "unknown"):
            yield f"{one.room}: the relay is {shown}, the server read back {one.relay}"
    if opened != trips:
        yield f"{opened} relays really opened, {trips} cuts were read back"
    if closed != restores:
        yield f"{closed} relays really closed, {restores} restores were read back"


def _story_problems(connection: Connection, play: Play) -> Iterator[str]:
    """What the story promises: who is cut and who never is, and that nobody is cut without a delivered warning."""
    by_room = {row[0]: row[1] for row in connection.execute(select(account.c.room_id, account.c.account_id))}
    for part in play.cast:
        name = by_room[part.room]
        found = {
            kind: _count(connection, notice, notice.c.account_id == name, notice.c.kind == kind, *extra)
            for kind, extra in (("cut", ()), ("cut_warning", (notice.c.delivered_at.is_not(None),)), ("restored", ()))
        }
        if part.pays in EXPECTED_TRIPS and not (found["cut"] and found["cut_warning"] and found["restored"]):
            yield f"{part.room} should have been warned, cut and restored: {found}"
        if (part.pays == "early" or part.protected) and found["cut"]:
            yield f"{part.room} must never be cut"
    refused = _count(connection, relay_attempt, relay_attempt.c.step == "refused")
    if refused:
        yield f"{refused} commands were refused"
