"""Status words in bulk: what says nothing new is kept in one statement, and just as if it had been believed alone."""

from itertools import product

import pytest

from core.dlt645.identifiers import COMMAND_OPEN, RELAY_OPEN
from server.domain.readings import StatusRead
from server.flows import relays
from server.store import schema
from server.store.supply import SupplyState
from server.store.writer import Writer
from tests.server.estates import ESTATE, meter_id
from tests.server.supply_stage import CLOSED, OPEN, Stage

WORDS = (0, RELAY_OPEN, COMMAND_OPEN, RELAY_OPEN | COMMAND_OPEN)
STATES = [
    SupplyState(*state)
    for state in product(
        ("closed", "open"),
        ("none", "confirmed", "queued", "sent", "accepted", "failed"),
        ("unknown", "closed", "permitted", "open"),
        (None, 1),
        ("none", "arrears"),
    )
]
QUIET = [
    (state, word)
    for state, word in product(STATES, WORDS)
    if state.relay_ms and relays._is_unchanged(StatusRead("m", 1, 1, word), state)
]
TABLES = (schema.supply, schema.relay_desired, schema.relay_attempt, schema.meter_live, schema.notice)


def test_only_settled_relays_that_are_as_wanted_or_already_known_open_are_quiet():
    assert QUIET, "nothing would be kept in bulk"
    for state, word in QUIET:
        assert state.command in ("none", "confirmed")
        assert relays.relay_of(word) == state.relay
        assert (state.desired == "open") == bool(word & RELAY_OPEN)
        assert state.desired == "open" or (word, state.cause) == (0, "none")


def test_a_word_that_says_nothing_new_is_kept_as_if_it_had_been_believed_alone(writer: Writer, monkeypatch):
    stage = Stage(writer)

    def after(state, word):
        values = {"desired": state.desired, "command": state.command, "relay": state.relay, "cause": state.cause}
        stage.set(schema.supply, schema.supply.c.meter_id == meter_id(1), **values, relay_ms=1, relay_at=1)
        stage.status(1, word)
        return [stage.rows(table) for table in TABLES]

    quick = [after(*pair) for pair in QUIET]
    monkeypatch.setattr(relays, "_is_unchanged", lambda _item, _known: False)
    assert [after(*pair) for pair in QUIET] == quick


def test_of_a_batch_only_what_changed_is_believed_one_by_one(writer: Writer, monkeypatch):
    stage, believed = Stage(writer, households=3), []
    for number in (1, 2, 3):
        stage.status(number, CLOSED)
    stage.wait(5)
    believe = relays._believe
    monkeypatch.setattr(relays, "_believe", lambda *parts: (believed.append(parts[2].meter_id), believe(*parts)))
    words = [
        StatusRead(meter_id(number), stage.now.world_s, stage.now.machine_ms, OPEN if number == 2 else CLOSED)
        for number in (1, 2, 3)
    ]
    writer.run(lambda unit: relays.record_status(unit, ESTATE, words, stage.now))
    assert believed == [meter_id(2)]
    assert [stage.supply(number)["relay"] for number in (1, 2, 3)] == ["closed", "open", "closed"]
    assert {stage.supply(number)["relay_at"] for number in (1, 2, 3)} == {stage.now.world_s}


@pytest.mark.parametrize("late_ms", [1, 5_000])
def test_a_word_that_was_outrun_is_not_kept_in_bulk_either(writer: Writer, late_ms):
    stage = Stage(writer)
    stage.status(1, CLOSED)
    before = stage.supply(1), stage.rows(schema.meter_live)
    old = StatusRead(meter_id(1), stage.now.world_s - 5, stage.now.machine_ms - late_ms, CLOSED)
    writer.run(lambda unit: relays.record_status(unit, ESTATE, [old], stage.now))
    assert (stage.supply(1), stage.rows(schema.meter_live)) == before
