"""Notices at the flow: one a crossing, armed again above the threshold, delivered by a receipt or by being shown."""

import json

import pytest

from server.errors import NotFound
from server.flows import notices
from server.flows.notices import suggested_fen
from server.store import schema
from server.store.household import notices as of_household
from tests.server.estates import ESTATE, account_id
from tests.server.supply_stage import GRACE_S, Stage

KWH_FEN = 59  # about the price of a kWh


@pytest.fixture
def stage(writer):
    return Stage(writer, households=2, opening_fen=5000)


def use(stage, number, kwh):
    """Consume in portions that a meter can measure, charged after each."""
    for _ in range(kwh):
        stage.wait(900)
        stage.read(number, 1000)
        stage.charge()


def kinds(stage, number=1):
    rows = stage.rows(schema.notice, schema.notice.c.account_id == account_id(number))
    ordered = sorted(rows, key=lambda row: row["created_ms"])
    return [row["kind"] for row in ordered if row["channel"] == "page"]


def mark(stage, act, *args):
    return stage.writer.run(lambda unit: act(unit, ESTATE, *args, stage.now))


def test_each_threshold_is_told_once_on_the_way_down(stage):
    use(stage, 1, 40)
    assert kinds(stage) == ["alarm1"]
    use(stage, 1, 35)
    assert kinds(stage) == ["alarm1", "alarm2"]
    use(stage, 1, 14)
    assert stage.balance(1) < 0
    assert kinds(stage) == ["alarm1", "alarm2", "cut_warning"]
    use(stage, 1, 5)
    assert kinds(stage) == ["alarm1", "alarm2", "cut_warning"]
    assert kinds(stage, 2) == []


def test_a_threshold_is_armed_again_above_it(stage):
    use(stage, 1, 75)
    stage.pay(1, 1000, "sale-0001")
    assert stage.balance(1) < 3000
    use(stage, 1, 10)
    assert kinds(stage).count("alarm1") == 1
    stage.pay(1, 5000, "sale-0002")
    use(stage, 1, 60)
    assert kinds(stage).count("alarm1") == 2


def test_one_step_over_several_thresholds_tells_the_deepest_only(stage):
    stage.set_account(1, balance_fen=3010, alarm2_fen=3005)
    stage.wait(900)
    stage.read(1, 1000)
    stage.charge()
    assert kinds(stage) == ["alarm2"]


def test_every_notice_goes_to_every_channel_with_the_same_words(stage):
    use(stage, 1, 40)
    rows = stage.notices(1, "alarm1")
    assert sorted(row["channel"] for row in rows) == ["message", "page"]
    assert len({row["arguments"] for row in rows}) == 1
    assert {row["status"] for row in rows} == {"queued"}


def test_the_warning_says_how_much_and_from_when(stage):
    stage.set_account(1, balance_fen=20)
    use(stage, 1, 1)
    said = json.loads(stage.notices(1, "cut_warning")[0]["arguments"])
    assert said["balance_fen"] == stage.balance(1) < 0
    assert said["pay_fen"] == 1000
    assert said["earliest_at"] == stage.now.world_s + GRACE_S
    assert all(isinstance(value, int) for name, value in said.items() if name != "room")


def test_a_warning_in_the_evening_names_the_next_morning(stage):
    stage.set(schema.estate, spread_s=0)
    stage.wait(8 * 3600)
    stage.set_account(1, balance_fen=20)
    use(stage, 1, 1)
    said = json.loads(stage.notices(1, "cut_warning")[0]["arguments"])
    next_morning_s = 1_791_853_500 - 5 * 60 + 86_400
    assert said["earliest_at"] == next_morning_s


def test_a_protected_household_is_never_told_that_it_may_be_cut(stage):
    stage.set_account(1, balance_fen=20, protected=1)
    use(stage, 1, 1)
    assert kinds(stage) == ["alarm2"]


@pytest.mark.parametrize(
    ("balance_fen", "close_allowed_fen", "expected"),
    [(-1462, 0, 2000), (-1, 0, 1000), (0, 0, 1000), (-999, 0, 1000), (-1000, 0, 2000), (-500, 1500, 3000), (50, 0, 0)],
)
def test_what_to_pay_is_the_smallest_round_amount_that_helps(balance_fen, close_allowed_fen, expected):
    found = suggested_fen(balance_fen, close_allowed_fen)
    assert found == (expected or 1000)
    assert balance_fen + found > close_allowed_fen


def test_sent_is_not_delivered_and_the_first_receipt_counts(stage):
    use(stage, 1, 40)
    [row] = [row for row in stage.notices(1, "alarm1") if row["channel"] == "message"]
    name = row["notice_id"]
    mark(stage, notices.mark_sent, name)

    def state():
        [found] = stage.rows(schema.notice, schema.notice.c.notice_id == name)
        return found

    assert (state()["status"], state()["delivered_at"], state()["attempts"]) == ("sent", None, 1)
    stage.wait(10)
    mark(stage, notices.mark_delivered, name)
    first = state()["delivered_at"]
    stage.wait(10)
    mark(stage, notices.mark_delivered, name)
    mark(stage, notices.mark_sent, name)
    assert (state()["status"], state()["delivered_at"]) == ("delivered", first)
    stage.writer.run(lambda unit: notices.mark_failed(unit, ESTATE, name, "late", stage.now, final=True))
    assert state()["status"] == "delivered"


def test_a_page_notice_is_delivered_by_being_shown_and_only_to_its_household(stage):
    stage.set(schema.account, schema.account.c.kind == "household", balance_fen=20)
    for number in (1, 2):
        use(stage, number, 1)
    assert mark(stage, notices.mark_shown, account_id(1)) == 1
    delivered = {
        (row["account_id"], row["channel"]) for row in stage.rows(schema.notice, schema.notice.c.status == "delivered")
    }
    assert delivered == {(account_id(1), "page")}
    assert mark(stage, notices.mark_shown, account_id(1)) == 0


@pytest.mark.parametrize("channel", ["page", "message"])
def test_either_channel_alone_makes_a_warning_count(writer, channel):
    stage = Stage(writer)
    stage.read(1)
    stage.wait(900)
    stage.read(1, 3000)
    stage.charge()
    stage.receive(1, channel=channel)
    stage.be_ready(1)
    stage.decide()
    assert len(stage.trips()) == 1


def test_a_warning_that_nobody_received_cuts_nobody(writer):
    stage = Stage(writer)
    stage.read(1)
    stage.wait(900)
    stage.read(1, 3000)
    stage.charge()
    for row in stage.notices(1, "cut_warning"):
        mark(stage, notices.mark_sent, row["notice_id"])
    stage.be_ready(1)
    assert stage.decide()[0][1].refusals == ("notice_delivered",)
    assert stage.trips() == []


def test_unknown_notices_are_not_found(stage):
    for act in (notices.mark_sent, notices.mark_delivered):
        with pytest.raises(NotFound):
            mark(stage, act, "nobody")


def test_the_households_own_list_is_newest_first(stage):
    stage.set_account(1, balance_fen=2990, level=1)
    use(stage, 1, 36)
    rows = stage.look(lambda connection: of_household(connection, ESTATE, account_id(1)))
    assert [row["kind"] for row in rows] == ["alarm2", "alarm2"]
