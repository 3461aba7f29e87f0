"""Re-rating: corrections as new postings, by two people, once, verified by another road, and explained."""

from dataclasses import dataclass

import pytest
from sqlalchemy import select, update

from server.clock import Clock
from server.domain.rerating import Rerate, rerate_of_memo
from server.errors import Conflict, Refused
from server.flows import approvals, comparison, rerating, voiding
from server.flows.bills import explain
from server.flows.ledger import seal_batches
from server.jobs.rerating import ReratingJob
from server.store import rerating as kept
from server.store import schema
from server.store import settlement as settlements
from server.store.engine import begin_writing, reader
from server.store.ledger import balance_at
from tests.server.books import HOUR, agrees, balance, charge, read, reading, report, rows, top_up
from tests.server.estates import ESTATE, START_S, at, household, meter_id, plant
from tests.server.test_billing import PRICE
from tests.server.test_settlement import close

DAY = 24 * HOUR
NOW = at(12 * DAY)
CHEAPER = """
id = "single"
valid_from = "2021-01-01"
price = "0.50"
tier_steps = ["0.05", "0.25"]
tier_limits_wh = [200_000, 400_000]
tier_period = "month"
"""
SPAN = (START_S + 2 * DAY, START_S + 6 * DAY)


@dataclass
class Fixed(Clock):
    def __init__(self, when=NOW):
        super().__init__()
        self.when = when

    def now(self):
        return self.when


@pytest.fixture
def charged(engine, writer):
    """Three households, ten days, one of them over both limits."""
    plant(writer, [household(n, opening_fen=100_000, max_power_w=100_000) for n in (1, 2, 3)])
    for day in range(1, 11):
        read(
            writer, reading(1, day * DAY, 1_000_000 + day * 50_000), reading(2, day * DAY, 1_000_000 + day * 1_230),
            reading(3, day * DAY, 1_000_000 if day < 8 else 1_000_000 + day),
        )  # fmt: skip
        charge(writer, day * DAY)
    return engine


def ask(engine, writer, text=CHEAPER, span=SPAN, reason="the price list was wrong", now=NOW):
    with reader(engine) as connection:
        planned, found = rerating.plan(connection, ESTATE, text, *span, reason, now)
    asked = writer.run(lambda unit: approvals.request_rerate(unit, ESTATE, planned, found, actor="anna", now=now))
    return planned.rerate_id, asked


def approve(engine, writer, approval_id, actor="bert", now=NOW):
    with engine.connect() as connection:
        sha = connection.execute(
            select(schema.approval.c.payload_sha256).where(schema.approval.c.approval_id == approval_id)
        ).scalar_one()
    writer.run(lambda unit: approvals.approve(unit, ESTATE, approval_id, sha, actor=actor, now=now))


def run(engine, writer, now=NOW):
    ReratingJob(engine, writer, Fixed(now), ESTATE).run_once()


def rerate(engine, writer, text=CHEAPER, span=SPAN):
    rerate_id, approval_id = ask(engine, writer, text, span)
    approve(engine, writer, approval_id)
    run(engine, writer)
    return rerate_id


def corrections(engine):
    batches = {row["batch_seq"] for row in rows(engine, "batch") if row["kind"] == "rerate"}
    lines = [row for row in rows(engine, "line") if row["batch_seq"] in batches and row["account_id"] != "revenue"]
    return {row["account_id"]: row["charge_nf"] for row in lines}


def test_corrections_are_posted_and_nothing_is_edited(charged, writer):
    before = rows(charged, "line")
    balances = {name: balance(charged, name) for name in ("H0001", "H0002", "H0003", "revenue")}
    rerate(charged, writer)
    less = PRICE - 50_000_000
    assert corrections(charged) == {"H0001": -200_000 * less, "H0002": -4 * 1_230 * less}
    assert rows(charged, "line")[: len(before)] == before
    for name in ("H0001", "H0002"):
        fen, residue = balance(charged, name)
        exact = -corrections(charged)[name]
        assert fen * 10**9 - residue == balances[name][0] * 10**9 - balances[name][1] + exact
    assert balance(charged, "H0003") == balances["H0003"]
    assert sum(row["balance_fen"] for row in rows(charged, "account")) == 0
    agrees(charged)


def test_the_second_person_and_a_reason_are_needed(charged, writer):
    with pytest.raises(Refused, match="say why"):
        ask(charged, writer, reason=" ")
    _, approval_id = ask(charged, writer)
    run(charged, writer)
    assert corrections(charged) == {}, "nobody has agreed yet"
    with pytest.raises(Refused, match="second person"):
        approve(charged, writer, approval_id, actor="anna")
    writer.run(lambda unit: approvals.withdraw(unit, ESTATE, approval_id, actor="anna", now=NOW))
    run(charged, writer)
    assert corrections(charged) == {}


def test_a_job_runs_once_however_often_it_is_run(charged, writer):
    rerate(charged, writer)
    once = rows(charged, "line")
    for _ in range(2):
        run(charged, writer)
    assert rows(charged, "line") == once
    with reader(charged) as connection:
        [row] = kept.newest(connection, ESTATE)
    assert (row["status"], row["corrected"]) == ("done", 2)
    assert row["corrected_fen"] == -sum(line["amount_fen"] for line in once[-3:] if line["account_id"] != "revenue")


def test_an_interrupted_job_goes_on_where_it_was(charged, writer, monkeypatch):
    monkeypatch.setattr(rerating, "ACCOUNTS_A_BATCH", 1)
    rerate_id, approval_id = ask(charged, writer)
    approve(charged, writer, approval_id)
    with reader(charged) as connection:
        first = rerating.next_portion(connection, ESTATE, kept.get(connection, ESTATE, rerate_id))
    writer.run(lambda unit: rerating.post(unit, ESTATE, rerate_id, first, after="", now=NOW))
    agrees(charged)  # in the middle too
    with pytest.raises(Conflict, match="gone on elsewhere"):
        writer.run(lambda unit: rerating.post(unit, ESTATE, rerate_id, first, after="", now=NOW))
    run(charged, writer)
    assert set(corrections(charged)) == {"H0001", "H0002"}
    agrees(charged)


def test_a_second_re_rating_of_the_same_span_corrects_what_the_first_left(charged, writer):
    rerate(charged, writer)
    with pytest.raises(Refused, match="nobody would be charged otherwise"):
        ask(charged, writer)
    rerate(charged, writer, CHEAPER.replace("0.50", "0.60"))
    found = [row for row in rows(charged, "line") if row["account_id"] == "H0002" and row["meter_id"] is None][-1]
    assert found["charge_nf"] == 4 * 1_230 * 10_000_000
    agrees(charged)


@pytest.mark.parametrize("shift", [(DAY, 0), (0, -DAY), (-DAY, DAY), (DAY, DAY)])
def test_a_span_that_shares_a_part_with_another_is_refused(charged, writer, shift):
    rerate(charged, writer)
    with pytest.raises(Conflict, match="shares a part"):
        ask(charged, writer, span=(SPAN[0] + shift[0], SPAN[1] + shift[1]))
    ask(charged, writer, span=(SPAN[1], SPAN[1] + DAY))


def test_a_span_may_begin_and_end_within_steps(charged, writer):
    rerate(charged, writer, span=(SPAN[0] + HOUR, SPAN[1] - 5 * HOUR))
    less = PRICE - 50_000_000
    energy = {name: -nf // less for name, nf in corrections(charged).items()}
    assert energy["H0001"] == 50_000 * 4 - 50_000 * HOUR // DAY - (50_000 - 50_000 * 19 * HOUR // DAY)
    agrees(charged)


def test_a_dearer_price_is_owed_and_no_alarm_is_lost(charged, writer):
    rerate(charged, writer, CHEAPER.replace("0.50", "5.00"))
    level = next(row["level"] for row in rows(charged, "account") if row["account_id"] == "H0001")
    assert balance(charged, "H0001")[0] < 0
    assert level == 0, "the next charge tells the alarm"
    read(writer, reading(1, 11 * DAY, 1_000_000 + 10 * 50_000 + 10))
    assert charge(writer, 11 * DAY).crossings
    agrees(charged)


@pytest.mark.parametrize(
    ("text", "span", "why"),
    [
        (CHEAPER, (SPAN[1], SPAN[0]), "about the past"),
        (CHEAPER, (SPAN[0], NOW.world_s + 1), "about the past"),
        (CHEAPER.replace('"single"', '"none"'), SPAN, "no tariff"),
        (CHEAPER.replace("2021", "2031"), SPAN, "no version is in force"),
        ('id = "single"\nvalid_from = "2021-01-01"\nprices = {peak = "1"}', SPAN, "rates of 2 households"),
    ],
)  # fmt: skip
def test_what_cannot_be_re_rated_is_refused(charged, writer, text, span, why):
    with pytest.raises(Exception, match=why):
        ask(charged, writer, text, span)


def test_lines_that_come_later_wait_for_another_re_rating(charged, writer):
    _, approval_id = ask(charged, writer, span=(SPAN[0], START_S + 12 * DAY))
    read(writer, reading(2, 11 * DAY, 1_000_000 + 11 * 1_230))
    charge(writer, 11 * DAY)
    approve(charged, writer, approval_id)
    run(charged, writer)
    less = PRICE - 50_000_000
    assert corrections(charged)["H0002"] == -8 * 1_230 * less
    agrees(charged)
    rerate(charged, writer, span=(SPAN[0], START_S + 12 * DAY))
    assert (
        sum(
            row["charge_nf"]
            for row in rows(charged, "line")
            if row["account_id"] == "H0002" and row["meter_id"] is None
        )
        == -9 * 1_230 * less
    )
    agrees(charged)


def unguard(engine, table):
    with begin_writing(engine) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"DROP TRIGGER {table}_append_only ON {table}")
        else:
            connection.exec_driver_sql(f"DROP TRIGGER {table}_no_UPDATE")


def edit(engine, statement):
    with begin_writing(engine) as connection, connection.begin():
        connection.execute(statement)


def found(engine, invariant=6):
    return [one.detail for one in report(engine).mismatches if one.invariant == invariant]


def test_verify_finds_a_correction_that_is_wrong_or_under_other_terms(charged, writer):
    rerate(charged, writer)
    for values in ({"until_at": SPAN[1] - DAY}, {"definition": "{}"}, {"until_batch": 1}):
        before = {name: rows(charged, "rerate")[0][name] for name in values}
        edit(charged, update(schema.rerate).values(**values))
        assert any("other terms" in one for one in found(charged)), values
        edit(charged, update(schema.rerate).values(**before))
    agrees(charged)
    edit(charged, update(schema.rerate).values(status="withdrawn"))
    assert any("correction in nanofen" in one for one in found(charged))


def test_verify_finds_a_charge_without_a_meter_that_no_re_rating_explains(charged, writer):
    top_up(writer, 1, 100, "k")
    unguard(charged, "line")
    newest = max(row["batch_seq"] for row in rows(charged, "batch"))
    edit(
        charged,
        update(schema.line).where(schema.line.c.batch_seq == newest, schema.line.c.line_no == 1).values(charge_nf=5),
    )
    assert "charges energy without a meter" in found(charged)


def test_a_correction_is_sealed_with_its_terms(charged, writer):
    rerate(charged, writer)
    writer.run(lambda unit: seal_batches(unit, ESTATE, NOW))
    assert agrees(charged).unsealed == 0
    unguard(charged, "batch")
    edit(charged, update(schema.batch).where(schema.batch.c.kind == "rerate").values(memo="rerate x y"))
    assert found(charged, 7)


def test_the_balance_at_an_instant_knows_the_correction_from_when_it_was_booked(charged, writer):
    with reader(charged) as connection:
        before = balance_at(connection, ESTATE, "H0001", NOW.world_s - 1)
    rerate(charged, writer)
    with reader(charged) as connection:
        assert balance_at(connection, ESTATE, "H0001", NOW.world_s - 1) == before
        assert balance_at(connection, ESTATE, "H0001", NOW.world_s) == balance(charged, "H0001")


def test_a_correction_is_explained_and_an_edit_of_it_named(charged, writer):
    rerate(charged, writer)
    number = max(row["account_version"] for row in rows(charged, "line") if row["account_id"] == "H0001")
    with reader(charged) as connection:
        bill = explain(connection, ESTATE, f"H0001:{number}")
    assert bill.differences == ()
    assert bill.lines[0].correction.owed_nf == corrections(charged)["H0001"]
    unguard(charged, "line")
    place = (schema.line.c.account_id == "H0001", schema.line.c.account_version == number)
    edit(charged, update(schema.line).where(*place).values(charge_nf=schema.line.c.charge_nf + 1))
    with reader(charged) as connection:
        assert {one.what for one in explain(connection, ESTATE, f"H0001:{number}").differences} == {"charge_nf"}


def test_a_memo_names_its_re_rating():
    one = Rerate("r1", "t", "{}", 1, 2, 3, "why")
    assert rerate_of_memo(one.memo) == "r1"
    assert rerate_of_memo("rerate of nothing at all") == ""
    assert rerate_of_memo("cash") == ""


def test_a_month_closes_over_a_correction_and_the_books_agree(charged, writer):
    rerate(charged, writer)
    owed = sum(
        row["amount_fen"] for row in rows(charged, "line") if row["account_id"] == "H0001" and not row["meter_id"]
    )
    closed = close(writer, "month", "2026-10", 40 * DAY, "no reading at its end")
    assert closed.period == "2026-10"
    agrees(charged)
    with reader(charged) as connection:
        own = settlements.sums_of(connection, ESTATE, "month", "2026-10", ["H0001"])["H0001"]
    assert own.kinds["rerate"] == owed - 100_000
    assert own.closing_fen == balance(charged, "H0001")[0]


def test_what_was_taken_back_since_it_was_asked_is_not_corrected(charged, writer):
    _, asked = ask(charged, writer)
    writer.run(
        lambda unit: voiding.take_back(
            unit, ESTATE, meter_id(2), START_S + 5 * DAY, actor="olga", reason="a wrong digit", now=NOW
        )
    )  # fmt: skip
    with pytest.raises(Conflict, match="taken back since"):
        approve(charged, writer, asked)
    _, again = ask(charged, writer)
    approve(charged, writer, again)
    run(charged, writer)
    agrees(charged)


def test_one_that_cannot_go_on_is_logged_and_tried_again(charged, writer, monkeypatch, caplog):
    _, first = ask(charged, writer)
    approve(charged, writer, first)
    next_portion = rerating.next_portion

    def broken(connection, estate_id, rerate):
        raise Refused("its lines are archived")

    monkeypatch.setattr(rerating, "next_portion", broken)
    run(charged, writer)
    assert "could not go on" in caplog.text
    monkeypatch.setattr(rerating, "next_portion", next_portion)
    run(charged, writer)
    assert corrections(charged)
    agrees(charged)


def test_lines_archived_since_it_was_asked_are_not_corrected(charged, writer, monkeypatch):
    _, asked = ask(charged, writer)
    monkeypatch.setattr(comparison, "newest_end", lambda *_: (99, SPAN[1]))
    with pytest.raises(Refused, match="archived"):
        approve(charged, writer, asked)
