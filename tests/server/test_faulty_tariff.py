"""A tariff that is wrong by a digit marks 27 % of an estate for a cut: how far it gets, and how it is undone.

First the breaker stops all and pages the staff. Then two people err and close it: the limits hold the cuts to half a
per cent, the rest is quarantined and stays so. One button gives everybody the power back.
"""

import time

import pytest
from sqlalchemy import func, select

from core.dlt645.identifiers import COMMAND_OPEN, RELAY_OPEN
from server.flows import approvals, relays, supply
from server.flows.verification import verify
from server.store import schema
from server.store.estates import get_estate
from server.store.writer import Writer
from tests.server.crowd import Crowd
from tests.server.estates import ESTATE, SINGLE, meter_id

MARKED_PERCENT = 27
RESTORE_MAX_S, PAGE_MAX_S = 600, 60
RIGHT, WRONG = "0.58886875", "5.8886875"
FAULTY = {**SINGLE, "versions": [{"valid_from": "2021-01-01", "price": WRONG}]}


@pytest.fixture
def writer(sqlite_engine):
    writer = Writer(sqlite_engine)
    yield writer
    writer.stop()


def act(crowd, flow, *args, actor="anna", **kwargs):
    return crowd.writer.run(lambda unit: flow(unit, ESTATE, *args, actor=actor, now=crowd.now, **kwargs))


def decide(crowd):
    crowd.writer.run(lambda unit: supply.decide(unit, ESTATE, crowd.now))


def count(crowd, table, *where):
    return crowd.look(
        lambda connection: connection.execute(select(func.count()).select_from(table).where(*where)).scalar()
    )


def meters_wanted(crowd, state):
    query = select(schema.supply.c.meter_id).where(schema.supply.c.desired == state)
    wanted = set(crowd.look(lambda connection: list(connection.execute(query).scalars())))
    return [number for number in crowd.registers if meter_id(number) in wanted]


def mark(crowd):
    """Everybody uses an hour; at the wrong price that is more than 27 % of them have. All checks but ours hold."""
    marked = range(1, crowd.count * MARKED_PERCENT // 100 + 1)
    crowd.read(dict.fromkeys(crowd.registers, 0))
    crowd.wait(900)
    crowd.read({number: 500 if number in marked else 100 for number in crowd.registers})
    crowd.charge()
    return marked


def prepare(crowd, marked):
    crowd.receive_all()
    for _ in range(2):
        crowd.wait(1200)
        crowd.read(dict.fromkeys(marked, 0))
    crowd.look_at(marked)
    crowd.charge()


def probe_breaker(crowd, marked):
    decide(crowd)
    site = crowd.look(lambda connection: get_estate(connection, ESTATE))
    assert (site["breaker"], count(crowd, schema.relay_desired)) == ("open", 0)
    assert site["breaker_reason"].startswith(f"{len(marked)} households are candidates at once")
    assert count(crowd, schema.anomaly_case, schema.anomaly_case.c.kind == "breaker") == 1


def close_the_breaker(crowd):
    asked = act(crowd, approvals.request_breaker_reset, reason="they all owe, do they not")
    query = select(schema.approval.c.payload_sha256).where(schema.approval.c.approval_id == asked)
    sha = crowd.look(lambda connection: connection.execute(query).scalar())
    act(crowd, approvals.approve, asked, sha, actor="bert")


def send(crowd):
    """Every cut that is wanted and not read back gets leave, as its bus asks for it before the frame."""
    query = select(schema.supply.c.meter_id, schema.supply.c.gen).where(
        schema.supply.c.desired == "open", schema.supply.c.relay != "open"
    )

    def leave(unit):
        for meter, gen in unit.connection.execute(query).all():
            assert relays.clear_trip(unit, ESTATE, meter, gen, crowd.now, clock_sane=True, sending=True)

    crowd.writer.run(leave)


def go_on(crowd, marked, rounds):
    for _ in range(rounds):
        decide(crowd)
        crowd.wait(60)
    crowd.read(dict.fromkeys(marked, 0))
    send(crowd)
    dark = set(meters_wanted(crowd, "open"))
    crowd.status(sorted(dark), RELAY_OPEN | COMMAND_OPEN)
    crowd.look_at([number for number in marked if number not in dark])
    return dark


def quarantined(crowd):
    return count(crowd, schema.supply, schema.supply.c.candidate == "quarantined")


def restore(crowd):
    """Press the button and carry out each close at its turn; seconds until the last one was sent."""
    act(crowd, supply.restore_all, reason="the tariff is wrong by a digit")
    buses = crowd.look(lambda connection: connection.execute(select(schema.bus.c.bus_id)).scalars().all())
    last_ms = crowd.look(
        lambda connection: connection.execute(select(func.max(schema.relay_desired.c.not_before_ms))).scalar()
    )
    takes_s = (last_ms - crowd.now.machine_ms) / 1000

    def turns(connection, ms):
        return [one for bus in buses for one in relays.next_orders(connection, ESTATE, bus, crowd.now.machine_ms + ms)]

    first = crowd.look(lambda connection: turns(connection, 0))
    everyone = crowd.look(lambda connection: turns(connection, RESTORE_MAX_S * 1000))
    crowd.wait(int(takes_s) + 5)
    numbers = {meter_id(number): number for number in crowd.registers}
    crowd.status([numbers[one.meter_id] for one in everyone], 0)
    return takes_s, first, everyone


def play(crowd):
    marked = mark(crowd)
    started = time.monotonic()
    probe_breaker(crowd, marked)
    assert time.monotonic() - started < PAGE_MAX_S
    prepare(crowd, marked)
    decide(crowd)
    assert count(crowd, schema.relay_desired) == 0
    close_the_breaker(crowd)
    dark = go_on(crowd, marked, 3)
    one_percent = max(5, crowd.count // 100)
    assert 0 < len(dark) <= one_percent
    assert quarantined(crowd) >= len(marked) - len(dark) - one_percent
    crowd.wait(3601)
    crowd.read(dict.fromkeys(marked, 0))
    assert go_on(crowd, marked, 1) == dark, "nobody leaves the quarantine by waiting"
    takes_s, first, everyone = restore(crowd)
    assert {one.action for one in everyone} == {"allow"}
    assert len(everyone) == len(dark)
    assert len(first) <= len({one.meter_id for one in everyone})
    assert takes_s <= RESTORE_MAX_S
    assert meters_wanted(crowd, "open") == []
    assert count(crowd, schema.supply, schema.supply.c.relay == "open") == 0
    decide(crowd)
    assert meters_wanted(crowd, "open") == []
    assert crowd.look(lambda connection: verify(connection, ESTATE)).mismatches == ()


def test_a_wrong_tariff_in_a_small_estate(writer):
    play(Crowd(writer, 240, 250, FAULTY))


def test_without_the_breaker_a_wrong_tariff_would_cut(writer, monkeypatch):
    crowd = Crowd(writer, 240, 250, FAULTY)
    marked = mark(crowd)
    prepare(crowd, marked)
    monkeypatch.setattr("server.flows.breaker.too_many_candidates", lambda *_: "")
    with pytest.raises(AssertionError):
        probe_breaker(crowd, marked)


def test_without_the_limits_a_wrong_tariff_would_cut_far_more(writer, monkeypatch):
    monkeypatch.setattr("server.domain.supply.trips_allowed", lambda *_: 10**6)
    monkeypatch.setattr("server.store.supply.trips_allowed", lambda *_: 10**6)
    monkeypatch.setattr("server.store.supply.system_limit", lambda *_: (0, 10**6))
    with pytest.raises(AssertionError):
        play(Crowd(writer, 240, 250, FAULTY))


def test_the_right_price_marks_nobody(writer):
    crowd = Crowd(writer, 240, 250, {**SINGLE, "versions": [{"valid_from": "2021-01-01", "price": RIGHT}]})
    prepare(crowd, mark(crowd))
    decide(crowd)
    assert count(crowd, schema.relay_desired) == 0
    assert crowd.look(lambda connection: get_estate(connection, ESTATE))["breaker"] == "closed"


@pytest.mark.ci
def test_a_wrong_tariff_in_an_estate_of_fifty_thousand(writer):
    play(Crowd(writer, 50_000, 250, FAULTY))
