"""Shared-area costs: every fen and Wh finds a place, once a month and subject; only a counter-posting takes it back."""

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text

from server.domain.allocation import EQUAL, Participant, Wish, largest_remainder, plan
from server.domain.ledger import Entry
from server.errors import Conflict, NotFound, Refused
from server.flows import allocations, settlement
from server.flows.ledger import post_entries
from server.store import allocations as kept
from server.store import schema
from server.store.engine import open_engine, reader
from server.store.ledger import ledger_balances
from server.store.writer import Writer
from tests.server.books import agrees, balance, charge, read, reading, report
from tests.server.estates import ESTATE, START_S, at, household, plant
from tests.server.local_writer import rolled_back

MONTH, AFTER = "2026-10", 20 * 86_400
COST = Wish(MONTH, "stairs", EQUAL, amount_fen=10_000)

WEIGHTS = st.lists(st.integers(0, 10**9), min_size=1, max_size=40).filter(any)


@given(total=st.integers(0, 10**13), weights=WEIGHTS)
@example(total=1, weights=[1, 1, 1])
def test_parts_make_the_total_and_are_fair(total: int, weights: list[int]) -> None:
    parts = largest_remainder(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert 0 <= part - total * weight // sum(weights) <= 1
        assert weight or not part


@pytest.mark.parametrize(("total", "weights"), [(-1, [1]), (1, []), (1, [0, 0]), (1, [2, -1])])
def test_what_cannot_be_shared_is_refused(total: int, weights: list[int]) -> None:
    with pytest.raises(ValueError, match="parts need"):
        largest_remainder(total, weights)


def test_the_largest_remainders_get_what_is_left_and_ties_go_to_the_first() -> None:
    assert largest_remainder(100, [1, 1, 1]) == [34, 33, 33]
    assert largest_remainder(10, [15, 10, 10]) == [4, 3, 3]  # 4.29, 2.86, 2.86
    shares = plan(COST, [Participant("B", 1), Participant("A", 1), Participant("C", 1)], {}).shares
    assert [(one.account_id, one.amount_fen) for one in shares] == [("A", 3334), ("B", 3333), ("C", 3333)]


def test_energy_at_a_price_is_rounded_once_half_up() -> None:
    wish = Wish(MONTH, "lift", EQUAL, energy_wh=1500, price_nf_per_wh=1_000_000)  # 1.5 fen
    found = plan(wish, [Participant("A", 2), Participant("B", 1)], {"energy_wh": 1500})
    assert (found.amount_fen, [(one.energy_wh, one.amount_fen) for one in found.shares]) == (2, [(1000, 1), (500, 1)])


def stage(writer: Writer, homes: int = 3, *, used_wh: tuple[int, ...] = (1000, 2000, 0), close: bool = True) -> None:
    """Some households with a closed October."""
    plant(writer, [household(number) for number in range(1, homes + 1)])
    for number, wh in enumerate(used_wh[:homes], 1):
        read(writer, reading(number, 3600, 1_000_000 + wh))
    charge(writer, 3600)
    if close:
        close_month(writer)


def close_month(writer: Writer) -> None:
    now = at(AFTER)

    def unit_of(unit):
        drafted = settlement.draft(unit.connection, ESTATE, "month", MONTH, now)
        settlement.close(unit, ESTATE, drafted, actor="li", override="no readings at its end", now=now)

    writer.run(unit_of)


def post(writer: Writer, wish: Wish = COST) -> allocations.Posted:
    return writer.run(lambda unit: allocations.post(unit, ESTATE, wish, actor="li", now=at(AFTER)))


def areas(writer: Writer, **of_rooms: int) -> None:
    found = {f"1-{name[1:]}": cm2 for name, cm2 in of_rooms.items()}
    writer.run(lambda unit: allocations.set_areas(unit, ESTATE, found, actor="li", now=at(AFTER)))


def owed(engine: Engine) -> list[int]:
    with reader(engine) as connection:
        return [-ledger_balances(connection, ESTATE, f"H000{number}")["shared"] for number in (1, 2, 3)]


def test_a_cost_is_posted_to_the_shared_ledgers_once(engine: Engine, writer: Writer) -> None:
    stage(writer)
    first = post(writer)
    again = post(writer)
    assert (again.allocation_id, again.batch_seq, again.repeated) == (first.allocation_id, first.batch_seq, True)
    assert owed(engine) == [3334, 3333, 3333]
    assert balance(engine, "revenue:shared") == (10_000, 0)
    assert balance(engine, "H0001")[0] == 5000 - 59  # electricity has nothing to do with it
    with pytest.raises(Conflict, match="reverse that first"):
        post(writer, Wish(MONTH, "stairs", EQUAL, amount_fen=10_001))
    post(writer, Wish(MONTH, "lift", EQUAL, amount_fen=300))
    assert owed(engine) == [3434, 3433, 3433]
    agrees(engine)


def test_a_reversal_is_a_posting_of_its_own_and_lets_the_subject_be_shared_anew(engine: Engine, writer: Writer) -> None:
    stage(writer)
    first = post(writer)

    def reverse(reason: str = "wrong bill") -> int:
        return writer.run(
            lambda unit: allocations.reverse(
                unit, ESTATE, first.allocation_id, reason=reason, actor="li", now=at(AFTER)
            )
        )

    with pytest.raises(Refused, match="say why"):
        reverse(" ")
    number = reverse()
    assert reverse() == number
    assert owed(engine) == [0, 0, 0]
    second = post(writer, Wish(MONTH, "stairs", EQUAL, amount_fen=9_000))
    assert second.allocation_id != first.allocation_id
    assert owed(engine) == [3000, 3000, 3000]
    with pytest.raises(NotFound):
        writer.run(lambda unit: allocations.reverse(unit, ESTATE, "none", reason="x", actor="li", now=at(AFTER)))
    agrees(engine)


def test_a_reversal_without_the_lines_is_refused(engine: Engine, writer: Writer, monkeypatch) -> None:
    stage(writer)
    first = post(writer)
    monkeypatch.setattr(allocations.journal, "lines_of_batch", lambda *_: [])
    with pytest.raises(Refused, match="archived"):
        writer.run(
            lambda unit: allocations.reverse(unit, ESTATE, first.allocation_id, reason="x", actor="li", now=at(AFTER))
        )


def test_a_subject_is_not_shared_twice_by_a_space(engine: Engine, writer: Writer) -> None:
    stage(writer)
    post(writer)
    with pytest.raises(Refused, match="no space"):
        post(writer, Wish(MONTH, "stairs ", EQUAL, amount_fen=10_000))


def test_by_area_wants_every_area_and_by_use_counts_the_closed_month(engine: Engine, writer: Writer) -> None:
    stage(writer)
    by_area = Wish(MONTH, "roof", "area", amount_fen=1000)
    areas(writer, r0001=500_000, r0002=250_000)
    with pytest.raises(Refused, match=r"1 rooms is not known: 1-0003"):
        post(writer, by_area)
    areas(writer, r0003=250_000)
    post(writer, by_area)
    assert owed(engine) == [500, 250, 250]
    post(writer, Wish(MONTH, "pumps", "usage", amount_fen=300))
    assert owed(engine) == [600, 450, 250]
    with pytest.raises(NotFound, match="9-9"):
        writer.run(lambda unit: allocations.set_areas(unit, ESTATE, {"9-9": 1}, actor="li", now=at()))
    with pytest.raises(Refused, match="give areas"):
        areas(writer, r0001=0)
    agrees(engine)


def test_vacant_rooms_are_borne_by_the_others_or_by_the_estate(engine: Engine, writer: Writer) -> None:
    stage(writer)
    writer.run(lambda unit: unit.connection.execute(
        schema.account.update().where(schema.account.c.account_id == "H0003").values(status="closed")
    ) and None)  # fmt: skip
    post(writer, Wish(MONTH, "lift", EQUAL, amount_fen=900))
    assert owed(engine) == [450, 450, 0]
    post(writer, Wish(MONTH, "stairs", EQUAL, amount_fen=900, vacant="estate"))
    assert owed(engine) == [750, 750, 0]
    assert balance(engine, "vacant_rooms") == (-300, 0)
    agrees(engine)


def test_what_the_gates_lost_is_shared_with_its_numbers(engine: Engine, writer: Writer) -> None:
    stage(writer)
    day = schema.register_day
    gate = {"estate_id": ESTATE, "meter_id": "202699000001", "read_at": START_S}
    wish = Wish(MONTH, "losses", EQUAL, price_nf_per_wh=58_886_875, from_gates=True, known_wh=1000)
    with pytest.raises(Refused, match="were not read"):
        post(writer, wish)
    for date, first_wh, total_wh in (
        ("2026-09-30", 0, 50_000),
        ("2026-10-13", 60_000, 60_500),
        ("2026-10-31", 0, 57_000),
    ):
        values = {**gate, "day": date, "first_wh": first_wh, "total_wh": total_wh}
        writer.run(lambda unit, values=values: unit.connection.execute(day.insert().values(**values)) and None)
    found = post(writer, wish)
    with reader(engine) as connection:
        row = kept.get_allocation(connection, ESTATE, found.allocation_id)
        assert row is not None
        shares = kept.shares(connection, ESTATE, found.allocation_id)
    numbers = json.loads(row["formula"])
    assert {name: numbers[name] for name in ("gate_wh", "meters_wh", "known_wh", "energy_wh")} == {
        "gate_wh": 7000, "meters_wh": 3000, "known_wh": 1000, "energy_wh": 3000,
    }  # fmt: skip
    assert (row["amount_fen"], sum(share["energy_wh"] for share in shares)) == (177, 3000)
    with pytest.raises(Refused, match="nothing left to share"):
        post(writer, Wish(MONTH, "more", EQUAL, price_nf_per_wh=1, from_gates=True, known_wh=5000))
    agrees(engine)


WRONG = [
    Wish(MONTH, "", EQUAL, amount_fen=1),
    Wish(MONTH, "x", "by height", amount_fen=1),
    Wish(MONTH, "x", EQUAL),
    Wish(MONTH, "x", EQUAL, amount_fen=1, energy_wh=1, price_nf_per_wh=1),
    Wish(MONTH, "x", EQUAL, energy_wh=1),
    Wish(MONTH, "x", EQUAL, energy_wh=1, price_nf_per_wh=1, from_gates=True),
    Wish(MONTH, "x", EQUAL, amount_fen=-1),
    Wish(MONTH, "x", EQUAL, amount_fen=0),
    Wish(MONTH, "x", EQUAL, amount_fen=1, vacant="nobody"),
    Wish("2026-09", "x", EQUAL, amount_fen=1),
]


@pytest.mark.parametrize("wish", WRONG, ids=repr)
def test_an_impossible_wish_is_refused(sqlite_engine: Engine, wish: Wish) -> None:
    writer = Writer(sqlite_engine)
    stage(writer)
    with pytest.raises(Refused):
        post(writer, wish)
    writer.stop()
    with reader(sqlite_engine) as connection:
        assert connection.execute(select(schema.allocation)).all() == []


def test_costs_wait_for_the_close_of_their_month(engine: Engine, writer: Writer) -> None:
    stage(writer, close=False)
    with pytest.raises(Refused, match="not closed"):
        post(writer)


@pytest.mark.parametrize("edit", [
    "UPDATE allocation_share SET amount_fen = amount_fen + 1 WHERE account_id = 'H0001'",
    "UPDATE allocation_share SET weight = 2 WHERE account_id = 'H0002'",
    "UPDATE allocation SET amount_fen = 9999",
])  # fmt: skip
def test_verify_finds_an_edited_part(sqlite_engine: Engine, edit: str) -> None:
    writer = Writer(sqlite_engine)
    stage(writer)
    post(writer)
    agrees(sqlite_engine)
    table = edit.split()[1]
    writer.run(lambda unit: unit.connection.execute(text(f"DROP TRIGGER {table}_no_UPDATE")) and None)
    writer.run(lambda unit: unit.connection.execute(text(edit)) and None)
    writer.stop()
    assert {one.invariant for one in report(sqlite_engine).mismatches} == {7, 8}


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    amount_fen=st.integers(1, 10**9),
    area=st.tuples(*[st.integers(1, 10**7)] * 3),
    basis=st.sampled_from(("equal", "area", "usage")),
)
def test_any_cost_is_owed_to_the_fen(database_url: str, amount_fen: int, area, basis: str) -> None:
    engine = open_engine(database_url)
    with rolled_back(engine) as writer:
        stage(writer)
        areas(writer, r0001=area[0], r0002=area[1], r0003=area[2])
        post(writer, Wish(MONTH, "lift", basis, amount_fen=amount_fen))
        with_shared = [ledger_balances(writer._connection, ESTATE, f"H000{number}")["shared"] for number in (1, 2, 3)]
        assert -sum(with_shared) == amount_fen
    engine.dispose()


def forge(writer: Writer, kind: str, key: str, fen: int = 10) -> int:
    entries = [Entry("revenue:shared", fen), Entry("H0001:shared", -fen)]
    return writer.run(
        lambda unit: post_entries(
            unit, ESTATE, kind, entries[0].account_id, entries, key, at(AFTER).world_s, "li", "", at(AFTER)
        )
    ).batch_seq  # fmt: skip


@pytest.mark.parametrize("kind", ["allocation", "reversal"])
def test_verify_finds_a_shared_cost_that_nobody_posted(engine: Engine, writer: Writer, kind: str) -> None:
    stage(writer)
    post(writer)
    number = forge(writer, kind, "forged")
    assert [(one.invariant, one.subject) for one in report(engine).mismatches] == [(8, f"batch {number}")]


def test_verify_finds_a_reversal_that_is_no_mirror(engine: Engine, writer: Writer) -> None:
    stage(writer)
    first = post(writer)
    number = forge(writer, "reversal", "forged", -10)
    values = {
        "estate_id": ESTATE, "allocation_id": first.allocation_id, "batch_seq": number, "reason": "x", "actor": "li",
        "world_at": 0, "created_ms": 0,
    }  # fmt: skip
    writer.run(lambda unit: kept.add_reversal(unit.connection, **values))
    [found] = report(engine).mismatches
    assert (found.invariant, found.subject) == (8, f"shared cost {first.allocation_id}")
