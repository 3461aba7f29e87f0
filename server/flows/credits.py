"""What is left in a meter that keeps the credit itself: asked of the meter, or decided by two people, then settled.

Who moves out gets what the meter still has into the account, or pays what it has overdrawn; who moves in takes the same
over from the account. The meter's own word, with its frames, is the evidence; where a meter cannot be read, two people
decide the amount with a reason.
"""

from typing import TYPE_CHECKING

from sqlalchemy import RowMapping

from server.domain.ledger import ELECTRICITY, METER_CREDIT, Entry
from server.domain.local_fee import AMOUNT_MAX_FEN, LOCAL, SETTING_TRIES_MAX, next_try_ms
from server.errors import Refused
from server.flows.accounts import tell
from server.flows.ledger import ensure_account, post_entries
from server.store import accounts, audit
from server.store import credits as kept
from server.store.estates import get_estate
from server.store.meters import MeterRow
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

SETTLED = "meter_settled"  # the kind of its batches, and the act in the account's life


def ask(unit: Unit, estate_id: str, account_id: str, *, actor: str, now: "Now") -> int:
    """Have the meters of an account asked what they still have; how many. Refused where none keeps the credit."""
    own = [one for one in accounts.meters_of(unit.connection, estate_id, account_id) if one.fee == LOCAL]
    if not own:
        raise Refused("no meter of this household keeps the credit itself; its balance is kept here")
    for meter in own:
        last = kept.newest(unit.connection, estate_id, meter.meter_id)
        if last is not None and last["status"] == kept.WAITING:
            continue
        kept.add(
            unit.connection, estate_id=estate_id, meter_id=meter.meter_id, asked_ms=now.machine_ms,
            status=kept.WAITING, actor=actor,
        )  # fmt: skip
        unit.announce("recharge", meter.meter_id)
    return len(own)


def hear(
    unit: Unit, estate_id: str, row: RowMapping, remaining_fen: int | None, overdraft_fen: int | None, evidence: str,
    now: "Now",
) -> None:  # fmt: skip
    """Keep what a meter has said, with its frames; one that says nothing is asked some times more."""
    if remaining_fen is not None and overdraft_fen is not None:
        kept.update(
            unit.connection, estate_id, row["meter_id"], row["asked_ms"], status=kept.READ,
            remaining_fen=remaining_fen, overdraft_fen=overdraft_fen, evidence=evidence, read_at=now.world_s,
        )  # fmt: skip
    else:
        tries = row["tries"] + 1
        kept.update(
            unit.connection, estate_id, row["meter_id"], row["asked_ms"], tries=tries,
            status=kept.FAILED if tries >= SETTING_TRIES_MAX else kept.WAITING,
            next_ms=next_try_ms(tries, now.machine_ms), detail="the meter does not tell it",
        )  # fmt: skip
    unit.announce("meter", row["meter_id"])


def settle(
    unit: Unit, estate_id: str, account: RowMapping, meter: MeterRow, decided_fen: int | None, *, actor: str,
    approved_by: str, reason: str, now: "Now",
) -> int:  # fmt: skip
    """Put what a meter still has into the account of who moves out; the fen, negative where it was overdrawn.

    Refused where the meter has not said it lately and no two people have decided it.
    """
    if decided_fen is None:
        row = kept.newest(unit.connection, estate_id, meter.meter_id, kept.READ)
        fresh_s = get_estate(unit.connection, estate_id)["reading_fresh_s"]
        if row is None or now.world_s - row["read_at"] > fresh_s:
            raise Refused(
                f"meter {meter.meter_id} has not said lately what it still has; read its credit first, or let two "
                "people decide the amount"
            )
        net_fen = int(row["remaining_fen"]) - int(row["overdraft_fen"])
        detail = f"the meter said {row['remaining_fen']} fen left, {row['overdraft_fen']} fen overdrawn"
    else:
        if not approved_by or approved_by == actor:
            raise Refused("a second person must agree to what is left in a meter that cannot be read")
        if abs(decided_fen) > AMOUNT_MAX_FEN:
            raise Refused(f"{decided_fen} fen cannot be left in a meter")
        net_fen, detail = decided_fen, f"decided by two people: {decided_fen} fen left"
        kept.add(
            unit.connection, estate_id=estate_id, meter_id=meter.meter_id, asked_ms=now.machine_ms,
            status=kept.DECIDED, actor=actor, detail=reason, remaining_fen=max(0, net_fen),
            overdraft_fen=max(0, -net_fen), read_at=now.world_s,
        )  # fmt: skip
    limit_fen = abs(net_fen) if decided_fen is None else 0
    _post(unit, estate_id, account, meter, net_fen, "out", detail, limit_fen, actor, approved_by, reason, now)
    return net_fen


def take_over(
    unit: Unit, estate_id: str, account: RowMapping, meter: MeterRow, install_no: int, *, actor: str, reason: str,
    now: "Now",
) -> int:  # fmt: skip
    """Let who moves in owe what is in the meter, as it was last said or decided; the fen."""
    row = kept.newest(unit.connection, estate_id, meter.meter_id, kept.READ, kept.DECIDED)
    if row is None:
        raise Refused(f"nobody knows what is left in meter {meter.meter_id}; read its credit first")
    net_fen = int(row["remaining_fen"]) - int(row["overdraft_fen"])
    detail = f"taken over in the meter: {net_fen} fen"
    _post(
        unit, estate_id, account, meter, -net_fen, f"in:{install_no}", detail, abs(net_fen), actor, "", reason, now
    )  # fmt: skip
    return net_fen


def _post(
    unit: Unit, estate_id: str, account: RowMapping, meter: MeterRow, net_fen: int, way: str, detail: str,
    limit_fen: int, actor: str, approved_by: str, reason: str, now: "Now",
) -> None:  # fmt: skip
    home = account["account_id"]
    audit.record(unit.connection, estate_id, actor, "meter.credit", meter.meter_id, now, detail)
    if not net_fen:
        return
    ensure_account(unit, estate_id, METER_CREDIT)
    entries = (Entry(home, net_fen), Entry(METER_CREDIT, -net_fen))
    key = f"{SETTLED}:{home}:{meter.meter_id}:{meter.install_no}:{way}"
    posted = post_entries(unit, estate_id, SETTLED, home, entries, key, now.world_s, actor, "", now)
    tell(
        unit, estate_id, account, SETTLED, actor=actor, approved_by=approved_by or None, reason=reason, now=now,
        meter_id=meter.meter_id, detail=detail, ledger=ELECTRICITY, amount_fen=net_fen, limit_fen=limit_fen,
        batch_seq=posted.batch_seq,
    )  # fmt: skip
