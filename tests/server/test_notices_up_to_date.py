"""What waited for a morning or for a gateway is true when it is sent: brought up to date, or not sent at all."""

import json

import pytest

from server.domain.notices import ELSEWHERE, GIVEN, OVERTAKEN, PAID, PROTECTED
from server.flows import notices as flows
from server.store import notices as kept
from server.store import schema
from server.store.notices import newest_deliveries
from server.web.formats import Formats
from server.web.notice_words import told
from tests.server.estates import ESTATE, account_id, at
from tests.server.test_jobs_notices import Channel, Desk

HOUR_S = 3600


@pytest.fixture
def desk(engine, writer):
    return Desk(engine, writer)


def spoken(desk, channel=None):
    """What is sent in one round, as kinds."""
    channel = channel or Channel()
    desk.job(channel).run_once()
    return [one.kind for one in channel.sent]


@pytest.mark.parametrize(
    ("kind", "now", "why"),
    [
        ("alarm1", {"balance_fen": 3001}, PAID),
        ("alarm2", {"balance_fen": 1001}, PAID),
        ("cut_warning", {"balance_fen": 1}, PAID),
        ("cut_warning", {"balance_fen": -400, "overdraft_fen": 500}, PAID),
        ("final_notice", {"balance_fen": 5000}, PAID),
        ("alarm1", {"status": "left"}, ELSEWHERE),
        ("alarm2", {"status": "paused"}, ELSEWHERE),
        ("cut_warning", {"balance_fen": -5, "payment": "postpaid"}, ELSEWHERE),
        ("cut_warning", {"balance_fen": -5, "protected": 1}, PROTECTED),
    ],
)
def test_nobody_is_told_what_is_true_no_more(desk, kind, now, why):
    desk.enqueue(kind=kind)
    desk.set_account(**now)
    assert spoken(desk) == []
    row = desk.row()
    assert (row["status"], row["failure"], row["delivered_at"], row["attempts"]) == ("needless", why, None, 0)
    assert spoken(desk) == [], "nor is it tried again"
    with desk.engine.connect() as connection:
        found = newest_deliveries(connection, ESTATE, kind, [account_id(1)], {})
    assert found[account_id(1)][1] is None, "it allows no cut"


@pytest.mark.parametrize(
    ("kind", "now"),
    [
        ("alarm1", {"balance_fen": 3000}),
        ("alarm2", {"balance_fen": -900}),
        ("alarm2", {"balance_fen": -900, "protected": 1}),
        ("cut_warning", {"balance_fen": 0}),
        ("cut_warning", {"balance_fen": -500, "overdraft_fen": 500}),
        ("topup", {"status": "left"}),
        ("restored", {"balance_fen": 5000}),
    ],
)
def test_everything_else_is_told(desk, kind, now):
    desk.enqueue(kind=kind)
    desk.set_account(**now)
    assert spoken(desk) == [kind]


def test_of_a_night_the_gravest_is_told_in_the_morning(desk):
    desk.set_account(balance_fen=-5)
    for hours, kind in ((0, "alarm1"), (1, "alarm2"), (2, "cut_warning")):
        desk.writer.run(
            lambda unit, kind=kind, hours=hours: flows.enqueue(
                unit, ESTATE, account_id(1), kind, {"balance_fen": -1}, at(hours * HOUR_S), at(9 * HOUR_S).world_s
            )
        )
    assert spoken(desk) == []
    desk.clock.instant = at(9 * HOUR_S)
    assert spoken(desk) == ["cut_warning"]
    assert {row["failure"] for row in desk.rows() if row["status"] == "needless"} == {OVERTAKEN}
    assert {row["status"] for row in desk.rows("page")} == {"queued"}, "the page keeps them"


def test_a_warning_names_the_debt_the_time_and_the_sum_of_when_it_is_sent(desk):
    desk.set_account(balance_fen=-9)
    desk.writer.run(lambda unit: flows.warn(unit, ESTATE, account_id(1), at()))
    desk.set_account(balance_fen=-1194)
    desk.clock.instant = at(30 * HOUR_S)
    before = json.loads(desk.row()["arguments"])
    said = []
    desk.job(Channel(), lambda kind, arguments, language: said.append(arguments) or "").run_once()
    [now] = said
    assert (before["balance_fen"], before["pay_fen"]) == (-9, 1000)
    assert (now["balance_fen"], now["pay_fen"]) == (-1194, 2000)
    assert before["earliest_at"] < at(54 * HOUR_S).world_s <= now["earliest_at"], "the grace runs from now"
    assert json.loads(desk.row()["arguments"]) == now


def test_of_two_final_notices_the_newer_one_is_told(desk):
    desk.set_account(balance_fen=-5)
    for hours in (0, 6):
        desk.writer.run(
            lambda unit, hours=hours: flows.enqueue(
                unit, ESTATE, account_id(1), "final_notice", {"balance_fen": -1}, at(hours * HOUR_S)
            )
        )
    desk.clock.instant = at(6 * HOUR_S)
    assert spoken(desk) == ["final_notice"]
    assert sorted(row["status"] for row in desk.rows()) == ["needless", "sent"]


def warned_at_night(desk):
    """A cut warning that waits for the morning; the id of its notice on the page."""
    desk.set_account(balance_fen=-9, own_rules=json.dumps({"quiet_from_min": 0, "quiet_to_min": 12 * 60}))
    desk.writer.run(lambda unit: flows.warn(unit, ESTATE, account_id(1), at()))
    assert spoken(desk) == []
    [page] = desk.rows("page")
    return page["notice_id"]


def test_what_the_staff_has_given_by_hand_is_not_sent_in_the_morning(desk):
    notice_id = warned_at_night(desk)
    desk.writer.run(
        lambda unit: flows.give(
            unit, ESTATE, account_id(1), notice_id, "telephone", "Mrs Chen", actor="anna", now=at(HOUR_S)
        )
    )
    desk.clock.instant = at(9 * HOUR_S)
    assert spoken(desk) == []
    [message] = desk.rows("message")
    assert (message["status"], message["failure"]) == ("needless", GIVEN)
    with desk.engine.connect() as connection:
        found = newest_deliveries(connection, ESTATE, "cut_warning", [account_id(1)], {})
    assert found[account_id(1)][1] == at(HOUR_S).world_s, "it counts from when it was given"


@pytest.mark.parametrize("seen_h", [1, 9])
def test_a_message_of_the_morning_tells_no_later_time_than_the_grace_since_the_page(desk, seen_h):
    warned_at_night(desk)
    grace_s, said = 10 * HOUR_S, []
    desk.execute(schema.estate.update().values(grace_s=grace_s, protected_from_min=0, protected_to_min=0, spread_s=0))
    desk.writer.run(lambda unit: flows.mark_shown(unit, ESTATE, account_id(1), at(seen_h * HOUR_S)))
    desk.clock.instant = at(9 * HOUR_S)
    desk.job(Channel(), lambda kind, arguments, language: said.append(arguments) or "").run_once()
    assert said[0]["earliest_at"] == at(seen_h * HOUR_S).world_s + grace_s, "the cut comes by the first delivery"


def test_a_time_that_has_passed_is_not_told(desk):
    warned_at_night(desk)
    said = []
    desk.execute(schema.estate.update().values(grace_s=600, protected_from_min=0, protected_to_min=0, spread_s=0))
    desk.writer.run(lambda unit: flows.mark_shown(unit, ESTATE, account_id(1), at(HOUR_S)))
    desk.clock.instant = at(9 * HOUR_S)
    desk.job(Channel(), lambda kind, arguments, language: said.append(arguments) or "").run_once()
    assert said[0]["earliest_at"] == at(9 * HOUR_S).world_s


@pytest.mark.parametrize(("hours", "said"), [((17, 9), True), ((0, 0), False)])
def test_a_warning_names_the_protected_hours_of_its_own_household(desk, hours, said):
    desk.set_account(balance_fen=-9, own_rules=json.dumps({
        "protected_from_min": hours[0] * 60, "protected_to_min": hours[1] * 60,
    }))  # fmt: skip
    desk.writer.run(lambda unit: flows.warn(unit, ESTATE, account_id(1), at()))
    arguments = json.loads(desk.row()["arguments"])
    f = Formats(lambda text: text, "Asia/Shanghai", at().world_s)
    text = told("cut_warning", arguments, f, lambda text: text, (8 * 60, 7 * 60))
    assert ("never between 17:00 and 09:00" in text, "never between" in text) == (said, said)


def test_what_waits_and_what_reached_nobody_is_found_in_both_databases(desk):
    desk.set_account(balance_fen=-5)
    for kind in ("alarm2", "cut_warning", "final_notice"):
        desk.enqueue(kind=kind)
    desk.writer.run(lambda unit: flows.warn(unit, ESTATE, account_id(2), at()))  # which owes nothing
    with desk.engine.connect() as connection:
        asked = (connection, ESTATE, at().world_s)
        assert kept.waiting_warnings(*asked) == (2, at().world_s)
        assert kept.waiting_messages(*asked) == (3, at().world_s)
        assert kept.waiting_warnings(connection, ESTATE, at().world_s - 1) == (2, at().world_s), "none was put off"
        rows = kept.undelivered(*asked, 0, limit=9)
    assert [row["kind"] for row in rows][2:] == ["alarm2"], "warnings first"
    assert {(row["account_id"], row["phone"]) for row in rows} == {(account_id(1), "13800000001")}
