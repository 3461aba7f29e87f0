"""Group commit: units of one flow share a run and a commit, and still stand or fall alone."""

from concurrent.futures import Future
from threading import Event

import pytest
from sqlalchemy import Engine, event, select
from sqlalchemy.exc import OperationalError

from server.errors import Conflict, Refused, StorageUnavailable
from server.store.engine import reader
from server.store.schema import batch, estate
from server.store.writer import Writer
from tests.server.books import agrees, balance, top_up_alike
from tests.server.estates import account_id, plant

WAIT_S = 30
OPENING_FEN = 5000


class Flow:
    """Inserts an estate a unit; "refused" is an answer, "raises" fails the run, "twice" breaks a key."""

    def __init__(self):
        self.runs = []

    def __call__(self, units, _estate_id, items):
        self.runs.append(list(items))
        return [self._one(unit, item) for unit, item in zip(units, items, strict=True)]

    def _one(self, unit, item):
        if item == "refused":
            unit.alarm(lambda later: insert(later, "alarm"))
            return Refused("no")
        insert(unit, "a" if item == "twice" else item)
        if item == "raises":
            raise OSError("broken")
        unit.announce("estate", item)
        return item.upper()


def insert(unit, name):
    unit.connection.execute(estate.insert().values(estate_id=name, name=name, time_zone="UTC"))


def durable(engine: Engine) -> list[str]:
    with reader(engine) as connection:
        return list(connection.execute(select(estate.c.estate_id).order_by(estate.c.estate_id)).scalars())


@pytest.fixture
def held(writer: Writer) -> Event:
    """Keep the writer busy with one unit until the event is set."""
    release, started = Event(), Event()
    writer.submit(lambda unit: (started.set(), release.wait(WAIT_S)))
    assert started.wait(WAIT_S)
    return release


def outcome(future: Future) -> object:
    error = future.exception(WAIT_S)
    return future.result() if error is None else type(error).__name__


def test_units_of_a_flow_run_together_and_each_hears_its_own_answer(engine, writer, held):
    flow, heard = Flow(), []
    writer.subscribe(lambda topic, key: heard.append(key))
    futures = [writer.submit_alike(flow, "e", item, urgent=True) for item in ("a", "refused", "b")]
    other = writer.submit_alike(flow, "other estate", "c", urgent=True)
    held.set()
    assert [outcome(future) for future in (*futures, other)] == ["A", "Refused", "B", "C"]
    assert flow.runs == [["a", "refused", "b"], ["c"]]
    assert durable(engine) == ["a", "alarm", "b", "c"]
    writer.run(lambda unit: None)
    assert heard == ["a", "b", "c"]


@pytest.mark.parametrize("poison", ["raises", "twice"])
def test_a_failing_unit_takes_none_of_its_group_with_it(engine, writer, held, poison):
    flow = Flow()
    items = ["a", poison, "b", "refused", "c"]
    futures = [writer.submit_alike(flow, "e", item, urgent=True) for item in items]
    held.set()
    outcomes = [outcome(future) for future in futures]
    assert outcomes == ["A", {"raises": "OSError", "twice": "IntegrityError"}[poison], "B", "Refused", "C"]
    assert flow.runs == [items, *([item] for item in items)]
    assert durable(engine) == ["a", "alarm", "b", "c"]


def test_nobody_is_answered_before_the_shared_commit_is_durable(engine, writer, held, monkeypatch):
    flow, seen = Flow(), []
    futures = [writer.submit_alike(flow, "e", f"e{number}", urgent=True) for number in range(5)]
    futures.append(writer.submit(lambda unit: insert(unit, "alone"), urgent=True))
    commit = engine.dialect.do_commit

    def watched(connection):
        before = sum(future.done() for future in futures)
        commit(connection)
        seen.append((before, sum(future.done() for future in futures)))

    monkeypatch.setattr(engine.dialect, "do_commit", watched)
    held.set()
    for future in futures:
        future.result(WAIT_S)
    assert seen[-1] == (0, 0)
    assert all(before == after == 0 for before, after in seen)
    assert len(durable(engine)) == 6


def test_when_the_commit_fails_all_are_told_and_can_send_the_same_key_again(engine, writer, monkeypatch):
    plant(writer, 3)
    commit, release, started = engine.dialect.do_commit, Event(), Event()
    writer.submit(lambda unit: (started.set(), release.wait(WAIT_S)))
    assert started.wait(WAIT_S)

    def fails(connection):
        monkeypatch.setattr(engine.dialect, "do_commit", commit)
        raise OperationalError("COMMIT", None, OSError("the disk is gone"))

    futures = [top_up_alike(writer, number, 100, f"k{number}") for number in (1, 2, 3)]
    monkeypatch.setattr(engine.dialect, "do_commit", fails)
    release.set()
    assert [outcome(future) for future in futures] == ["StorageUnavailable"] * 3
    assert [balance(engine, account_id(number))[0] for number in (1, 2, 3)] == [OPENING_FEN] * 3
    again = [top_up_alike(writer, number, 100, f"k{number}") for number in (1, 2, 3, 1)]
    assert [future.result(WAIT_S).repeated for future in again] == [False, False, False, True]
    assert [balance(engine, account_id(number))[0] for number in (1, 2, 3)] == [OPENING_FEN + 100] * 3
    agrees(engine)


def test_payments_of_one_household_in_one_run_follow_each_other(engine, writer, held):
    plant_later = writer.submit(lambda unit: None)
    held.set()
    plant_later.result(WAIT_S)
    plant(writer, 2)
    release, started = Event(), Event()
    writer.submit(lambda unit: (started.set(), release.wait(WAIT_S)))
    assert started.wait(WAIT_S)
    keys = ["a", "b", "a", "c", "a"]
    futures = [top_up_alike(writer, 1, 100, key) for key in keys]
    wrong = top_up_alike(writer, 1, 101, "b")
    nobody = top_up_alike(writer, 99, 100, "d")
    release.set()
    answers = [future.result(WAIT_S) for future in futures]
    assert [answer.balance_fen - OPENING_FEN for answer in answers] == [100, 200, 200, 300, 300]
    assert [answer.repeated for answer in answers] == [False, False, True, False, True]
    assert (outcome(wrong), outcome(nobody)) == ("Conflict", "NotFound")
    with reader(engine) as connection:
        keys = connection.execute(select(batch.c.idem_key).where(batch.c.kind == "topup")).scalars().all()
    assert sorted(keys) == ["a", "b", "c"]
    agrees(engine)


def test_a_group_with_payments_takes_no_other_work_and_what_was_passed_over_has_the_next_turn(engine, writer, held):
    order, commits = [], []

    def note(name):
        return lambda unit: order.append(name)

    event.listen(engine, "commit", lambda _connection: order.append("commit"))
    ordinary = [writer.submit(note(f"ordinary {number}")) for number in (1, 2)]
    first = writer.submit(
        lambda unit: (order.append("payment 1"), commits.append(writer.submit(note("payment 2"), urgent=True))),
        urgent=True,
    )
    held.set()
    for future in (*ordinary, first, *commits):
        future.result(WAIT_S)
    writer.run(lambda unit: None)
    assert order[:8] == ["payment 1", "payment 2", "commit", "ordinary 1", "ordinary 2", "commit", "commit"][:8]


def test_a_payment_that_comes_while_a_long_unit_runs_is_committed_with_it(engine, writer):
    order, release, started = [], Event(), Event()
    event.listen(engine, "commit", lambda _connection: order.append("commit"))
    writer.submit(lambda unit: (started.set(), release.wait(WAIT_S), order.append("long")))
    assert started.wait(WAIT_S)
    later = writer.submit(lambda unit: order.append("ordinary"))
    payment = writer.submit(lambda unit: order.append("payment"), urgent=True)
    release.set()
    payment.result(WAIT_S)
    later.result(WAIT_S)
    assert order[:3] == ["long", "payment", "commit"]
    assert "ordinary" in order[3:]


def test_nothing_is_submitted_to_a_writer_that_has_stopped(engine):
    writer = Writer(engine)
    writer.stop()
    with pytest.raises(StorageUnavailable):
        writer.submit_alike(Flow(), "e", "a")


def test_an_answer_that_is_an_error_by_accident_is_still_no_answer(writer):
    future = writer.submit_alike(lambda units, _estate, items: [Conflict("no") for _ in items], "e", "x")
    with pytest.raises(Conflict):
        future.result(WAIT_S)
