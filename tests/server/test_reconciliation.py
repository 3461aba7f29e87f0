"""Bill files against the books, both ways: every class of difference, a case each, settled once, or explained."""

from hashlib import sha256

import pytest

from server.domain.ledger import SUSPENSE
from server.domain.reconciliation import BillRow, Booked, Kind, bounds_ms, compare, day_of, due_days
from server.errors import Conflict, NotFound, Refused
from server.flows import cases, payments, reconciliation, refunds
from server.flows.money_rules import rules_kept
from server.pay.provider import PaidEvent
from server.store import reconciliation as kept
from server.store import schema
from server.store.supply import update_estate
from tests.server.estates import ESTATE, account_id
from tests.server.local_writer import rolled_back
from tests.server.office import PAID_FEN, Office

DAY, BEFORE, AFTER = "2026-11-26", "2026-11-25", "2026-11-27"
START_MS, END_MS = bounds_ms(DAY)
NOON_MS = START_MS + 12 * 3600 * 1000
HOUR_MS = 3600 * 1000


def paid(key="t1", amount_fen=PAID_FEN, state="done", at_ms=NOON_MS, order_no="o1"):
    return BillRow("payment", order_no, "", key, amount_fen, state, at_ms)


def returned(key="r1", amount_fen=2000, state="done", at_ms=NOON_MS):
    return BillRow("refund", "o1", key, "t1", amount_fen, state, at_ms)


def ours(key="t1", amount_fen=PAID_FEN, state="done", at_ms=NOON_MS, kind="payment"):
    return Booked(kind, key, "o1", amount_fen, state, at_ms, key)


CLASSES = {
    "both have it": ([paid()], [ours()], []),
    "refund on both sides": ([returned()], [ours("r1", 2000, kind="refund")], []),
    "missing here": ([paid()], [], ["missing_here"]),
    "refund missing here": ([returned()], [], ["missing_here"]),
    "a refund on its way that nobody here has ordered": ([returned(state="pending")], [], ["missing_here"]),
    "a refund that came to nothing": ([returned(state="failed")], [], []),
    "a payment that was taken back is nothing": ([paid(state="failed")], [], []),
    "missing there": ([], [ours()], ["missing_there"]),
    "an open refund is not missed": ([], [ours("r1", 2000, "pending", kind="refund")], []),
    "amount": ([paid()], [ours(amount_fen=4999)], ["amount"]),
    "state, done there": ([returned()], [ours("r1", 2000, "failed", kind="refund")], ["state"]),
    "state, done here": ([returned(state="failed")], [ours("r1", 2000, kind="refund")], ["state"]),
    "on its way when the file was made, done since": (
        [returned(state="pending")],
        [ours("r1", 2000, kind="refund")],
        [],
    ),
    "on its way then, come to nothing": ([returned(state="pending")], [ours("r1", 2000, "failed", kind="refund")], []),
    "both open": ([returned(state="pending")], [ours("r1", 2000, "pending", kind="refund")], []),
    "duplicate": ([paid(), paid()], [ours()], ["duplicate"]),
    "duplicate and missing here": ([paid(), paid()], [], ["duplicate", "missing_here"]),
    "booked the day after": ([paid(at_ms=END_MS - 1)], [ours(at_ms=END_MS + 1)], ["day_boundary"]),
    "just after midnight, the file before is not there": ([], [ours(at_ms=START_MS + 1)], ["day_boundary"]),
    "just before midnight, the file after is not there": ([], [ours(at_ms=END_MS - 1)], ["day_boundary"]),
    "what the file names of another day is no loss of this one": ([], [ours(at_ms=START_MS - 1)], []),
    "a payment is no refund": ([paid("x")], [ours("x", kind="refund")], ["missing_here", "missing_there"]),
}


@pytest.mark.parametrize(("theirs", "booked", "expected"), CLASSES.values(), ids=CLASSES.keys())
def test_each_difference_has_its_class(theirs, booked, expected):
    assert sorted(one.kind for one in compare(DAY, theirs, booked, {}, [DAY])) == expected


def test_near_midnight_both_files_decide():
    late = [ours(at_ms=END_MS - 1)]
    [one] = compare(DAY, [], late, {("payment", "t1"): AFTER}, [DAY, AFTER])
    assert one.kind is Kind.DAY_BOUNDARY
    [one] = compare(DAY, [], late, {}, [DAY, AFTER])
    assert one.kind is Kind.MISSING_THERE
    [one] = compare(DAY, [], [ours(at_ms=START_MS + 1)], {}, [BEFORE, DAY])
    assert one.kind is Kind.MISSING_THERE


def test_files_are_due_from_ten_in_the_morning_of_beijing_for_a_week():
    ten = END_MS + 10 * HOUR_MS
    assert due_days(ten - 1, [], 0)[-1] == BEFORE
    assert due_days(ten, [], 0)[-1] == DAY
    assert len(due_days(ten, [], 0)) == 7
    assert len(due_days(ten, [], 0, 31)) == 31
    assert due_days(ten, [DAY], START_MS - 1) == [BEFORE]
    assert due_days(ten, [], None) == []
    assert day_of(START_MS) == day_of(END_MS - 1) == DAY


class Books(Office):
    """An office that reconciles; money moves at noon of the day."""

    def pays(self, name="t1", number=1, amount_fen=PAID_FEN, at_ms=NOON_MS, fits=True):
        order_no = self.writer.run(
            lambda unit: payments.create_order(
                unit, ESTATE, account_id(number), PAID_FEN, "sandbox", "online", "anna", self.now
            )
        ).order_no
        if fits is not None:
            event = PaidEvent("sandbox", f"e-{name}", name, order_no, amount_fen, True, at_ms)
            self.writer.run(lambda unit: payments.record_callback(unit, ESTATE, event, "{}", now=self.now))
        return order_no

    def load(self, *rows, day=DAY, content=None, provider="sandbox"):
        content = repr(rows).encode() if content is None else content
        return self.do(
            reconciliation.load, provider, day, content, list(rows), source="uploaded", actor="zhou"
        )  # fmt: skip

    def found(self, *, everything=False):
        return [
            (row["class"], row["what"], row["key"])
            for row in self.look(lambda conn: kept.differences(conn, ESTATE, everything=everything, limit=99))
        ]

    def case_of(self, kind):
        [row] = [row for row in self.rows(schema.bill_difference) if row["class"] == kind]
        return row["case_id"]


@pytest.fixture
def books(writer):
    return Books(writer, households=2, opening_fen=0)


@pytest.fixture
def desk(sqlite_engine):
    with rolled_back(sqlite_engine) as writer:
        yield Books(writer, households=2, opening_fen=0)


def test_a_day_that_agrees_has_no_difference_and_its_file_is_kept_with_its_hash(books):
    order_no = books.pays()
    loaded = books.load(paid(order_no=order_no), content=b"the file")
    assert (loaded.rows, loaded.differences, loaded.repeated) == (1, 0, False)
    [file] = books.rows(schema.bill_file)
    assert file["sha256"] == sha256(b"the file").hexdigest()
    assert (file["content"], file["paid_fen"], file["source"]) == ("dGhlIGZpbGU=", PAID_FEN, "uploaded")
    assert books.cases() == []


def test_the_same_file_again_changes_nothing(books):
    books.load(paid())
    before = {table.name: books.rows(table) for table in schema.metadata.sorted_tables}
    books.wait(60)
    assert books.load(paid()).repeated
    assert {table.name: books.rows(table) for table in schema.metadata.sorted_tables} == before


def test_both_ways_each_difference_becomes_a_case_with_owner_and_figures(books):
    books.pays("ours")
    books.pays("less", amount_fen=PAID_FEN)
    loaded = books.load(paid("theirs"), paid("less", PAID_FEN + 1))
    assert loaded.differences == 3
    assert sorted(books.found()) == [
        ("amount", "payment", "less"), ("missing_here", "payment", "theirs"), ("missing_there", "payment", "ours"),
    ]  # fmt: skip
    assert books.cases() == [("bill_difference", "open")] * 3
    evidence = [row["evidence"] for row in books.rows(schema.anomaly_case)]
    assert sum('"here_fen": 5000' in one and '"there_fen": 5001' in one for one in evidence) == 1
    assert sum('"owner": "provider"' in one for one in evidence) == 1


def test_refunds_are_compared_by_their_number(books):
    payment_id = books.paid(name="t1")
    done, lost = books.order(payment_id, 1000, "key-0001"), books.order(payment_id, 500, "key-0002")
    for refund_no in (done, lost):
        books.do(refunds.mark_asked, refund_no)
    books.hear(done)
    books.set(schema.refund, schema.refund.c.refund_no == done, decided_ms=NOON_MS)
    books.set(schema.payment, paid_ms=NOON_MS)
    books.load(paid("t1"), returned(done, 1000), returned(lost, 500), returned("by hand", 1))
    assert sorted(books.found()) == [("missing_here", "refund", "by hand"), ("state", "refund", lost)]


def test_what_is_settled_stays_settled_and_what_is_none_any_more_explains_itself(books):
    books.load(paid("t1"), paid("t2"))
    case_id = next(row["case_id"] for row in books.rows(schema.bill_difference) if row["key"] == "t2")
    books.do(reconciliation.settle, case_id, resolution="the provider took it back", actor="zhou")
    books.pays("t1")
    books.do(reconciliation.judge, "sandbox", DAY)
    assert books.found() == []
    assert {row["status"] for row in books.rows(schema.anomaly_case)} == {"closed"}
    assert sorted(row["resolution"] for row in books.rows(schema.anomaly_case)) == [
        "it is no difference any more", "the provider took it back",
    ]  # fmt: skip
    books.load(paid("t1"), paid("t2"), content=b"a newer file of the same day")
    assert books.found() == []
    assert len(books.rows(schema.anomaly_case)) == 2


def test_closing_the_case_settles_the_difference(desk):
    desk.load(paid("t1"))
    desk.do(cases.close, desk.case_of("missing_here"), resolution="found", actor="zhou")
    assert desk.found() == []
    assert desk.found(everything=True) == [("missing_here", "payment", "t1")]
    with pytest.raises(Conflict):
        desk.do(reconciliation.settle, desk.case_of("missing_here"), resolution="again", actor="zhou")
    with pytest.raises(NotFound):
        desk.do(reconciliation.settle, "nothing", resolution="x", actor="zhou")


@pytest.mark.parametrize("fits", [True, False])
def test_a_payment_that_is_missing_here_is_taken_in_once(books, fits):
    order_no = books.pays(fits=None)
    books.load(paid("t1", PAID_FEN if fits else PAID_FEN + 1, order_no=order_no))
    case_id = books.case_of("missing_here")
    with pytest.raises(Refused, match="made sure"):
        books.do(reconciliation.take_in, case_id, reason=" ", actor="zhou")
    result = books.do(reconciliation.take_in, case_id, reason="seen on the platform", actor="zhou")
    assert result == ("credited" if fits else "suspense")
    assert (books.account(account_id(1)), books.account(SUSPENSE)) == ((PAID_FEN, 0) if fits else (0, PAID_FEN + 1))
    assert books.found() == []
    again = PaidEvent("sandbox", "e9", "t1", order_no, PAID_FEN if fits else PAID_FEN + 1, True, NOON_MS)
    assert books.do(payments.record_callback, again, "{}") == "repeat"
    books.agrees()


def test_nobody_takes_in_much_money_by_a_file_of_their_own(books):

    def limit(unit):
        with rules_kept(unit, ESTATE, "test", books.now):
            update_estate(unit.connection, ESTATE, adjust_alone_fen=PAID_FEN - 1)

    books.writer.run(limit)
    order_no = books.pays(fits=None)
    row = paid(order_no=order_no)
    books.load(row)
    case_id = books.case_of("missing_here")
    with pytest.raises(Refused, match="uploaded this file yourself"):
        books.do(reconciliation.take_in, case_id, reason="seen on the platform", actor="zhou")
    assert books.account(account_id(1)) == 0
    assert books.do(reconciliation.take_in, case_id, reason="seen on the platform", actor="wang") == "credited"
    books.agrees()


def test_only_a_payment_that_is_missing_here_can_be_taken_in(desk):
    desk.load(returned("r9"))
    with pytest.raises(Refused, match="missing here can be taken in"):
        desk.do(reconciliation.take_in, desk.case_of("missing_here"), reason="x", actor="zhou")


def test_the_file_of_the_next_day_explains_what_was_around_midnight(books):
    books.pays("late", at_ms=END_MS - HOUR_MS)
    books.pays("edge", at_ms=END_MS - 1)
    books.load()
    assert books.found() == [("missing_there", "payment", "late")]
    books.load(paid("late", at_ms=END_MS), paid("edge", at_ms=END_MS + 1), day=AFTER)
    assert books.found() == []
    assert ("day_boundary", "payment", "edge") in books.found(everything=True)
    assert books.cases() == [("bill_difference", "closed")]


def test_a_file_of_another_day_is_refused(desk):
    with pytest.raises(Refused, match="1 of 2 rows are not of"):
        desk.load(paid("t1"), paid("t2", at_ms=END_MS))
    assert desk.rows(schema.bill_file) == []


def test_an_older_file_does_not_come_back_unseen(desk):
    desk.load(paid("t1"))
    desk.wait(1)
    desk.load(paid("t1"), paid("t2"))
    desk.wait(1)
    with pytest.raises(Conflict, match="another one took its place"):
        desk.load(paid("t1"))


def test_a_file_is_loaded_whole_or_not_at_all(books, monkeypatch):
    def fail(*_given, **_named):
        raise OSError("broken on purpose")

    before = {table.name: books.rows(table) for table in schema.metadata.sorted_tables}
    with monkeypatch.context() as patch:
        patch.setattr("server.flows.reconciliation.cases.raise_case", fail)
        with pytest.raises(OSError, match="on purpose"):
            books.load(paid("t1"))
    assert {table.name: books.rows(table) for table in schema.metadata.sorted_tables} == before


def test_other_providers_are_not_looked_at(desk):
    desk.pays("t1")
    assert desk.load(provider="alipay").differences == 0
