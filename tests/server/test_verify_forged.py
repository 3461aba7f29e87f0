"""`verify` finds bookings that keep every balance right and were asked for by nothing, or otherwise."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, select, update

from server.domain.ledger import Entry
from server.domain.recovery import RecoveryRule
from server.flows import recovery
from server.flows.fees import move_between, post_fee
from server.flows.ledger import ensure_account, post_entries
from server.flows.payments import sell_at_counter
from server.store import schema
from server.store.migrations.versions.m0027_told_bookings import tell_of_bookings
from server.store.unit import Unit
from server.store.writer import Writer
from tests.server.books import agrees, keep_payment, report
from tests.server.estates import ESTATE, START_S, at, household, plant
from tests.server.test_ledger import tamper

WORDS = {"event_at": START_S, "actor": "clerk", "memo": "October", "now": at()}
payment = schema.payment


def forged(kind: str, **amounts: int) -> Callable[[Unit], None]:
    """A batch that is right in itself; a double underscore in a name stands for the colon of a ledger."""

    def book(unit: Unit) -> None:
        entries = [Entry(name.replace("__", ":"), fen) for name, fen in amounts.items()]
        for entry in entries:
            if not entry.account_id.startswith("H"):
                ensure_account(unit, ESTATE, entry.account_id)
        post_entries(
            unit, ESTATE, kind, entries[0].account_id, entries, f"{kind} {amounts}", START_S, "forger", "", at()
        )  # fmt: skip

    return book


def with_payment(unit: Unit) -> None:
    """A top-up with its payment, and one more household that gains without one."""
    forged("topup", H0001=100, cash=-100, H0002=5, opening=-5)(unit)
    keep_payment(unit, "H0001", 100, "cash", newest(unit), at())


def newest(unit: Unit) -> int:
    return int(unit.connection.exec_driver_sql("SELECT max(batch_seq) FROM batch").scalar_one())


def changed(**values: object) -> Callable[[Unit], None]:
    """Another value in the row of the honest payment."""
    where = payment.c.payment_id.not_like("p%")  # as `keep_payment` names its own
    return lambda unit: unit.connection.execute(update(payment).where(where).values(values)) and None


FORGED: list[tuple[str, Callable[[Unit], None], str]] = [
    ("cash", forged("topup", H0001=1000, cash=-1000), "credits money without a payment"),
    ("a second credit", with_payment, "booking is {'H0001': 100, 'cash': -100, 'H0002': 5, 'opening': -5}"),
    ("no line", lambda unit: keep_payment(unit, "H0001", 7, "cash", 10**6, at()), "kind of its batch is missing"),
    ("an amount", changed(amount_fen=1001), "should be {'H0001': 1001, 'cash': -1001}"),
    ("an account", changed(account_id="H0002"), "should be {'H0002': 1001, 'cash': -1001}"),
    ("a fee", forged("fee", H0001__property=-50, revenue__property=50), "the accounts' lives tell {}"),
    ("a fee of electricity", forged("fee", H0001=-50, revenue=50), "is booked as fee, but moves"),
    ("a fee for somebody", forged("fee", H0001__property=-50, H0002=50), "is booked as fee, but moves"),
    ("a move", forged("transfer", H0001=-50, H0001__property=50), "the accounts' lives tell {}"),
    ("a move to others", forged("transfer", H0001=-50, H0002=50), "is booked as transfer, but moves"),
    ("a move of debt", forged("transfer", H0001__property=-(10**6), H0001=10**6), "is booked as transfer, but moves"),
    ("a share", forged("recovery", H0001=-50, H0001__property=50), "is of no payment that was just credited"),
    ("a recharge", forged("recharge", H0001=-50, meter_credit=50), "is a recharge that no row asks for"),
    ("an opening", forged("opening", H0001=-50, H0002=50), "is booked as opening, but moves"),
    ("one more opening", forged("opening", H0002=10**6, opening=-(10**6)), "is booked as opening, but moves"),
    ("an opening of cash", forged("opening", H0001=50, opening=10, cash=-60), "is booked as opening, but moves"),
    ("a charge", forged("charge", H0001=50, revenue=-50), "is of charges, but books on H0001"),
    ("a shared cost", forged("allocation", revenue__shared=-50, H0001=50), "is booked as allocation, but moves"),
    ("a gift", forged("gift", H0001=50, cash=-50), "is of the kind 'gift', which nothing books"),
]


@pytest.fixture
def honest(writer: Writer) -> Writer:
    """Two households, a sale, a fee and a move between ledgers."""
    plant(writer)
    writer.run(lambda unit: sell_at_counter(unit, ESTATE, "H0001", 1000, actor="wu", idem_key="sale", now=at()))
    writer.run(lambda unit: post_fee(unit, ESTATE, "H0001", "property", 300, idem_key="fee", **WORDS))  # type: ignore[arg-type]
    writer.run(
        lambda unit: move_between(unit, ESTATE, "H0001", "electricity", "property", 400, idem_key="move", **WORDS)  # type: ignore[arg-type]
    )
    return writer


def test_invariant_05_each_forged_booking_is_found(engine: Engine, honest: Writer) -> None:
    agrees(engine)
    known: set[str] = set()
    for name, forge, said in FORGED:
        honest.run(forge)
        details = {f"{one.invariant} {one.subject}: {one.detail}" for one in report(engine).mismatches}
        fresh = details - known
        assert any(said in one and one.startswith("5 ") for one in fresh), f"{name}: {sorted(fresh)}"
        known = details


def sale(writer: Writer, amount_fen: int, key: str) -> None:
    writer.run(lambda unit: sell_at_counter(unit, ESTATE, "H0001", amount_fen, actor="wu", idem_key=key, now=at(60)))


@pytest.fixture
def indebted(writer: Writer) -> Writer:
    """A household that owes in two ledgers, and a rule that takes three tenths of its top-ups."""
    plant(writer, [household(1), household(2)])
    for ledger, fen in (("arrears", 4000), ("shared", 500)):
        writer.run(
            lambda unit, ledger=ledger, fen=fen: post_fee(  # type: ignore[misc]
                unit, ESTATE, "H0001", ledger, fen, idem_key=ledger, **WORDS
            )
        )
    rule = RecoveryRule(START_S, 300, ("shared", "arrears"))
    writer.run(lambda unit: recovery.set_rule(unit, ESTATE, rule, actor="li", now=at()))
    return writer


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ({"shared": 500, "arrears": 2500}, []),
        ({"shared": 500, "arrears": 2501}, ["should book {'shared': 500, 'arrears': 2500}"]),
        ({"shared": 500, "arrears": 2499}, ["should book {'shared': 500, 'arrears': 2500}"]),
        ({"shared": 499, "arrears": 2501}, ["should book {'shared': 500, 'arrears': 2500}"]),
        ({"arrears": 3000}, ["should book {'shared': 500, 'arrears': 2500}"]),
        ({}, ["should book {'shared': 500, 'arrears': 2500}"]),
    ],
)
def test_invariant_05_a_share_for_debts_follows_from_its_rule(
    engine: Engine, indebted: Writer, monkeypatch: pytest.MonkeyPatch, parts: dict[str, int], found: list[str]
) -> None:
    monkeypatch.setattr(recovery, "recovered", lambda *_: parts)
    sale(indebted, 10_000, "forged")
    monkeypatch.undo()
    sale(indebted, 100, "honest")
    said = [one.detail for one in report(engine).mismatches]
    assert len(said) == len(found)
    assert all(word in one for word, one in zip(found, said, strict=True))


def test_invariant_05_a_share_that_was_left_out_is_found(
    engine: Engine, indebted: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "before_topups", lambda *_: {})
    sale(indebted, 10_000, "forged")
    assert [one.detail for one in report(engine).mismatches] == [
        "no share of it was booked, though debts were owed"
    ]  # fmt: skip


def test_a_top_up_that_leaves_nothing_for_debts_tells_why(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, opening_fen=-9000)])
    writer.run(lambda unit: post_fee(unit, ESTATE, "H0001", "arrears", 10, idem_key="f", **WORDS))  # type: ignore[arg-type]
    rule = RecoveryRule(START_S, 300)
    writer.run(lambda unit: recovery.set_rule(unit, ESTATE, rule, actor="li", now=at()))
    sale(writer, 100, "dark")
    [told] = [row for row in agreed(engine) if row["kind"] == "recovery"]
    assert (told["lines"], told["memo"]) == (0, "at least 1000 fen stay for electricity")
    payment_id = str(told["idem_key"]).removeprefix("recovery:")
    back = writer.run(lambda unit: recovery.undo(unit, ESTATE, "H0001", payment_id, actor="wu", now=at(120)))
    assert (back, len(agreed(engine))) == (0, 5), "nothing moved, so nothing comes back"


def agreed(engine: Engine) -> list[dict[str, object]]:
    """All batches of books that agree."""
    agrees(engine)
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(schema.batch.select()).mappings()]


def test_an_upgrade_tells_of_what_was_booked_before(engine: Engine, honest: Writer) -> None:
    before = told(engine)
    assert len(before) == 3
    tamper(engine, "account_event", "DELETE FROM account_event WHERE batch_seq IS NOT NULL")
    assert {one.invariant for one in report(engine).mismatches} == {5}
    with engine.begin() as connection:
        tell_of_bookings(connection)
    assert told(engine) == before
    agrees(engine)


def told(engine: Engine) -> list[tuple[object, ...]]:
    """What lives say of bookings."""
    event = schema.account_event.c
    columns = (event.account_id, event.act, event.status, event.ledger, event.amount_fen, event.batch_seq, event.reason)
    with engine.connect() as connection:
        found = connection.execute(select(*columns).where(event.batch_seq.is_not(None)).order_by(event.event_no))
        return [tuple(row) for row in found]
