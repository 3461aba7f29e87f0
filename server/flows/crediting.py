"""Crediting: verified money becomes payment, double entry, settled order and notice, all at once or not at all.

Several payments can be taken in by one run: each is worked out alone, all are written together. What a payment means
for limits, relays and meters that keep the credit is looked at after it is written, for those households only for
which it can mean something.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from server.domain.accounts import LEFT
from server.domain.ledger import SUSPENSE, PostedTopup
from server.domain.local_fee import LOCAL
from server.domain.payments import Limits
from server.errors import EstateError
from server.flows import accounts, notices, recharges, recovery, schemes, supply
from server.flows.ledger import post_all, topup
from server.flows.recovery import Due
from server.store import audit
from server.store import payments as kept
from server.store.bulk import Bundle
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

NO_RULES = "{}"
PAID_UP = "paid what was owed"  # why an account that was left is closed
ID_BYTES = 16  # of order and payment numbers, random
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Money:
    """Verified money on its way into the books."""

    provider: str
    transaction_id: str
    amount_fen: int
    order_no: str | None
    actor: str
    paid_ms: int


@dataclass(frozen=True, slots=True)
class Credit:
    """Money for the household of an account's row; without one it goes to suspense, for `reason`.

    A `new_order` is inserted with it; else the order exists.
    """

    money: Money
    now: "Now"
    home: Row | None
    reason: str = ""
    new_order: Row | None = None
    account_id: str = field(init=False)  # the account that is credited

    def __post_init__(self) -> None:
        object.__setattr__(self, "account_id", SUSPENSE if self.home is None else self.home["account_id"])


def new_order(
    estate_id: str, account_id: str, amount_fen: int, provider: str, channel: str, actor: str, now: "Now",
    token_sha256: str = "",
) -> dict[str, object]:  # fmt: skip
    """The row of a new order."""
    return {
        "estate_id": estate_id,
        "order_no": token_hex(ID_BYTES),
        "account_id": account_id,
        "amount_fen": amount_fen,
        "provider": provider,
        "channel": channel,
        "token_sha256": token_sha256,
        "created_ms": now.machine_ms,
        "created_at": now.world_s,
        "actor": actor,
    }


def rounds(names: Sequence[Iterable[Hashable]]) -> list[list[int]]:
    """Places in rounds: no name twice in one, so that a repeat finds what came before it."""
    found: list[list[int]] = []
    count: dict[Hashable, int] = {}
    for place, own in enumerate(map(tuple, names)):
        number = max(count.get(name, 0) for name in own)
        count.update(dict.fromkeys(own, number + 1))
        if number == len(found):
            found.append([])
        found[number].append(place)
    return found


def credit(unit: Unit, estate_id: str, taken: Credit, bundle: Bundle) -> PostedTopup:
    """Credit one payment, written together with what is in `bundle`."""
    (answer,) = credit_all([unit], estate_id, [taken], bundle)
    if isinstance(answer, EstateError):
        raise answer
    return answer


def credit_all(
    units: Sequence[Unit], estate_id: str, taken: Sequence[Credit], bundle: Bundle
) -> list[PostedTopup | EstateError]:
    """Credit one payment for each unit, written together with what is in `bundle`; an error credits nothing."""
    connection = units[0].connection
    homes = sorted({one.account_id for one in taken if one.home is not None})
    site, relays = kept.surroundings(connection, estate_id, homes)
    dues = recovery.before_topups(connection, estate_id, homes, taken[0].now)
    bookings = [
        topup(
            one.account_id, one.money.amount_fen, one.money.provider,
            f"topup:{one.money.provider}:{one.money.transaction_id}", one.now.world_s, one.money.actor, one.now,
            makes=() if one.home is not None else (SUSPENSE,),
        )
        for one in taken
    ]  # fmt: skip
    answers = post_all(units, estate_id, bookings, bundle)
    booked = [
        (unit, one, answer)
        for unit, one, answer in zip(units, taken, answers, strict=True)
        if isinstance(answer, PostedTopup)
    ]
    payment_ids = _write(estate_id, booked, bundle, kept.limits_of(site), dues)
    bundle.send(connection)
    left: dict[int, int] = {}  # balances by batch, where debts took a share
    for (unit, one, answer), payment_id in zip(booked, payment_ids, strict=True):
        if one.home is not None:
            moved = partial(_recover, unit, estate_id, one, one.home, payment_id, dues.get(one.account_id))
            balance_fen = _follow(unit, estate_id, one, one.home, site, relays[one.account_id], moved)
            if balance_fen is not None:
                left[answer.batch_seq] = balance_fen
    if not left:
        return answers
    return [
        replace(answer, balance_fen=left[answer.batch_seq])
        if isinstance(answer, PostedTopup) and answer.batch_seq in left
        else answer
        for answer in answers
    ]


Booked = tuple[Unit, Credit, PostedTopup]


def _write(
    estate_id: str, booked: Sequence[Booked], bundle: Bundle, limits: Limits, dues: Mapping[str, Due]
) -> list[str]:
    """Payments, orders, notices and the trail of what was booked; the ids of the payments.

    Households that have to pay debts are told when that is booked too.
    """
    payments = [_payment(estate_id, one, answer) for _, one, answer in booked]
    kept.add_payments(bundle, payments)
    orders: list[Row] = []
    settled: list[tuple[str, int, str]] = []
    for (unit, one, answer), row in zip(booked, payments, strict=True):
        money, payment_id = one.money, str(row["payment_id"])
        if one.home is None:
            detail = f"{money.amount_fen} fen of {money.provider}, transaction {money.transaction_id}: {one.reason}"
            audit.add(bundle, estate_id, money.actor, "payment.suspense", payment_id, one.now, detail)
            continue
        if limits.is_hoard(answer.balance_fen):
            detail = f"the balance is {answer.balance_fen} fen after {money.amount_fen} fen of {money.provider}"
            audit.add(bundle, estate_id, money.actor, "topup.beyond_limit", payment_id, one.now, detail)
        if one.new_order is not None:
            orders.append({**one.new_order, "status": "paid", "paid_ms": one.now.machine_ms, "payment_id": payment_id})
        else:
            settled.append((money.order_no or "", one.now.machine_ms, payment_id))
        if one.account_id not in dues:
            arguments = _told(one, one.home, answer.balance_fen)
            notices.add(unit, bundle, estate_id, one.account_id, "topup", arguments, one.now)
        unit.announce("order", money.order_no or "")
    kept.add_orders(bundle, orders)
    kept.settle_orders(bundle, estate_id, settled)
    return [str(row["payment_id"]) for row in payments]


def _told(one: Credit, home: Row, balance_fen: int) -> dict[str, int | str]:
    return {"amount_fen": one.money.amount_fen, "balance_fen": balance_fen, "room": home["room_id"] or ""}


def _recover(unit: Unit, estate_id: str, one: Credit, home: Row, payment_id: str, due: Due | None) -> int | None:
    """Let the share of a written payment go to debts, and tell the household; what is left, None without debts."""
    if due is None:
        return None
    moved_fen, balance_fen = recovery.on_topup(
        unit, estate_id, one.account_id, payment_id, one.money.amount_fen, due, actor=one.money.actor, now=one.now
    )
    told = _told(one, home, balance_fen)
    if moved_fen:
        told["recovered_fen"] = moved_fen
    notices.enqueue(unit, estate_id, one.account_id, "topup", told, one.now)
    return balance_fen


def _payment(estate_id: str, one: Credit, answer: PostedTopup) -> dict[str, object]:
    return {
        "estate_id": estate_id,
        "payment_id": token_hex(ID_BYTES),
        "provider": one.money.provider,
        "transaction_id": one.money.transaction_id,
        "order_no": one.money.order_no,
        "account_id": None if one.home is None else one.account_id,
        "amount_fen": one.money.amount_fen,
        "batch_seq": answer.batch_seq,
        "event_at": one.now.world_s,
        "created_ms": one.now.machine_ms,
        "state": "suspense" if one.home is None else "credited",
        "paid_ms": one.money.paid_ms or None,
    }


def _follow(
    unit: Unit,
    estate_id: str,
    one: Credit,
    home: Row,
    site: Row,
    relays: Sequence[Row],
    recover: Callable[[], int | None],
) -> int | None:
    """What a written payment may change: limits, debts, the wish for power, the credit of a meter, a left account.

    Debts come after the limits, which they heed, and before the power, which they never cost; the balance after them.
    """
    connection, account_id = unit.connection, one.account_id
    if home["scheme_id"] or site["scheme_id"] or home["own_rules"] != NO_RULES:
        schemes.on_topup(unit, estate_id, account_id, one.now)
    balance_fen = recover()
    dark = {row["meter_id"] for row in relays if row["relay"] == "open"}
    if dark or any(row["desired"] == "open" or row["command"] == "queued" for row in relays):
        supply.on_balances(unit, estate_id, [account_id], one.now)
    if any(row["fee"] == LOCAL for row in relays):
        recharges.on_topup(unit, estate_id, account_id, one.now)
    if dark:
        after = kept.relays_of_account(connection, estate_id, account_id)
        wanted = {meter_id for meter_id, _, desired in after if desired == "closed"}
        if dark & wanted:
            kept.update_order(connection, estate_id, one.money.order_no or "", powered_off=1)
    if home["status"] == LEFT:
        accounts.close_if_done(unit, estate_id, account_id, actor=one.money.actor, reason=PAID_UP, now=one.now)
    return balance_fen
