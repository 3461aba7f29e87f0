"""Crediting: verified money becomes payment, double entry, settled order and notice, all at once or not at all.

Several payments can be taken in by one run: each is worked out alone, all are written together. What a payment means
for limits, relays and meters that keep the credit is looked at after it is written, for those households only for
which it can mean something.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from server.domain.ledger import SUSPENSE, PostedTopup
from server.domain.local_fee import LOCAL
from server.domain.payments import Limits
from server.errors import EstateError
from server.flows import notices, recharges, schemes, supply
from server.flows.ledger import post_all, topup
from server.store import audit
from server.store import payments as kept
from server.store.bulk import Bundle
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

NO_RULES = "{}"
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

    @property
    def account_id(self) -> str:
        """The account that is credited."""
        return SUSPENSE if self.home is None else str(self.home["account_id"])


def new_order(
    estate_id: str, account_id: str, amount_fen: int, provider: str, channel: str, actor: str, now: "Now",
    token_sha256: str = "",
) -> dict[str, object]:  # fmt: skip
    """The row of a new order."""
    return {
        "estate_id": estate_id,
        "order_no": uuid4().hex,
        "account_id": account_id,
        "amount_fen": amount_fen,
        "provider": provider,
        "channel": channel,
        "token_sha256": token_sha256,
        "created_ms": now.machine_ms,
        "created_at": now.world_s,
        "actor": actor,
    }


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
    _write(estate_id, booked, bundle, kept.limits_of(site))
    bundle.send(connection)
    for unit, one, _ in booked:
        if one.home is not None:
            _follow(unit, estate_id, one, one.home, site, relays[one.account_id])
    return answers


Booked = tuple[Unit, Credit, PostedTopup]


def _write(estate_id: str, booked: Sequence[Booked], bundle: Bundle, limits: Limits) -> None:
    """Payments, orders, notices and the trail of what was booked."""
    payments = [_payment(estate_id, one, answer) for _, one, answer in booked]
    kept.add_orders(bundle, [one.new_order for _, one, _ in booked if one.new_order is not None])
    kept.add_payments(bundle, payments)
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
        settled.append((money.order_no or "", one.now.machine_ms, payment_id))
        arguments: dict[str, int | str] = {
            "amount_fen": money.amount_fen, "balance_fen": answer.balance_fen, "room": one.home["room_id"] or "",
        }  # fmt: skip
        notices.add(unit, bundle, estate_id, one.account_id, "topup", arguments, one.now)
        unit.announce("order", money.order_no or "")
    kept.settle_orders(bundle, estate_id, settled)


def _payment(estate_id: str, one: Credit, answer: PostedTopup) -> dict[str, object]:
    return {
        "estate_id": estate_id,
        "payment_id": uuid4().hex,
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


def _follow(unit: Unit, estate_id: str, one: Credit, home: Row, site: Row, relays: Sequence[Row]) -> None:
    """What a written payment may change: limits, the wish for power, the credit of a meter."""
    connection, account_id = unit.connection, one.account_id
    if home["scheme_id"] or site["scheme_id"] or home["own_rules"] != NO_RULES:
        schemes.on_topup(unit, estate_id, account_id, one.now)
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
