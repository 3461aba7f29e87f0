"""Moving out and in: every Wh is charged to who used it or to nobody, and nothing is switched or closed by surprise."""

import pytest
from sqlalchemy import Engine

from server.errors import Conflict, NotFound, Refused
from server.flows import keep_power, voiding
from server.flows.bills import explain
from server.flows.estates import import_estate
from server.flows.exchanges import NewMeter, replace_meter
from server.flows.payments import create_order
from server.flows.supply import restore_all
from server.store import household as reads
from server.store import schema
from server.store.engine import reader
from server.store.view import Span, relays_seen
from server.store.wall import household as household_row
from server.store.wall import households as wall_rows
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, balance, charge, read, reading, report, rows, top_up
from tests.server.estates import BY_RATES, ESTATE, SINGLE, START_S, at, document, household, meter_id, plant
from tests.server.lives import act, book, carry, final, move_in, open_new, out, still_open, told
from tests.server.supply_stage import OPEN, Stage

FIRST = 58_886_875  # nanofen a Wh in the first tier


def account(engine: Engine, name: str) -> dict[str, object]:
    return next(row for row in rows(engine, "account") if row["account_id"] == name)


def meter(engine: Engine, number: int = 1) -> dict[str, object]:
    return next(row for row in rows(engine, "meter") if row["meter_id"] == meter_id(number))


def test_who_moves_out_pays_up_to_the_final_register_and_no_further(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read(writer, reading(1, HOUR, 1_005_000))
    done = out(writer, 2 * HOUR, final(1, 1_010_000))
    assert (done.charged_fen, done.balances_fen["electricity"], done.closed) == (589, 5000 - 589, False)
    assert (account(engine, "H0001")["status"], account(engine, "H0001")["room_id"]) == ("left", None)
    assert (meter(engine)["account_id"], meter(engine)["bus_id"], meter(engine)["gate_id"]) == (
        None, "bus-1", "202699000001",
    )  # fmt: skip
    read(writer, reading(1, 5 * HOUR, 1_030_000))
    assert charge(writer, 10 * HOUR).meters == 0
    assert balance(engine, "H0001")[0] == 5000 - 589
    assert told(engine) == [("opened", None), ("moved_out", None)]
    assert still_open(engine) == ["balance"]
    agrees(engine)


def test_the_next_household_pays_from_its_base_register_and_the_vacancy_is_nobodys(
    engine: Engine, writer: Writer
) -> None:
    plant(writer)
    read(writer, reading(1, 12 * HOUR, 1_150_000))
    out(writer, 16 * HOUR, final(1, 1_190_000))
    read(writer, reading(1, 20 * HOUR, 1_191_000))
    open_new(writer, 21 * HOUR)
    assert move_in(writer, 22 * HOUR, final(1, 1_193_000)).vacant_wh == {meter_id(1): 3000}
    read(writer, reading(1, 30 * HOUR, 1_203_000))
    charge(writer, 40 * HOUR)
    [line] = [row for row in rows(engine, "line") if row["account_id"] == "N1"]
    assert (line["from_wh"], line["to_wh"], line["tier_from_wh"]) == (1_193_000, 1_203_000, 0)
    assert line["charge_nf"] == 10_000 * FIRST
    for name in ("H0001:2026-10", "N1:2026-10"):
        with reader(engine) as connection:
            assert explain(connection, ESTATE, name).differences == ()
    [move] = rows(engine, "exchange")
    assert (move["kind"], move["account_id"], move["final_wh"], move["start_wh"]) == (
        "move", "H0001", 1_190_000, 1_193_000,
    )  # fmt: skip
    agrees(engine)


def test_tiers_of_the_premises_go_on(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read(writer, reading(1, HOUR, 1_010_000))
    out(writer, 20 * HOUR, final(1, 1_190_000))
    open_new(writer, 21 * HOUR)
    move_in(writer, 22 * HOUR, final(1, 1_190_000), tier_policy="premises")
    read(writer, reading(1, 30 * HOUR, 1_210_000))
    charge(writer, 40 * HOUR)
    [line] = [row for row in rows(engine, "line") if row["account_id"] == "N1"]
    assert line["tier_from_wh"] == 190_000
    assert line["charge_nf"] == 10_000 * FIRST + 10_000 * (FIRST + 5_000_000)
    agrees(engine)


def test_a_fresh_reading_does_for_a_register_and_an_old_one_does_not(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read(writer, reading(1, HOUR, 1_005_000))
    with pytest.raises(Refused, match="read it now, or type"):
        out(writer, HOUR + 1801, final(1))
    done = out(writer, HOUR + 1800, final(1))
    assert done.charged_fen == 294
    read(writer, reading(1, 2 * HOUR, 1_006_000))
    open_new(writer, 2 * HOUR)
    assert move_in(writer, 2 * HOUR + 60, final(1)).vacant_wh == {meter_id(1): 1000}
    agrees(engine)


def test_a_register_that_does_not_follow_moves_nobody(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read(writer, reading(1, HOUR, 1_005_000))
    for wrong_wh in (1_004_000, 9_000_000):
        with pytest.raises(Refused, match="does not follow"):
            out(writer, 2 * HOUR, final(1, wrong_wh))
    assert account(engine, "H0001")["status"] == "normal"
    out(writer, 2 * HOUR, final(1, 1_005_000))
    open_new(writer, 3 * HOUR)
    with pytest.raises(Refused, match="does not follow"):
        move_in(writer, 3 * HOUR, final(1, 1_004_990))
    assert meter(engine)["account_id"] is None
    agrees(engine)


def test_all_meters_are_named_and_only_vacant_ones_are_given(engine: Engine, writer: Writer) -> None:
    plant(writer)
    with pytest.raises(Refused, match=meter_id(1)):
        out(writer, HOUR)
    with pytest.raises(Refused, match=meter_id(1)):
        out(writer, HOUR, final(1, 1_000_000), final(2, 1_000_000))
    out(writer, HOUR, final(1, 1_000_000))
    open_new(writer, 2 * HOUR)
    with pytest.raises(Conflict, match="not vacant"):
        move_in(writer, 2 * HOUR, final(2, 1_000_000))
    with pytest.raises(Refused, match="at least one"):
        move_in(writer, 2 * HOUR)
    with pytest.raises(NotFound):
        move_in(writer, 2 * HOUR, final(7, 0))
    assert account(engine, "N1")["status"] == "initial"


def test_one_account_has_many_meters_and_leaves_with_all(engine: Engine, writer: Writer) -> None:
    plant(writer, 3)
    out(writer, HOUR, final(1, 1_000_000))
    out(writer, HOUR, final(2, 1_000_000), name="H0002")
    open_new(writer, HOUR)
    move_in(writer, 2 * HOUR, final(1, 1_000_000), final(2, 1_000_000))
    read(writer, reading(1, 4 * HOUR, 1_010_000), reading(2, 4 * HOUR, 1_020_000))
    assert charge(writer, 5 * HOUR).meters == 2
    assert balance(engine, "N1")[0] == -1767  # 1766.6 exactly, so that the last kWh is 58.3
    with reader(engine) as connection:
        assert [row.account_id for row in wall_rows(connection, ESTATE)] == ["N1", "H0003"]
        shown = household_row(connection, ESTATE, "N1")
    assert shown is not None
    assert shown.meter_id == meter_id(1)
    with pytest.raises(Refused, match="each of its meters"):
        out(writer, 6 * HOUR, final(1, 1_010_000), name="N1")
    done = out(writer, 6 * HOUR, final(1, 1_011_000), final(2, 1_020_000), name="N1")
    assert done.charged_fen == 58
    assert [act for act, _ in told(engine, "N1")] == ["opened", "moved_in", "moved_in", "moved_out", "moved_out"]
    agrees(engine)


def test_the_way_by_rates_needs_the_register_of_each(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, tariff_id="tou", start_rates_wh=(0, 600_000, 0, 400_000))])
    out(writer, HOUR, final(1, 1_001_000, (0, 601_000, 0, 400_000)))
    open_new(writer, HOUR, tariff_id="tou")
    with pytest.raises(Refused, match="each rate"):
        move_in(writer, 2 * HOUR, final(1, 1_001_500))
    move_in(writer, 2 * HOUR, final(1, 1_001_500, (0, 601_500, 0, 400_000)))
    read(writer, reading(1, 3 * HOUR, 1_002_500, (0, 602_500, 0, 400_000)))
    charge(writer, 5 * HOUR)
    assert balance(engine, "N1")[0] == -90
    agrees(engine)


def test_nothing_that_is_open_is_left_behind(writer: Writer, engine: Engine) -> None:
    stage = Stage(writer)
    stage.overdraw(1)
    stage.be_ready(1)
    stage.decide()
    with pytest.raises(Refused, match="relay command"):
        out(writer, stage.passed_s, final(1, stage.registers[1]))
    stage.attempt(1, "sent")
    stage.status(1, OPEN)
    stage.wait(60)
    stage.read(2, -500)
    with pytest.raises(Refused, match="held reading"):
        out(writer, stage.passed_s, final(2, 1_000_000), name="H0002")
    order = writer.run(lambda unit: create_order(unit, ESTATE, "H0003", 5000, "sandbox", "online", "3", stage.now))
    done = out(writer, stage.passed_s, final(3, 1_000_000), name="H0003", settle="cash")
    assert (done.closed, still_open(engine, "H0003", stage.passed_s)) == (False, ["order"])
    with pytest.raises(Refused, match=order.order_no):
        act(writer, stage.passed_s, "close_account", "H0003")
    agrees(engine)


def test_a_dark_flat_stays_dark_until_the_next_household_moves_in(writer: Writer, engine: Engine) -> None:
    stage = Stage(writer)
    stage.cut(1)
    gen = stage.supply(1)["gen"]
    debt_fen = -stage.balance(1)
    out(writer, stage.passed_s, final(1, stage.registers[1]))
    restored = writer.run(lambda unit: restore_all(unit, ESTATE, actor="olga", reason="an error", now=stage.now))
    assert restored == 0  # nobody lives there
    stage.status(1, OPEN)
    stage.decide()
    assert (stage.supply(1)["gen"], stage.supply(1)["desired"]) == (gen, "open")
    top_up(writer, 1, debt_fen, "the debt")
    act(writer, stage.passed_s, "close_account")
    assert stage.supply(1)["gen"] == gen
    open_new(writer, stage.passed_s)
    move_in(writer, stage.passed_s + 60, final(1, stage.registers[1]))
    wish = stage.wishes(1)[-1]
    assert (wish["action"], wish["reason"], stage.supply(1)["desired"]) == ("allow", "moved_in", "closed")
    assert not stage.notices(1, "restored")
    stage.wait(120)
    stage.status(1)
    with reader(engine) as connection:
        seen = relays_seen(connection, ESTATE, Span(0, stage.now.world_s))
    assert "open" in {one.state for one in seen if one.meter_id == meter_id(1)}  # of the household before
    agrees(engine)


def test_who_leaves_is_not_warned_of_a_cut(writer: Writer) -> None:
    stage = Stage(writer)
    stage.read(1)
    stage.wait(900)
    out(writer, stage.passed_s, final(1, 1_003_000))
    assert stage.balance(1) < 0
    stage.decide()
    assert stage.notices(1, "cut_warning") == stage.notices(1, "alarm2") == []
    assert stage.supply(1)["candidate"] == ""


def test_a_settled_account_is_closed_at_once_and_takes_no_money(engine: Engine, writer: Writer) -> None:
    plant(writer)
    done = out(writer, HOUR, final(1, 1_000_000), settle="bank")
    assert done.closed
    assert (balance(engine, "H0001")[0], balance(engine, "bank")[0]) == (0, 5000)
    assert told(engine) == [("opened", None), ("moved_out", None), ("paid_out", -5000), ("closed", None)]
    for verb in ("pause", "resume", "close_account"):
        with pytest.raises(Refused, match="closed"):
            act(writer, 2 * HOUR, verb)
    with pytest.raises(Refused):
        book(writer, 100)
    with pytest.raises(NotFound):
        writer.run(lambda unit: create_order(unit, ESTATE, "H0001", 5000, "sandbox", "online", "3", at(HOUR)))
    agrees(engine)


def test_a_debt_goes_to_the_households_other_account(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read(writer, reading(1, HOUR, 1_010_000))
    done = out(writer, 30 * HOUR, final(1, 1_200_000), settle="carry", target="H0002")
    assert done.closed
    assert balance(engine, "H0002")[0] == 5000 + 5000 - 11_777
    assert told(engine)[-2:] == [("carried", 6777), ("closed", None)]
    assert told(engine, "H0002")[-1] == ("carried", -6777)
    agrees(engine)


def test_only_who_has_left_carries_over(engine: Engine, writer: Writer) -> None:
    plant(writer)
    with pytest.raises(Refused, match="normal"):
        carry(writer, HOUR, "H0001", "H0002")
    out(writer, HOUR, final(1, 1_000_000))
    for target, error in (("H0001", Refused), ("nobody", NotFound), ("cash", NotFound)):
        with pytest.raises(error):
            carry(writer, HOUR, "H0001", target)
    assert carry(writer, HOUR, "H0001", "H0002") == {"electricity": 5000}
    agrees(engine)


def test_the_next_household_does_not_see_what_the_one_before_used(engine: Engine, writer: Writer) -> None:
    plant(writer)
    day = 24 * HOUR
    read(writer, reading(1, HOUR, 1_000_500), reading(1, day, 1_020_000))
    out(writer, 2 * day, final(1, 1_040_000))
    open_new(writer, 3 * day)
    move_in(writer, 3 * day, final(1, 1_040_000))
    read(writer, reading(1, 4 * day, 1_050_000), reading(1, 5 * day, 1_070_000))
    with reader(engine) as connection:
        assert [one.energy_wh for one in reads.days(connection, ESTATE, meter_id(1))][-2:] == [10_000, 20_000]
        assert len(reads.days(connection, ESTATE, meter_id(1))) <= 3
    agrees(engine)


def test_a_vacant_meter_keeps_its_keep_power(writer: Writer, engine: Engine) -> None:
    plant(writer)
    wish = {
        "estate_id": ESTATE,
        "meter_id": meter_id(1),
        "gen": 1,
        "state": "off",
        "command": "queued",
        "created_ms": 0,
    }
    writer.run(lambda unit: unit.connection.execute(schema.keep_power.insert().values(**wish)) and None)
    with reader(engine) as connection:
        before = keep_power.is_current(connection, ESTATE, meter_id(1), 1, at(HOUR), clock_sane=True)
    out(writer, HOUR, final(1, 1_000_000))
    with reader(engine) as connection:
        after = keep_power.is_current(connection, ESTATE, meter_id(1), 1, at(HOUR), clock_sane=True)
    assert (before, after) == (True, False)


def test_the_logins_of_who_has_left_are_over(writer: Writer, engine: Engine) -> None:
    plant(writer)
    user = {"estate_id": ESTATE, "user_id": "u", "login": "u", "password_hash": "x", "role": "resident"}
    user["account_id"] = "H0001"
    session = {"estate_id": ESTATE, "user_id": "u", "token_sha256": "t", "created_ms": 0, "expires_ms": 1, "csrf": ""}
    for table, values in ((schema.app_user, user), (schema.login_session, session)):
        writer.run(lambda unit, t=table, v=values: unit.connection.execute(t.insert().values(**v)) and None)
    out(writer, HOUR, final(1, 1_000_000))
    assert rows(engine, "login_session") == []
    assert [row["active"] for row in rows(engine, "app_user")] == [0]


def test_a_vacant_meter_is_not_put_elsewhere_and_an_old_file_is_refused(engine: Engine, writer: Writer) -> None:
    planned = plant(writer)
    out(writer, HOUR, final(1, 1_000_000))
    with pytest.raises(Conflict, match="installed already"):
        writer.run(
            lambda unit: replace_meter(
                unit, ESTATE, meter_id(2), NewMeter(meter_id(1), 0), final_wh=1_000_000, actor="o", reason="r",
                now=at(2 * HOUR),
            )
        )  # fmt: skip
    with pytest.raises(Conflict, match="moved out"):
        writer.run(lambda unit: import_estate(unit, planned, at(2 * HOUR)))
    taken = document([household(1, account_id="N1"), household(2)])
    with pytest.raises(Conflict, match="is vacant"):
        writer.run(lambda unit: import_estate(unit, taken, at(2 * HOUR)))
    later = document([household(2)], tariffs=(SINGLE, BY_RATES))
    writer.run(lambda unit: import_estate(unit, later, at(2 * HOUR)))
    agrees(engine)


def test_a_lost_final_register_is_found_by_verify(engine: Engine, writer: Writer) -> None:
    plant(writer)
    out(writer, HOUR, final(1, 1_010_000))
    open_new(writer, 2 * HOUR)
    move_in(writer, 2 * HOUR, final(1, 1_020_000))
    agrees(engine)
    with engine.begin() as connection:
        for statement in guards_off(engine):
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql("UPDATE exchange SET final_wh = final_wh + 10")
    assert any("final register" in one.detail for one in report(engine).mismatches)


def guards_off(engine: Engine) -> list[str]:
    """How somebody with the database's password gets at a table that only grows."""
    if engine.dialect.name == "postgresql":
        return ["ALTER TABLE exchange DISABLE TRIGGER ALL"]
    return ["DROP TRIGGER exchange_no_UPDATE"]


def test_a_charged_register_of_who_has_left_is_not_taken_back(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read(writer, reading(1, HOUR, 1_005_000))
    out(writer, 2 * HOUR, final(1, 1_010_000))
    for when in (HOUR, 2 * HOUR):
        with pytest.raises(Refused, match="has moved out"):
            writer.run(
                lambda unit, when=when: voiding.take_back(
                    unit, ESTATE, meter_id(1), START_S + when, actor="olga", reason="wrong", now=at(9 * HOUR)
                )
            )
    read(writer, reading(1, 5 * HOUR, 1_030_000))
    writer.run(
        lambda unit: voiding.take_back(
            unit, ESTATE, meter_id(1), START_S + 5 * HOUR, actor="olga", reason="wrong", now=at(9 * HOUR)
        )
    )
    agrees(engine)
