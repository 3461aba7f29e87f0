"""How each kind of fault shows itself to a master: one case a kind, with a symptom that is read from the bus.

The estate is one household of 1000 W behind a main meter (and a second one of 500 W), so what is right is known by
heart. A symptom may let time pass; it says whether something is wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from core.dlt645.commands import Read, RelayAction
from core.dlt645.frame import Frame, FrameDecoder, encode
from core.dlt645.identifiers import ENERGY_TOTAL, RELAY_OPEN, STATUS_WORD_3, decode_value
from sim.wire.uart import LineSettings
from tests.sim.rig import ADDRESS, GATE, OTHER, Virtual, bus, household, table

KW = {"load": "constant", "resident": {"button": "never"}}
CLOCK, WORD_1, WORD_2, WORD_7 = 0x0400010C, 0x04000501, 0x04000502, 0x04000507
POWER, CURRENT_A, NEUTRAL, VOLTAGE_A = 0x02030000, 0x02020100, 0x02800001, 0x02010100
MAGNETS, COVERS, TERMINAL_COVERS, TRIPS = 0x03350000, 0x03300D00, 0x03300E00, 0x1D000001
HOUR_S, DAY_S = 3600, 86_400


def estate(phases=1, **bus_keys):
    homes = [
        household(start_register_wh=2_000_000, mean_power_w=1000, phases=phases, **KW),
        household("1-0102", OTHER, mean_power_w=500, **KW),
    ]
    gates = [{"id": "g", "meter": GATE, "bus": "bus-1", "households": ["1-0101", "1-0102"]}]
    return Virtual(table(homes, [bus(**bus_keys)], gates))


def flows(v, hours=24):
    """What the household's meter, the other one and the main meter count in some hours."""
    before = [v.read(ENERGY_TOTAL, address)[0] for address in (ADDRESS, OTHER, GATE)]
    v.run_s(hours * HOUR_S)
    after = [v.read(ENERGY_TOTAL, address)[0] for address in (ADDRESS, OTHER, GATE)]
    return [b - a for a, b in zip(before, after, strict=True)]


def loses(v):
    mine, other, gate = flows(v)
    return gate - mine - other > 100


def uses_otherwise(v):
    mine, other, gate = flows(v)
    assert abs(gate - mine - other) <= 30, "nothing is lost by what is benign"
    return abs(mine - 24_000) > 100


def off_by_wh(v, address=ADDRESS):
    """By how much the register and what flowed since the start differ."""
    (shown,) = v.read(ENERGY_TOTAL, address)
    return shown - 2_000_000 - round(v.env.now * 1000 / 3600)


def shifted(v):
    return abs(off_by_wh(v)) > 30


def clock_off(v):
    wire = v.read_long(CLOCK)
    shown = [int(f"{byte:02x}") for byte in reversed(wire)]
    now = v.civil()
    wanted = [now.year % 100, now.month, now.day, (now.weekday() + 1) % 7, now.hour, now.minute, now.second]
    return abs(timedelta(hours=shown[4] - wanted[4], minutes=shown[5] - wanted[5])) > timedelta(minutes=5)


def clock_drifts(v):
    v.run_s(DAY_S * 3)
    return clock_off(v)


def answers(v, frame=None, address=ADDRESS):
    """The sound frames that come back within three seconds."""
    return v.ask(frame or Read(address, ENERGY_TOTAL).to_frame())


def silent(v):
    return answers(v) == []


def sometimes_silent(v):
    came = sum(len(answers(v)) for _ in range(40))
    assert came > 5
    return came < 40


def wire(v, address=ADDRESS, wait_s=3.0):
    return v.send(encode(Read(address, ENERGY_TOTAL).to_frame()), wait_s=wait_s)


def broken_off(v):
    return len(wire(v)) < 24


def two_at_once(v):
    first, second = wire(v), wire(v)
    return (len(first), len(second)) == (0, 48)


def in_pieces(v):
    """The answer is not complete when its bytes could have come."""
    early = wire(v, wait_s=0.2)
    v.run_s(3)
    late = v.ports["bus-1"].take()
    assert len(FrameDecoder().feed(early + late)) == 1
    return late != b""


def late(v):
    """What was asked first answers after another question: the pairing is wrong."""
    early = wire(v, wait_s=0.5)
    v.run_s(3)
    return early == b"" and len(FrameDecoder().feed(v.ports["bus-1"].take())) == 1


def garbage_around(v):
    heard = wire(v)
    assert len(FrameDecoder().feed(heard)) == 1, "the frame itself is sound"
    return heard[:5] != bytes.fromhex("FEFEFEFE68") or len(heard) > 24


def preamble_of(v, count):
    heard = wire(v)
    return len(heard) - len(heard.lstrip(b"\xfe")) == count


def echoes(v):
    (reply,) = answers(v, Frame("AAAAAAAA0101", 0x11, ENERGY_TOTAL.to_bytes(4, "little")))
    return reply.address == "AAAAAAAA0101"


def follows(v):
    (reply,) = answers(v, Read(ADDRESS, 0x0001FF00).to_frame())
    assert v.read_long(0x0001FF00)[:4] == v.read_long(ENERGY_TOTAL), "all parts together say the same"
    return reply.follow


def doubled(v):
    """Two meters speak at once where one is asked, and the other one's own address is dead."""
    both, own = answers(v, address=OTHER), answers(v)
    good = [decode_value(ENERGY_TOTAL, reply.data[4:]) for reply in both]
    return own == [] and good == []


def set_otherwise(v):
    """Deaf to the line's speed, and answering to a client that has the meter's own."""
    deaf = wire(v) == b""
    v.ports["bus-1"].line = LineSettings(2400, "N")
    found = answers(v)
    v.ports["bus-1"].line = None
    v.run_s(2)
    assert bool(found) == deaf
    return deaf


def speaks_1997(v):
    """Deaf to 2007, and its register is read by the identifier of 1997."""
    (reply,) = answers(v, Frame(ADDRESS, 0x01, bytes.fromhex("1090"))) or (None,)
    old = reply is not None and reply.control == 0x81
    new = [frame for frame in answers(v) if frame.control == 0x91]
    assert old != bool(new)
    if old:
        assert reply.data[2:] == bcd_of(v)
    return old


def bcd_of(v):
    shown = v.household().meter.register.shown_total_wh(v.world.now_ms) // 10
    return bytes.fromhex(f"{shown:08d}")[::-1]


def noisy(v):
    before = v.world.buses["bus-1"].line.flipped_bits
    for _ in range(20):
        wire(v)
    return v.world.buses["bus-1"].line.flipped_bits > before


def shown_open(v):
    return bool(v.read(STATUS_WORD_3)[0] & RELAY_OPEN)


def tripped_and_flowing(v):
    """A trip is acknowledged and shown; energy behind it means that the contacts are welded."""
    assert v.switch(RelayAction.TRIP).control == 0x9C
    assert shown_open(v)
    mine, _, _ = flows(v, 1)
    v.switch(RelayAction.CLOSE)
    return mine > 0


def closed_and_dead(v):
    assert not shown_open(v)
    mine, _, gate = flows(v, 1)
    assert gate == mine + 500
    return mine == 0


def obeys_and_stays(v):
    """A trip is acknowledged; the contacts are shown closed and are."""
    assert v.switch(RelayAction.TRIP).control == 0x9C
    moved, (mine, _, _) = shown_open(v), flows(v, 1)
    v.switch(RelayAction.CLOSE)
    assert moved == (mine < 100)
    return not moved


def says_open(v):
    mine, _, _ = flows(v, 1)
    return shown_open(v) and mine > 900


def stands_still(v):
    mine, _, gate = flows(v, 2)
    assert v.read(POWER) == (1_000_000,), "power is still shown"
    return mine == 0 and gate == 3000


def count_of(di):
    return lambda v: int.from_bytes(v.read_long(di)[:3], "little") > 0


def bit(di, mask):
    return lambda v: bool(v.read(di)[0] & mask)


def less_returns(v):
    return v.read(NEUTRAL)[0] < v.read(CURRENT_A)[0] * 0.9


def darkness(v):
    return answers(v) == []


def rolled(v):
    v.run_s(HOUR_S)
    return v.read(ENERGY_TOTAL)[0] < 1_000_000


@dataclass(frozen=True)
class Case:
    """`gone` says whether the symptom ends with the fault; some traces stay (a replaced meter, an event)."""

    symptom: Callable[[Virtual], bool]
    sizes: dict = field(default_factory=dict)
    where: str = "household"
    name: str = "1-0101"
    phases: int = 1
    gone: bool = True
    loses: bool = False


LOSING = {"loses": True}
CASES = {
    "bypass": Case(loses, **LOSING),
    "evening_tap": Case(loses, **LOSING),
    "seasonal": Case(loses, {"months": (10, 11)}, **LOSING),
    "colluding": Case(loses, {"with": "1-0102"}, **LOSING),
    "unmetered_tap": Case(loses, **LOSING),
    "gate_tap": Case(loses, where="gate", name="g", **LOSING),
    **{f"fdi{number}": Case(loses, **LOSING) for number in range(1, 7)},
    "magnet": Case(lambda v: count_of(MAGNETS)(v) and loses(v), **LOSING),
    "neutral_tamper": Case(less_returns),
    "ct_short": Case(loses, **LOSING),
    "phase_lost": Case(lambda v: v.read(VOLTAGE_A) == (0,) and loses(v), phases=3, **LOSING),
    "reversed_ct": Case(bit(WORD_2, 1), phases=3),
    "cover_opened": Case(bit(WORD_7, 1 << 9)),
    "cover_then_theft": Case(
        lambda v: count_of(COVERS)(v) and loses(v), {"theft_after_h": 1, "metered_permille": 100}, **LOSING
    ),
    "register_stuck": Case(stands_still),
    "register_jump": Case(shifted),
    "register_backwards": Case(shifted),
    "register_rollover": Case(rolled, {"before_wh": 10}, gone=False),
    "bcd_bit_flip": Case(lambda v: abs(abs(off_by_wh(v)) - 1_000_000) < 30),
    "meter_replaced": Case(lambda v: v.read(ENERGY_TOTAL)[0] < 100_000, gone=False),
    "class_error_drift": Case(lambda v: flows(v, 72)[0] < 72_000 - 100, {"ppm_per_day": -50_000}),
    "clock_drift": Case(clock_drifts, {"ms_per_day": 600_000}),
    "clock_jump": Case(clock_off),
    "battery_low": Case(bit(WORD_1, 1 << 2)),
    "relay_stuck_closed": Case(tripped_and_flowing),
    "relay_stuck_open": Case(closed_and_dead),
    "relay_inert": Case(obeys_and_stays),
    "false_tripped": Case(says_open),
    "silent": Case(silent),
    "intermittent": Case(sometimes_silent),
    "bit_errors": Case(noisy, {"errors_ppm": 20_000}, "bus", "bus-1"),
    "truncated": Case(broken_off),
    "merged": Case(two_at_once),
    "partial_writes": Case(in_pieces),
    "late_answer": Case(late),
    "duplicate_address": Case(doubled, {"with": "1-0102"}),
    "wildcard_echo": Case(echoes),
    "wrong_line": Case(set_otherwise, {"parity": "N"}),
    "old_edition": Case(speaks_1997),
    "preamble": Case(lambda v: preamble_of(v, 7)),
    "follow_up": Case(follows),
    "noise_bytes": Case(garbage_around),
    "swapped_line": Case(silent, where="bus", name="bus-1"),
    "concentrator_reboot": Case(silent, where="bus", name="bus-1"),
    "holiday": Case(uses_otherwise),
    "vacancy": Case(uses_otherwise),
    "new_air_conditioner": Case(uses_otherwise),
    "tenant_change": Case(uses_otherwise, {"empty_h": 5}),
    "new_solar": Case(uses_otherwise),
    "power_cut": Case(darkness),
    "common_load": Case(loses, where="gate", name="g"),
    "disconnection": Case(shown_open, gone=False),
    "maintenance": Case(lambda v: v.run_s(HOUR_S) or count_of(TERMINAL_COVERS)(v), gone=False),
}
