"""Money into meters that keep the credit themselves, and their limits and prices: each step one unit of work.

A recharge takes the money from the household when it is ordered and gives it back when the meter's own count says that
it was not booked. Its count is committed before the first frame that carries it; from then on only the meter decides,
and no other count is issued for that meter. What nobody can tell stays running, and a person may decide it in the end.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import RowMapping

from server.domain.ledger import payload_sha256
from server.domain.local_fee import (
    HAND_TRIES_MIN,
    LOCAL,
    SETTING_TRIES_MAX,
    next_try_ms,
    recharge_problem,
    settings_problem,
)
from server.errors import Conflict, NotFound, Refused
from server.flows.ledger import post_recharge
from server.store import audit
from server.store import recharges as kept
from server.store.estates import get_account, upsert
from server.store.meters import MeterRow, meter_of_account
from server.store.schema import meter_setting
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now


def order_recharge(
    unit: Unit, estate_id: str, account_id: str, amount_fen: int, *, key: str, actor: str, now: "Now"
) -> str:
    """Take the money and let it go into the meter; the id of the recharge. The same key again gives the same one.

    Refused when the household's meter keeps no credit or the account has not that much, Conflict for a key that was
    used for another recharge.
    """
    meter = _local_meter(unit, estate_id, account_id)
    recharge_id = payload_sha256(account_id, key)[:32]
    known = kept.get_recharge(unit.connection, estate_id, recharge_id)
    if known is not None:
        if known["amount_fen"] != amount_fen:
            raise Conflict(f"key {key!r} was used for a recharge of {known['amount_fen']} fen; use a new key")
        return recharge_id
    problem = recharge_problem(amount_fen, get_account(unit.connection, estate_id, account_id)["balance_fen"])
    if problem:
        raise Refused(problem)
    post_recharge(
        unit, estate_id, account_id, amount_fen, recharge_id, event_at=now.world_s, actor=actor, now=now
    )  # fmt: skip
    kept.add_recharge(
        unit.connection, estate_id=estate_id, recharge_id=recharge_id, account_id=account_id, meter_id=meter.meter_id,
        amount_fen=amount_fen, actor=actor, created_ms=now.machine_ms,
    )  # fmt: skip
    audit.record(unit.connection, estate_id, actor, "recharge.ordered", recharge_id, now, f"{amount_fen} fen")
    unit.announce("recharge", meter.meter_id)
    return recharge_id


def on_topup(unit: Unit, estate_id: str, account_id: str, now: "Now") -> None:
    """Money has come: if the household's meter keeps the credit, all of the balance goes there."""
    balance_fen = get_account(unit.connection, estate_id, account_id)["balance_fen"]
    if balance_fen > 0 and _keeps_credit(unit, estate_id, account_id):
        order_recharge(
            unit, estate_id, account_id, balance_fen, key=f"topup:{uuid4().hex}", actor="system", now=now
        )  # fmt: skip


def issue_count(unit: Unit, estate_id: str, recharge_id: str, meter_count: int, now: "Now") -> int:
    """Commit the count that this recharge will carry, one above the meter's; Conflict while another one is running."""
    row = _open(unit, estate_id, recharge_id)
    if row["status"] == "running":
        return int(row["purchase_count"])
    other = kept.running_recharge(unit.connection, estate_id, row["meter_id"])
    if other is not None:
        raise Conflict(f"recharge {other['recharge_id']} of meter {row['meter_id']} is not decided yet")
    kept.update_recharge(
        unit.connection, estate_id, recharge_id, status="running", purchase_count=meter_count + 1, detail=""
    )  # fmt: skip
    return meter_count + 1


def settle_booked(
    unit: Unit, estate_id: str, recharge_id: str, remaining_fen: int | None, detail: str, now: "Now", *,
    actor: str = "system",
) -> None:  # fmt: skip
    """The meter has the money."""
    row = _open(unit, estate_id, recharge_id)
    kept.update_recharge(
        unit.connection, estate_id, recharge_id, status="booked", remaining_fen=remaining_fen, detail=detail,
        decided_ms=now.machine_ms,
    )  # fmt: skip
    audit.record(unit.connection, estate_id, actor, "recharge.booked", recharge_id, now, detail)
    unit.announce("meter", row["meter_id"])


def settle_refused(
    unit: Unit, estate_id: str, recharge_id: str, detail: str, now: "Now", *, actor: str = "system"
) -> None:
    """The meter has not taken it and will not: the household gets its money back."""
    row = _open(unit, estate_id, recharge_id)
    post_recharge(
        unit, estate_id, row["account_id"], row["amount_fen"], recharge_id, event_at=now.world_s, actor=actor, now=now,
        back=True,
    )  # fmt: skip
    kept.update_recharge(
        unit.connection, estate_id, recharge_id, status="refused", detail=detail, decided_ms=now.machine_ms
    )  # fmt: skip
    audit.record(unit.connection, estate_id, actor, "recharge.refused", recharge_id, now, detail)
    unit.announce("meter", row["meter_id"])


def note_undecided(unit: Unit, estate_id: str, recharge_id: str, detail: str, now: "Now") -> None:
    """Nobody can tell yet; it is tried again later, ever more rarely."""
    row = _open(unit, estate_id, recharge_id)
    kept.update_recharge(
        unit.connection, estate_id, recharge_id, detail=detail, tries=row["tries"] + 1,
        next_ms=next_try_ms(row["tries"], now.machine_ms),
    )  # fmt: skip


def decide_by_hand(
    unit: Unit, estate_id: str, recharge_id: str, *, booked: bool, reason: str, actor: str, now: "Now"
) -> None:
    """A person has read the meter's display. Refused while the meter may still decide, or without a reason."""
    row = _open(unit, estate_id, recharge_id)
    if not reason.strip():
        raise Refused("say what the meter shows: its purchase count and its last purchase")
    if row["next_ms"] <= now.machine_ms:
        raise Refused("the meter is being asked just now; look again in a minute")
    if row["status"] == "running" and row["tries"] < HAND_TRIES_MIN:
        raise Refused(f"the meter was asked {row['tries']} times only; after {HAND_TRIES_MIN} a person may decide")
    if row["status"] == "waiting" and booked:
        raise Refused("nothing was sent to the meter yet, so it cannot have booked it")
    if booked:
        settle_booked(unit, estate_id, recharge_id, None, reason, now, actor=actor)
    else:
        settle_refused(unit, estate_id, recharge_id, reason, now, actor=actor)


def want_settings(
    unit: Unit, estate_id: str, account_id: str, wanted: Mapping[str, int], *, actor: str, now: "Now"
) -> None:
    """Wish limits and prices into the household's meter; Refused for figures that no meter takes."""
    meter = _local_meter(unit, estate_id, account_id)
    before = {row["name"]: row["wanted"] for row in kept.settings_of(unit.connection, estate_id, meter.meter_id)}
    problem = settings_problem(before | dict(wanted)) or ("" if wanted else "name at least one setting")
    if problem:
        raise Refused(problem)
    for name, value in wanted.items():
        row: dict[str, object] = {
            "estate_id": estate_id, "meter_id": meter.meter_id, "name": name, "wanted": value, "status": "waiting",
            "detail": "", "actor": actor, "tries": 0, "next_ms": 0, "created_ms": now.machine_ms,
        }  # fmt: skip
        upsert(unit.connection, meter_setting, ("estate_id", "meter_id", "name"), row)
    detail = ", ".join(f"{name} = {value}" for name, value in wanted.items())
    audit.record(unit.connection, estate_id, actor, "meter.set", meter.meter_id, now, detail)
    unit.announce("recharge", meter.meter_id)


def note_setting(unit: Unit, estate_id: str, row: RowMapping, shown: int | None, detail: str, now: "Now") -> None:
    """What was read back; only that confirms a setting, and one wished anew meanwhile stays waiting."""
    current = {one["name"]: one for one in kept.settings_of(unit.connection, estate_id, row["meter_id"])}[row["name"]]
    if current["wanted"] != row["wanted"] or current["created_ms"] != row["created_ms"]:
        return
    tries = row["tries"] + 1
    status = "confirmed" if shown == row["wanted"] else "failed" if tries >= SETTING_TRIES_MAX else "waiting"
    kept.update_setting(
        unit.connection, estate_id, row["meter_id"], row["name"], shown=shown, status=status, detail=detail,
        tries=tries, next_ms=next_try_ms(tries, now.machine_ms), read_ms=None if shown is None else now.machine_ms,
    )  # fmt: skip
    unit.announce("meter", row["meter_id"])


def _open(unit: Unit, estate_id: str, recharge_id: str) -> RowMapping:
    row = kept.get_recharge(unit.connection, estate_id, recharge_id)
    if row is None:
        raise NotFound("there is no such recharge in this estate")
    if row["status"] not in kept.OPEN:
        raise Conflict(f"this recharge has been decided already: {row['status']}")
    return row


def _keeps_credit(unit: Unit, estate_id: str, account_id: str) -> bool:
    try:
        return meter_of_account(unit.connection, estate_id, account_id).fee == LOCAL
    except NotFound:
        return False


def _local_meter(unit: Unit, estate_id: str, account_id: str) -> MeterRow:
    meter = meter_of_account(unit.connection, estate_id, account_id)
    if meter.fee != LOCAL:
        raise Refused(f"meter {meter.meter_id} keeps no credit of its own; its household's balance is kept here")
    return meter
