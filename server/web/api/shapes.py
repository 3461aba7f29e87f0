"""The values of the API. Fields carry their unit: `*_fen`, `*_wh`, `*_mw` integers, `*_nf` decimal strings, `*_at`
world time and `*_ms` machine time (epoch seconds and milliseconds). Nothing between a register and a bill is a float.
"""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, computed_field

from core.reading import TRUE

Nanofen = Annotated[
    str, BeforeValidator(str), Field(pattern=r"^-?\d+$", description="nanofen (1e-9 fen), a decimal string")
]


class Shape(BaseModel):
    """Reads rows and dataclasses by attribute; refuses unknown fields in requests."""

    model_config = ConfigDict(from_attributes=True, extra="forbid")


def shape_row(kind: type[Any], row: Any) -> Any:
    """A value of `kind` from a row of the store; columns that it lacks are left out."""
    return kind(**{name: row[name] for name in kind.model_fields if name in row})


class Estate(Shape):
    """The estate and how it works."""

    estate_id: str
    name: str
    time_zone: str
    mode: str = Field(description="observe, dry_run or armed")
    close_policy: str = Field(description="allow (the resident presses the button) or direct")
    reading_cycle_s: int
    billing_cycle_s: int
    grace_s: int
    command_ttl_s: int
    breaker: str
    stopped: bool
    phone: str
    world_s: int = Field(description="world time now")
    machine_ms: int = Field(description="machine time now")


class Balance(Shape):
    """What an account stood at, by when energy was used and money paid."""

    account_id: str
    at: int = Field(description="epoch seconds of world time")
    balance_fen: int
    residue_nf: Nanofen


class Ledgers(Shape):
    """A household's balances in fen, each ledger by itself; only electricity has to do with the power."""

    account_id: str
    electricity: int
    shared: int
    property: int
    arrears: int


class Household(Shape):
    """One household with what is known of its meter now; null where nothing was read yet.

    Of several, power is the sum, contact and reading are as old as the oldest, and the rest is of `meter_id`: the first
    that is cut for money, else waits for its button, else is open for a hazard, else the first.
    `GET /households/{account_id}/meters` has each.
    """

    account_id: str
    room_id: str
    building_id: str
    floor: int
    door: str
    status: str
    payment: str
    tariff_id: str | None
    balance_fen: int
    residue_nf: Nanofen
    level: int = Field(description="0 normal, 1 low, 2 very low, 3 overdrawn")
    alarm1_fen: int
    alarm2_fen: int
    overdraft_fen: int
    protected: bool
    meter_id: str
    bus_id: str
    contact_at: int | None
    total_wh: int | None
    reading_at: int | None
    voltage_mv: int | None
    current_ma: int | None
    power_mw: int | None
    status3: int | None = Field(description="status word 3 as it was read back, all bits")
    relay: str | None = Field(description="closed, permitted, open or unknown: as read back")
    desired: str | None
    command: str | None
    cause: str | None
    meters: int = Field(description="how many meters it has")


class Reading(Shape):
    """A cumulative register as it was read, with its verdict by `rules`; `final_wh` is what counts, if it does."""

    meter_id: str
    read_at: int
    received_ms: int
    total_wh: int
    rate1_wh: int | None
    rate2_wh: int | None
    rate3_wh: int | None
    rate4_wh: int | None
    reverse_wh: int | None
    source: str
    verdict: str
    reason: str
    rules: int
    raw_hex: str

    @computed_field  # type: ignore[prop-decorator]
    @property
    def final_wh(self) -> int | None:
        """The register that counts: the one that was read, unless it is held, voided or late."""
        return self.total_wh if self.verdict in {verdict.value for verdict in TRUE} else None


class LedgerLine(Shape):
    """One line of the account in the journal."""

    batch_seq: int
    account_version: int
    kind: str
    event_at: int
    created_ms: int
    amount_fen: int
    balance_after_fen: int
    charge_nf: Nanofen
    residue_after_nf: Nanofen
    meter_id: str | None
    from_wh: int | None
    to_wh: int | None
    event_from: int | None
    event_to: int | None
    memo: str


class Notice(Shape):
    """A message to the household and what became of it.

    `channel`: `page`, `gateway` (the operator's message gateway), `sandbox` (simulated worlds), `hand` (given by the
    staff), or `message` until one has taken it. Only `delivered` counts before a cut, on any of them; what has become
    `needless` was not sent, as it is true no more.
    """

    notice_id: str
    kind: str
    channel: str
    status: str
    event_at: int
    created_ms: int
    sent_ms: int | None
    delivered_ms: int | None
    attempts: int
    failure: str


class RelayStep(Shape):
    """What was done for one wish."""

    step: str
    world_at: int
    created_ms: int
    detail: str


class RelayWish(Shape):
    """One generation of the desired state, with its steps in order."""

    gen: int
    state: str
    action: str
    reason: str
    actor: str
    decided_at: int
    created_ms: int
    took_ms: int | None = Field(description="from the wish to its read-back, machine milliseconds")
    steps: list[RelayStep]


class UsageDay(Shape):
    """Energy of one local day; none where no reading tells it."""

    day: str
    energy_wh: int | None


class ReadingGap(Shape):
    """Two true readings with so many of the cycle missing between them."""

    from_at: int
    to_at: int
    missing: int


class Case(Shape):
    """Something that needs a look, with its evidence."""

    case_id: str
    kind: str
    subject: str
    room_id: str | None
    severity: str
    status: str
    evidence: dict[str, Any]
    opened_at: int
    opened_ms: int
    owner: str
    resolution: str
    closed_ms: int | None


class Decision(Shape):
    """A wish for a relay and the checks as they stood."""

    meter_id: str
    account_id: str | None
    room_id: str | None
    gen: int
    state: str
    action: str
    reason: str
    actor: str
    decided_at: int
    created_ms: int
    expires_at: int
    evidence: Any


class Budget(Shape):
    """What a bus needs of its cycle, in machine time; `requests_milli` are requests to a meter in a cycle x 1000."""

    bus_id: str
    meters: int
    requests_milli: int
    need_ms: int
    cycle_ms: int
    permille: int
    fits: bool
    tight: bool


class Bus(Shape):
    """One line and what it did lately, and what it needs of its cycle."""

    bus_id: str
    url: str
    open: bool
    parity_effective: bool | None
    waiting: bool
    peer: str
    since_ms: int | None
    meters: int
    silent_meters: int
    transactions: int
    failures: int
    refusals: int
    strays: int
    reconnects: int
    last_error: str
    last_reply_ms: int | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    budget: Budget | None = None
