"""verify understands every way money comes in through the payment flows."""

from sqlalchemy import Engine

from server.flows.partners import PartnerTopup, accept_topup
from server.flows.payments import sell_at_counter
from server.store.writer import Writer
from tests.server.books import agrees, balance
from tests.server.estates import ESTATE, at, plant


def test_invariant_05_counter_and_third_party_sales_agree_with_their_payments(engine: Engine, writer: Writer) -> None:
    plant(writer)
    writer.run(lambda unit: sell_at_counter(unit, ESTATE, "H0001", 1000, actor="cashier", idem_key="c1", now=at()))
    for account in ("H0002", "H0002", "nobody"):
        writer.run(
            lambda unit, account=account: accept_topup(  # type: ignore[misc]
                unit, ESTATE, PartnerTopup("wallet", account, account, account, None, 700, account, at())
            )
        )  # fmt: skip
    assert (balance(engine, "H0001")[0], balance(engine, "H0002")[0]) == (6000, 5700)
    assert agrees(engine).payments == 3
