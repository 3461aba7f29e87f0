"""Replies that are sound frames and still tell nothing, and things that happen between two questions."""

from collections.abc import Callable
from typing import Any

import pytest

from core.dlt645.frame import Frame, encode, parse
from core.dlt645.security import Serr
from core.vending import Booked, Doubt, DummyVendingBackend, Order, Proof, Reason, RechargeRun, Refused
from tests.core.prepaid_meter import PaperMeter
from tests.core.vending_rig import ADDRESS, CUSTOMER, SEED, Line, finish, meter

ORDER = Order(ADDRESS, CUSTOMER, 3, 5000)
STATUS, END, RECHARGE, RECORD, MONEY = 0x078102FF, 0x070002FF, 0x070102FF, 0x0333FF01, 0x00900200


class Bent(Line):
    """A line on which the data of some replies is another: `bend` gives it, or None to leave it."""

    def __init__(self, made: PaperMeter, bend: Callable[[int, bytes], bytes | None]) -> None:
        super().__init__(made)
        self.bend = bend

    def exchange(self, command: Any) -> bytes | None:
        told = super().exchange(command)
        if told is None or (frame := parse(told)).identifier is None:
            return told
        bent = self.bend(frame.identifier, frame.data[4:])
        return told if bent is None else encode(Frame(frame.address, frame.control, frame.data[:4] + bent), 0)


def told(line: Line, *, resumed: bool = False) -> Any:
    return finish(RechargeRun(ORDER, SEED, resumed=resumed), line, DummyVendingBackend())


def once(di: int, bend: Callable[[bytes], bytes]) -> Callable[[int, bytes], bytes | None]:
    """Bend the first reply with this identifier only."""
    left = [di]

    def bent(seen: int, data: bytes) -> bytes | None:
        if seen not in left:
            return None
        left.remove(seen)
        return bend(data)

    return bent


def not_bcd(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + b"\xaa" + data[at + 1 :]


@pytest.mark.parametrize(
    ("di", "bend"),
    [
        (STATUS, not_bcd(16)),
        (STATUS, not_bcd(8)),
        (RECORD, not_bcd(7)),
        (RECORD, not_bcd(5)),
        (RECORD, lambda data: data[:-1]),
    ],
)
def test_a_reply_that_tells_nothing_is_asked_for_again(di: int, bend: Callable[[bytes], bytes]) -> None:
    line = Bent(meter(), once(di, bend))
    assert told(line) == Booked(3, 5000, 7003, Proof.RECORD)
    assert len(line.sent) == 7


def test_money_left_that_is_no_number_is_taken_from_the_status() -> None:
    assert told(Bent(meter(), once(MONEY, lambda _data: b"\xaa" * 4))) == Booked(3, 5000, 7003, Proof.RECORD)
    assert told(Bent(meter(), once(MONEY, lambda _data: b"\xff" * 4))) == Booked(3, 5000, 7003, Proof.RECORD)


def test_a_record_of_fillers_is_no_record() -> None:
    line = Bent(meter(), lambda di, data: b"\xff" * 23 if di == RECORD else None)
    assert told(line) == Booked(3, 5000, 7003, Proof.COUNT)


def test_a_record_that_stays_behind_the_count_proves_nothing() -> None:
    line = Bent(meter(), lambda di, data: data[:5] + b"\x02\x00" + data[7:] if di == RECORD else None)
    assert told(line).doubt is Doubt.NO_RECORD
    assert line.meter.count == 3


def test_an_end_that_tells_nothing_is_asked_for_again() -> None:
    line = Bent(meter(hoard_fen=6000), once(END, not_bcd(0)))
    assert told(line) == Refused(Reason.METER, Serr.HOARDING)
    assert [command.DI for command in line.sent if hasattr(command, "DI")].count(END) == 2


def test_a_slow_purchase_that_arrives_just_before_the_end_is_found_by_it() -> None:
    line = Line(meter())

    def fault(command: Any) -> str | None:
        di = getattr(command, "DI", 0)
        if di == END:
            line.release()
        return "slow" if di == RECHARGE else None

    line.fault = fault
    assert told(line) == Booked(3, 5000, 7003, Proof.RECORD)
    assert line.meter.log[2:] == [(3, 5000)]


def test_a_count_that_came_from_elsewhere_after_a_refusal_is_not_taken_for_ours() -> None:
    made = meter(hoard_fen=6000, keeps_records=False)
    line = Line(made)

    def fault(_command: Any) -> None:
        if any(getattr(command, "DI", 0) == RECHARGE for command in line.sent[:-1]):
            made.purchase(3, 4)

    line.fault = fault
    assert told(line).doubt is Doubt.NO_RECORD
