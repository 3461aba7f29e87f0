"""The life of accounts: opening, moving in and out, pausing, paying in advance or afterwards, closing; and vacancies.

Every act has a reason, which is kept with who and when. What people book stands in `bookings`.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import Field

from server.flows import accounts as flows
from server.flows import approvals, credits, moves
from server.flows.moves import Register, Settlement
from server.store import accounts as kept
from server.store.estates import get_account
from server.store.ledger import ledger_balances
from server.store.unit import Deed
from server.web.api.readings import FourRates, Why
from server.web.api.readings import Register as Wh
from server.web.api.shapes import Shape, shape_row
from server.web.deps import Reader, State, need
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1", tags=["accounts"])
AccountId = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$")]
Looker = Annotated[Principal, Depends(need("households.list"))]
Clerk = Annotated[Principal, Depends(need("account.manage"))]
ID = r"^[^\s\x00-\x1f:/?#%&]{1,64}$"
PAYMENT = r"^(prepaid|postpaid)$"


class OpenAccount(Why):
    """Who will live in a room; nothing is charged before a meter feeds the account."""

    account_id: str = Field(pattern=ID)
    room_id: str = Field(max_length=64, pattern=r"^[^\x00]+$")
    holder: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")
    phone: str = Field("", max_length=40, pattern=r"^[^\x00]*$")
    tariff_id: str = Field(max_length=64, pattern=r"^[^\x00]+$")
    payment: str = Field("prepaid", pattern=PAYMENT)


class Opened(Shape):
    """The account as it is named."""

    account_id: str


class OpenThing(Shape):
    """What keeps an account from being closed: order, recharge, command, held_reading, request, meter or balance."""

    kind: str
    subject: str


class FeedingMeter(Shape):
    """A meter that feeds an account, with the register up to which it is charged and the newest accepted one."""

    meter_id: str
    room_id: str | None
    ratio: int
    charged_wh: int
    total_wh: int


class Account(Shape):
    """An account as it stands, with its ledgers in fen and what is still open."""

    account_id: str
    status: str = Field(description="initial, normal, paused, left or closed")
    payment: str = Field(description="prepaid, or postpaid: never cut for money")
    room_id: str | None
    holder: str
    phone: str
    tariff_id: str | None
    ledgers_fen: dict[str, int]
    meters: list[FeedingMeter]
    open: list[OpenThing]


class LifeEvent(Shape):
    """One event of an account's life; amounts where it moved money, the register where a meter came or went."""

    event_no: int
    act: str
    status: str = Field(description="of the account after it")
    room_id: str | None
    meter_id: str | None
    register_wh: int | None
    detail: str
    ledger: str | None
    amount_fen: int | None
    batch_seq: int | None
    actor: str
    approved_by: str | None
    reason: str
    world_at: int
    created_ms: int


class MeterRegister(Shape):
    """What a meter shows on the day; without a register its last accepted reading, if that is fresh."""

    meter_id: str = Field(pattern=r"^\d{12}$")
    total_wh: Wh | None = None
    rates_wh: FourRates | None = None


class FinalRegister(MeterRegister):
    """The final register; of a dead meter an estimate, of a meter that keeps the credit and is silent a decision."""

    estimate: bool = Field(default=False, description="as much as in the same time before; a second person agrees")
    credit_fen: int | None = Field(default=None, ge=-99_999_999, le=99_999_999, strict=True)


class TrueRegister(Why):
    """What a meter whose final register was estimated really shows."""

    meter_id: str = Field(pattern=r"^\d{12}$")
    total_wh: Wh
    rates_wh: FourRates | None = None


class Corrected(Shape):
    """What the household has more by it, or the request that waits for its second person."""

    more_fen: int
    approval_id: str = ""


class Asked(Shape):
    """How many meters are asked."""

    meters: int


class MoveOut(Why):
    """The final register of each meter, and what becomes of the balance."""

    finals: list[FinalRegister] = Field(max_length=100)
    settle: str = Field("leave", pattern="^(leave|cash|bank|carry)$")
    target_id: str = Field(
        "", max_length=64, pattern=r"^[^\x00]*$", description="of `carry`: the account that takes it"
    )


class MovedOut(Shape):
    """What the final registers cost and what is left; a request's id where a second person must agree to a payout."""

    charged_fen: int
    balances_fen: dict[str, int]
    closed: bool
    approval_id: str


class MoveIn(Why):
    """The vacant meters that feed the account from now on, each with its base register."""

    bases: list[MeterRegister] = Field(min_length=1, max_length=100)
    tier_policy: str = Field("household", pattern="^(household|premises)$")


class MovedIn(Shape):
    """What each meter had counted since the household before, charged to nobody."""

    vacant_wh: dict[str, int]


class SetPayment(Why):
    """In advance, or afterwards."""

    payment: str = Field(pattern=PAYMENT)


class Vacancy(Shape):
    """A meter that feeds nobody: its room, its bus, up to where it was charged, and what it shows."""

    meter_id: str
    room_id: str | None
    bus_id: str
    charged_wh: int
    total_wh: int


def _finals(given: list[FinalRegister]) -> list[Register]:
    return [
        Register(one.meter_id, one.total_wh, one.rates_wh, "?" if one.estimate else "", one.credit_fen) for one in given
    ]


def _registers(given: list[MeterRegister]) -> list[Register]:
    return [Register(one.meter_id, one.total_wh, one.rates_wh) for one in given]


@router.post("/accounts", response_model=Opened, status_code=201, summary="Open an account")
def open_account(state: State, who: Clerk, body: OpenAccount) -> Opened:
    """For a household that moves in later, with the meters of the room."""
    now = state.clock.now()
    state.writer.run(Deed(flows.open_account, who.estate_id, **body.model_dump(), actor=who.login, now=now))
    return Opened(account_id=body.account_id)


@router.get("/accounts/{account_id}", response_model=Account, summary="One account, closed ones too")
def account(state: State, conn: Reader, who: Looker, account_id: AccountId) -> Account:
    """Its state, ledgers, meters, and what is still open."""
    row = get_account(conn, who.estate_id, account_id)
    meters = kept.meters_of(conn, who.estate_id, account_id)
    shown = kept.registers(conn, who.estate_id, [one.meter_id for one in meters])
    names = ("account_id", "status", "payment", "room_id", "holder", "phone", "tariff_id")
    things = kept.open_things(conn, who.estate_id, account_id, state.clock.now().machine_ms)
    return Account(
        **{name: row[name] for name in names},
        ledgers_fen=ledger_balances(conn, who.estate_id, account_id),
        meters=[
            FeedingMeter(
                meter_id=one.meter_id, room_id=one.room_id, ratio=one.ratio, charged_wh=shown[one.meter_id][0],
                total_wh=shown[one.meter_id][1],
            )
            for one in meters
            if one.meter_id in shown
        ],
        open=[OpenThing(kind=one.kind, subject=one.subject) for one in things],
    )  # fmt: skip


@router.get("/accounts/{account_id}/life", response_model=list[LifeEvent], summary="What happened to an account")
def life(conn: Reader, who: Looker, account_id: AccountId) -> list[LifeEvent]:
    """Who did what, when and why, newest first; the newest 200."""
    get_account(conn, who.estate_id, account_id)
    return [shape_row(LifeEvent, row) for row in kept.life(conn, who.estate_id, account_id)]


@router.post("/accounts/{account_id}/pause", status_code=204, summary="Pause an account")
def pause(state: State, who: Clerk, account_id: AccountId, why: Why) -> None:
    """Its meters are read, but nothing is charged and nobody is cut."""
    now = state.clock.now()
    state.writer.run(Deed(flows.pause, who.estate_id, account_id, actor=who.login, reason=why.reason, now=now))


@router.post("/accounts/{account_id}/resume", status_code=204, summary="Resume a paused account")
def resume(state: State, who: Clerk, account_id: AccountId, why: Why) -> None:
    """What was used meanwhile is charged with the next tick."""
    now = state.clock.now()
    state.writer.run(Deed(flows.resume, who.estate_id, account_id, actor=who.login, reason=why.reason, now=now))


@router.put("/accounts/{account_id}/payment", status_code=204, summary="Let it pay in advance or afterwards")
def payment(state: State, who: Clerk, account_id: AccountId, body: SetPayment) -> None:
    """Who pays afterwards is never cut for money, and gets the power back if it was."""
    now = state.clock.now()
    state.writer.run(
        Deed(flows.set_payment, who.estate_id, account_id, body.payment, actor=who.login, reason=body.reason, now=now)
    )


@router.post("/accounts/{account_id}/move-out", response_model=MovedOut, summary="Move a household out")
def move_out(state: State, who: Clerk, account_id: AccountId, body: MoveOut) -> MovedOut:
    """Charge up to the final registers, take the meters from the account, settle; closed if nothing is open then."""
    settlement, now = Settlement(who.may_settle(body.settle), body.target_id), state.clock.now()
    done = state.writer.run(
        Deed(
            approvals.request_move_out,
            who.estate_id, account_id, _finals(body.finals), settlement, actor=who.login, reason=body.reason,
            now=now, fresh=who.fresh,
        )
    )  # fmt: skip
    return MovedOut.model_validate(done)


@router.post(
    "/accounts/{account_id}/credit", response_model=Asked, status_code=202, summary="Ask its meters for credit"
)
def ask_credit(state: State, who: Clerk, account_id: AccountId) -> Asked:
    """Of meters that keep the credit themselves: what they still have, for a move."""
    now = state.clock.now()
    return Asked(meters=state.writer.run(Deed(credits.ask, who.estate_id, account_id, actor=who.login, now=now)))


@router.post("/accounts/{account_id}/true-register", response_model=Corrected, summary="Correct an estimated register")
def true_register(state: State, who: Clerk, account_id: AccountId, body: TrueRegister) -> Corrected:
    """The estimate is taken back with what it charged, the true register charged; above a limit two people agree."""
    now = state.clock.now()
    done = state.writer.run(
        Deed(
            approvals.request_correction,
            who.estate_id, account_id, body.meter_id, body.total_wh, body.rates_wh, actor=who.login,
            reason=body.reason, now=now, fresh=who.fresh,
        )
    )  # fmt: skip
    return Corrected.model_validate(done)


@router.post("/accounts/{account_id}/move-in", response_model=MovedIn, summary="Move a household in")
def move_in(state: State, who: Clerk, account_id: AccountId, body: MoveIn) -> MovedIn:
    """Each meter begins a new installation at its base register and is charged to this account from there."""
    now = state.clock.now()
    done = state.writer.run(
        Deed(
            moves.move_in,
            who.estate_id, account_id, _registers(body.bases), actor=who.login, reason=body.reason, now=now,
            tier_policy=body.tier_policy,
        )
    )  # fmt: skip
    return MovedIn.model_validate(done)


@router.post("/accounts/{account_id}/close", status_code=204, summary="Close an account")
def close(state: State, who: Clerk, account_id: AccountId, why: Why) -> None:
    """Refused with all that is still open of it."""
    now = state.clock.now()
    state.writer.run(Deed(flows.close_account, who.estate_id, account_id, actor=who.login, reason=why.reason, now=now))


@router.post("/accounts/{account_id}/reopen", status_code=204, summary="Open a closed account to be settled again")
def reopen(state: State, who: Clerk, account_id: AccountId, why: Why) -> None:
    """When a correction has found money on it."""
    now = state.clock.now()
    state.writer.run(Deed(flows.reopen, who.estate_id, account_id, actor=who.login, reason=why.reason, now=now))


@router.get("/vacancies", response_model=list[Vacancy], summary="Meters that feed nobody")
def vacancies(conn: Reader, who: Looker) -> list[Vacancy]:
    """Those whose household has moved out, by address."""
    meters = kept.vacant_meters(conn, who.estate_id)
    shown = kept.registers(conn, who.estate_id, [one.meter_id for one in meters])
    return [
        Vacancy(
            meter_id=one.meter_id, room_id=one.room_id, bus_id=one.bus_id, charged_wh=shown[one.meter_id][0],
            total_wh=shown[one.meter_id][1],
        )
        for one in meters
        if one.meter_id in shown
    ]  # fmt: skip
