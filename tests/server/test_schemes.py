"""Schemes in an estate: limits that follow rules, top-ups and use; quiet hours, alerts, holidays; and who changed what.

Each guard also has a probe that fails once the guard is taken away.
"""

import json
from dataclasses import replace

import pytest

from server.cli import why
from server.errors import Conflict, NotFound, Refused
from server.flows import schemes
from server.flows.estates import import_estate
from server.store import notices as notice_rows
from server.store import schema
from server.store.supply import switched_on
from server.store.writer import Writer
from tests.server.estates import ESTATE, account_id, at, document, household
from tests.server.supply_acts import clears, ready, wanted
from tests.server.supply_stage import Stage
from tests.server.test_supply_invariants import without_guard

HOUR, DAY = 3600, 86_400


@pytest.fixture
def both(writer):
    """On both databases in turn."""
    return Stage(writer, households=3, opening_fen=5000)


@pytest.fixture
def stage(sqlite_engine):
    writer = Writer(sqlite_engine)
    yield Stage(writer, households=3, opening_fen=5000)
    writer.stop()


@pytest.fixture
def lite(sqlite_engine):
    """Households that owe soon."""
    writer = Writer(sqlite_engine)
    yield Stage(writer, households=3, opening_fen=100)
    writer.stop()


def act(stage, flow, *args, **kwargs):
    return stage.writer.run(lambda unit: flow(unit, ESTATE, *args, actor="anna", now=stage.now, **kwargs))


def save(stage, scheme_id="tenants", valid_from=None, name="租户", **rules):
    valid_from = stage.now.world_s + 1 if valid_from is None else valid_from
    return act(stage, schemes.save_version, scheme_id, name, valid_from, rules)


def give(stage, number, scheme_id=None, **own):
    act(stage, schemes.set_household, account_id(number), scheme_id=scheme_id, own=own)


def limits(stage, number=1):
    [row] = stage.rows(schema.account, schema.account.c.account_id == account_id(number))
    return row["alarm1_fen"], row["alarm2_fen"], row["overdraft_fen"]


def settle_due(stage):
    return stage.writer.run(lambda unit: schemes.settle_due(unit, ESTATE, stage.now))


def verbs(stage):
    return [row["verb"] for row in sorted(stage.rows(schema.audit), key=lambda row: row["created_ms"])]


def test_a_version_holds_from_its_date_and_the_job_notices(both):
    save(both, valid_from=0, alarm1=["fixed", 2500], alarm2=["fixed", 500])
    act(both, schemes.choose, "tenants")
    assert limits(both) == (2500, 500, 0)
    settle_due(both)
    save(both, valid_from=both.now.world_s + 600, alarm1=["fixed", 4000], alarm2=["fixed", 500])
    both.wait(599)
    assert settle_due(both) == 0
    both.wait(1)
    assert settle_due(both) == 3
    assert limits(both) == (4000, 500, 0)
    assert settle_due(both) == 0


def test_rules_that_are_in_force_are_not_changed_and_the_same_again_is_nothing(stage):
    assert save(stage, valid_from=0, grace_s=60) == 1
    assert save(stage, valid_from=0, grace_s=60) == 1
    with pytest.raises(Conflict, match="rules that are in force"):
        save(stage, valid_from=0, grace_s=61)
    assert save(stage, grace_s=61) == 2
    assert len(stage.rows(schema.scheme)) == 2
    with pytest.raises(Refused, match="moon: no such rule"):
        save(stage, moon=1)


def test_the_database_refuses_to_rewrite_a_version(both):
    save(both, grace_s=61)
    with pytest.raises(Exception, match="append-only"):
        both.set(schema.scheme, definition="{}")


def test_percent_of_the_last_topup_moves_with_each_topup(both):
    give(both, 1, alarm1=["percent", 20], alarm2=["percent", 5])
    assert limits(both) == (3000, 1000, 0)
    both.pay(1, 20_000, "sale-0001")
    assert limits(both) == (4000, 1000, 0)
    both.pay(1, 5000, "sale-0002")
    assert limits(both) == (1000, 250, 0)
    assert limits(both, 2) == (3000, 1000, 0)


def test_days_left_follows_what_the_last_days_cost(both):
    give(both, 1, alarm1=["days", 7], alarm2=["days", 2])
    both.read(1)
    for _ in range(24):
        both.wait(HOUR)
        both.read(1, 100)
        both.charge()
    spent_fen = 5000 - both.balance(1)
    settle_due(both)
    assert spent_fen > 0
    assert limits(both) == (7 * spent_fen, 2 * spent_fen, 0)
    both.wait(3 * DAY)
    settle_due(both)
    assert limits(both)[0] == 7 * -(-spent_fen * DAY // (4 * DAY))


def test_an_alarm_by_days_fires_once_a_crossing_and_is_armed_again_by_a_payment(stage):
    give(stage, 1, alarm1=["days", 7], alarm2=["fixed", 0])

    def use(hours):
        for _ in range(hours):
            stage.wait(HOUR)
            stage.read(1, 500)
            stage.charge()
            settle_due(stage)

    stage.read(1)
    use(40)
    pages = [row for row in stage.notices(1, "alarm1") if row["channel"] == "page"]
    assert len(pages) == 1
    stage.wait(2 * DAY)  # nothing is used: the mean sinks, and the alarm that has fired stays as it is
    stage.read(1)
    settle_due(stage)
    use(2)
    assert len([row for row in stage.notices(1, "alarm1") if row["channel"] == "page"]) == 1
    stage.pay(1, 50_000)
    assert limits(stage)[0] < stage.balance(1)


def probe_fired_alarm(stage):
    stage.set_account(1, level=1, alarm1_fen=4000, own_rules='{"alarm1": ["fixed", 3500]}')
    stage.writer.run(lambda unit: schemes.settle(unit, ESTATE, [account_id(1)], stage.now))
    assert limits(stage)[0] == 4000


def test_without_its_guard_a_fired_alarm_would_sink(lite, monkeypatch):
    probe_fired_alarm(lite)
    monkeypatch.setattr(schemes, "settled", lambda before, wanted, level, *, paid: wanted)
    without_guard(probe_fired_alarm, lite)


def test_a_larger_overdraft_takes_back_a_cut_that_was_not_read_back(lite):
    wanted(lite, 1)
    give(lite, 1, overdraft_fen=100_000, close_allowed_fen=-100_000)
    assert lite.supply(1)["desired"] == "closed"


@pytest.mark.parametrize(
    "own", [{"alarm1": ["fixed", 10], "alarm2": ["fixed", 20]}, {"alarm2": ["fixed", -1]}, {"x": 1}]
)
def test_own_rules_out_of_order_are_refused(stage, own):
    with pytest.raises(Refused, match=account_id(1)):
        give(stage, 1, **own)
    assert "household.rules" not in verbs(stage)


def test_unknown_schemes_and_households_are_named(stage):
    with pytest.raises(NotFound, match="'none'"):
        give(stage, 1, "none")
    with pytest.raises(NotFound, match="'none'"):
        act(stage, schemes.choose, "none")
    with pytest.raises(NotFound):
        act(stage, schemes.set_household, "revenue", scheme_id=None, own={})


def queued(stage):
    return stage.look(lambda connection: notice_rows.queued(connection, ESTATE, stage.now.world_s, limit=9))


def probe_quiet(stage):
    give(stage, 1, quiet_from_min=0, quiet_to_min=600)  # until 10:00; it is 09:05
    stage.overdraw(1)
    stage.set_account(2, balance_fen=20)
    assert queued(stage) == []
    [warning] = [row for row in stage.notices(1, "cut_warning") if row["channel"] == "message"]
    assert warning["not_before_at"] == stage.now.world_s // HOUR * HOUR + HOUR
    said = json.loads(warning["arguments"])
    assert said["earliest_at"] >= warning["not_before_at"] + 1200


def test_a_warning_in_the_quiet_hours_waits_for_their_end_and_its_page_does_not(lite):
    lite.receive = lambda *_args, **_kwargs: None
    probe_quiet(lite)
    lite.wait(HOUR)
    assert [row["kind"] for row in queued(lite)] == ["cut_warning"]
    assert len(lite.notices(1, "cut_warning")) == 2


def test_without_quiet_hours_the_warning_would_go_out(lite, monkeypatch):
    lite.receive = lambda *_args, **_kwargs: None
    monkeypatch.setattr("server.flows.notices.quiet_until", lambda _rules, _zone, at_s: at_s)
    without_guard(probe_quiet, lite)


def test_what_the_household_waits_for_is_said_in_the_quiet_hours_too(stage):
    give(stage, 1, quiet_from_min=0, quiet_to_min=1439)
    stage.pay(1, 500)
    assert [row["kind"] for row in queued(stage)] == ["topup"]


def probe_alert(stage, flow):
    ready(stage, 1)
    flow(stage)
    stage.decide()
    assert stage.trips() == []


def heat(stage):
    act(stage, schemes.raise_alert, "heat", until_at=stage.now.world_s + HOUR, reason="38 °C")


def day_off(stage):
    act(stage, schemes.set_holiday, "2026-10-13", "off", "厂庆")


def no_weekends(stage):
    give(stage, 1, protected_from_min=0, protected_to_min=1439)


def more_grace(stage):
    give(stage, 1, grace_s=2 * DAY)


@pytest.mark.parametrize("flow", [heat, day_off, no_weekends, more_grace])
def test_alert_holiday_and_the_households_own_hours_and_grace_keep_the_power_on(lite, flow):
    probe_alert(lite, flow)


@pytest.mark.parametrize("flow", [heat, day_off])
def test_without_the_rule_the_household_would_be_cut(lite, monkeypatch, flow):
    monkeypatch.setattr("server.domain.supply.protected_because", lambda *_: None)
    without_guard(probe_alert, lite, flow)


def test_an_alert_stops_a_cut_that_was_decided_and_ends_by_hand_or_by_itself(lite):
    wanted(lite, 1)
    heat(lite)
    assert not clears(lite, 1)
    [row] = lite.rows(schema.alert)
    act(lite, schemes.end_alert, row["alert_id"])
    assert clears(lite, 1)
    with pytest.raises(NotFound):
        act(lite, schemes.end_alert, row["alert_id"])
    assert verbs(lite)[-2:] == ["alert.raised", "alert.ended"]


def test_an_alert_needs_a_kind_and_an_end_within_a_month(stage):
    for kind, until_s in (("rain", HOUR), ("heat", 0), ("heat", 32 * DAY)):
        with pytest.raises(Refused):
            act(stage, schemes.raise_alert, kind, until_at=stage.now.world_s + until_s, reason="")


def test_the_calendar_of_the_estate_is_edited_and_audited(both):
    day_off(both)
    act(both, schemes.set_holiday, "2026-10-13", "work", "")
    act(both, schemes.drop_holiday, "2026-10-13")
    with pytest.raises(NotFound):
        act(both, schemes.drop_holiday, "2026-10-13")
    for day, kind in (("2026-13-01", "off"), ("2026-10-13", "party")):
        with pytest.raises(Refused):
            act(both, schemes.set_holiday, day, kind, "")
    assert verbs(both) == ["holiday.set", "holiday.set", "holiday.dropped"]


def test_a_protection_has_a_reason_and_an_end(lite):
    ready(lite, 1)
    until_at = lite.now.world_s + HOUR
    for reason, end_at in (("  ", until_at), ("ill", lite.now.world_s)):
        with pytest.raises(Refused):
            act(lite, schemes.protect, account_id(1), until_at=end_at, reason=reason)
    act(lite, schemes.protect, account_id(1), until_at=until_at, reason="呼吸机")
    lite.decide()
    assert lite.trips() == []
    lite.wait(HOUR)
    lite.read(1)
    lite.status(1)
    lite.decide()
    assert len(lite.trips()) == 1
    act(lite, schemes.unprotect, account_id(1), reason="moved out")
    with pytest.raises(Conflict):
        act(lite, schemes.unprotect, account_id(1), reason="again")
    assert verbs(lite)[-2:] == ["household.protected", "household.unprotected"]


def test_an_import_keeps_what_the_console_set_and_the_file_does_not_say(writer):
    stage = Stage(writer, opening_fen=5000)
    give(stage, 1, overdraft_fen=700)
    act(stage, schemes.protect, account_id(1), until_at=stage.now.world_s + HOUR, reason="ill")
    writer.run(lambda unit: import_estate(unit, document(3), at()))
    [row] = stage.rows(schema.account, schema.account.c.account_id == account_id(1))
    assert (row["overdraft_fen"], row["protected"], row["protected_reason"]) == (700, 1, "ill")
    given = document([household(1, protected=0, own_rules={"overdraft_fen": 0})])
    writer.run(lambda unit: import_estate(unit, given, at()))
    [row] = stage.rows(schema.account, schema.account.c.account_id == account_id(1))
    assert (row["overdraft_fen"], row["protected"]) == (0, 0)


def test_a_new_estate_gets_the_preset_of_its_file_and_a_known_one_keeps_its_choice(writer):
    planned = replace(document(2), preset="state-grid-hunan")
    writer.run(lambda unit: import_estate(unit, planned, at()))
    stage = Stage.__new__(Stage)
    stage.writer, stage.passed_s = writer, 0
    assert stage.site()["scheme_id"] == "state-grid-hunan"
    assert limits(stage) == (3000, 0, 0)
    act(stage, schemes.choose, None)
    writer.run(lambda unit: import_estate(unit, planned, at()))
    assert stage.site()["scheme_id"] is None
    assert limits(stage) == (3000, 1000, 0)


def test_evidence_names_the_scheme_and_its_rules_are_borne_out(lite):
    save(lite, valid_from=0, grace_s=1200, quiet_from_min=0, quiet_to_min=60)
    act(lite, schemes.choose, "tenants")
    lite.cut(1)
    meter_id = lite.trips()[0]["meter_id"]

    def told():
        return lite.look(lambda connection: why.told_of(connection, ESTATE, meter_id, None))

    assert told().holds
    noted = told().evidence["rules"]
    assert (noted["scheme_id"], noted["version"], noted["definition"]["grace_s"]) == ("tenants", 1, 1200)
    assert "not_before_at" in told().evidence["notices"][0]
    changed = json.loads(json.dumps(told().evidence))
    for path, value, wrong in (
        (("definition", "grace_s"), 5, "not as it was noted"),
        (("estate", "protected_to_min"), 5, "do not follow from the rules"),
        (("alerts",), [[1, 2, "heat"]], "not among the estate's"),
    ):
        other = json.loads(json.dumps(changed))
        node = other["rules"]
        for name in path[:-1]:
            node = node[name]
        node[path[-1]] = value
        facts = told().replay.facts
        found = lite.look(
            lambda connection, other=other, facts=facts: why.against_books(
                connection, ESTATE, account_id(1), meter_id, other, facts
            )
        )
        assert any(wrong in one for one in found), (path, found)


def test_the_decision_knows_the_households_share_of_the_spread(lite):
    lite.set(schema.estate, spread_s=14_400, protected_to_min=545)
    ready(lite, 1)
    [(candidate, decision)] = lite.decide()
    assert candidate.facts.times.delay_s > 1200
    assert "allowed_time" in decision.refusals
    assert switched_on(lite.site())
