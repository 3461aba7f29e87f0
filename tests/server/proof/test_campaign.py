"""Wrong trips in simulated meter-days full of faults: none, judged at the meters.

A campaign tells of itself what happened in it, so that nobody takes a quiet one for a proof: by the simulator's truth
it says whom everything spoke for cutting, and nearly all of them have to be dark by the evening.
"""

import pytest

from server.collect import control
from server.domain import supply as domain
from server.flows import supply
from server.jobs.collecting import FlowOrders
from tests.server.proof.campaign import Campaign
from tests.server.proof.whole import virtual_collector

CUT_PERMILLE_MIN = 850  # of those whom everything speaks for cutting at noon; a lost frame excuses the rest
DUE_PER_10_000 = 30  # meter-days in which so many are due at least
HAPPENS = ("trips", "closings", "payments", "late", "repeated late", "lost", "killed", "restarts")


def play(engine, monkeypatch, seed, count, days):
    """One campaign; what happened in it, once nobody was cut wrongly."""
    campaign = Campaign(engine, seed, count)
    with virtual_collector(monkeypatch, campaign.whole):
        campaign.live(days)
        seen, justice = campaign.referee, campaign.justice
        tally = dict(campaign.tally) | {"trips": seen.trips, "closings": seen.closings}
        tally |= {"cut when due": justice.cut, "missed": justice.missed}
        print(f"seed {seed}: {count * days} meter-days, {dict(sorted(tally.items()))} {justice.sentences}")
        assert campaign.referee.wrong == []
        return tally


def enough(tally, meter_days):
    """Everything happened that the campaign is about, and those who were due were cut."""
    assert min(tally.get(name, 0) for name in HAPPENS) > 0, tally
    due = tally["cut when due"] + tally["missed"]
    assert due * 10_000 >= DUE_PER_10_000 * meter_days, tally
    assert tally["cut when due"] * 1000 >= CUT_PERMILLE_MIN * due, tally


def test_nobody_is_cut_wrongly_in_days_of_faults(sqlite_engine, monkeypatch):
    tally = play(sqlite_engine, monkeypatch, 1, 60, 5)
    assert (tally["trips"] > 0, tally["cut when due"] > 0, tally["missed"]) == (True, True, 0), tally


def without(name):
    """The rules without one of them: it always lets the cut pass."""
    rules = [rule for rule in domain.RULES if rule.__name__ != name]
    assert len(rules) == len(domain.RULES) - 1
    return tuple(rules)


@pytest.mark.ci
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("rule", "said"), [("_warned", "no warning"), ("_allowed_time", "protected time")])
def test_the_referee_sees_a_rule_that_is_missing(sqlite_engine, monkeypatch, rule, said):
    monkeypatch.setattr(domain, "RULES", without(rule))
    monkeypatch.setattr(supply, "TRIP_WISH_S", 10**6)
    monkeypatch.setattr(supply, "allowed_until", lambda _times, _from_s, until_s: until_s)
    assert any(said in wrong for wrong in spoilt(sqlite_engine, monkeypatch))


@pytest.mark.ci
@pytest.mark.timeout(600)
def test_the_referee_sees_a_command_that_is_not_asked_for_anew(sqlite_engine, monkeypatch):
    """Somebody pays between the fetching of orders and their frames."""
    monkeypatch.setattr(FlowOrders, "still_current", lambda *_, **_how: True)
    monkeypatch.setattr(Campaign, "paid_in_between", 1.0)
    assert any("fen were left" in wrong for wrong in spoilt(sqlite_engine, monkeypatch))


@pytest.mark.ci
@pytest.mark.timeout(600)
def test_the_referee_sees_frames_whose_deadline_is_far(sqlite_engine, monkeypatch):
    monkeypatch.setattr(control, "_lifetime_s", lambda _order: 30 * 86_400)
    monkeypatch.setattr(supply, "TRIP_WISH_S", 10**6)
    monkeypatch.setattr(supply, "allowed_until", lambda _times, _from_s, until_s: until_s)
    monkeypatch.setattr(Campaign, "_fate", lambda _self, _frame: [0.0, 80_000.0])
    assert any("superseded" in wrong for wrong in spoilt(sqlite_engine, monkeypatch))


@pytest.mark.ci
@pytest.mark.timeout(600)
def test_the_campaign_sees_households_that_are_never_cut(sqlite_engine, monkeypatch):
    monkeypatch.setattr(domain, "RULES", (*domain.RULES, lambda *_: domain.Check("armed", False)))
    campaign = Campaign(sqlite_engine, 5, 120)
    with virtual_collector(monkeypatch, campaign.whole):
        campaign.live(9)
    assert (campaign.justice.cut, campaign.justice.missed > 5) == (0, True)


def spoilt(engine, monkeypatch):
    """What the referee says of a campaign."""
    campaign = Campaign(engine, 5, 120)
    with virtual_collector(monkeypatch, campaign.whole):
        for _ in range(12):
            campaign.live(1)
            if campaign.referee.wrong:
                break
        return campaign.referee.wrong


@pytest.mark.ci
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [11, 12, 13, 14])
def test_nobody_is_cut_wrongly_in_a_hundred_thousand_meter_days(sqlite_engine, monkeypatch, seed):
    """Four campaigns of 25,600 meter-days."""
    enough(play(sqlite_engine, monkeypatch, seed, 640, 40), 640 * 40)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 120))
def test_nobody_is_cut_wrongly_in_a_million_meter_days(sqlite_engine, monkeypatch, seed):
    """Twenty campaigns of 50,400 meter-days."""
    enough(play(sqlite_engine, monkeypatch, seed, 720, 70), 720 * 70)
