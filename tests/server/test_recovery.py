"""The share of a top-up that goes to debts: never too much, never leaving who pays in the dark, booked once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from server.domain.ledger import Entry
from server.domain.recovery import RecoveryRule, Standing, recovered
from server.errors import Refused
from server.flows import recovery
from server.flows.bills import explain
from server.flows.fees import post_fee
from server.flows.ledger import post_entries
from server.flows.payments import Sale, sell_at_counter
from server.flows.refunds import reverse_sale
from server.flows.verification import verify
from server.store import schema
from server.store.engine import reader
from server.store.ledger import ledger_balances
from server.store.recovery import balance_after_recovery, is_undone, recovered_of, rule_at
from server.store.writer import Writer
from server.web.bill_words import line_said
from server.web.formats import Formats
from server.web.i18n import translations
from tests.server.books import agrees, balance, rows
from tests.server.estates import ESTATE, START_S, at, household, plant

FEN = st.integers(-(10**7), 10**7)
DEBTS = st.fixed_dictionaries({name: st.integers(0, 10**6) for name in ("arrears", "shared", "property")})


@given(
    permille=st.integers(0, 1000),
    split=st.sampled_from(("order", "pro_rata")),
    ledgers=st.permutations(("arrears", "shared", "property")).map(tuple),
    balance_fen=FEN,
    close_fen=st.integers(-10_000, 10_000),
    alarm2_fen=st.integers(0, 10_000),
    debts=DEBTS,
    amount_fen=st.integers(1, 500_000),
)
def test_a_share_never_exceeds_what_it_may(
    permille, split, ledgers, balance_fen, close_fen, alarm2_fen, debts, amount_fen
) -> None:
    standing = Standing(balance_fen, close_fen, alarm2_fen, debts)
    parts = recovered(RecoveryRule(0, permille, ledgers, split), standing, amount_fen)
    moved = sum(parts.values())
    assert moved <= amount_fen * permille // 1000
    assert all(0 < fen <= debts[ledger] for ledger, fen in parts.items())
    if moved:
        left = balance_fen + amount_fen - moved
        assert left > close_fen
        assert left >= alarm2_fen
    if split == "order":
        paid = [ledger for ledger in ledgers if parts.get(ledger)]
        assert all(parts.get(ledger, 0) == debts[ledger] for ledger in ledgers if paid and ledger != paid[-1]
                   and ledgers.index(ledger) < ledgers.index(paid[-1]))  # fmt: skip


def test_debts_are_paid_in_order_or_in_proportion() -> None:
    standing = Standing(5000, 0, 1000, {"arrears": 1500, "shared": 3000})
    ledgers = ("arrears", "shared", "property")
    assert recovered(RecoveryRule(0, 200, ledgers), standing, 10_000) == {"arrears": 1500, "shared": 500}
    assert recovered(RecoveryRule(0, 200, ledgers, "pro_rata"), standing, 10_000) == {"arrears": 667, "shared": 1333}
    assert recovered(RecoveryRule(0, 999, ("property",)), standing, 10_000) == {}


@pytest.mark.parametrize("rule", [
    RecoveryRule(0, -1), RecoveryRule(0, 1001), RecoveryRule(0, 1, ()), RecoveryRule(0, 1, ("electricity",)),
    RecoveryRule(0, 1, ("arrears", "arrears")), RecoveryRule(0, 1, ("arrears",), "by mood"), RecoveryRule(-1, 1),
])  # fmt: skip
def test_a_rule_that_cannot_be_followed_is_refused(sqlite_engine: Engine, rule: RecoveryRule) -> None:
    writer = Writer(sqlite_engine)
    plant(writer)
    with pytest.raises(Refused):
        writer.run(lambda unit: recovery.set_rule(unit, ESTATE, rule, actor="li", now=at()))
    writer.stop()


def stage(writer: Writer, *, permille: int = 300, opening_fen: int = 5000, debt_fen: int = 4000) -> None:
    plant(writer, [household(1, opening_fen=opening_fen), household(2)])
    owe(writer, debt_fen)
    rule = RecoveryRule(START_S, permille, ("arrears", "shared"))
    writer.run(lambda unit: recovery.set_rule(unit, ESTATE, rule, actor="li", now=at()))


def owe(writer: Writer, fen: int, ledger: str = "arrears") -> None:
    writer.run(
        lambda unit: post_fee(
            unit, ESTATE, "H0001", ledger, fen, idem_key=f"{ledger}{fen}", event_at=START_S, actor="c", memo="",
            now=at(),
        )
    )  # fmt: skip


def pay(writer: Writer, amount_fen: int, key: str = "first") -> Sale:
    return writer.run(
        lambda unit: sell_at_counter(unit, ESTATE, "H0001", amount_fen, actor="wu", idem_key=key * 3, now=at(60))
    )


def by_ledger(engine: Engine) -> dict[str, int]:
    with reader(engine) as connection:
        return ledger_balances(connection, ESTATE, "H0001")


def test_a_top_up_pays_its_share_in_the_same_unit_and_once(engine: Engine, writer: Writer) -> None:
    stage(writer)
    sale = pay(writer, 10_000)
    assert sale.balance_fen == 12_000
    assert pay(writer, 10_000) == sale
    assert by_ledger(engine) == {"electricity": 12_000, "shared": 0, "property": 0, "arrears": -1000}
    [paid] = rows(engine, "payment")
    assert paid["amount_fen"] == 10_000  # the payment itself stays whole
    with reader(engine) as connection:
        assert recovered_of(connection, ESTATE, str(paid["payment_id"])) == {"arrears": 3000}
        assert balance_after_recovery(connection, ESTATE, str(paid["payment_id"])) == 12_000
    assert pay(writer, 10_000, "second").balance_fen == 21_000  # only 1000 were owed still
    assert pay(writer, 10_000, "third").balance_fen == 31_000
    assert by_ledger(engine)["arrears"] == 0
    [told, *_] = [row for row in rows(engine, "notice") if row["kind"] == "topup" and "recovered" in row["arguments"]]
    assert '"recovered_fen": 3000' in told["arguments"]
    agrees(engine)


def test_who_owes_electricity_gets_the_power_before_debts_get_anything(engine: Engine, writer: Writer) -> None:
    stage(writer, permille=1000, opening_fen=-3000, debt_fen=9000)
    assert pay(writer, 3500).balance_fen == 500  # above 0, where power comes back; below the second alarm
    assert by_ledger(engine)["arrears"] == -9000
    assert pay(writer, 2000, "more").balance_fen == 1000  # 1000 is the second alarm: only what is above it goes
    assert by_ledger(engine)["arrears"] == -7500
    agrees(engine)


def test_without_a_rule_or_before_its_begin_nothing_is_taken(engine: Engine, writer: Writer) -> None:
    plant(writer)
    owe(writer, 4000)
    later = RecoveryRule(START_S + 3600, 500)
    writer.run(lambda unit: recovery.set_rule(unit, ESTATE, later, actor="li", now=at()))
    assert pay(writer, 10_000).balance_fen == 15_000
    with reader(engine) as connection:
        assert rule_at(connection, ESTATE, START_S).permille == 0
        assert rule_at(connection, ESTATE, START_S + 3600).permille == 500
    with pytest.raises(Refused, match="begins now or later"):
        writer.run(lambda unit: recovery.set_rule(unit, ESTATE, later, actor="li", now=at(7200)))


def test_debts_of_other_ledgers_wait_until_a_rule_names_them(engine: Engine, writer: Writer) -> None:
    stage(writer, debt_fen=100)
    owe(writer, 9000, "property")
    pay(writer, 10_000)
    assert by_ledger(engine) == {"electricity": 14_900, "shared": 0, "property": -9000, "arrears": 0}


def test_the_credit_that_a_household_sees_is_what_its_account_has(engine: Engine, writer: Writer) -> None:
    stage(writer)
    sale = pay(writer, 10_000)
    assert (sale.balance_fen, 0) == balance(engine, "H0001")
    with reader(engine) as connection:
        assert connection.execute(schema.payment_order.select()).mappings().one()["amount_fen"] == 10_000


def test_a_reversed_sale_takes_its_share_back_from_the_debts(engine: Engine, writer: Writer) -> None:
    stage(writer)
    sale = pay(writer, 10_000)
    refund_no = reverse(writer, sale)
    assert by_ledger(engine) == {"electricity": 5000, "shared": 0, "property": 0, "arrears": -4000}
    assert reverse(writer, sale) == refund_no
    assert by_ledger(engine)["electricity"] == 5000
    [paid] = rows(engine, "payment")
    with reader(engine) as connection:
        assert is_undone(connection, ESTATE, str(paid["payment_id"]))
    agrees(engine)


def test_a_sale_that_is_not_reversed_keeps_its_share(engine: Engine, writer: Writer) -> None:
    stage(writer)
    sale = pay(writer, 10_000)
    writer.run(
        lambda unit: post_entries(
            unit, ESTATE, "fee", "H0001", (Entry("H0001", -9000), Entry("cash", 9000)), "used", START_S, "c", "", at()
        )
    )
    with pytest.raises(Refused, match="consumed"):
        reverse(writer, sale)
    assert by_ledger(engine)["arrears"] == -1000


@pytest.mark.parametrize("wrong", ["more", "another payment"])
def test_verify_finds_a_share_that_came_back_as_it_did_not_go(engine: Engine, writer: Writer, wrong: str) -> None:
    stage(writer)
    sale = pay(writer, 10_000)
    if wrong == "another payment":
        booked = rows(engine, "payment")[0]["payment_id"]
        entries = (Entry("H0001", 3000), Entry("H0001:arrears", -3000))
        key = f"recovery_return:{booked}"
    else:
        reverse(writer, sale)
        entries, key = (Entry("H0001", 1), Entry("H0001:arrears", -1)), "recovery_return:none"
    writer.run(
        lambda unit: post_entries(
            unit, ESTATE, "recovery_return", "H0001", entries, key, START_S, "c", "", at(60)
        )
    )  # fmt: skip
    with reader(engine) as connection:
        assert any(key in str(one) for one in verify(connection, ESTATE).mismatches)


def reverse(writer: Writer, sale: Sale) -> str:
    return writer.run(
        lambda unit: reverse_sale(unit, ESTATE, sale.order_no, reason="wrong room", actor="wu", now=at(120))
    )


def test_the_note_of_a_share_is_in_the_language_of_the_bill(engine: Engine, writer: Writer) -> None:
    stage(writer)
    pay(writer, 10_000)
    gettext = translations("zh_CN").gettext
    with reader(engine) as connection:
        bill = explain(connection, ESTATE, "H0001:3")
    assert bill.lines[0].booked.kind == "recovery"
    said = [row.text for row in line_said(bill.lines[0], Formats(gettext, "Asia/Shanghai", 0), gettext)]
    assert any(text.startswith("至少留 ¥") for text in said)
