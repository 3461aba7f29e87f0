"""Ledgers of their own for shared areas, property fees and arrears: money of one never pays for another by itself."""

import pytest
from sqlalchemy import Engine

from server.domain.ledger import PostedTopup
from server.errors import Conflict, NotFound, Refused
from server.flows.fees import move_between, post_fee
from server.store.engine import reader
from server.store.ledger import ledger_balances
from server.store.recovery import debtors
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, balance, post_topup, read, reading
from tests.server.estates import ESTATE, START_S, at, household, plant
from tests.server.lives import NEW, final, open_new, out

WORDS = {"event_at": START_S, "actor": "clerk", "memo": "October", "now": at()}


def owe(writer: Writer, ledger: str, amount_fen: int, key: str, account: str = "H0001") -> PostedTopup:
    return writer.run(lambda unit: post_fee(unit, ESTATE, account, ledger, amount_fen, idem_key=key, **WORDS))


def move(writer: Writer, source: str, target: str, amount_fen: int, key: str) -> PostedTopup:
    return writer.run(
        lambda unit: move_between(unit, ESTATE, "H0001", source, target, amount_fen, idem_key=key, **WORDS)
    )


def pay(writer: Writer, account: str, amount_fen: int, key: str) -> PostedTopup:
    return writer.run(
        lambda unit: post_topup(
            unit, ESTATE, account, amount_fen, provider="cash", idem_key=key, event_at=START_S, actor="c", now=at()
        )
    )


def by_ledger(engine: Engine) -> dict[str, int]:
    with reader(engine) as connection:
        return ledger_balances(connection, ESTATE, "H0001")


def test_a_fee_is_owed_in_its_own_ledger_and_paid_there(engine: Engine, writer: Writer) -> None:
    plant(writer)
    assert owe(writer, "property", 12_000, "p-10").balance_fen == -12_000
    assert owe(writer, "shared", 345, "s-10").balance_fen == -345
    assert by_ledger(engine) == {"electricity": 5000, "shared": -345, "property": -12_000, "arrears": 0}
    assert pay(writer, "H0001:property", 12_000, "paid").balance_fen == 0
    assert by_ledger(engine) == {"electricity": 5000, "shared": -345, "property": 0, "arrears": 0}
    assert balance(engine, "revenue:property") == (12_000, 0)
    assert balance(engine, "revenue") == (0, 0)
    agrees(engine)


def test_a_fee_is_booked_once_a_key(engine: Engine, writer: Writer) -> None:
    plant(writer)
    first = owe(writer, "property", 100, "k")
    again = owe(writer, "property", 100, "k")
    assert (again.batch_seq, again.repeated) == (first.batch_seq, True)
    for ledger, amount_fen in (("property", 101), ("shared", 100)):
        with pytest.raises(Conflict):
            owe(writer, ledger, amount_fen, "k")
    assert by_ledger(engine)["property"] == -100
    agrees(engine)


def test_credit_moves_only_when_it_is_there(engine: Engine, writer: Writer) -> None:
    plant(writer)
    owe(writer, "arrears", 3000, "a")
    with pytest.raises(Refused, match="only 5000 fen"):
        move(writer, "electricity", "arrears", 5001, "m")
    assert move(writer, "electricity", "arrears", 3000, "m").balance_fen == 0
    assert move(writer, "electricity", "arrears", 3000, "m").repeated
    assert by_ledger(engine) == {"electricity": 2000, "shared": 0, "property": 0, "arrears": 0}
    with pytest.raises(Refused):
        move(writer, "shared", "shared", 1, "same")
    agrees(engine)


def test_what_is_no_fee_is_refused(engine: Engine, writer: Writer) -> None:
    plant(writer)
    with pytest.raises(Refused, match="charged from meters"):
        owe(writer, "electricity", 1, "e")
    with pytest.raises(Refused, match="no ledger"):
        owe(writer, "water", 1, "w")
    for account in ("nobody", "cash", "H0001:property"):
        with pytest.raises(NotFound):
            owe(writer, "property", 1, "n", account)
    for amount_fen in (0, -1):
        with pytest.raises(Refused):
            owe(writer, "property", amount_fen, "z")
    assert agrees(engine).batches == 3


def test_who_has_left_owes_by_himself_and_the_next_household_owes_nothing_of_it(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1), household(2), household(3)])
    read(writer, reading(1, HOUR, 1_005_000), reading(2, HOUR, 1_005_000))
    for number, fen in ((1, 700), (2, 300)):
        owe(writer, "property", fen, f"march-{number}", f"H000{number}")
    out(writer, 2 * HOUR, final(1, 1_010_000))
    out(writer, 2 * HOUR, final(2, 1_010_000), name="H0002")
    for number in (1, 2):
        owe(writer, "arrears", 50, f"found-{number}", f"H000{number}")
    open_new(writer, 3 * HOUR)
    owe(writer, "property", 200, "april", NEW)
    with reader(engine) as connection:
        found = [tuple(row.values()) for row in debtors(connection, ESTATE, limit=9)]
    assert [(row[0], row[1], row[2]) for row in found] == [
        ("H0001", None, 750), ("H0002", None, 350), (NEW, "1-0001", 200),
    ]  # fmt: skip
