"""Shorthands of the ledger tests: read a meter, charge, top up, and look at the books."""

from concurrent.futures import Future
from typing import Any

from sqlalchemy import Engine, select

from core.reading import Verdict
from server.clock import Now
from server.domain.ledger import CASH, PostedTopup
from server.domain.readings import MeterReading
from server.domain.verification import VerifyReport
from server.flows.billing import ChargeOutcome, charge_due
from server.flows.ledger import post_all, topup
from server.flows.ledger import post_topup as post_unpaid
from server.flows.readings import record
from server.flows.verification import verify
from server.store import schema
from server.store.bulk import Bundle
from server.store.engine import reader
from server.store.estates import get_account
from server.store.unit import Unit
from server.store.writer import Writer
from tests.server.estates import ESTATE, MACHINE_MS, START_S, account_id, at, meter_id

HOUR = 3600


def reading(number: int, world_s: int, total_wh: int, rates: tuple[int, int, int, int] | None = None) -> MeterReading:
    """A reading of household `number` at `world_s` after the start."""
    return MeterReading(meter_id(number), START_S + world_s, MACHINE_MS + world_s * 1000, total_wh, rates)


def read(writer: Writer, *readings: MeterReading) -> list[Verdict]:
    """Record readings in one unit."""
    return writer.run(lambda unit: record(unit, ESTATE, readings, at(0)))


def charge(writer: Writer, world_s: int) -> ChargeOutcome:
    """Charge what is due at `world_s` after the start."""
    return writer.run(lambda unit: charge_due(unit, ESTATE, at(world_s)))


def post_topup(
    unit: Unit, estate_id: str, account_id: str, amount_fen: int, *, provider: str, now: Now, **words: Any
) -> PostedTopup:  # fmt: skip
    """Book a top-up with its payment, and with nothing else of what a payment means."""
    posted = post_unpaid(unit, estate_id, account_id, amount_fen, provider=provider, now=now, **words)
    if not posted.repeated:
        keep_payment(unit, account_id, amount_fen, provider, posted.batch_seq, now, estate_id)
    return posted


def keep_payment(
    unit: Unit, account_id: str, amount_fen: int, provider: str, batch_seq: int, now: Now, estate_id: str = ESTATE
) -> None:
    """The rows of a payment that was credited: itself, its order, and the message of its provider unless it is cash."""
    batch, own = schema.batch.c, {"estate_id": estate_id, "provider": provider, "amount_fen": amount_fen}
    actor = unit.connection.execute(select(batch.actor).where(batch.batch_seq == batch_seq)).scalar() or ""
    unit.connection.execute(
        schema.payment_order.insert().values(
            **own, order_no=f"o{batch_seq}", account_id=account_id, channel="counter", status="paid", actor=actor,
            created_ms=now.machine_ms, created_at=now.world_s, paid_ms=now.machine_ms, payment_id=f"p{batch_seq}",
        )
    )  # fmt: skip
    if provider != CASH:
        message = {"estate_id": estate_id, "provider": provider, "event_id": f"e{batch_seq}", "body": ""}
        unit.connection.execute(
            schema.callback_inbox.insert().values(**message, verdict="credited", received_ms=now.machine_ms)
        )
    unit.connection.execute(
        schema.payment.insert().values(
            **own, payment_id=f"p{batch_seq}", transaction_id=f"t{batch_seq}", order_no=f"o{batch_seq}",
            account_id=account_id, batch_seq=batch_seq, event_at=now.world_s, created_ms=now.machine_ms,
            state="credited",
        )
    )  # fmt: skip


def top_up(writer: Writer, number: int, amount_fen: int, key: str, provider: str = "cash") -> PostedTopup:
    """Book a top-up of household `number`."""
    return writer.run(
        lambda unit: post_topup(
            unit, ESTATE, account_id(number), amount_fen,
            provider=provider, idem_key=key, event_at=START_S, actor="test", now=at(),
        )
    )  # fmt: skip


def post_topups(units, estate_id, wishes):  # type: ignore[no-untyped-def]
    """A flow of many units: top-ups of (household, amount, key), worked out one after another, written together."""
    bundle = Bundle()
    bookings = [topup(account_id(number), fen, "cash", key, START_S, "test", at()) for number, fen, key in wishes]
    answers = post_all(units, estate_id, bookings, bundle)
    bundle.send(units[0].connection)
    for unit, (number, fen, _), answer in zip(units, wishes, answers, strict=True):
        if isinstance(answer, PostedTopup) and not answer.repeated:
            keep_payment(unit, account_id(number), fen, "cash", answer.batch_seq, at(), estate_id)
    return answers


def top_up_alike(writer: Writer, number: int, amount_fen: int, key: str) -> "Future[PostedTopup]":
    """Submit a top-up that is worked out together with others that wait."""
    return writer.submit_alike(post_topups, ESTATE, (number, amount_fen, key), urgent=True)


def balance(engine: Engine, name: str) -> tuple[int, int]:
    """(balance_fen, residue_nf) of an account."""
    with reader(engine) as connection:
        row = get_account(connection, ESTATE, name)
        return row["balance_fen"], row["residue_nf"]


def report(engine: Engine) -> VerifyReport:
    """What verify finds."""
    with reader(engine) as connection:
        return verify(connection, ESTATE)


def agrees(engine: Engine) -> VerifyReport:
    """Verify, and demand that nothing is wrong."""
    found = report(engine)
    assert found.mismatches == ()
    return found


def rows(engine: Engine, name: str) -> list[dict[str, object]]:
    """All rows of a table."""
    with reader(engine) as connection:
        return [dict(row) for row in connection.execute(select(schema.metadata.tables[name])).mappings()]
