"""Orders, crashes, faults, slow and late frames, strangers at the counter, in any order Hypothesis can think of.

The meter is a dictionary that books a count at most once. Never is an order booked twice, called booked when it is not,
or called refused and booked later; after a refusal the same count goes to the next order, as a vending desk would do.
"""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.core.prepaid_meter import PaperMeter
from tests.core.vending_rig import ADDRESS, CUSTOMER, FAULTS, Line, load_vending, step_once, wrongs

HOARD_FEN = 3000


class Desk(RuleBasedStateMachine):
    """One vending desk that sells to one meter over one line and loses its memory now and then."""

    vending: Any = load_vending()

    def __init__(self) -> None:
        super().__init__()
        self.meter = PaperMeter(ADDRESS, CUSTOMER)
        self.meter.hoard_fen = HOARD_FEN
        self.fault: str | None = None
        self.line = Line(self.meter, lambda _command: self.fault)
        self.order: Any = None
        self.may_have_been_sent = False
        self.run: Any = None
        self.ended: list[tuple[Any, Any]] = []
        self.draws = 0

    def _draw(self) -> int:
        self.draws += 1
        return self.draws

    @precondition(lambda self: self.order is None)
    @rule()
    def sell(self) -> None:
        self.order = self.vending.Order(ADDRESS, CUSTOMER, self.meter.count + 1, 1000 + self._draw())
        self.may_have_been_sent = False

    @precondition(lambda self: self.order is not None and self.run is None)
    @rule()
    def begin(self) -> None:
        seed = self._draw().to_bytes(16, "big")
        self.run = self.vending.RechargeRun(self.order, seed, resumed=self.may_have_been_sent)

    @precondition(lambda self: self.run is not None)
    @rule(fault=st.sampled_from((None, None, None, *FAULTS)), backend=st.sampled_from((True,) * 5 + (False,)))
    def step(self, fault: str | None, *, backend: bool) -> None:
        self.fault = fault
        self._step(backend=backend)

    @precondition(lambda self: self.run is not None)
    @rule(steps=st.integers(1, 12))
    def go_on(self, steps: int) -> None:
        """Many steps without a fault, or nobody would ever come to an end."""
        self.fault = None
        for _ in range(steps):
            if self.run is not None:
                self._step(backend=True)

    def _step(self, *, backend: bool) -> None:
        self.may_have_been_sent |= hasattr(self.run.next_step(), "credit")
        step_once(self.run, self.line, self.vending.DummyVendingBackend() if backend else None)
        if self.run.next_step() is not None:
            return
        outcome, self.run = self.run.outcome, None
        if type(outcome).__name__ != "Unknown":
            self.ended.append((outcome, self.order))
            self.order = None

    @precondition(lambda self: self.run is not None)
    @rule()
    def crash(self) -> None:
        self.run = None

    @rule()
    def slow_frames_arrive(self) -> None:
        self.line.release()

    @rule(share=st.integers(0, 3))
    def use_energy(self, share: int) -> None:
        self.meter.left_fen = self.meter.left_fen * share // 4

    @rule(seconds=st.sampled_from((30, 250, 400)))
    def wait(self, seconds: int) -> None:
        self.line.now_s += seconds

    @rule()
    def a_stranger_sells(self) -> None:
        self.meter.purchase(self.meter.count + 1, 100 + self._draw())

    @invariant()
    def nobody_has_lied(self) -> None:
        assert [text for outcome, order in self.ended for text in wrongs(outcome, order, self.meter)] == []


def campaign(vending: Any, examples: int, phases: Sequence[Phase] = tuple(Phase)) -> None:
    machine = type("Desk", (Desk,), {"vending": vending})
    wanted = settings(max_examples=examples, stateful_step_count=40, deadline=None, database=None, phases=phases)
    run_state_machine_as_test(machine, settings=wanted)


def test_no_story_makes_a_desk_lie() -> None:
    campaign(load_vending(), 60)


@pytest.mark.ci
def test_no_story_makes_a_desk_lie_in_a_long_campaign() -> None:
    campaign(load_vending(), 5000)


@pytest.mark.ci
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self._may_be_under_way = resumed", "self._may_be_under_way = False"),
        ("            if verdict is Verdict.TAKEN:\n", "            if verdict is Verdict.BOOKED:\n"),
    ],
)
def test_the_stories_find_a_planted_bug(old: str, new: str) -> None:
    vending = load_vending({"recharge": (old, new)})
    with pytest.raises(AssertionError):
        campaign(vending, 2000, (Phase.generate,))
