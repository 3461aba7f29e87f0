"""`verify` holds charges and bookings to the dated rules that they went by, and finds rules that were edited."""

import pytest
from sqlalchemy import Engine

from server.flows import approvals, suspense
from server.flows.estates import import_estate
from server.flows.money_rules import keep_tariff
from server.flows.partners import PartnerTopup, accept_topup
from server.store.tariffs import save_tariff
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, report, rows
from tests.server.estates import ESTATE, SINGLE, at, document, household, plant, tariff
from tests.server.lives import book
from tests.server.test_ledger import tamper
from tests.server.test_voiding import FLAT, play, take_back

DEAR = {**SINGLE, "id": "dear", "versions": [{**SINGLE["versions"][0], "price": "0.9"}]}
TARIFFS = (SINGLE, DEAR)
STRAY = """
INSERT INTO line (estate_id, batch_seq, line_no, account_id, amount_fen, balance_after_fen, account_version)
VALUES ('plum', 0, 1, 'H0001', 500, 500, 99)
"""


def said(engine: Engine) -> list[str]:
    return [f"{one.invariant} {one.subject}: {one.detail}" for one in report(engine).mismatches]


def taken_in(writer: Writer, world_s: int, tariff_id: str) -> None:
    """The estate's file once more, which has the first household on this tariff."""
    planned = document([household(1, tariff_id=tariff_id), household(2)], tariffs=TARIFFS)
    writer.run(lambda unit: import_estate(unit, planned, at(world_s)))


def test_each_charge_is_held_to_the_tariff_of_its_moment(engine: Engine, writer: Writer) -> None:
    plant(writer, tariffs=TARIFFS)
    play(writer, 1, FLAT[:3])
    taken_in(writer, 4 * HOUR, "dear")
    play(writer, 1, FLAT[4:6])
    taken_in(writer, 7 * HOUR, "dear")  # the same again keeps nothing
    kept = [(row["kind"], row["subject"]) for row in rows(engine, "money_rule")]
    assert kept == [
        ("adjust_alone", ""), ("tariff", "dear"), ("tariff", "single"), ("accounts", "single"), ("told", "assignment"),
        ("accounts", "dear"),
    ]  # fmt: skip
    assert {row["tariff_id"] for row in rows(engine, "line") if row["meter_id"]} == {"single", "dear"}
    agrees(engine)


def test_invariant_06_a_tariff_that_was_changed_for_a_while_is_found(engine: Engine, writer: Writer) -> None:
    plant(writer, tariffs=TARIFFS)
    change = "UPDATE account SET tariff_id = '{}' WHERE account_id = 'H0001'"
    tamper(engine, "account", change.format("dear"))
    assert said(engine) == ["6 account H0001: tariff is dear, should be single"]
    play(writer, 1, FLAT[:1])
    taken_in(writer, 2 * HOUR, "dear")  # a file that says the same does not make it right
    assert "6 account H0001: tariff is dear, should be single" in said(engine)
    tamper(engine, "account", change.format("single"))
    [wrong] = said(engine)
    assert wrong.startswith("6 account H0001, batch ")
    assert wrong.endswith("line 1: tariff is dear, should be single")


def test_what_is_charged_again_goes_by_the_tariff_of_what_was_taken_back(engine: Engine, writer: Writer) -> None:
    plant(writer, tariffs=TARIFFS)
    play(writer, 1, FLAT[:3])
    taken_in(writer, 5 * HOUR, "dear")
    take_back(writer, 2 * HOUR)
    agrees(engine)
    change = "UPDATE line SET tariff_id = 'dear' WHERE batch_seq = (SELECT max(batch_seq) FROM line)"
    tamper(engine, "line", f"{change} AND meter_id IS NOT NULL")
    assert not any("tariff is dear" in one for one in said(engine))
    tamper(engine, "line", "UPDATE line SET tariff_id = 'dear' WHERE meter_id IS NOT NULL")
    assert any("tariff is dear, should be single" in one for one in said(engine))


@pytest.mark.parametrize(("tariff_id", "price"), [("single", "58886875"), ("tou", "30000000")])
def test_invariant_06_an_edited_price_of_an_estate_file_is_found(
    sqlite_engine: Engine, writer_of_sqlite: Writer, tariff_id: str, price: str
) -> None:
    plant(writer_of_sqlite)
    assert price in str(rows(sqlite_engine, "tariff"))
    change = f"UPDATE tariff SET definition = replace(definition, '{price}', '1{price}')"
    tamper(sqlite_engine, "tariff", f"{change} WHERE tariff_id = '{tariff_id}'")
    assert said(sqlite_engine) == [
        f"6 tariff {tariff_id}: does not say what was sealed when it was taken in or published"
    ]


def test_invariant_06_a_rule_that_changes_what_was_in_force_is_found(
    sqlite_engine: Engine, writer_of_sqlite: Writer
) -> None:
    plant(writer_of_sqlite)
    cheap = tariff({**SINGLE, "versions": DEAR["versions"]})

    def forge(unit):  # type: ignore[no-untyped-def]
        save_tariff(unit.connection, ESTATE, cheap, 0)
        [row] = unit.connection.exec_driver_sql("SELECT definition FROM tariff WHERE tariff_id = 'single'")
        keep_tariff(unit, ESTATE, "single", row[0], "nobody", at(HOUR))

    writer_of_sqlite.run(forge)
    [wrong] = said(sqlite_engine)
    assert wrong == "6 tariff single: rule 6 changes a version that was in force already"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE money_rule SET value = '99' WHERE kind = 'adjust_alone'", "7 batch 3: sealed rules is"),
        ("UPDATE money_rule SET created_ms = 5 WHERE rule_no = 1", "7 batch 3: sealed rules is"),
        ("DELETE FROM money_rule", "6 account H0001: tariff is single, should be None"),
        ("UPDATE money_rule SET batch_seq = 9", "7 batch 9: is missing, but rules say"),
        ("UPDATE money_rule SET kind = 'law' WHERE rule_no = 1", "6 rule 1: is of the kind 'law'"),
        ("UPDATE money_rule SET value = 'x' WHERE rule_no IN (1, 4)", "6 rule 4: says 'x', which is no value"),
        ("UPDATE money_rule SET value = '{}' WHERE kind = 'tariff'", "is no tariff"),
        ("UPDATE estate SET adjust_alone_fen = 99", "6 estate: adjust_alone_fen is 99, should be 10000"),
        ("UPDATE batch SET batch_seq = -1 WHERE batch_seq = 3", "7 batch -1: has a number that no batch ever has"),
        (STRAY, "7 batch 0: has lines but does not exist"),
    ],
)
def test_invariant_07_rules_and_numbers_that_were_edited_are_found(
    sqlite_engine: Engine, writer_of_sqlite: Writer, change: str, found: str
) -> None:
    plant(writer_of_sqlite)
    agrees(sqlite_engine)
    tamper(sqlite_engine, change.split()[1 if change.startswith("UPDATE") else 2], change)
    assert any(found in one for one in said(sqlite_engine)), said(sqlite_engine)


def test_invariant_05_a_limit_that_was_lifted_for_a_while_is_found(engine: Engine, writer: Writer) -> None:
    plant(writer)
    book(writer, 6000, "key-1")
    book(writer, 6000, "key-2", 25 * HOUR)
    agrees(engine)
    tamper(engine, "estate", "UPDATE estate SET adjust_alone_fen = 60000")
    book(writer, 40_000, "key-3", 26 * HOUR)
    tamper(engine, "estate", "UPDATE estate SET adjust_alone_fen = 10000")
    assert said(engine) == [
        "5 account H0001, event 4: what one person could book alone is 60000, should be 10000",
        "5 account H0001, event 4: olga booked 46000 fen alone within a day, 10000 fen were allowed",
    ]


def test_invariant_05_a_second_person_who_never_agreed_is_found(engine: Engine, writer: Writer) -> None:
    plant(writer)
    book(writer, 9000, "key-1")
    asked = book(writer, 30_000, "key-2").approval_id
    [request] = [row for row in rows(engine, "approval") if row["approval_id"] == asked]
    writer.run(
        lambda unit: approvals.approve(
            unit, ESTATE, asked, payload_sha256=str(request["payload_sha256"]), actor="paul", now=at(60)
        )
    )
    agrees(engine)
    for change in (
        "UPDATE approval SET approved_by = 'quinn'",
        "UPDATE approval SET approved_by = 'paul', payload = replace(payload, '30000', '29999')",
        "DELETE FROM approval",
    ):
        tamper(engine, "approval", change)
        assert said(engine) == ["5 account H0001, event 3: paul never agreed to it"], change


def test_invariant_05_money_in_suspense_has_its_message_and_its_trail(engine: Engine, writer: Writer) -> None:
    plant(writer)
    wish = PartnerTopup("wallet", "key", "body", "nobody", None, 700, "t-1", at())
    writer.run(lambda unit: accept_topup(unit, ESTATE, wish))
    [payment] = rows(engine, "payment")
    agrees(engine)
    writer.run(
        lambda unit: suspense.assign(
            unit, ESTATE, str(payment["payment_id"]), "H0001", reason="she has the slip", actor="olga", now=at(HOUR)
        )
    )
    agrees(engine)
    name = f"5 payment {payment['payment_id']}: "
    tamper(engine, "audit", "UPDATE audit SET actor = 'paul' WHERE verb = 'suspense.assigned'")
    assert said(engine) == [f"{name}was given to a household, and nothing says by whom"]
    tamper(engine, "audit", "DELETE FROM audit")
    assert f"{name}is in suspense, and nothing says why" in said(engine)
    tamper(engine, "idempotency", "DELETE FROM idempotency")
    assert any("1 payments of 1700000000000 ms rest on 0 messages" in one for one in said(engine))
    tamper(engine, "payment", "UPDATE payment SET provider = 'cash'")
    assert f"{name}is cash, which somebody paid for a household" in said(engine)
