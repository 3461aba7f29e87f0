"""Anomaly rules: from figures that were read to findings with their evidence. A finding is a question, never a cut.

Rules: energy through an open relay, a relay that does not obey, a register that ran backwards, jumped or stands still,
a silent meter, a clock far off, a gate meter against the sum of its meters. Each judges only what was accepted and read
after the last case of its kind was closed. Figures are integers with their unit in the name. Where readings do not
coincide in time, a rule takes the bound that speaks for the household: doubt opens no case.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from core.units import REGISTER_MODULUS_WH, WH_PER_STEP

OPEN_RELAY_WH = 2 * WH_PER_STEP  # one step may complete from energy that flowed before the relay opened
DISOBEYED_TIMES = 3
DISOBEYED_S = 1800  # a trip delay may be set in the meter; it is over by then
SILENT_CYCLES = 3
SILENT_FAILURES = 3
LOSS_PERMILLE = 50
LOSS_FLOOR_WH = 1000
PERMILLE = 1000
EVIDENCE_READINGS_MAX = 20

CLOCK_MAX_S = 300  # beyond it no broadcast can mend a clock, and its rates count in the wrong hours (R21)
STUCK_POWER_MW = 100_000  # a day of so much is far more than a step of the register
STUCK_USUAL_W = 50
STUCK_DAYS = 3

OPEN_RELAY, BACKWARDS, SILENT, GATE_LOSS = "open_relay_energy", "backwards", "silent", "gate_loss"
BREAKER = "breaker"  # raised by the supply itself
KEEP_FAILS = "keep_power_fails"  # so is this
SERVER_CLOCK = "server_clock"  # raised by the watch of our own clock
MESSAGE_GATEWAY = "message_gateway"  # raised by the job that hands notices to it
REFUND_OPEN, REFUND_UNKNOWN, REFUND_CONTRADICTED = "refund_open", "refund_unknown", "refund_contradicted"
BILL_DIFFERENCE = "bill_difference"
DISOBEYED = "relay_disobeys"
CLOCK, STUCK, JUMP = "clock", "stuck", "jump"
JUMP_CYCLES = 2  # noise is gone by then

Evidence = dict[str, object]


class Register(NamedTuple):
    """An accepted register: world time and Wh."""

    at: int
    wh: int


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a person should look at; (kind, subject) is one open case at a time."""

    kind: str
    subject: str
    room_id: str | None
    severity: str
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class OpenRelay:
    """Accepted registers of a meter, oldest first, all between two read-backs that said open."""

    meter_id: str
    room_id: str | None
    opened_at: int
    registers: tuple[Register, ...]


@dataclass(frozen=True, slots=True)
class Disobedience:
    """How often a relay was read back otherwise than it is wanted, since when, and for which wish (the newest)."""

    meter_id: str
    room_id: str | None
    desired: str
    gen: int
    times: int
    first_at: int
    last_at: int


@dataclass(frozen=True, slots=True)
class HeldReading:
    """A register that was held as backwards, and the accepted one before it."""

    meter_id: str
    room_id: str | None
    previous: Register
    read: Register
    reason: str


@dataclass(frozen=True, slots=True)
class Contact:
    """When a meter last answered, and how many items it has left unanswered since."""

    meter_id: str
    room_id: str | None
    contact_at: int
    failures: int


@dataclass(frozen=True, slots=True)
class ClockSeen:
    """Meter clock minus world time, as it was read last."""

    meter_id: str
    room_id: str | None
    read_at: int
    offset_s: int


@dataclass(frozen=True, slots=True)
class Unmoved:
    """A register that shows what it showed at `since_at`, a day ago or more; `days` of them are known to be so."""

    meter_id: str
    room_id: str | None
    since_at: int
    read_at: int
    register_wh: int
    days: int
    power_mw: int | None
    usual_w: int | None


@dataclass(frozen=True, slots=True)
class GateBalance:
    """A gate's step between two of its readings, and the most that each of its meters can have counted meanwhile.

    `meters` holds (meter_id, Wh) between the readings just before and just after the gate's, so that readings at
    other instants can only make the loss look smaller. `steps_wh` is one register step of each of them together.
    """

    gate_id: str
    from_at: int
    to_at: int
    gate_wh: int
    meters: tuple[tuple[str, int], ...]
    steps_wh: int


def step_wh(earlier: Register, later: Register) -> int:
    """Energy between two accepted registers, through a roll-over if there was one."""
    return (later.wh - earlier.wh) % REGISTER_MODULUS_WH


def open_relay_energy(seen: OpenRelay) -> Finding | None:
    """Energy flows although the relay was read back open before and after: stuck contacts or a bypass."""
    if len(seen.registers) < 2:
        return None
    first, last = seen.registers[0], seen.registers[-1]
    energy_wh = step_wh(first, last)
    if energy_wh < OPEN_RELAY_WH:
        return None
    evidence: Evidence = {
        "energy_wh": energy_wh,
        "open_at": seen.opened_at,
        "register_then_wh": first.wh,
        "register_now_wh": last.wh,
        "read_at": last.at,
        "readings": _listed(seen.registers),
    }
    return Finding(OPEN_RELAY, seen.meter_id, seen.room_id, "high", evidence)


def _listed(registers: Sequence[Register]) -> list[list[int]]:
    """The newest registers as [world time, Wh], oldest first."""
    return [[register.at, register.wh] for register in registers[-EVIDENCE_READINGS_MAX:]]


def relay_disobeys(seen: Disobedience, since_s: int) -> Finding | None:
    """Commands arrive, and every read-back for half an hour shows the relay where it was: burnt or stuck contacts."""
    if seen.times < DISOBEYED_TIMES or seen.last_at - max(seen.first_at, since_s) < DISOBEYED_S:
        return None
    evidence: Evidence = {
        "wanted": seen.desired,
        "read_back_times": seen.times,
        "first_read_back_at": seen.first_at,
        "last_read_back_at": seen.last_at,
        "command_gen": seen.gen,
    }
    return Finding(DISOBEYED, seen.meter_id, seen.room_id, "high", evidence)


def backwards(held: HeldReading) -> Finding:
    """A reading below the accepted register: held, never charged. `reason` names a rate whose register went back."""
    step_back_wh = held.previous.wh - held.read.wh
    evidence: Evidence = {
        "step_back_wh": step_back_wh,
        "register_accepted_wh": held.previous.wh,
        "accepted_at": held.previous.at,
        "register_read_wh": held.read.wh,
        "read_at": held.read.at,
    }
    if step_back_wh <= 0:
        evidence = {"reason": held.reason} | {name: evidence[name] for name in ("register_read_wh", "read_at")}
    return Finding(BACKWARDS, held.meter_id, held.room_id, "high", evidence)


def zeroed(held: HeldReading, now_s: int, cycle_s: int) -> Finding | None:
    """A register that reads zero, and that the next readings have not shown to be a placeholder."""
    return None if now_s - held.read.at <= JUMP_CYCLES * cycle_s else backwards(held)


def jumped(held: HeldReading, now_s: int, cycle_s: int) -> Finding | None:
    """A step too long to be believed that the next readings have not taken back: a person has to decide."""
    if now_s - held.read.at <= JUMP_CYCLES * cycle_s:
        return None
    evidence: Evidence = {
        "step_wh": step_wh(held.previous, held.read),
        "register_accepted_wh": held.previous.wh,
        "accepted_at": held.previous.at,
        "register_read_wh": held.read.wh,
        "read_at": held.read.at,
    }
    return Finding(JUMP, held.meter_id, held.room_id, "high", evidence)


def silent(seen: Contact, since_s: int, now_s: int, cycle_s: int) -> Finding | None:
    """No answer for more than three reading cycles (after `since_s`), and at least three items in a row."""
    quiet_s = now_s - max(seen.contact_at, since_s)
    if quiet_s <= SILENT_CYCLES * cycle_s or seen.failures < SILENT_FAILURES:
        return None
    evidence: Evidence = {"last_answer_at": seen.contact_at, "silent_s": quiet_s, "unanswered_items": seen.failures}
    return Finding(SILENT, seen.meter_id, seen.room_id, "medium", evidence)


def clock(seen: ClockSeen) -> Finding | None:
    """A clock more than five minutes off: its rates are doubtful until somebody sets it."""
    if abs(seen.offset_s) <= CLOCK_MAX_S:
        return None
    evidence: Evidence = {"clock_offset_s": seen.offset_s, "allowed_s": CLOCK_MAX_S, "read_at": seen.read_at}
    return Finding(CLOCK, seen.meter_id, seen.room_id, "medium", evidence)


def stuck(seen: Unmoved) -> Finding | None:
    """A register that stands while power flows; or for days, in a flat that used to need power."""
    flows = (seen.power_mw or 0) >= STUCK_POWER_MW
    if not flows and (seen.days < STUCK_DAYS or (seen.usual_w or 0) < STUCK_USUAL_W):
        return None
    evidence: Evidence = {"since_at": seen.since_at, "read_at": seen.read_at, "register_read_wh": seen.register_wh}
    if seen.power_mw is not None:
        evidence["power_mw"] = seen.power_mw
    if seen.usual_w is not None:
        evidence["usual_w"] = seen.usual_w
    return Finding(STUCK, seen.meter_id, seen.room_id, "high" if flows else "low", evidence)


def gate_loss(balance: GateBalance) -> Finding | None:
    """The gate counted more than its meters can have, by more than 5 % and 1 kWh and the steps of the registers."""
    meters_wh = sum(energy_wh for _, energy_wh in balance.meters)
    loss_wh = balance.gate_wh - meters_wh
    allowed_wh = balance.gate_wh * LOSS_PERMILLE // PERMILLE + LOSS_FLOOR_WH + balance.steps_wh
    if loss_wh <= allowed_wh:
        return None
    evidence: Evidence = {
        "loss_wh": loss_wh,
        "loss_permille": loss_wh * PERMILLE // balance.gate_wh,
        "tolerance_permille": LOSS_PERMILLE,
        "gate_wh": balance.gate_wh,
        "meters_wh": meters_wh,
        "from_at": balance.from_at,
        "to_at": balance.to_at,
        "meters": [[meter_id, energy_wh] for meter_id, energy_wh in balance.meters],
    }
    return Finding(GATE_LOSS, balance.gate_id, None, "high", evidence)
