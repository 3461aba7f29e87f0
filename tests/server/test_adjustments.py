"""What people book: once a key, with a reason, beyond a limit with a second person, and told in the account's life."""

import pytest
from sqlalchemy import Engine

from server.errors import Conflict, NotFound, Refused
from server.flows import approvals
from server.flows.estates import import_estate
from server.flows.fees import move_between, post_fee
from server.flows.second_person import VALID_MS
from server.store import schema
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, balance, read, reading, report, rows
from tests.server.estates import ESTATE, START_S, at, document, household, plant
from tests.server.lives import act, book, final, out, still_open, told
from tests.server.supply_stage import Stage

LIMIT_FEN = 10_000
WORDS = {"event_at": START_S, "actor": "clerk", "memo": "October", "now": at()}


def agree(writer: Writer, approval_id: str, actor: str = "pavel", world_s: int = 60) -> str:
    """The second person agrees to what was asked."""

    def work(unit: object) -> str:
        from server.store.approvals import get

        row = get(unit.connection, ESTATE, approval_id)  # type: ignore[attr-defined]
        assert row is not None
        return approvals.approve(
            unit,
            ESTATE,
            approval_id,
            row["payload_sha256"],
            actor=actor,
            now=at(world_s),  # type: ignore[arg-type]
        )

    return writer.run(work)


def test_one_person_adjusts_up_to_the_limit_and_not_a_fen_further(engine: Engine, writer: Writer) -> None:
    plant(writer)
    assert book(writer, LIMIT_FEN).balance_fen == 15_000
    assert book(writer, -LIMIT_FEN, "key-2", actor="oleg").balance_fen == 5000
    for amount_fen, key in ((LIMIT_FEN + 1, "key-3"), (-LIMIT_FEN - 1, "key-4")):
        asked = book(writer, amount_fen, key, actor="pavel")
        assert (asked.batch_seq, asked.balance_fen) == (None, 5000)
        assert asked.approval_id
    assert balance(engine, "H0001")[0] == 5000
    assert told(engine) == [("opened", None), ("adjusted", LIMIT_FEN), ("adjusted", -LIMIT_FEN)]
    agrees(engine)


def test_small_bookings_of_a_day_count_together(engine: Engine, writer: Writer) -> None:
    plant(writer)
    book(writer, LIMIT_FEN - 1000)
    assert book(writer, 1001, "key-2").approval_id, "with what was booked before it is beyond the limit"
    assert book(writer, 1000, "key-3").balance_fen == 15_000
    assert book(writer, LIMIT_FEN, "key-4", world_s=86_400).balance_fen == 25_000
    agrees(engine)


def test_a_second_person_books_it_and_never_the_one_who_asked(engine: Engine, writer: Writer) -> None:
    plant(writer)
    asked = book(writer, 50_000, ledger="arrears")
    assert still_open(engine) == ["request", "meter", "balance"]
    with pytest.raises(Refused, match="second person"):
        agree(writer, asked.approval_id, "olga")
    assert agree(writer, asked.approval_id) == "booking"
    assert balance(engine, "H0001:arrears")[0] == 50_000
    [event] = [row for row in rows(engine, "account_event") if row["act"] == "adjusted"]
    assert (event["actor"], event["approved_by"], event["limit_fen"]) == ("olga", "pavel", LIMIT_FEN)
    assert book(writer, 50_000, ledger="arrears").batch_seq == event["batch_seq"]
    with pytest.raises(Conflict):
        agree(writer, asked.approval_id)
    agrees(engine)


def test_the_same_key_books_once_asks_once_and_stands_for_one_booking(engine: Engine, writer: Writer) -> None:
    plant(writer)
    first = book(writer, 300)
    assert book(writer, 300) == first
    for amount_fen, more in ((301, {}), (300, {"ledger": "shared"})):
        with pytest.raises(Conflict, match="another booking"):
            book(writer, amount_fen, **more)
    asked = book(writer, 30_000, "key-2")
    assert book(writer, 30_000, "key-2") == asked
    assert len(rows(engine, "approval")) == 1
    later = VALID_MS // 1000 + 1
    again = book(writer, 30_000, "key-2", later)
    assert again.approval_id not in ("", asked.approval_id)
    with pytest.raises(Refused, match="expired"):
        agree(writer, asked.approval_id, world_s=later)
    agree(writer, again.approval_id, world_s=later)
    assert balance(engine, "H0001")[0] == 35_300
    agrees(engine)


def test_what_cannot_be_booked_is_refused(engine: Engine, writer: Writer) -> None:
    plant(writer)
    wrong = [
        (0, {}), (10**14, {}), (5, {"reason": " "}), (5, {"ledger": "water"}),
        (5, {"act": "opening", "ledger": "shared"}),
        (-5, {"act": "paid_out", "how": "cash"}), (-5, {"act": "paid_out", "how": "cheque"}),
    ]  # fmt: skip
    for amount_fen, more in wrong:
        with pytest.raises(Refused):
            book(writer, amount_fen, **more)
    for name in ("nobody", "cash", "H0001:shared"):
        with pytest.raises(NotFound):
            book(writer, 5, account_id=name)
    assert agrees(engine).batches == 3


def test_an_opening_balance_is_booked_once_and_is_the_one_of_an_import(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, opening_fen=0), household(2)])
    done = book(writer, -700, act="opening")
    assert done.balance_fen == -700
    assert book(writer, -700, act="opening") == done
    with pytest.raises(Conflict, match="has its opening balance already"):
        book(writer, -701, act="opening")
    assert book(writer, 5000, act="opening", account_id="H0002").balance_fen == 5000  # the import's
    assert balance(engine, "opening")[0] == -4300
    assert told(engine)[-1] == ("opening", -700)
    agrees(engine)


def test_only_what_is_there_is_paid_out_and_a_large_sum_by_two(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, opening_fen=30_000), household(2)])
    done = out(writer, HOUR, final(1, 1_000_000), settle="cash")
    assert (done.closed, bool(done.approval_id)) == (False, True)
    assert still_open(engine) == ["request", "balance"]
    with pytest.raises(Refused, match="cannot be paid out"):
        book(writer, -30_001, act="paid_out", how="cash")
    book(writer, -9000, "part", HOUR, act="paid_out", how="bank")
    with pytest.raises(Conflict, match="withdraw this request"):
        agree(writer, done.approval_id, world_s=HOUR)
    writer.run(lambda unit: approvals.withdraw(unit, ESTATE, done.approval_id, actor="olga", now=at(HOUR)))
    rest = book(writer, -21_000, "rest", HOUR, act="paid_out", how="cash")
    agree(writer, rest.approval_id, world_s=HOUR)
    assert [balance(engine, name)[0] for name in ("H0001", "cash", "bank")] == [0, 21_000, 9000]
    assert told(engine)[-3:] == [("paid_out", -9000), ("paid_out", -21_000), ("closed", None)]
    agrees(engine)


def test_what_is_asked_for_is_judged_again_when_the_second_person_agrees(engine: Engine, writer: Writer) -> None:
    plant(writer)
    asked = book(writer, -20_000)
    out(writer, 60, final(1, 1_000_000))
    book(writer, -5000, "rest", 60)
    with pytest.raises(Refused, match="waits for its second person"):
        act(writer, 60, "close_account")
    agree(writer, asked.approval_id)
    assert balance(engine, "H0001")[0] == -20_000
    agrees(engine)


def test_the_estate_says_how_much_one_person_may(writer: Writer) -> None:
    plant(writer)
    planned = document()
    site = planned.estate
    object.__setattr__(site, "adjust_alone_fen", 0)
    writer.run(lambda unit: import_estate(unit, planned, at()))
    assert book(writer, 1).approval_id


def test_an_adjustment_warns_once_and_gives_power_back(writer: Writer) -> None:
    stage = Stage(writer)
    book(writer, -200)
    assert len(stage.notices(1, "cut_warning")) == 2
    stage.cut(2)
    book(writer, 9000, "back", account_id="H0002")
    assert stage.supply(2)["desired"] == "closed"


def test_credit_moved_between_ledgers_warns_and_gives_power_back_too(writer: Writer) -> None:
    stage = Stage(writer)
    move = {"idem_key": "m", **WORDS}
    writer.run(lambda unit: move_between(unit, ESTATE, "H0001", "electricity", "shared", 100, **move))
    assert len(stage.notices(1, "cut_warning")) == 2
    stage.cut(2)
    book(writer, 9000, "give", account_id="H0002", ledger="shared")
    back = {"idem_key": "b", **WORDS}
    writer.run(lambda unit: move_between(unit, ESTATE, "H0002", "shared", "electricity", 9000, **back))
    assert stage.supply(2)["desired"] == "closed"


def test_a_closed_account_owes_no_fee(writer: Writer) -> None:
    plant(writer, 1)
    out(writer, HOUR, final(1, 1_000_000), settle="cash")
    with pytest.raises(Refused, match="is closed"):
        writer.run(lambda unit: post_fee(unit, ESTATE, "H0001", "property", 5, idem_key="f", **WORDS))


@pytest.mark.parametrize("column", ["amount_fen", "limit_fen", "approved_by", "ledger", "act", "batch_seq"])
def test_verify_finds_a_life_that_was_edited(engine: Engine, writer: Writer, column: str) -> None:
    plant(writer)
    agree(writer, book(writer, 20_000).approval_id)
    read(writer, reading(1, HOUR, 1_000_500))
    agrees(engine)
    values = {"amount_fen": 20_001, "limit_fen": 1, "approved_by": None, "ledger": "shared", "act": "paid_out"}
    event = schema.account_event
    with engine.begin() as connection:
        off = "ALTER TABLE account_event DISABLE TRIGGER ALL"
        connection.exec_driver_sql(
            off if engine.dialect.name == "postgresql" else "DROP TRIGGER account_event_no_UPDATE"
        )
        connection.execute(event.update().where(event.c.act == "adjusted").values({column: values.get(column, 99)}))
    assert any(one.invariant == 5 for one in report(engine).mismatches)
