"""Meters that keep the credit: money leaves the account once, comes back once or not at all; no count is doubled."""

import pytest
from sqlalchemy.exc import IntegrityError

from server.domain.local_fee import LOCAL, SETTINGS, next_try_ms, settings_problem
from server.errors import Conflict, NotFound, Refused
from server.flows import recharges as flows
from server.flows.estates import import_estate
from server.flows.verification import verify
from server.store import recharges as kept
from server.store import schema
from server.store.supply import overdrawn_accounts, trip_candidates
from tests.server.estates import ESTATE, account_id, at, document, household, meter_id
from tests.server.supply_stage import Stage

CUSTOMER = "000000000042"
A = account_id(1)


@pytest.fixture
def stage(writer):
    """Household 1 has a meter that keeps the credit, household 2 has none; each account has 50 yuan."""
    made = Stage(writer, 0)
    homes = [household(1, fee=LOCAL, customer=CUSTOMER), household(2)]
    writer.run(lambda unit: import_estate(unit, document(homes), at()))
    return made


def run(stage, flow, *arguments, **named):
    return stage.writer.run(lambda unit: flow(unit, ESTATE, *arguments, now=stage.now, **named))


def order(stage, amount_fen=3000, key="order-0001", account=A):
    return run(stage, flows.order_recharge, account, amount_fen, key=key, actor="lin")


def issue(stage, recharge_id, count):
    return stage.writer.run(lambda unit: flows.issue_count(unit, ESTATE, recharge_id, count, stage.now))


def recharge(stage, recharge_id):
    return stage.look(lambda connection: dict(kept.get_recharge(connection, ESTATE, recharge_id)))


def books_agree(stage):
    return stage.look(lambda connection: verify(connection, ESTATE)).mismatches == ()


def test_the_money_leaves_the_account_when_it_is_ordered(stage):
    one = order(stage)
    assert stage.balance(1) == 2000
    assert [
        row["balance_fen"] for row in stage.rows(schema.account, schema.account.c.account_id == "meter_credit")
    ] == [3000]
    assert (recharge(stage, one)["status"], recharge(stage, one)["purchase_count"]) == ("waiting", None)
    assert books_agree(stage)


def test_the_same_key_orders_once_and_another_amount_is_a_conflict(stage):
    assert order(stage) == order(stage)
    assert stage.balance(1) == 2000
    with pytest.raises(Conflict, match="was used for a recharge of 3000 fen"):
        order(stage, 1000)


@pytest.mark.parametrize(
    ("amount_fen", "account", "error", "said"),
    [
        (5001, A, Refused, "the account has 5000 fen"),
        (0, A, Refused, "not possible"),
        (100_000_000, A, Refused, "allowed: 1 to 99999999"),
        (100, account_id(2), Refused, "keeps no credit of its own"),
        (100, "H0009", NotFound, "has no meter"),
    ],
)
def test_what_cannot_be_recharged_is_refused(stage, amount_fen, account, error, said):
    with pytest.raises(error, match=said):
        order(stage, amount_fen, account=account)
    assert stage.balance(1) == 5000


def test_a_refused_recharge_gives_the_money_back_once(stage):
    one = order(stage)
    issue(stage, one, 7)
    run(stage, lambda unit, estate, now: flows.settle_refused(unit, estate, one, "hoarding", now))
    assert (stage.balance(1), recharge(stage, one)["status"]) == (5000, "refused")
    with pytest.raises(Conflict, match="decided already: refused"):
        run(stage, lambda unit, estate, now: flows.settle_refused(unit, estate, one, "again", now))
    with pytest.raises(Conflict, match="decided already: refused"):
        run(stage, lambda unit, estate, now: flows.settle_booked(unit, estate, one, 1, "late", now))
    assert stage.balance(1) == 5000
    assert books_agree(stage)


def test_a_booked_recharge_keeps_what_the_meter_has_left(stage):
    one = order(stage)
    issue(stage, one, 7)
    run(stage, lambda unit, estate, now: flows.settle_booked(unit, estate, one, 8000, "count 8", now))
    row = recharge(stage, one)
    assert (row["status"], row["purchase_count"], row["remaining_fen"], stage.balance(1)) == ("booked", 8, 8000, 2000)
    assert books_agree(stage)


def test_no_second_count_is_issued_while_one_is_not_decided(stage):
    one, two = order(stage, 1000), order(stage, 1000, "order-0002")
    assert issue(stage, one, 7) == 8
    assert issue(stage, one, 9) == 8  # asked again after a restart: the count that was committed
    with pytest.raises(Conflict, match="is not decided yet"):
        issue(stage, two, 7)
    run(stage, lambda unit, estate, now: flows.settle_booked(unit, estate, one, 1, "", now))
    assert issue(stage, two, 8) == 9


def test_the_database_itself_refuses_two_running_recharges_of_a_meter(stage):
    one, two = order(stage, 1000), order(stage, 1000, "order-0002")
    issue(stage, one, 7)
    with pytest.raises(IntegrityError):
        stage.set(schema.recharge, schema.recharge.c.recharge_id == two, status="running")


def test_of_a_meter_the_running_one_is_carried_first_and_after_its_pause(stage):
    one, two = order(stage, 1000), order(stage, 1000, "order-0002")

    def due(wait_ms=0):
        now_ms = stage.now.machine_ms + wait_ms
        return [row["recharge_id"] for row in stage.look(
            lambda connection: kept.due_recharges(connection, ESTATE, now_ms, limit=9))]  # fmt: skip

    assert len(due()) == 1
    first = due()[0]
    issue(stage, first, 7)
    assert due() == [first]
    run(stage, lambda unit, estate, now: flows.note_undecided(unit, estate, first, "no answer", now))
    assert due() == []  # and the other one does not overtake it
    assert due(10_000) == [first]
    assert {one, two} >= {first}


def test_tries_come_ever_more_rarely():
    assert [next_try_ms(tries, 0) for tries in (0, 1, 2, 20)] == [10_000, 20_000, 40_000, 600_000]


def test_a_person_decides_what_no_meter_tells_and_not_before(stage):
    one = order(stage)
    issue(stage, one, 7)
    decide = {"booked": False, "actor": "zhou"}

    def undecided():
        run(stage, lambda unit, estate, now: flows.note_undecided(unit, estate, one, "no answer", now))

    with pytest.raises(Refused, match="being asked just now"):
        run(stage, flows.decide_by_hand, one, reason="count 7", **decide)
    undecided()
    with pytest.raises(Refused, match="asked 1 times only"):
        run(stage, flows.decide_by_hand, one, reason="count 7", **decide)
    undecided()
    undecided()
    with pytest.raises(Refused, match="say what the meter shows"):
        run(stage, flows.decide_by_hand, one, reason=" ", **decide)
    run(stage, flows.decide_by_hand, one, reason="count 7 on the display", **decide)
    assert (recharge(stage, one)["status"], stage.balance(1)) == ("refused", 5000)


def test_what_was_never_sent_cannot_be_called_booked(stage):
    one = order(stage)
    run(stage, lambda unit, estate, now: flows.note_undecided(unit, estate, one, "no backend", now))
    with pytest.raises(Refused, match="nothing was sent"):
        run(stage, flows.decide_by_hand, one, booked=True, reason="x", actor="zhou")
    run(stage, flows.decide_by_hand, one, booked=False, reason="the customer wants it back", actor="zhou")
    assert stage.balance(1) == 5000


def test_a_payment_goes_on_into_the_meter_and_stays_with_other_households(stage):
    stage.pay(1, 2500)
    stage.pay(2, 2500, key="sale-0002")
    assert (stage.balance(1), stage.balance(2)) == (0, 7500)
    [row] = stage.rows(schema.recharge)
    assert (row["amount_fen"], row["account_id"], row["actor"]) == (7500, A, "system")
    assert books_agree(stage)


def test_such_a_household_is_neither_charged_nor_cut(stage):
    for number in (1, 2):
        stage.registers[number] = 1_000_000
        stage.read(number)
    stage.wait(7200)
    for number in (1, 2):
        stage.read(number, 20_000)
    stage.charge()
    assert stage.balance(1) == 5000
    assert stage.balance(2) < 5000
    stage.set_account(1, balance_fen=-9000)
    stage.set_account(2, balance_fen=-9000)
    found = stage.look(lambda connection: overdrawn_accounts(connection, ESTATE))
    judged = stage.look(
        lambda connection: trip_candidates(connection, ESTATE, [A, account_id(2)], stage.now.world_s, clock_sane=True)
    )
    assert (found, [one.account_id for one in judged]) == ([account_id(2)], [account_id(2)])


def test_an_installed_meter_keeps_its_fee(stage):
    changed = document([household(1), household(2)])
    with pytest.raises(Conflict, match="was installed with fee = 'local'"):
        stage.writer.run(lambda unit: import_estate(unit, changed, at()))


def settings(stage):
    return {row["name"]: row for row in stage.look(lambda c: kept.settings_of(c, ESTATE, meter_id(1)))}


def want(stage, **wanted):
    run(stage, flows.want_settings, A, wanted, actor="zhou")


def note(stage, row, shown, detail=""):
    stage.writer.run(lambda unit: flows.note_setting(unit, ESTATE, row, shown, detail, stage.now))


def test_a_setting_is_confirmed_by_what_is_read_back_alone(stage):
    want(stage, alarm1_fen=3000, price_peak_nf_per_wh=66_290_000)
    row = settings(stage)["alarm1_fen"]
    note(stage, row, 2000)
    assert (settings(stage)["alarm1_fen"]["status"], settings(stage)["alarm1_fen"]["shown"]) == ("waiting", 2000)
    note(stage, settings(stage)["alarm1_fen"], 3000)
    assert settings(stage)["alarm1_fen"]["status"] == "confirmed"
    for _ in range(5):
        note(stage, settings(stage)["price_peak_nf_per_wh"], None, "silent")
    assert settings(stage)["price_peak_nf_per_wh"]["status"] == "failed"


def test_a_setting_wished_anew_is_not_confirmed_by_the_old_one(stage):
    want(stage, alarm1_fen=3000)
    old = settings(stage)["alarm1_fen"]
    stage.wait(1)
    want(stage, alarm1_fen=4000)
    note(stage, old, 3000)
    assert settings(stage)["alarm1_fen"]["status"] == "waiting"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"colour": 1}, "no setting of a meter; allowed: alarm1_fen"),
        ({"alarm1_fen": -1}, "allowed: 0 to 99999999"),
        ({"alarm1_fen": 100_000_000}, "allowed: 0 to 99999999"),
        ({"price_flat_nf_per_wh": 66_286_875}, "multiple of 10000"),
        ({"alarm1_fen": 10, "alarm2_fen": 11}, "at least alarm2_fen"),
    ],
)
def test_figures_that_no_meter_takes_are_refused(stage, wanted, said):
    assert said in settings_problem(wanted)
    with pytest.raises(Refused, match=said):
        want(stage, **wanted)


def test_a_new_figure_must_go_with_those_wished_before(stage):
    want(stage, alarm1_fen=3000, alarm2_fen=1000)
    with pytest.raises(Refused, match="at least alarm2_fen"):
        want(stage, alarm1_fen=900)
    with pytest.raises(Refused, match="at least one"):
        want(stage)
    with pytest.raises(Refused, match="keeps no credit"):
        run(stage, flows.want_settings, account_id(2), {"alarm1_fen": 1}, actor="zhou")


def test_the_identifiers_are_those_of_the_fact_sheet():
    assert [SETTINGS[name].identifier for name in ("alarm1_fen", "hoard_fen", "price_valley_nf_per_wh")] == [
        0x04001001, 0x04001004, 0x04050104,
    ]  # fmt: skip
