"""Carries one purchase into a meter's wallet and ends in exactly one of booked, refused, unknown. Sans-IO.

    authenticate -> status -> recharge -> status -> record of the purchase -> money left        booked
                      ^----------'  silence: ask first, then the same count again, never another
    not booked and no more tries: end the authentication, whose reply states the count          refused, or unknown

Do what `next_step` says until it is None: send a command and give its reply to `take` (or call `silent`), ask the
vending backend for a `...Wanted` and `supply` what it makes (or call `backend_failed`). Keep the order before the first
step; pass `resumed` whenever an earlier run for it may have been handed a `Recharge`. Nothing else needs to be kept.

Neither 83H nor an error word decides, since replies may be late: the meter's count and its record do. An order that may
be on the way is refused only after the authentication was ended behind it, for a meter books nothing without one, and
a new one changes the MACs. What is assumed: replies of one line keep their order, and counts have one issuer.
"""

import hashlib
from collections.abc import Generator
from dataclasses import dataclass

from core.dlt645.commands import Command, Read
from core.dlt645.frame import Frame
from core.dlt645.identifiers import REMAINING_AMOUNT, decode_value
from core.dlt645.prepaid import (
    PURCHASE_BLOCK,
    PURCHASE_BYTES,
    PURCHASES_KEPT,
    RECHARGE,
    Account,
    AuthenticateIdentity,
    Credit,
    EndAuthentication,
    IdentityReply,
    Purchase,
    QueryStatus,
    Recharge,
    Status,
)
from core.dlt645.security import Serr
from core.dlt645.values import is_filler
from core.errors import ProtocolMisuse, ValueFormatError
from core.vending.backend import NONCE_BYTES, CreditMacs, Identity, Session, VendingBackend
from core.vending.outcomes import (
    Booked,
    Doubt,
    Order,
    Outcome,
    Proof,
    Reason,
    Refused,
    Unknown,
    Verdict,
    judge,
    record_back,
)

SEED_BYTES_MIN = 16
ATTEMPTS_MAX = 3  # of one question, and of the recharge itself
VALIDITY_S = 240.0  # an authentication holds five minutes as delivered; a minute is left for the frame


@dataclass(frozen=True, slots=True)
class IdentityWanted:
    """The backend must begin an authentication."""

    address: str
    nonce: bytes

    def ask(self, backend: VendingBackend) -> Identity:
        """What to `supply`."""
        return backend.identity(self.address, self.nonce)


@dataclass(frozen=True, slots=True)
class CreditWanted:
    """The backend must seal the purchase."""

    session: Session
    credit: Credit

    def ask(self, backend: VendingBackend) -> CreditMacs:
        """What to `supply`."""
        return backend.seal_credit(self.session, RECHARGE, self.credit)


@dataclass(frozen=True, slots=True)
class StatusWanted:
    """The backend must judge a status."""

    address: str
    status: Status

    def ask(self, backend: VendingBackend) -> bool:
        """What to `supply`."""
        return backend.vouches_for(self.address, self.status)


Wanted = IdentityWanted | CreditWanted | StatusWanted
Step = Command | Wanted
Made = Identity | CreditMacs | bool
Answer = Frame | Made | None
_Run = Generator[Step, Answer, Outcome]
_MAKES = {IdentityWanted: Identity, CreditWanted: CreditMacs, StatusWanted: bool}


class RechargeRun:
    """One run of one order. `seed` is at least 16 fresh random bytes; times are seconds of a monotonic clock."""

    def __init__(self, order: Order, seed: bytes, *, resumed: bool, validity_s: float = VALIDITY_S) -> None:
        if len(seed) < SEED_BYTES_MIN:
            raise ProtocolMisuse(f"a run needs {SEED_BYTES_MIN} random bytes, not {len(seed)}")
        self.order = order
        self.outcome: Outcome | None = None
        self._seed = seed
        self._validity_s = validity_s
        self._now_s = 0.0
        self._session: Session | None = None
        self._authenticated_s = 0.0
        self._authentications = 0
        self._sends_left = ATTEMPTS_MAX
        self._resealed = False
        self._may_be_under_way = resumed
        self._may_be_done = resumed  # a recharge was accepted, or nobody knows
        self._refusal = Refused(Reason.NO_ANSWER)
        self._steps = self._run()
        self._step: Step | None = next(self._steps)

    def next_step(self) -> Step | None:
        """What to do now: a command to send, a `...Wanted` for the backend, or None once `outcome` is there."""
        return self._step

    def take(self, reply: Frame, now_s: float) -> None:
        """The reply to the command, a refusal included; `ProtocolMisuse` if it is to another."""
        step = self._step
        if step is None or isinstance(step, Wanted) or not step.match(reply):
            raise ProtocolMisuse(f"reply {reply.control:02X}H of {reply.address} answers no step of this run")
        self._go(reply, now_s)

    def silent(self, now_s: float) -> None:
        """The command got no answer in time."""
        if self._step is None or isinstance(self._step, Wanted):
            raise ProtocolMisuse("no command is out")
        self._go(None, now_s)

    def supply(self, made: Made) -> None:
        """What the backend has made."""
        step = self._step
        if not isinstance(step, Wanted) or not isinstance(made, _MAKES[type(step)]):
            raise ProtocolMisuse(f"a {type(made).__name__} is not wanted")
        self._go(made, self._now_s)

    def backend_failed(self) -> None:
        """The backend could not do it."""
        if not isinstance(self._step, Wanted):
            raise ProtocolMisuse("nothing is wanted from the backend")
        self._go(None, self._now_s)

    def _go(self, answer: Answer, now_s: float) -> None:
        self._now_s = now_s
        try:
            self._step = self._steps.send(answer)
        except StopIteration as end:
            self._step, self.outcome = None, end.value

    def _run(self) -> _Run:
        order = self.order
        yield from self._authenticate()
        if self._session is None and not self._may_be_under_way:
            return self._refusal
        while True:
            status = yield from self._status()
            if not isinstance(status, Status):
                return status
            if status.customer != order.customer:
                return self._cannot_say(Refused(Reason.CUSTOMER), Doubt.CUSTOMER)
            if judge(order, status.count) is not Verdict.NOT_BOOKED:
                return (yield from self._settle(status.count, status.remaining_fen))
            if status.count < order.count - 1:
                return self._cannot_say(Refused(Reason.COUNT_GAP), Doubt.COUNT_GAP)
            if self._sends_left == 0:
                return (yield from self._end())
            yield from self._recharge()

    def _authenticate(self) -> Generator[Step, Answer, None]:
        """Set the session, or leave it None, say why in `_refusal` and send no recharge any more."""
        self._session = None
        identity = None
        for _ in range(ATTEMPTS_MAX):
            if identity is None:
                identity = yield IdentityWanted(self.order.address, self._nonce())
            if not isinstance(identity, Identity):
                return self._give_up(Refused(Reason.BACKEND))
            parts = identity.cipher, identity.random, identity.factor
            reply = yield AuthenticateIdentity(self.order.address, *parts, operator=self.order.operator)
            if isinstance(reply, Frame):
                if reply.abnormal:
                    return self._give_up(Refused(Reason.METER, _serr(reply)))
                said = IdentityReply.read(reply.data[4:])
                self._session = Session(self.order.address, identity, said.random, said.serial)
                self._authenticated_s = self._now_s
                return None
        return self._give_up(Refused(Reason.NO_ANSWER))

    def _recharge(self) -> Generator[Step, Answer, None]:
        """Send the order once; what came back is noted, and the status decides."""
        if self._session is None or self._now_s - self._authenticated_s >= self._validity_s:
            yield from self._authenticate()
        session = self._session
        if session is None:
            return
        macs = yield CreditWanted(session, self.order.credit)
        if not isinstance(macs, CreditMacs):
            return self._give_up(Refused(Reason.BACKEND))
        self._sends_left -= 1
        self._may_be_under_way = True
        order = self.order
        reply = yield Recharge(order.address, order.credit, macs.mac_1, macs.mac_2, operator=order.operator)
        if not isinstance(reply, Frame):
            self._may_be_done = True
        elif not reply.abnormal:
            self._may_be_done, self._refusal = True, Refused(Reason.NOT_COUNTED)
        else:
            self._note(_serr(reply))

    def _note(self, serr: Serr) -> None:
        self._refusal = Refused(Reason.METER, serr)
        if Serr.REPEATED in serr:
            self._may_be_done = True
        elif Serr.IDENTITY in serr or (Serr.ESAM in serr and not self._resealed):
            self._resealed |= Serr.ESAM in serr  # a late reply may have told us another random number: once more
            self._session = None
        else:
            self._sends_left = 0

    def _status(self) -> Generator[Step, Answer, Status | Outcome]:
        """A status that the backend vouches for, or what the run must end with."""
        refusal, doubt = Refused(Reason.NO_ANSWER), Doubt.NO_STATUS
        for _ in range(ATTEMPTS_MAX):
            reply = yield QueryStatus(self.order.address, operator=self.order.operator)
            if not isinstance(reply, Frame):
                continue
            if reply.abnormal:
                refusal = Refused(Reason.METER, _serr(reply))
                continue
            try:
                status = Status.read(reply.data[4:])
            except ValueFormatError:
                continue
            genuine = yield StatusWanted(self.order.address, status)
            if genuine is None:
                return self._cannot_say(Refused(Reason.BACKEND), Doubt.BACKEND)
            if genuine:
                return status
            refusal, doubt = Refused(Reason.NOT_GENUINE), Doubt.NOT_GENUINE
        return self._cannot_say(refusal, doubt)

    def _settle(self, count: int, remaining_fen: int) -> _Run:
        """The meter is at our count or past it: whose purchase was it?"""
        order, back = self.order, record_back(self.order, count)
        if not self._may_be_under_way:
            return Refused(Reason.COUNT_TAKEN)
        keeps = back <= PURCHASES_KEPT
        for _ in range(ATTEMPTS_MAX if keeps else 0):
            reply = yield Read(order.address, PURCHASE_BLOCK | back)
            if not isinstance(reply, Frame):
                continue
            if reply.abnormal or is_filler(reply.data[4:]):
                keeps = False
                break
            verdict = judge(order, count, _purchase(reply))
            if verdict is Verdict.TAKEN:
                return Refused(Reason.COUNT_TAKEN)
            if verdict is Verdict.BOOKED:
                return (yield from self._booked(remaining_fen, Proof.RECORD))
        if not keeps and count == order.count and self._may_be_done:
            return (yield from self._booked(remaining_fen, Proof.COUNT))
        return self._unknown(Doubt.NO_RECORD if keeps or count == order.count else Doubt.COUNT_PASSED)

    def _booked(self, remaining_fen: int, proof: Proof) -> _Run:
        reply = yield Read(self.order.address, REMAINING_AMOUNT)
        if isinstance(reply, Frame) and not reply.abnormal:
            try:
                (value,) = decode_value(REMAINING_AMOUNT, reply.data[4:])
            except ValueFormatError:
                value = None
            remaining_fen = value if isinstance(value, int) else remaining_fen
        return Booked(self.order.count, self.order.amount_fen, remaining_fen, proof)

    def _end(self) -> _Run:
        """End the authentication behind whatever may be on the way; the count in the reply is final."""
        for _ in range(ATTEMPTS_MAX if self._may_be_under_way else 0):
            reply = yield EndAuthentication(self.order.address, operator=self.order.operator)
            if not isinstance(reply, Frame) or reply.abnormal:
                continue
            try:
                account = Account.read(reply.data[4:])
            except ValueFormatError:
                continue
            if judge(self.order, account.count) is Verdict.NOT_BOOKED:
                return self._refusal
            return (yield from self._settle(account.count, account.remaining_fen))
        return self._cannot_say(self._refusal, Doubt.NOT_ENDED)

    def _give_up(self, refusal: Refused) -> None:
        self._refusal, self._sends_left = refusal, 0

    def _cannot_say(self, refusal: Refused, doubt: Doubt) -> Outcome:
        """Refused while nothing can have been sent, unknown afterwards."""
        return self._unknown(doubt) if self._may_be_under_way else refusal

    def _unknown(self, doubt: Doubt) -> Unknown:
        address, operator = self.order.address, self.order.operator
        return Unknown(doubt, (QueryStatus(address, operator=operator), Read(address, PURCHASE_BLOCK | 1)))

    def _nonce(self) -> bytes:
        self._authentications += 1
        return hashlib.sha256(self._seed + bytes((self._authentications,))).digest()[:NONCE_BYTES]


def _serr(reply: Frame) -> Serr:
    return Serr(int.from_bytes(reply.data, "little"))


def _purchase(reply: Frame) -> Purchase | None:
    """The record in a reply; None for something else, such as a record that a meter has not written yet."""
    data = reply.data[4:]
    try:
        return Purchase.read(data[:PURCHASE_BYTES])
    except ValueFormatError:
        return None
