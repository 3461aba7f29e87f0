"""What a purchase can end as, and the rule that decides it from what the meter shows.

Booked: the meter has taken this count with this amount. Refused: it has not, and nothing of ours on the way can still
make it. Unknown: neither can be said yet; `ask` settles it, and only the same order may be sent again, never a new
count. The rule needs one issuer of counts per meter.
"""

from dataclasses import dataclass
from enum import StrEnum

from core.dlt645.commands import NO_OPERATOR, Command
from core.dlt645.prepaid import Credit, Purchase
from core.dlt645.security import SERR, Serr, bit_names
from core.errors import ProtocolMisuse

AMOUNT_MAX_FEN = 99_999_999  # what the registers of money show
NO_SERR = Serr(0)
Text = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Order:
    """One purchase for one meter. Whoever keeps (count, amount) can carry it on after a restart."""

    address: str
    customer: str
    count: int
    amount_fen: int
    operator: str = NO_OPERATOR

    def __post_init__(self) -> None:
        if not 1 <= self.amount_fen <= AMOUNT_MAX_FEN:
            raise ProtocolMisuse(f"an amount is within 1..{AMOUNT_MAX_FEN} fen, not {self.amount_fen}")
        if self.count < 1 or not self.address.isdecimal():
            raise ProtocolMisuse(f"an order names one meter and a count from 1: {self.address}, {self.count}")
        _ = self.credit

    @property
    def credit(self) -> Credit:
        """As it travels."""
        return Credit(self.amount_fen, self.count, self.customer)


class Reason(StrEnum):
    """Why an order is refused."""

    METER = "meter"
    NO_ANSWER = "no_answer"
    BACKEND = "backend"
    NOT_GENUINE = "not_genuine"
    CUSTOMER = "customer"
    COUNT_TAKEN = "count_taken"
    COUNT_GAP = "count_gap"
    NOT_COUNTED = "not_counted"


class Doubt(StrEnum):
    """Why nothing can be said yet."""

    NO_STATUS = "no_status"
    NOT_GENUINE = "not_genuine"
    NOT_ENDED = "not_ended"
    NO_RECORD = "no_record"
    COUNT_PASSED = "count_passed"
    COUNT_GAP = "count_gap"
    CUSTOMER = "customer"
    BACKEND = "backend"


class Proof(StrEnum):
    """What a booking rests on: the meter's own record of count and amount, or its count alone (it keeps no record)."""

    RECORD = "record"
    COUNT = "count"


REASONS: dict[Reason, Text] = {
    Reason.METER: ("the meter refused", "电能表拒绝"),
    Reason.NO_ANSWER: ("the meter did not answer; nothing was booked", "电能表无应答，未入账"),
    Reason.BACKEND: ("the vending backend did not answer", "售电加密服务无应答"),
    Reason.NOT_GENUINE: ("the meter's status has a wrong MAC", "电能表状态MAC校验失败"),
    Reason.CUSTOMER: ("the meter belongs to another customer", "客户编号与电能表不一致"),
    Reason.COUNT_TAKEN: ("another purchase has taken this count", "该购电次数已被其他购电占用"),
    Reason.COUNT_GAP: ("the meter's count is too low for this purchase", "电能表购电次数小于应有值"),
    Reason.NOT_COUNTED: ("the meter accepted the purchase but did not book it", "电能表应答成功但未入账"),
}
DOUBTS: dict[Doubt, Text] = {
    Doubt.NO_STATUS: ("the purchase count could not be read", "未能读取购电次数"),
    Doubt.NOT_GENUINE: ("the meter's status has a wrong MAC", "电能表状态MAC校验失败"),
    Doubt.NOT_ENDED: ("the authentication could not be ended", "身份认证未能失效"),
    Doubt.NO_RECORD: ("the record of the purchase could not be read", "未能读取购电记录"),
    Doubt.COUNT_PASSED: ("later purchases hide this one", "后续购电已覆盖本次记录"),
    Doubt.COUNT_GAP: ("the meter's count went back: replaced or cleared?", "电能表购电次数变小，可能已换表或清零"),
    Doubt.CUSTOMER: ("the meter now belongs to another customer", "电能表客户编号已改变"),
    Doubt.BACKEND: ("the vending backend could not judge the status", "售电加密服务未能校验电能表状态"),
}


@dataclass(frozen=True, slots=True)
class Booked:
    """The money is in the meter. `remaining_fen` is what it says is left, a moment later."""

    count: int
    amount_fen: int
    remaining_fen: int
    proof: Proof


@dataclass(frozen=True, slots=True)
class Refused:
    """The money is not in the meter and will not be; `serr` is the meter's last error word, 0 if it gave none."""

    reason: Reason
    serr: Serr = NO_SERR

    @property
    def names(self) -> tuple[Text, ...]:
        """Why, in English and Chinese: the bits of the error word where there is one."""
        return bit_names(SERR, self.serr) or (REASONS[self.reason],)


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows yet. `ask` are the questions that settle it; the order may be run again with the same count only."""

    doubt: Doubt
    ask: tuple[Command, ...]

    @property
    def names(self) -> tuple[Text, ...]:
        """Why, in English and Chinese."""
        return (DOUBTS[self.doubt],)


Outcome = Booked | Refused | Unknown


class Verdict(StrEnum):
    """What count and record say of an order."""

    BOOKED = "booked"
    NOT_BOOKED = "not_booked"
    TAKEN = "taken"
    ASK_RECORD = "ask_record"


def judge(order: Order, count: int, record: Purchase | None = None) -> Verdict:
    """The count protocol: `count` is the meter's, `record` its purchase that should be ours (`record_back` says which).

    A count below the order's means not booked, so far. Otherwise the record must name the count, and the amount
    decides; without such a record ASK_RECORD.
    """
    if count < order.count:
        return Verdict.NOT_BOOKED
    if record is None or not record.is_of(order.count):
        return Verdict.ASK_RECORD
    return Verdict.BOOKED if record.amount_fen == order.amount_fen else Verdict.TAKEN


def record_back(order: Order, count: int) -> int:
    """Which of the last purchases is the order's on a meter at `count`: 1 is the latest."""
    return count - order.count + 1
