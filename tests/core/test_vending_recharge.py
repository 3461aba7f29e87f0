"""One purchase into a wallet: every step silent, refused, slow or repeated; and what a run then says."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from core.dlt645.commands import Read
from core.dlt645.frame import Frame
from core.dlt645.prepaid import AuthenticateIdentity, EndAuthentication, QueryStatus, Recharge
from core.dlt645.security import Serr
from core.errors import ProtocolMisuse
from core.vending import (
    Booked,
    CreditMacs,
    Doubt,
    DummyVendingBackend,
    Order,
    Proof,
    Reason,
    RechargeRun,
    Refused,
    Unknown,
    check_line,
)
from tests.core.prepaid_meter import PaperMeter
from tests.core.vending_rig import (
    ADDRESS,
    CUSTOMER,
    SEED,
    Line,
    at_steps,
    finish,
    meter,
    step_once,
)

ORDER = Order(ADDRESS, CUSTOMER, 3, 5000, "00000001")
BACKEND = DummyVendingBackend()


def run_of(line: Line, *, resumed: bool = False, order: Order = ORDER, seed: bytes = SEED) -> Any:
    return finish(RechargeRun(order, seed, resumed=resumed), line, BACKEND)


def kinds(line: Line) -> list[str]:
    return [f"{c.di:08X}" if isinstance(c, Read) else type(c).__name__ for c in line.sent]


def silent_for(kind: type) -> Callable[[Any], str | None]:
    return lambda command: "lost" if type(command) is kind else None


def test_a_purchase_is_booked_and_read_back() -> None:
    line = Line(meter())
    assert run_of(line) == Booked(3, 5000, 7003, Proof.RECORD)
    assert line.meter.log == [(1, 1001), (2, 1002), (3, 5000)]
    assert kinds(line) == [
        "AuthenticateIdentity", "QueryStatus", "Recharge", "QueryStatus", "0333FF01", "00900200",
    ]  # fmt: skip
    assert {command.operator for command in line.sent if hasattr(command, "operator")} == {"00000001"}


@pytest.mark.parametrize("step", range(6))
@pytest.mark.parametrize("fault", ["lost", "mute", "late"])
def test_one_silence_anywhere_changes_nothing(step: int, fault: str) -> None:
    line = Line(meter(), at_steps({step: fault}))
    assert run_of(line) == Booked(3, 5000, 7003, Proof.RECORD)
    assert [count for count, _ in line.meter.log] == [1, 2, 3]


def test_a_lost_reply_is_asked_about_and_not_sent_again() -> None:
    line = Line(meter(), at_steps({2: "mute"}))
    assert isinstance(run_of(line), Booked)
    assert kinds(line).count("Recharge") == 1


def test_a_lost_request_is_sent_again_with_the_same_count() -> None:
    line = Line(meter(), at_steps({2: "lost"}))
    assert isinstance(run_of(line), Booked)
    sent = [command for command in line.sent if isinstance(command, Recharge)]
    assert [command.credit for command in sent] == [ORDER.credit] * 2
    assert sent[0] == sent[1]


def test_a_silent_meter_is_a_refusal_before_the_money_and_a_doubt_behind_it() -> None:
    assert run_of(Line(meter(), lambda _command: "lost")) == Refused(Reason.NO_ANSWER)
    line = Line(meter(), at_steps(dict.fromkeys(range(2, 40), "lost")))
    doubt = run_of(line)
    assert doubt == Unknown(Doubt.NO_STATUS, (QueryStatus(ADDRESS, operator="00000001"), Read(ADDRESS, 0x0333FF01)))
    line.fault = lambda _command: None
    assert run_of(line, resumed=True) == Booked(3, 5000, 7003, Proof.RECORD)


@pytest.mark.parametrize(
    ("silent", "outcome"),
    [
        (AuthenticateIdentity, Refused(Reason.NO_ANSWER)),
        (QueryStatus, Refused(Reason.NO_ANSWER)),
        (Recharge, Refused(Reason.NO_ANSWER)),
        (EndAuthentication, Booked(3, 5000, 7003, Proof.RECORD)),
    ],
)
def test_a_command_that_a_meter_never_hears(silent: type, outcome: Any) -> None:
    line = Line(meter(), silent_for(silent))
    assert run_of(line) == outcome
    assert kinds(line).count(silent.__name__) == (0 if silent is EndAuthentication else 3)


def test_a_purchase_that_never_arrives_is_refused_only_behind_the_end_of_the_authentication() -> None:
    deaf = lambda command: "lost" if isinstance(command, Recharge | EndAuthentication) else None  # noqa: E731
    line = Line(meter(), deaf)
    assert run_of(line).doubt is Doubt.NOT_ENDED
    assert run_of(Line(meter(can_end=False), silent_for(Recharge))).doubt is Doubt.NOT_ENDED
    slow = Line(meter(), lambda command: "slow" if isinstance(command, Recharge) else None)
    assert run_of(slow) == Refused(Reason.NO_ANSWER)
    slow.release()
    assert slow.meter.count == 2


REFUSALS = [
    ({"refuses_identity": True}, Refused(Reason.METER, Serr.IDENTITY)),
    ({"customer": "000000999999"}, Refused(Reason.CUSTOMER)),
    ({"hoard_fen": 6000}, Refused(Reason.METER, Serr.HOARDING)),
    ({"speaks_status": False}, Refused(Reason.METER, Serr.OTHER)),
    ({"lies": True}, Refused(Reason.NOT_GENUINE)),
]


@pytest.mark.parametrize(("traits", "outcome"), REFUSALS, ids=lambda value: str(value)[:30])
def test_what_the_meter_refuses_is_said_with_its_reason(traits: dict[str, Any], outcome: Refused) -> None:
    line = Line(meter(**traits))
    assert run_of(line) == outcome
    assert len(line.meter.log) == 2
    for en, zh in outcome.names:
        assert en.isascii()
        assert not zh.isascii()


@pytest.mark.parametrize(
    ("count", "fresh", "resumed"),
    [
        (1, Refused(Reason.COUNT_GAP), Doubt.COUNT_GAP),
        (3, Refused(Reason.COUNT_TAKEN), Refused(Reason.COUNT_TAKEN)),
        (5, Refused(Reason.COUNT_TAKEN), Refused(Reason.COUNT_TAKEN)),
        (13, Refused(Reason.COUNT_TAKEN), Doubt.COUNT_PASSED),
    ],
)
def test_other_counts_book_nothing(count: int, fresh: Refused, resumed: Any) -> None:
    def at() -> PaperMeter:
        made = PaperMeter(ADDRESS, CUSTOMER)
        for n in range(1, count + 1):
            made.purchase(n, 100 + n)
        return made

    first, second = Line(at()), Line(at())
    assert run_of(first) == fresh
    again = run_of(second, resumed=True)
    assert again == resumed or again.doubt is resumed
    assert "Recharge" not in kinds(first) + kinds(second)


def test_an_order_booked_before_a_restart_is_found_behind_later_purchases() -> None:
    for later in range(9):
        made = meter()
        made.purchase(3, 5000)
        for n in range(later):
            made.purchase(4 + n, 200 + n)
        line = Line(made)
        assert isinstance(run_of(line, resumed=True), Booked)
        assert kinds(line)[2] == f"0333FF{later + 1:02X}"


class Quoting(Line):
    """A line that answers recharges, or reads of the money left, with a published frame."""

    def __init__(self, meter: PaperMeter, quoted: str, kind: type) -> None:
        super().__init__(meter)
        self.quoted, self.kind = bytes.fromhex(quoted), kind

    def exchange(self, command: Any) -> bytes | None:
        told = super().exchange(command)
        money_left = getattr(command, "di", 0) == 0x00900200
        return self.quoted if isinstance(command, self.kind) and (self.kind is Recharge or money_left) else told


@pytest.mark.parametrize(
    ("quoted", "booked", "outcome"),
    [
        ("687856341214206883043235343A7416", True, Booked(3, 5000, 7003, Proof.RECORD)),
        ("687856341214206883043235343A7416", False, Refused(Reason.NOT_COUNTED)),
        ("6878563412142068C30235334516", True, Booked(3, 5000, 7003, Proof.RECORD)),
        ("6878563412142068C30235334516", False, Refused(Reason.METER, Serr.REPEATED)),
        ("6878563412142068C30253336316", True, Booked(3, 5000, 7003, Proof.RECORD)),
        ("6878563412142068C30253336316", False, Refused(Reason.METER, Serr.COUNT)),
    ],
)
def test_worked_replies_are_weighed_against_the_count(quoted: str, booked: bool, outcome: Any) -> None:
    line = Quoting(meter(), quoted, Recharge)
    line.fault = lambda command: None if booked or not isinstance(command, Recharge) else "lost"
    assert run_of(line) == outcome


def test_the_money_left_of_a_worked_frame_is_told() -> None:
    made = PaperMeter("201000000012", CUSTOMER)
    line = Quoting(made, "681200000010206891083335C33389CB3433C416", Read)
    assert run_of(line, order=Order("201000000012", CUSTOMER, 1, 5000)) == Booked(1, 5000, 19856, Proof.RECORD)


def test_a_meter_without_records_is_believed_by_its_count_and_says_so() -> None:
    line = Line(meter(keeps_records=False), at_steps({2: "mute"}))
    assert run_of(line) == Booked(3, 5000, 7003, Proof.COUNT)
    assert run_of(line, resumed=True) == Booked(3, 5000, 7003, Proof.COUNT)
    line.meter.purchase(4, 77)
    assert run_of(line, resumed=True).doubt is Doubt.COUNT_PASSED


def test_a_count_that_somebody_else_takes_in_between_is_not_ours() -> None:
    def stealing(kept: bool) -> Line:
        made = meter(keeps_records=kept)

        def fault(command: Any) -> None:
            if isinstance(command, Recharge) and made.count == 2:
                made.purchase(3, 4999)

        return Line(made, fault)

    assert run_of(stealing(kept=True)) == Refused(Reason.COUNT_TAKEN)
    told = run_of(stealing(kept=False))
    assert told == Booked(3, 5000, 7002, Proof.COUNT)  # wrong: without records one issuer is assumed, the proof says so


def test_an_authentication_that_has_run_out_is_made_anew() -> None:
    line = Line(meter())
    run = RechargeRun(ORDER, SEED, resumed=False)
    while not isinstance(run.next_step(), QueryStatus):
        step_once(run, line, BACKEND)
    line.now_s += 240
    assert finish(run, line, BACKEND) == Booked(3, 5000, 7003, Proof.RECORD)
    assert kinds(line)[:4] == ["AuthenticateIdentity", "QueryStatus", "AuthenticateIdentity", "Recharge"]
    randoms = [command.random for command in line.sent if isinstance(command, AuthenticateIdentity)]
    assert len(set(randoms)) == 2


def test_a_meter_that_forgot_the_authentication_gets_another() -> None:
    line = Line(meter())
    line.fault = lambda command: setattr(line.meter, "random", "") if kinds(line).count("Recharge") == 1 else None
    assert run_of(line) == Booked(3, 5000, 7003, Proof.RECORD)
    assert kinds(line).count("AuthenticateIdentity") == 2


def test_a_backend_with_a_wrong_key_tries_twice_only() -> None:
    class WrongKey(DummyVendingBackend):
        def seal_credit(self, session: Any, di: int, credit: Any) -> CreditMacs:
            return CreditMacs(bytes(4), bytes(4))

    line = Line(meter())
    assert finish(RechargeRun(ORDER, SEED, resumed=False), line, WrongKey()) == Refused(Reason.METER, Serr.ESAM)
    assert kinds(line).count("Recharge") == 2


@pytest.mark.parametrize(
    ("fails_at", "resumed", "outcome"),
    [
        ("IdentityWanted", False, Refused(Reason.BACKEND)),
        ("CreditWanted", False, Refused(Reason.BACKEND)),
        ("StatusWanted", False, Refused(Reason.BACKEND)),
        ("IdentityWanted", True, Refused(Reason.BACKEND)),
        ("StatusWanted", True, Doubt.BACKEND),
    ],
)
def test_a_backend_that_fails_never_costs_a_booking(fails_at: str, resumed: bool, outcome: Any) -> None:
    run, line = RechargeRun(ORDER, SEED, resumed=resumed), Line(meter())
    while (step := run.next_step()) is not None:
        step_once(run, line, None if type(step).__name__ == fails_at else BACKEND)
    assert run.outcome == outcome or run.outcome.doubt is outcome
    assert line.meter.count == 2
    assert kinds(line).count("EndAuthentication") == (resumed and fails_at == "IdentityWanted")


def test_misuse_is_ours_and_changes_nothing() -> None:
    run = RechargeRun(ORDER, SEED, resumed=False)
    for wrong in (lambda: run.silent(0.0), lambda: run.take(Frame(ADDRESS, 0x91), 0.0), lambda: run.supply(True)):
        with pytest.raises(ProtocolMisuse):
            wrong()
    step_once(run, Line(meter()), BACKEND)
    with pytest.raises(ProtocolMisuse):
        run.take(Frame(ADDRESS, 0x83, bytes.fromhex("FF028107")), 0.0)
    with pytest.raises(ProtocolMisuse):
        run.backend_failed()
    assert finish(run, Line(meter()), BACKEND) == Booked(3, 5000, 7003, Proof.RECORD)
    with pytest.raises(ProtocolMisuse):
        run.silent(0.0)
    with pytest.raises(ProtocolMisuse):
        RechargeRun(ORDER, bytes(15), resumed=False)


@pytest.mark.parametrize(
    ("address", "customer", "count", "amount_fen"),
    [("A" * 12, CUSTOMER, 1, 1), (ADDRESS, "AA" + "0" * 10, 1, 1), (ADDRESS, CUSTOMER, 0, 1), (ADDRESS, "1", 1, 1),
     (ADDRESS, CUSTOMER, 1, 0), (ADDRESS, CUSTOMER, 1, 100_000_000), (ADDRESS, CUSTOMER, 1 << 32, 1)],
)  # fmt: skip
def test_an_impossible_order_is_our_mistake(address: str, customer: str, count: int, amount_fen: int) -> None:
    with pytest.raises(ProtocolMisuse):
        Order(address, customer, count, amount_fen)


def test_the_dummy_backend_stays_off_real_lines() -> None:
    check_line(BACKEND, is_simulated=True)
    with pytest.raises(ProtocolMisuse, match="DummyVendingBackend is for simulated meters only"):
        check_line(BACKEND, is_simulated=False)


def test_every_reason_and_doubt_has_a_name_in_both_languages() -> None:
    names = [refused.names for refused in map(Refused, Reason)] + [Unknown(doubt, ()).names for doubt in Doubt]
    assert all(en.isascii() and not zh.isascii() for row in names for en, zh in row)
    assert Counter(len(row) for row in names) == {1: len(Reason) + len(Doubt)}
