"""Anomaly rules: from figures that were read to findings with their evidence. A finding is a question, never a cut.

Rules: energy through an open relay, a register that ran backwards, a silent meter, a gate meter against the sum of
its meters. All figures carry their unit in the name; tolerances are named here.
"""

from dataclasses import dataclass, field

OPEN_RELAY_WH = 20  # two register steps: one may complete just after the relay opened
SILENT_CYCLES = 3
SILENT_FAILURES = 3
LOSS_PERMILLE = 50
LOSS_FLOOR_WH = 1000
PERMILLE = 1000

Evidence = dict[str, int | str | list[str]]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a person should look at; (kind, subject) is one open case at a time."""

    kind: str
    subject: str
    room_id: str | None
    severity: str
    evidence: Evidence = field(hash=False)


@dataclass(frozen=True, slots=True)
class OpenRelay:
    """A meter whose relay was read back open at `open_at`, and its registers at that time and now."""

    meter_id: str
    room_id: str | None
    open_at: int
    from_wh: int
    to_wh: int
    to_at: int


@dataclass(frozen=True, slots=True)
class Contact:
    """When a meter last answered, and how many items it has left unanswered since."""

    meter_id: str
    room_id: str | None
    contact_at: int
    failures: int


@dataclass(frozen=True, slots=True)
class GateBalance:
    """Steps of a gate meter and of the sum of its meters over one span of world time."""

    meter_id: str
    from_at: int
    to_at: int
    gate_wh: int
    meters_wh: int
    meters: int


def open_relay_energy(seen: OpenRelay) -> Finding | None:
    """Energy flows although the relay was read back open: stuck contacts or a bypass."""
    energy_wh = seen.to_wh - seen.from_wh
    if energy_wh < OPEN_RELAY_WH:
        return None
    evidence: Evidence = {
        "energy_wh": energy_wh,
        "open_at": seen.open_at,
        "register_then_wh": seen.from_wh,
        "register_now_wh": seen.to_wh,
        "read_at": seen.to_at,
    }
    return Finding("open_relay_energy", seen.meter_id, seen.room_id, "high", evidence)


def backwards(
    meter_id: str, room_id: str | None, accepted_wh: int, accepted_at: int, read_wh: int, read_at: int
) -> Finding:
    """A reading below the accepted register: held, never charged."""
    evidence: Evidence = {
        "step_back_wh": accepted_wh - read_wh,
        "register_accepted_wh": accepted_wh,
        "accepted_at": accepted_at,
        "register_read_wh": read_wh,
        "read_at": read_at,
    }
    return Finding("backwards", meter_id, room_id, "high", evidence)


def silent(seen: Contact, now_s: int, cycle_s: int) -> Finding | None:
    """No answer for more than three reading cycles and at least three items in a row."""
    quiet_s = now_s - seen.contact_at
    if quiet_s <= SILENT_CYCLES * cycle_s or seen.failures < SILENT_FAILURES:
        return None
    evidence: Evidence = {"last_answer_at": seen.contact_at, "silent_s": quiet_s, "unanswered_items": seen.failures}
    return Finding("silent", seen.meter_id, seen.room_id, "medium", evidence)


def gate_loss(balance: GateBalance) -> Finding | None:
    """The gate measured more than its meters together, beyond 5 % and 1 kWh."""
    loss_wh = balance.gate_wh - balance.meters_wh
    if balance.gate_wh <= 0 or loss_wh <= LOSS_FLOOR_WH:
        return None
    loss_permille = loss_wh * PERMILLE // balance.gate_wh
    if loss_permille <= LOSS_PERMILLE:
        return None
    evidence: Evidence = {
        "loss_wh": loss_wh,
        "loss_permille": loss_permille,
        "gate_wh": balance.gate_wh,
        "meters_wh": balance.meters_wh,
        "meters": balance.meters,
        "from_at": balance.from_at,
        "to_at": balance.to_at,
    }
    return Finding("gate_loss", balance.meter_id, None, "high", evidence)
