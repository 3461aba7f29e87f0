"""Final figures that nobody has read: estimates of dead meters, and the credit of meters that keep it themselves."""

from concurrent.futures import Future

import pytest
from sqlalchemy import Engine

from core.dlt645.frame import Frame
from core.dlt645.identifiers import OVERDRAFT_AMOUNT, REMAINING_AMOUNT
from core.dlt645.search import Heard
from server.domain.estimates import estimate
from server.domain.registers import Registers
from server.errors import Conflict, NotFound, Refused, StaleLogin
from server.flows import approvals, credits, final_registers, moves
from server.flows.moves import Register, Settlement
from server.jobs.recharges import RechargeJob
from server.store import credits as kept
from server.store.engine import reader
from server.store.supply import update_estate
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, balance, charge, read, reading, rows
from tests.server.estates import ESTATE, at, household, meter_id, plant
from tests.server.lives import WHO, final, move_in, open_new

DAY_S = 86_400
DEAD = Register(meter_id(1), estimate="?")
LOCAL = {"fee": "local", "customer": "000000000001", "opening_fen": 0}


def test_an_estimate_goes_on_as_in_the_same_time_before_and_is_rounded_down():
    known = {0: Registers(0, 0, None), DAY_S: Registers(DAY_S, 1001, None), 3 * DAY_S: Registers(3 * DAY_S, 4000, None)}
    made = estimate(known, 4 * DAY_S)
    assert (made.total_wh, made.rates_wh) == (4000 + 2999 // 2, None), "two days are known back to the same time before"
    assert "1499 Wh in 86400 s" in made.said
    by_rates = {0: Registers(0, 0, (0, 0, 0, 0)), DAY_S: Registers(DAY_S, 1000, (100, 200, 300, 400))}
    assert estimate(by_rates, 2 * DAY_S).rates_wh == (200, 400, 600, 800)
    near_end = {0: Registers(0, 999_999_000, None), DAY_S: Registers(DAY_S, 999_999_900, None)}
    assert estimate(near_end, 2 * DAY_S).total_wh == 800, "through the end of the register"
    for unknown in ({}, {0: Registers(0, 0, None)}, {0: Registers(0, 0, None), 80_000: Registers(80_000, 9, None)}):
        with pytest.raises(Refused):
            estimate(unknown, 3 * DAY_S)


def ask_out(writer: Writer, world_s: int, *finals: Register) -> moves.MovedOut:
    return writer.run(
        lambda unit: approvals.request_move_out(
            unit, ESTATE, "H0001", finals, Settlement(), now=at(world_s), **WHO
        )
    )  # fmt: skip


def agree(engine: Engine, writer: Writer, world_s: int, actor: str = "second") -> None:
    [row] = [one for one in rows(engine, "approval") if one["status"] == "waiting"]
    writer.run(
        lambda unit: approvals.approve(
            unit, ESTATE, row["approval_id"], row["payload_sha256"], actor=actor, now=at(world_s)
        )
    )  # fmt: skip


def dead(writer: Writer) -> None:
    """Household 1 used 10 kWh in a day, then its meter fell silent for half a day."""
    plant(writer)
    read(writer, reading(1, DAY_S, 1_010_000))
    charge(writer, DAY_S)


def test_a_dead_meter_is_estimated_by_two_people_and_marked(engine: Engine, writer: Writer) -> None:
    dead(writer)
    at_s = DAY_S + DAY_S // 2
    with pytest.raises(Refused, match="second person"):
        writer.run(
            lambda unit: moves.move_out(
                unit, ESTATE, "H0001", [Register(meter_id(1), 1_015_000, None, "mine")], Settlement(), now=at(at_s),
                **WHO,
            )
        )  # fmt: skip
    asked = ask_out(writer, at_s, DEAD)
    assert (asked.closed, bool(asked.approval_id)) == (False, True)
    assert status(engine) == "normal", "nothing is done by one person"
    with pytest.raises(Refused):
        agree(engine, writer, at_s, actor=WHO["actor"])
    agree(engine, writer, at_s + 60)
    assert status(engine) == "left"
    assert balance(engine, "H0001")[0] == 5000 - 883  # 15 kWh at 0.58886875 yuan
    [taken] = [row for row in rows(engine, "reading") if row["source"] == "estimate"]
    assert (taken["total_wh"], taken["verdict"]) == (1_015_000, "accepted")
    event = next(row for row in rows(engine, "account_event") if row["act"] == "moved_out")
    assert (event["approved_by"], "estimated: 5000 Wh" in event["detail"]) == ("second", True)
    assert [row for row in rows(engine, "relay_desired") if row["desired"] == "open"] == [], "nobody is cut by it"
    agrees(engine)


def status(engine: Engine, name: str = "H0001") -> object:
    return next(row["status"] for row in rows(engine, "account") if row["account_id"] == name)


def correct(writer: Writer, total_wh: int, name: str = "H0001", reason: str = "read at the workshop") -> int:
    return writer.run(
        lambda unit: final_registers.correct_final(
            unit, ESTATE, name, meter_id(1), total_wh, None, actor="olga", reason=reason, now=at(3 * DAY_S)
        )
    )  # fmt: skip


@pytest.mark.parametrize(("true_wh", "more_fen"), [(1_013_000, 118), (1_017_000, -118)])
def test_the_true_register_takes_the_place_of_the_estimate(
    engine: Engine, writer: Writer, true_wh: int, more_fen: int
) -> None:
    dead(writer)
    ask_out(writer, DAY_S + DAY_S // 2, DEAD)
    agree(engine, writer, DAY_S + DAY_S // 2 + 60)
    with pytest.raises(Refused, match="say who"):
        correct(writer, true_wh, reason=" ")
    assert abs(correct(writer, true_wh) - more_fen) <= 1
    exact_nf = (true_wh - 1_000_000) * 58_886_875
    assert abs(balance(engine, "H0001")[0] - (5000 - exact_nf // 10**9)) <= 1, "a fen is carried on in the residue"
    assert (status(engine), meter_account(engine)) == ("left", None)
    assert rows(engine, "account_event")[-1]["act"] == "final_corrected"
    with pytest.raises(NotFound):
        correct(writer, true_wh)
    agrees(engine)


def test_more_than_one_may_move_is_corrected_by_two_people(engine: Engine, writer: Writer) -> None:
    plant(writer)
    for day in (1, 2, 3):
        read(writer, reading(1, day * DAY_S, 1_000_000 + 100_000 * day))
        charge(writer, day * DAY_S)
    ask_out(writer, 7 * DAY_S, DEAD)
    agree(engine, writer, 7 * DAY_S + 60)
    before = balance(engine, "H0001")
    with pytest.raises(Refused, match="second person"):
        correct(writer, 1_350_000)

    def ask(fresh: bool = True, actor: str = "olga", total_wh: int = 1_350_000) -> final_registers.Corrected:
        return writer.run(
            lambda unit: approvals.request_correction(
                unit, ESTATE, "H0001", meter_id(1), total_wh, None, actor=actor, reason="read at the workshop",
                now=at(8 * DAY_S), fresh=fresh,
            )
        )  # fmt: skip

    with pytest.raises(StaleLogin):
        ask(fresh=False)
    with pytest.raises(Refused, match="not a key of the API"):
        ask(actor="client:bridge")
    asked = ask()
    assert (asked.more_fen, balance(engine, "H0001")) == (0, before), "nothing is done by one person"
    for actor, total_wh in (("olga", 1_350_000), ("paul", 1_340_000)):
        with pytest.raises(Conflict, match="waits for its second person already"):
            ask(actor=actor, total_wh=total_wh)
    with pytest.raises(Refused):
        agree(engine, writer, 8 * DAY_S, actor="olga")
    agree(engine, writer, 8 * DAY_S)
    tier_2_fen = 150 * 5  # beyond 200 kWh
    assert abs(balance(engine, "H0001")[0] - (5000 - tier_2_fen - 350_000 * 58_886_875 // 10**9)) <= 1
    event = rows(engine, "account_event")[-1]
    assert (event["act"], event["actor"], event["approved_by"]) == ("final_corrected", "olga", "second")
    agrees(engine)


def test_a_payout_of_the_move_beyond_the_limit_wants_a_fresh_password(engine: Engine, writer: Writer) -> None:
    plant(writer)
    writer.run(lambda unit: update_estate(unit.connection, ESTATE, adjust_alone_fen=1000))

    def leave(fresh: bool) -> moves.MovedOut:
        return writer.run(
            lambda unit: approvals.request_move_out(
                unit, ESTATE, "H0001", [final(1, 1_000_000)], Settlement("cash"), now=at(HOUR), fresh=fresh, **WHO
            )
        )  # fmt: skip

    with pytest.raises(StaleLogin):
        leave(fresh=False)
    assert status(engine) == "normal"
    assert leave(fresh=True).approval_id


def meter_account(engine: Engine) -> object:
    return next(row["account_id"] for row in rows(engine, "meter") if row["meter_id"] == meter_id(1))


def test_a_meter_of_another_household_is_not_charged_anew(engine: Engine, writer: Writer) -> None:
    dead(writer)
    ask_out(writer, DAY_S + DAY_S // 2, DEAD)
    agree(engine, writer, DAY_S + DAY_S // 2 + 60)
    open_new(writer, 2 * DAY_S)
    move_in(writer, 2 * DAY_S, final(1, 1_016_000))
    with pytest.raises(Conflict, match="another household"):
        correct(writer, 1_013_000)
    with pytest.raises(NotFound):
        correct(writer, 1_013_000, name="H0002")


def plant_local(writer: Writer) -> None:
    plant(writer, [household(1, **LOCAL), household(2)])


def say(writer: Writer, world_s: int, remaining_fen: int | None, overdraft_fen: int | None = 0) -> None:
    writer.run(lambda unit: credits.ask(unit, ESTATE, "H0001", actor="olga", now=at(world_s)))

    def hear(unit):
        row = kept.newest(unit.connection, ESTATE, meter_id(1))
        credits.hear(unit, ESTATE, row, remaining_fen, overdraft_fen, "68..16", at(world_s))

    writer.run(hear)


def test_what_the_meter_still_has_comes_back_and_goes_to_who_moves_in(engine: Engine, writer: Writer) -> None:
    plant_local(writer)
    with pytest.raises(Refused, match="has not said lately"):
        ask_out(writer, HOUR, Register(meter_id(1)))
    say(writer, HOUR, 4321)
    with pytest.raises(Refused, match="has not said lately"):
        ask_out(writer, 5 * DAY_S, Register(meter_id(1)))
    done = ask_out(writer, HOUR + 60, Register(meter_id(1)))
    assert (done.approval_id, done.balances_fen["electricity"]) == ("", 4321)
    assert balance(engine, "meter_credit") == (-4321, 0)
    [said] = rows(engine, "meter_credit")
    assert (said["status"], said["evidence"]) == ("read", "68..16")
    open_new(writer, 2 * HOUR)
    move_in(writer, 2 * HOUR, final(1, 1_000_000))
    assert balance(engine, "N1")[0] == -4321, "what is in the meter is the next one's, who owes it"
    assert balance(engine, "meter_credit") == (0, 0)
    agrees(engine)


def test_what_was_overdrawn_in_the_meter_is_owed(engine: Engine, writer: Writer) -> None:
    plant_local(writer)
    say(writer, HOUR, 0, 250)
    assert ask_out(writer, HOUR, Register(meter_id(1))).balances_fen["electricity"] == -250
    agrees(engine)


def test_a_silent_meter_is_decided_by_two_people(engine: Engine, writer: Writer) -> None:
    plant_local(writer)
    asked = ask_out(writer, HOUR, Register(meter_id(1), credit_fen=1200))
    assert asked.approval_id
    assert status(engine) == "normal"
    agree(engine, writer, HOUR + 60)
    assert (status(engine), balance(engine, "H0001")[0]) == ("left", 1200)
    [told] = [row for row in rows(engine, "account_event") if row["act"] == "meter_settled"]
    assert (told["approved_by"], told["limit_fen"]) == ("second", 0)
    [decided] = rows(engine, "meter_credit")
    assert (decided["status"], decided["remaining_fen"]) == ("decided", 1200)
    agrees(engine)


def test_an_amount_is_decided_only_for_meters_that_keep_it(engine: Engine, writer: Writer) -> None:
    plant(writer)
    with pytest.raises(Refused, match="keeps the credit itself"):
        writer.run(lambda unit: credits.ask(unit, ESTATE, "H0001", actor="olga", now=at(HOUR)))
    ask_out(writer, HOUR, Register(meter_id(1), 1_010_000, credit_fen=5))
    with pytest.raises(Refused, match="keeps no credit"):
        agree(engine, writer, HOUR)


@pytest.mark.parametrize("answers", [True, False])
def test_the_meter_is_asked_over_the_bus_and_its_frames_are_kept(engine: Engine, writer: Writer, answers: bool) -> None:
    plant_local(writer)
    writer.run(lambda unit: credits.ask(unit, ESTATE, "H0001", actor="olga", now=at(HOUR)))
    asked = []

    class Standing:
        anchor = type("Anchor", (), {"factor": 1})()

        def now(self):
            return at(HOUR)

    def ask(_bus_id, command):
        asked.append(command.di)
        figure = {REMAINING_AMOUNT: "00012345", OVERDRAFT_AMOUNT: "00000000"}[command.di]
        data = command.di.to_bytes(4, "little") + bytes.fromhex(figure)[::-1]
        future: Future[Heard] = Future()
        future.set_result(Heard((Frame(meter_id(1), 0x91, data),)) if answers else Heard())
        return future

    job = RechargeJob(
        engine, writer, Standing(), ESTATE, ask=ask, backend=None, is_simulated=lambda _: True, unlock=lambda *_: ""
    )
    job.run_once()
    with reader(engine) as connection:
        row = kept.newest(connection, ESTATE, meter_id(1))
    assert {REMAINING_AMOUNT, OVERDRAFT_AMOUNT} == set(asked)
    if answers:
        assert (row["status"], row["remaining_fen"], row["overdraft_fen"]) == ("read", 12_345, 0)
        assert row["evidence"].startswith("68")
    else:
        assert (row["status"], row["tries"], row["remaining_fen"]) == ("waiting", 1, None)
