"""The state language: seven states, and which of several is shown."""

from dataclasses import dataclass, replace

import pytest

from server.domain.states import STATES, state_of

NOW_S, CYCLE_S = 1_791_864_300, 900


@dataclass(frozen=True)
class Facts:
    balance_fen: int = 10_000
    level: int = 0
    relay: str | None = "closed"
    contact_at: int | None = NOW_S
    payment: str = "prepaid"


CAUSES = {
    "cut": {"relay": "open"},
    "allow": {"relay": "permitted"},
    "lost": {"contact_at": NOW_S - 5 * CYCLE_S},
    "over": {"balance_fen": -1, "level": 3},
    "vlow": {"level": 2},
    "low": {"level": 1},
    "normal": {},
}


def state(**changes: object) -> str:
    return state_of(replace(Facts(), **changes), NOW_S, CYCLE_S)


def test_the_order_of_precedence_is_that_of_the_design():
    assert STATES == ("cut", "allow", "lost", "over", "vlow", "low", "normal")


@pytest.mark.parametrize("name", STATES)
def test_each_state_has_its_cause(name):
    assert state(**CAUSES[name]) == name


@pytest.mark.parametrize(("first", "second"), [(a, b) for i, a in enumerate(STATES) for b in STATES[i + 1 :]])
def test_of_several_states_the_first_is_shown(first, second):
    both = {**CAUSES[second], **CAUSES[first]}
    assert state(**both) == first


def test_an_unknown_relay_is_not_taken_for_an_open_one():
    assert state(relay="unknown") == "normal"
    assert state(relay=None) == "normal"


def test_a_debt_is_no_state_of_a_household_that_pays_afterwards():
    assert state(balance_fen=-50_000, level=3, payment="postpaid") == "normal"
    assert state(balance_fen=-50_000, level=3, payment="postpaid", relay="open") == "cut"


def test_contact_is_lost_only_after_several_cycles():
    assert state(contact_at=NOW_S - 4 * CYCLE_S) == "normal"
    assert state(contact_at=NOW_S - 4 * CYCLE_S - 1) == "lost"
    assert state(contact_at=None) == "lost"


def test_a_debt_of_one_fen_is_an_overdraft_and_nothing_left_is_one_by_its_level():
    assert state(balance_fen=-1) == "over"
    assert state(balance_fen=0, level=3) == "over"
    assert state(balance_fen=0, level=2) == "vlow"
