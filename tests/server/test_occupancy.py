"""Shared costs go to who lived there in the month: days on a move, vacant days, and those who were settled since."""

import pytest
from sqlalchemy import Engine

from server.domain.allocation import EQUAL, VACANT_ROOMS, Wish
from server.domain.occupancy import Stay, days_between, days_lived
from server.flows import allocations
from server.store import allocations as kept
from server.store.engine import reader
from server.store.ledger import ledger_balances
from server.store.writer import Writer
from tests.server.books import agrees, read, reading, rows
from tests.server.estates import ESTATE, at, household, plant
from tests.server.lives import book, final, move_in, open_new, out
from tests.server.test_allocation import MONTH, areas, charge, close_month, post

DAY_S = 86_400  # the estate's own first day is 2026-10-13


def test_a_day_of_two_households_belongs_to_the_one_that_moves_in():
    days = days_between("2026-02-27", "2026-03-02")
    assert days == ["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"]
    stays = [Stay("A", "1", "", "2026-02-28"), Stay("B", "1", "2026-02-28"), Stay("C", "2", "2026-03-01", "2026-03-01")]
    assert days_lived(["1", "2", "3"], stays, days) == {
        ("A", "1"): 1, ("B", "1"): 3, ("C", "2"): 1, (VACANT_ROOMS, "2"): 3, (VACANT_ROOMS, "3"): 4,
    }  # fmt: skip
    whole = Stay("D", "4", "", "2026-03-02")
    assert days_lived(["4"], [whole], days) == {("D", "4"): 4}
    assert days_lived(["4"], [whole._replace(last_day="2026-03-01")], days) == {("D", "4"): 3, (VACANT_ROOMS, "4"): 1}


def stage(writer: Writer, settle: str = "leave") -> None:
    """Household 1 moves out on 18 October, another one moves in on the 23rd; October is closed."""
    plant(writer, [household(number) for number in (1, 2, 3)])
    read(writer, reading(1, 3600, 1_001_000), reading(2, 3600, 1_002_000))
    charge(writer, 3600)
    out(writer, 5 * DAY_S, final(1, 1_001_000), settle=settle)
    open_new(writer, 10 * DAY_S)
    move_in(writer, 10 * DAY_S, final(1, 1_001_000))
    close_month(writer)


def shares(engine: Engine, allocation_id: str) -> dict[str, tuple[int, int]]:
    with reader(engine) as connection:
        found = kept.shares(connection, ESTATE, allocation_id)
    return {row["account_id"]: (row["weight"], row["amount_fen"]) for row in found}


def test_the_days_of_a_move_split_a_cost_and_the_formula_shows_them(engine: Engine, writer: Writer) -> None:
    stage(writer)
    found = post(writer, Wish(MONTH, "stairs", EQUAL, amount_fen=10_000))
    assert shares(engine, found.allocation_id) == {
        "H0001": (18, 2023), "H0002": (31, 3483), "H0003": (31, 3483), "N1": (9, 1011),
    }  # fmt: skip
    [row] = rows(engine, "allocation")
    assert '"days": 31' in row["formula"]
    assert row["weight_total"] == 89
    with_estate = post(writer, Wish(MONTH, "lift", EQUAL, amount_fen=9_300, vacant="estate"))
    assert shares(engine, with_estate.allocation_id)[VACANT_ROOMS] == (4, 400)
    agrees(engine)


def test_areas_count_times_days(engine: Engine, writer: Writer) -> None:
    stage(writer)
    areas(writer, r0001=1000, r0002=1000, r0003=2000)
    found = post(writer, Wish(MONTH, "roof", "area", amount_fen=12_000))
    assert {name: weight for name, (weight, _) in shares(engine, found.allocation_id).items()} == {
        "H0001": 18_000, "H0002": 31_000, "H0003": 62_000, "N1": 9_000,
    }  # fmt: skip


def test_by_use_counts_what_was_used_and_no_days(engine: Engine, writer: Writer) -> None:
    stage(writer)
    found = post(writer, Wish(MONTH, "pumps", "usage", amount_fen=300))
    assert shares(engine, found.allocation_id)["H0001"] == (1000, 100)
    assert "days" not in rows(engine, "allocation")[0]["formula"]


@pytest.mark.parametrize("whole", [True, False])
def test_who_was_settled_since_owes_its_part_and_is_opened_for_it(engine: Engine, writer: Writer, whole: bool) -> None:
    stage(writer, settle="cash")
    assert account(engine, "H0001")["status"] == "closed"
    if whole:
        post(writer, Wish(MONTH, "stairs", EQUAL, amount_fen=10_000))
        with reader(engine) as connection:
            assert ledger_balances(connection, ESTATE, "H0001")["shared"] == -2023
        assert account(engine, "H0001")["status"] == "left"
    else:
        post(writer, Wish(MONTH, "stairs", "usage", amount_fen=1))
        assert account(engine, "H0001")["status"] == "closed", "nothing of it, so nothing is opened"
    agrees(engine)


def test_what_is_given_back_opens_the_account_of_who_was_settled_since(engine: Engine, writer: Writer) -> None:
    stage(writer, settle="cash")
    found = post(writer, Wish(MONTH, "stairs", EQUAL, amount_fen=10_000))
    book(writer, 2023, world_s=20 * DAY_S, ledger="shared")
    assert account(engine, "H0001")["status"] == "closed"
    back = {"reason": "a wrong bill", "actor": "li", "now": at(20 * DAY_S)}
    writer.run(lambda unit: allocations.reverse(unit, ESTATE, found.allocation_id, **back))
    assert account(engine, "H0001")["status"] == "left", "it has money of somebody again"
    book(writer, -2023, act="paid_out", how="cash", world_s=20 * DAY_S, ledger="shared")
    assert account(engine, "H0001")["status"] == "closed"
    found = post(writer, Wish(MONTH, "lift", EQUAL, amount_fen=10_000))
    assert account(engine, "H0001")["status"] == "left"
    writer.run(lambda unit: allocations.reverse(unit, ESTATE, found.allocation_id, **back))
    assert account(engine, "H0001")["status"] == "closed", "it owes nothing any more"
    agrees(engine)


def account(engine: Engine, name: str) -> dict[str, object]:
    return next(row for row in rows(engine, "account") if row["account_id"] == name)


def test_who_has_not_moved_in_yet_pays_nothing(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(number) for number in (1, 2)])
    out(writer, 5 * DAY_S, final(1, 1_000_000))
    open_new(writer, 10 * DAY_S)
    close_month(writer)
    found = post(writer, Wish(MONTH, "stairs", EQUAL, amount_fen=1000))
    assert shares(engine, found.allocation_id).keys() == {"H0001", "H0002"}
