"""Which money may become a household's credit, and when an order is asked for again."""

from dataclasses import dataclass, replace
from itertools import pairwise

import pytest

from server.domain.payments import (
    COUNTER_MIN_FEN,
    ORDER_OPEN_MS,
    ORDER_POLLS_MS,
    TOPUP_MAX_FEN,
    TOPUP_MIN_FEN,
    OrderFacts,
    amount_problem,
    is_overdue,
    poll_is_due,
    suspense_reason,
)


@dataclass(frozen=True)
class Event:
    provider: str = "sandbox"
    event_id: str = "e1"
    transaction_id: str = "t1"
    order_no: str = "o1"
    amount_fen: int = 5000
    paid: bool = True
    paid_ms: int = 1


ORDER = OrderFacts("sandbox", 5000, "created")


def test_money_for_its_own_open_order_is_credit():
    assert suspense_reason(ORDER, Event()) == ""


@pytest.mark.parametrize(
    ("order", "event"),
    [
        (None, Event()),
        (ORDER, Event(amount_fen=4999)),
        (ORDER, Event(amount_fen=5001)),
        (ORDER, Event(provider="other")),
        (replace(ORDER, status="closed"), Event()),
        (replace(ORDER, status="paid"), Event()),
    ],
)
def test_whatever_does_not_fit_waits_in_suspense(order, event):
    assert suspense_reason(order, event) != ""


@pytest.mark.parametrize(
    ("amount_fen", "minimum_fen", "fine"),
    [
        (TOPUP_MIN_FEN, TOPUP_MIN_FEN, True),
        (TOPUP_MIN_FEN - 1, TOPUP_MIN_FEN, False),
        (TOPUP_MAX_FEN, TOPUP_MIN_FEN, True),
        (TOPUP_MAX_FEN + 1, TOPUP_MIN_FEN, False),
        (1, COUNTER_MIN_FEN, True),
        (0, COUNTER_MIN_FEN, False),
        (-1000, COUNTER_MIN_FEN, False),
    ],
)
def test_amounts_have_a_smallest_and_a_largest(amount_fen, minimum_fen, fine):
    assert (amount_problem(amount_fen, minimum_fen) == "") is fine


def test_an_open_order_is_asked_for_at_growing_delays():
    asked = [ms for ms in range(0, ORDER_OPEN_MS + 1, 1000) for n in [len_asked(ms)] if n]
    assert asked[0] == ORDER_POLLS_MS[0]
    delays = [after - before for before, after in pairwise(ORDER_POLLS_MS)]
    assert delays == sorted(delays)


def len_asked(ms: int) -> int:
    return sum(poll_is_due(0, polls, ms) for polls in range(len(ORDER_POLLS_MS)))


def test_an_order_ends_after_its_time():
    assert not is_overdue(0, ORDER_OPEN_MS - 1)
    assert is_overdue(0, ORDER_OPEN_MS)
