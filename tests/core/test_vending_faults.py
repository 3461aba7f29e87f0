"""Up to two faults at every step of a purchase, and bugs planted into a copy of the run that they must find."""

import pytest

from tests.core.prepaid_meter import PaperMeter
from tests.core.vending_rig import ADDRESS, CUSTOMER, load_vending, meter, sweep


class Robbed(PaperMeter):
    """Just before our recharge, somebody else's with the same count arrives."""

    def _book(self, di: str, rest: str) -> str | int:
        if self.count == 2:
            self.purchase(3, 4999)
        return super()._book(di, rest)


class Bragging(PaperMeter):
    """Says that it has booked the first recharge, and has not."""

    def __init__(self) -> None:
        super().__init__(ADDRESS, CUSTOMER, 2)
        self.bragged = False

    def _book(self, di: str, rest: str) -> str | int:
        said, self.bragged = self.bragged, True
        return super()._book(di, rest) if said else ""


def robbed() -> PaperMeter:
    return Robbed(ADDRESS, CUSTOMER, 2)


@pytest.mark.parametrize("depth", [6, pytest.param(12, marks=pytest.mark.ci)])
def test_two_faults_anywhere_never_make_a_run_lie(depth: int) -> None:
    makes = [meter, lambda: meter(hoard_fen=6000), robbed, Bragging]
    if depth > 6:
        makes += [lambda: meter(keeps_records=False), lambda: meter(can_end=False)]
    assert list(sweep(load_vending(), makes, depth)) == []


PLANTED = {
    "our count is not ours yet": ("outcomes", "if count < order.count:", "if count <= order.count:"),
    "a count below ours is ours": ("outcomes", "if count < order.count:", "if count < order.count - 1:"),
    "silence is a refusal": ("recharge", "return self._unknown(doubt) if self._may_be_under_way else", "return"),
    "the next count is tried": (
        "recharge",
        "Recharge(order.address, order.credit,",
        "Recharge(order.address, Credit(5000, 5 - self._sends_left, order.customer),",
    ),
    "the amount is not compared": (
        "outcomes",
        "return Verdict.BOOKED if record.amount_fen == order.amount_fen else Verdict.TAKEN",
        "return Verdict.BOOKED",
    ),
    "the count alone is enough": ("recharge", "if not keeps and count == order.count and", "if"),
    "an accepted frame is a booking": (
        "recharge",
        "if self._sends_left == 0:",
        """if self._refusal.reason is Reason.NOT_COUNTED:
                return Booked(order.count, order.amount_fen, 0, Proof.COUNT)
            if self._sends_left == 0:""",
    ),
    "a refusal is final at once": ("recharge", "return (yield from self._end())", "return self._refusal"),
    "a sent order is not under way": (
        "recharge",
        "        self._may_be_under_way = True\n",
        "        self._may_be_under_way = False\n",
    ),
    "a resumed order was never sent": (
        "recharge",
        "self._may_be_under_way = resumed",
        "self._may_be_under_way = False",
    ),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_makes_a_run_lie(bug: str) -> None:
    name, old, new = PLANTED[bug]
    vending = load_vending({name: (old, new)})
    makes = [meter, lambda: meter(hoard_fen=6000), robbed, Bragging]
    assert next(sweep(vending, makes, depth=6), None) is not None
