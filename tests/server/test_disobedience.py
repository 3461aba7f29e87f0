"""A relay that is wanted otherwise and stays where it is: when that is a case."""

import pytest
from sqlalchemy import update

from server.flows import relays
from server.store import schema
from tests.server.estates import ESTATE, START_S, at, meter_id, plant
from tests.server.test_cases import Estate


@pytest.fixture
def estate(engine, writer):
    plant(writer, 1)
    return Estate(engine, writer)


def wanted(estate, s, state, gen, command="sent", **supply):
    """Wish `gen` of the first meter's relay."""
    action = "trip" if state == "open" else "allow"
    wish = {
        "estate_id": ESTATE, "meter_id": meter_id(1), "gen": gen, "state": state, "action": action,
        "reason": "arrears", "decided_at": START_S + s, "created_ms": 0, "expires_at": START_S + s + 1800,
    }  # fmt: skip
    values = {"gen": gen, "desired": state, "command": command, **supply}
    mine = schema.supply.c.meter_id == meter_id(1)
    estate.writer.run(lambda unit: unit.connection.execute(schema.relay_desired.insert().values(**wish)) and None)
    estate.writer.run(lambda unit: unit.connection.execute(update(schema.supply).where(mine).values(**values)) and None)


def read_back(estate, gen, *seconds):
    for s in seconds:
        estate.writer.run(
            lambda unit, s=s: relays.record_attempt(unit, ESTATE, meter_id(1), gen, "read_back", "", at(s))
        )


@pytest.mark.parametrize("state", ["open", "closed"])
@pytest.mark.parametrize(("seconds", "found"), [((10, 2000), False), ((10, 20, 1800), False), ((10, 20, 1810), True)])
def test_a_relay_that_stays_where_it_is_for_half_an_hour_disobeys(estate, state, seconds, found):
    wanted(estate, 0, state, 1)
    read_back(estate, 1, *seconds)
    assert estate.found(3000) == [("relay_disobeys", meter_id(1))] * found


def test_a_cut_that_expires_and_is_decided_anew_is_the_same_disobedience_until_the_relay_has_opened(estate):
    wanted(estate, 0, "open", 1)
    read_back(estate, 1, 10, 20)
    wanted(estate, 1700, "closed", 2)
    wanted(estate, 1800, "open", 3)
    read_back(estate, 3, 1900)
    [case_id] = estate.detect(3000)
    assert estate.the_case()["evidence"] == {
        "wanted": "open", "read_back_times": 3, "first_read_back_at": START_S + 10,
        "last_read_back_at": START_S + 1900, "command_gen": 3,
    }  # fmt: skip
    estate.close(case_id, 3100)
    assert estate.found(3200) == []
    wanted(estate, 3300, "open", 4, opened_at=START_S + 3250)
    read_back(estate, 4, 3310, 3320)
    assert estate.found(5200) == []


def test_a_relay_that_obeyed_in_the_end_is_no_anomaly(estate):
    wanted(estate, 0, "open", 1, command="confirmed")
    read_back(estate, 1, 10, 20, 1900)
    assert estate.found(3000) == []
