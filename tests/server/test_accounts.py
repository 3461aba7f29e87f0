"""The life of an account: which acts its state allows, what is charged and who can be cut meanwhile, and its events."""

import pytest
from sqlalchemy import Engine

from server.domain.accounts import ALWAYS_TOLD, FROM, KIND_OF_ACT, STATUSES, TO, Told, act_problem, telling_problems
from server.errors import Conflict, NotFound, Refused
from server.flows import suspense
from server.flows.estates import import_estate
from server.flows.partners import PartnerTopup, accept_topup
from server.flows.payments import sell_at_counter
from server.flows.refunds import order_refund
from server.store.accounts import dormant, found, unsettled
from server.store.engine import reader
from server.store.estates import account_of_room, has_household
from server.store.schema import recharge, refund
from server.store.settlement import doubts_at
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, balance, charge, read, reading, rows, top_up
from tests.server.estates import ESTATE, START_S, at, document, household, meter_id, plant
from tests.server.lives import act, book, final, move_in, open_new, out, still_open, told
from tests.server.supply_stage import GRACE_S, Stage


def test_every_state_can_be_reached_and_left_as_the_table_says() -> None:
    assert set(TO) <= set(FROM)
    assert {"initial", *TO.values()} == set(STATUSES)
    assert [name for name, states in FROM.items() if "closed" in states] == ["final_corrected", "reopened"]
    assert act_problem("resumed", "paused") == ""
    assert act_problem("resumed", "normal") == "the account is normal; this needs it to be paused"


def test_a_new_account_is_charged_only_once_somebody_moves_in(engine: Engine, writer: Writer) -> None:
    plant(writer, 1)
    for room in ("1-0001", "9-9999"):
        with pytest.raises((Conflict, NotFound)):
            open_new(writer, 0, room)
    out(writer, HOUR, final(1, 1_000_000), settle="cash")
    for name, more in (("a b", {}), ("N:1", {}), ("", {}), ("N1", {"holder": " "}), ("N1", {"payment": "later"})):
        with pytest.raises(Refused):
            open_new(writer, HOUR, name=name, **more)
    with pytest.raises(NotFound):
        open_new(writer, HOUR, tariff_id="none")
    for taken in ("H0001", "cash"):
        with pytest.raises(Conflict):
            open_new(writer, HOUR, name=taken)
    open_new(writer, HOUR)
    with pytest.raises(Conflict, match="has a household"):
        open_new(writer, HOUR, name="N2")
    [row] = [row for row in rows(engine, "account") if row["account_id"] == "N1"]
    assert (row["status"], row["payment"], row["room_id"]) == ("initial", "prepaid", "1-0001")
    act(writer, HOUR, "close_account", "N1")
    assert told(engine, "N1") == [("opened", None), ("closed", None)]
    with reader(engine) as connection:
        assert not has_household(connection, ESTATE, "1-0001")


def test_a_paused_account_is_read_but_not_charged_and_loses_nothing(engine: Engine, writer: Writer) -> None:
    plant(writer, 1)
    act(writer, HOUR, "pause")
    read(writer, reading(1, 3 * HOUR, 1_010_000))
    assert charge(writer, 5 * HOUR).meters == 0
    with pytest.raises(Refused, match="paused"):
        act(writer, 5 * HOUR, "pause")
    act(writer, 5 * HOUR, "resume")
    assert charge(writer, 5 * HOUR).charged_fen == 589
    agrees(engine)


def test_a_paused_account_moves_out_and_is_charged_to_the_end(engine: Engine, writer: Writer) -> None:
    plant(writer, 1)
    act(writer, HOUR, "pause")
    assert out(writer, 5 * HOUR, final(1, 1_010_000)).charged_fen == 589
    agrees(engine)


def test_pausing_takes_a_cut_back_that_was_not_read_back(writer: Writer) -> None:
    stage = Stage(writer)
    stage.overdraw(1, 2)
    stage.be_ready(1, 2)
    stage.decide()
    assert len(stage.trips()) == 2
    act(writer, stage.passed_s, "pause")
    assert [wish["reason"] for wish in stage.wishes(1)] == ["arrears", "paused"]
    assert [wish["reason"] for wish in stage.wishes(2)] == ["arrears"]
    stage.decide()
    assert stage.supply(1)["desired"] == "closed"


def test_who_pays_afterwards_gets_power_back_and_is_never_cut_or_warned(writer: Writer, engine: Engine) -> None:
    stage = Stage(writer)
    stage.cut(1)
    act(writer, stage.passed_s, "set_payment", "H0001", "postpaid")
    assert (stage.wishes(1)[-1]["reason"], stage.supply(1)["desired"]) == ("postpaid", "closed")
    with pytest.raises(Conflict, match="already"):
        act(writer, stage.passed_s, "set_payment", "H0001", "postpaid")
    with pytest.raises(Refused, match="no way to pay"):
        act(writer, stage.passed_s, "set_payment", "H0001", "never")
    stage.wait(60)
    stage.status(1)
    before = len(stage.notices(1, "cut_warning"))
    for _ in range(3):
        stage.wait(GRACE_S)
        stage.read(1, 3000)
        stage.status(1)
        stage.charge()
        [(_, decision)] = [one for one in stage.decide() if one[0].meter_id == meter_id(1)]
        assert "prepaid" in decision.refusals
    assert stage.supply(1)["desired"] == "closed"
    assert len(stage.notices(1, "cut_warning")) == before
    assert told(engine)[-1] == ("payment", None)


def test_a_debt_that_comes_with_paying_in_advance_is_warned_of_first(writer: Writer) -> None:
    stage = Stage(writer)
    act(writer, 0, "set_payment", "H0001", "postpaid")
    stage.read(1)
    stage.wait(900)
    stage.read(1, 3000)
    stage.charge()
    assert stage.notices(1, "cut_warning") == []
    act(writer, stage.passed_s, "set_payment", "H0001", "prepaid")
    stage.wait(60)
    stage.read(1)
    stage.status(1)
    stage.decide()
    assert stage.supply(1)["desired"] == "closed"
    assert len(stage.notices(1, "cut_warning")) == 2  # one on each channel
    stage.receive(1)
    stage.be_ready(1)
    stage.decide()
    assert stage.supply(1)["desired"] == "open"


def test_a_payment_lights_a_postpaid_household_whatever_its_balance(writer: Writer) -> None:
    stage = Stage(writer)
    stage.cut(1)
    stage.set_account(1, payment="postpaid")
    stage.pay(1, 1)
    assert stage.balance(1) < 0
    assert stage.supply(1)["desired"] == "closed"


def test_no_act_goes_without_a_reason_or_on_an_account_of_the_estate(writer: Writer) -> None:
    plant(writer, 1)
    for name in ("cash", "nobody"):
        with pytest.raises(NotFound):
            act(writer, 0, "pause", name)
    from server.flows import accounts

    with pytest.raises(Refused, match="why"):
        writer.run(lambda unit: accounts.pause(unit, ESTATE, "H0001", actor="o", reason=" ", now=at(0)))


def test_an_account_is_closed_only_when_nothing_is_open(engine: Engine, writer: Writer) -> None:
    plant(writer)
    assert still_open(engine) == ["meter", "balance"]
    with pytest.raises(Refused, match="normal"):
        act(writer, HOUR, "close_account")
    out(writer, HOUR, final(1, 1_000_000))
    with pytest.raises(Refused, match="not at zero"):
        act(writer, HOUR, "close_account")
    book(writer, -5000, world_s=HOUR)
    assert told(engine)[-2:] == [("adjusted", -5000), ("closed", None)]
    agrees(engine)


def test_money_that_settles_an_account_that_was_left_closes_it(engine: Engine, writer: Writer) -> None:
    plant(writer)

    def pay(amount_fen: int) -> None:
        key = f"sale of {amount_fen}"
        writer.run(
            lambda unit: sell_at_counter(unit, ESTATE, "H0001", amount_fen, actor="wu", idem_key=key, now=at(HOUR))
        )

    def paid(amount_fen: int) -> str:
        return next(str(row["payment_id"]) for row in rows(engine, "payment") if row["amount_fen"] == amount_fen)

    pay(700)
    out(writer, HOUR, final(1, 1_000_000))
    book(writer, -5000, world_s=HOUR)
    words = {"key": "k", "reason": "never used", "actor": "olga", "approved_by": "pavel"}
    writer.run(lambda unit: order_refund(unit, ESTATE, paid(700), 700, now=at(HOUR), **words))
    assert told(engine)[-1][0] == "closed", "by the refund"
    act(writer, HOUR, "reopen")
    book(writer, -1100, "owes", HOUR)
    pay(400)
    assert told(engine)[-1][0] == "adjusted", "some is owed still"
    wish = PartnerTopup("wallet", "key", "body", "nobody", None, 600, "t-1", at(HOUR))
    writer.run(lambda unit: accept_topup(unit, ESTATE, wish))
    words = {"reason": "she has the slip", "actor": "olga"}
    writer.run(lambda unit: suspense.assign(unit, ESTATE, paid(600), "H0001", now=at(HOUR), **words))
    pay(100)
    assert told(engine)[-1][0] == "closed", "by the last sale"
    act(writer, HOUR, "reopen")
    book(writer, -500, "owes more", HOUR)
    wish = PartnerTopup("wallet", "another", "body", "nobody", None, 500, "t-2", at(HOUR))
    writer.run(lambda unit: accept_topup(unit, ESTATE, wish))
    writer.run(lambda unit: suspense.assign(unit, ESTATE, paid(500), "H0001", now=at(HOUR), **words))
    assert told(engine)[-1][0] == "closed", "by money that had waited"
    agrees(engine)


def test_money_that_a_correction_finds_opens_a_closed_account_again(engine: Engine, writer: Writer) -> None:
    plant(writer)
    out(writer, HOUR, final(1, 1_000_000), settle="cash")
    top_up(writer, 1, 300, "a correction")
    with reader(engine) as connection:
        assert [row["account_id"] for row in unsettled(connection, ESTATE)] == ["H0001"]
    with pytest.raises(Refused, match="closed"):
        book(writer, -300, act="paid_out", how="cash")
    with pytest.raises(Refused, match="normal"):
        act(writer, HOUR, "reopen", "H0002")
    act(writer, HOUR, "reopen")
    book(writer, -300, act="paid_out", how="cash", world_s=HOUR)
    assert [name for name, _ in told(engine)[-4:]] == ["closed", "reopened", "paid_out", "closed"]
    with reader(engine) as connection:
        assert list(unsettled(connection, ESTATE)) == []
    agrees(engine)


def test_accounts_are_found_by_what_they_were_and_by_their_silence(engine: Engine, writer: Writer) -> None:
    plant(writer)
    out(writer, HOUR, final(1, 1_000_000), settle="cash")
    with reader(engine) as connection:
        for words, names in (
            ("h0001", None),
            ("H0001", ["H0001"]),
            ("1-0001", ["H0001"]),
            ("r 2", ["H0002"]),
            ("%", []),
        ):
            hits = [row["account_id"] for row in found(connection, ESTATE, words)]
            assert names is None or hits == names, words
        silent = [(row["account_id"], paid) for row, paid in dormant(connection, ESTATE, START_S + 1)]
        assert silent == [("H0002", None)]
        assert dormant(connection, ESTATE, START_S) == []


def test_a_recharge_on_its_way_keeps_a_household_and_its_account(engine: Engine, writer: Writer) -> None:
    plant(writer)
    going = {"estate_id": ESTATE, "recharge_id": "r1", "account_id": "H0001", "meter_id": meter_id(1), "amount_fen": 5}
    going |= {"actor": "o", "created_ms": 0}
    writer.run(lambda unit: unit.connection.execute(recharge.insert().values(**going)) and None)
    with pytest.raises(Refused, match="recharge"):
        out(writer, HOUR, final(1, 1_000_000))
    assert still_open(engine) == ["recharge", "meter", "balance"]


def test_a_paused_household_keeps_no_period_open(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read(writer, reading(2, 20 * HOUR, 1_000_500))
    charge(writer, 30 * HOUR)

    def doubts() -> int:
        with reader(engine) as connection:
            return doubts_at(connection, ESTATE, START_S + 15 * HOUR).missing

    assert doubts() == 1
    act(writer, 30 * HOUR, "pause")
    assert doubts() == 0


def test_a_refund_on_its_way_keeps_an_account_open(engine: Engine, writer: Writer) -> None:
    plant(writer)
    going = {"estate_id": ESTATE, "refund_no": "r1", "payment_id": "p", "provider": "wechat", "account_id": "H0001"}
    going |= {"amount_fen": 5, "way": "source", "status": "asked", "reason": "r", "actor": "o"}
    going |= {"created_at": 0, "created_ms": 0}
    writer.run(lambda unit: unit.connection.execute(refund.insert().values(**going)) and None)
    assert not out(writer, HOUR, final(1, 1_000_000), settle="cash").closed
    assert still_open(engine) == ["refund"]


def test_a_room_belongs_to_its_household_and_not_to_a_ledger_of_it(engine: Engine, writer: Writer) -> None:
    plant(writer, 1)
    book(writer, 100, ledger="property")
    with reader(engine) as connection:
        assert account_of_room(connection, ESTATE, "1-0001")["account_id"] == "H0001"
    out(writer, HOUR, final(1, 1_000_000))
    with reader(engine) as connection, pytest.raises(NotFound):
        account_of_room(connection, ESTATE, "1-0001")


def test_an_import_brings_a_meter_to_an_account_that_was_opened(engine: Engine, writer: Writer) -> None:
    plant(writer, 1)
    out(writer, HOUR, final(1, 1_000_000), settle="cash")
    open_new(writer, HOUR)
    planned = document([household(9, account_id="N1", room_id="1-0001", opening_fen=0)])
    writer.run(lambda unit: import_estate(unit, planned, at(2 * HOUR)))
    assert told(engine, "N1") == [("opened", None), ("moved_in", None)]
    read(writer, reading(9, 4 * HOUR, 1_010_000))
    assert charge(writer, 6 * HOUR).charged_fen == 589
    assert balance(engine, "N1")[0] == -589
    agrees(engine)


def test_the_life_is_told_in_order_and_cannot_be_rewritten(engine: Engine, writer: Writer) -> None:
    plant(writer, 1)
    act(writer, 60, "pause")
    act(writer, 120, "resume")
    found = [row for row in rows(engine, "account_event") if row["account_id"] == "H0001"]
    assert [(row["event_no"], row["act"], row["status"], row["actor"]) for row in found] == [
        (1, "opened", "normal", "import"), (2, "paused", "paused", "olga"), (3, "resumed", "normal", "olga"),
    ]  # fmt: skip
    for statement in ("UPDATE account_event SET reason = ''", "DELETE FROM account_event"):
        with pytest.raises(Exception, match="append-only"), engine.begin() as connection:
            connection.exec_driver_sql(statement)


def test_moving_back_in_needs_no_second_account(engine: Engine, writer: Writer) -> None:
    plant(writer)
    out(writer, HOUR, final(1, 1_000_000))
    with pytest.raises(Refused, match="left"):
        move_in(writer, 2 * HOUR, final(1, 1_000_000), name="H0001")
    move_in(writer, 2 * HOUR, final(1, 1_000_000), name="H0002")
    assert [row["account_id"] for row in rows(engine, "meter") if row["kind"] == "household"] == ["H0002", "H0002"]


FEN = 20_000


def event(**changes: object) -> Told:
    """An adjustment of two hundred yuan to which a second person agreed."""
    values = {
        "account_id": "H", "event_no": 3, "act": "adjusted", "ledger": "electricity", "amount_fen": FEN,
        "limit_fen": 10_000, "batch_seq": 9, "actor": "olga", "approved_by": "pavel", **changes,
    }  # fmt: skip
    return Told(**values)  # type: ignore[arg-type]


BOOKED = {"H": FEN, "adjustment": -FEN}


def test_a_batch_and_the_lives_that_tell_of_it_agree() -> None:
    assert telling_problems("adjustment", BOOKED, [event()]) == []
    assert telling_problems("topup", {"H": FEN, "cash": -FEN}, []) == []
    assert telling_problems("opening", {"H": FEN, "opening": -FEN}, []) == []
    small = {"H:shared": 5, "adjustment:shared": -5}
    assert telling_problems("adjustment", small, [event(ledger="shared", amount_fen=5, approved_by=None)]) == []
    both = [event(act="carried", amount_fen=-5, limit_fen=0, approved_by=None)]
    both.append(event(account_id="G", act="carried", amount_fen=5, limit_fen=0, approved_by=None))
    assert telling_problems("carry", {"H": -5, "G": 5}, both) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"amount_fen": FEN + 1}, "the batch books"),
        ({"account_id": "G"}, "the batch books"),
        ({"ledger": "shared"}, "the batch books"),
        ({"act": "paid_out"}, "booked as adjustment"),
        ({"approved_by": None}, "nobody approved"),
        ({"approved_by": "olga"}, "nobody approved"),
        ({"limit_fen": FEN - 1, "approved_by": None}, "nobody approved"),
    ],
)
def test_each_difference_between_a_batch_and_a_life_is_told(changes: dict[str, object], said: str) -> None:
    [problem] = telling_problems("adjustment", BOOKED, [event(**changes)])
    assert said in problem


def test_a_booking_that_no_life_tells_is_found() -> None:
    for kind in ALWAYS_TOLD:
        assert telling_problems(kind, BOOKED, []) != []
    assert set(KIND_OF_ACT.values()) > ALWAYS_TOLD
