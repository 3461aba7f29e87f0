"""Habits of vendors on the wire, and three-phase meters beside single-phase ones."""

import hmac
from datetime import timedelta

import pytest

from core.dlt645.commands import BroadcastTime, Password, Read, RelayAction, RelayControl
from core.dlt645.frame import Frame, encode
from core.dlt645.identifiers import CURRENT_BLOCK, ENERGY_TOTAL, POWER_BLOCK, VOLTAGE_BLOCK
from sim.errors import ScenarioError
from sim.meters.profiles import VENDORS
from sim.scenario.scenario import scenario_from_dict
from sim.vendors import VENDOR_NAMES
from tests.sim.rig import ADDRESS, GATE, Virtual, bus, household, table

KW = {"load": "constant", "mean_power_w": 3300, "resident": {"button": "never"}}
ANY = "A" * 12


def virtual(vendor="standard", line=None, **keys):
    return Virtual(table([household(vendor=vendor, **KW, **keys)], [line or bus(wire="none")]))


def said(estate, control, data=b"", address=ADDRESS):
    return [(reply.control, reply.data) for reply in estate.ask(Frame(address, control, data), wait_s=0.5)]


def switch(estate, action, deadline=None):
    when = deadline or estate.civil() + timedelta(minutes=5)
    return [(r.control, r.data) for r in estate.ask(RelayControl(ADDRESS, action, when, Password()).to_frame())]


def test_every_name_of_a_vendor_has_its_habits_in_the_same_place():
    assert tuple(profile.name for profile in VENDORS) == VENDOR_NAMES


@pytest.mark.parametrize(
    ("vendor", "waking"), [("standard", 3), ("local-prepaid", 0), ("landis-gyr-e650", 0), ("state-grid-three-phase", 4)]
)
def test_waking_bytes_before_an_answer_are_the_vendors_or_the_lines(vendor, waking):
    wire = virtual(vendor, bus(preamble=3)).send(encode(Read(ADDRESS, ENERGY_TOTAL).to_frame()))
    assert len(wire) - len(wire.lstrip(b"\xfe")) == waking


@pytest.mark.parametrize(
    ("vendor", "least_s", "most_s"), [("local-prepaid", 0.060, 0.060), ("landis-gyr-e650", 0.179, 0.397)]
)
def test_a_vendor_has_its_own_delay_before_an_answer(vendor, least_s, most_s):
    estate = virtual(vendor, bus(baud=9600, chunk_bytes=1))
    wire = encode(Read(ADDRESS, ENERGY_TOTAL).to_frame(), 0)
    for _ in range(5):
        estate.ports["bus-1"].feed(wire)
        estate.run_s(16 * 11 / 9600 + least_s - 0.001)
        assert estate.ports["bus-1"].take() == b""
        estate.run_s(most_s - least_s + 0.001 + 21 * 11 / 9600)
        assert len(estate.ports["bus-1"].take()) >= 20


@pytest.mark.parametrize(("vendor", "short"), [("standard", False), ("landis-gyr-e650", False), ("short-blocks", True)])
def test_blocks_of_energy_are_not_served_by_everybody(vendor, short):
    estate = virtual(vendor)
    ((control, data),) = said(estate, 0x11, bytes.fromhex("00FF0100"))
    assert (control, len(data)) == ((0xD1, 1) if short else (0x91, 24))
    ((control, _),) = said(estate, 0x11, bytes.fromhex("00FF0000"))
    assert control == (0x91 if vendor == "standard" else 0xD1)


@pytest.mark.parametrize(
    ("vendor", "filler"), [("standard", b"\xff" * 4), ("property-plain", bytes(4)), ("short-blocks", b"")]
)
def test_phases_that_are_not_there_are_filled_in_three_ways(vendor, filler):
    data = virtual(vendor).read_long(VOLTAGE_BLOCK)
    assert data[2:] == filler


def test_one_vendor_lets_plain_passwords_only_close():
    estate = virtual("state-grid-three-phase", phases=3)
    assert switch(estate, RelayAction.TRIP) == [(0xDC, b"\x04")]
    assert switch(estate, RelayAction.KEEP_POWER) == [(0xDC, b"\x04")]
    assert switch(estate, RelayAction.ALLOW_CLOSE) == switch(estate, RelayAction.CLOSE) == [(0x9C, b"")]


@pytest.mark.parametrize(("vendor", "answered"), [("standard", 0xDC), ("property-plain", 0x9C)])
def test_a_deadline_of_zeros_is_ignored_by_one_vendor(vendor, answered):
    data = bytes.fromhex("0200000000000000") + b"\x1a\x00" + bytes(6)
    ((control, _),) = said(virtual(vendor), 0x1C, data)
    assert control == answered


def test_time_to_its_own_address_is_answered_by_one_vendor():
    estate = virtual("local-prepaid")
    near = BroadcastTime((estate.civil() + timedelta(seconds=60)).replace(microsecond=0), ADDRESS).to_frame()
    assert said(estate, 0x08, near.data) == [(0x88, b"")]
    assert said(estate, 0x08, near.data) == [(0xC8, b"\x04")], "once a day"
    assert said(estate, 0x08, near.data[:5]) == []
    assert said(virtual(), 0x08, near.data) == []


@pytest.mark.parametrize(
    ("vendor", "control", "answered"),
    [
        ("standard", 0x16, True), ("standard", 0x19, False), ("standard", 0x17, False), ("standard", 0x1D, False),
        ("local-prepaid", 0x19, True), ("local-prepaid", 0x17, True), ("local-prepaid", 0x1D, False),
        ("state-grid-three-phase", 0x1D, True), ("state-grid-three-phase", 0x19, False),
        ("standard", 0x14, False), ("local-prepaid", 0x14, False), ("local-prepaid", 0x1C, False),
        ("standard", 0x1A, False), ("standard", 0x1B, False), ("standard", 0x18, False), ("standard", 0x08, False),
    ],
)  # fmt: skip
def test_what_a_wildcard_may_carry_differs(vendor, control, answered):
    data = {0x16: b"\x99" * 4, 0x17: b"\x08", 0x1D: b"\x00", 0x19: bytes.fromhex("0200000000000000")}.get(
        control, bytes(16)
    )
    assert bool(said(virtual(vendor), control, data, ANY)) == answered


def test_one_vendor_refuses_a_new_rate_by_wildcard():
    assert said(virtual("local-prepaid"), 0x17, b"\x08", ANY) == [(0xD7, b"\x04")]


@pytest.mark.parametrize(("vendor", "owed"), [("standard", [(0xDE, b"\x02")]), ("state-grid-three-phase", [])])
def test_unknown_commands_are_refused_or_passed_over(vendor, owed):
    assert said(virtual(vendor), 0x1E, b"\x00") == owed


def test_money_is_refused_by_a_local_prepaid_meter_in_remote_mode():
    assert said(virtual("local-prepaid"), 0x11, bytes.fromhex("00029000")) == [(0xD1, b"\x02")]
    assert virtual().read(0x00900200) == (0,)


def test_a_three_phase_meter_measures_each_phase_and_the_sum():
    estate = virtual(phases=3)
    total, *each = estate.read(POWER_BLOCK)
    assert total == sum(each) == 3_300_000
    assert len(set(each)) >= 2
    assert all(0.28 < one / total < 0.39 for one in each)
    voltages, currents = estate.read(VOLTAGE_BLOCK), estate.read(CURRENT_BLOCK)
    assert len(set(voltages)) == 3
    for voltage, current, power in zip(voltages, currents, each, strict=True):
        assert 216_000 <= voltage <= 224_000
        assert abs(voltage * current // 1000 - power) < 1000
    assert estate.read(0x02010300) == voltages[2:]
    assert estate.read(0x02800001)[0] <= max(currents) - min(currents) + 100


def test_energies_of_the_phases_add_up():
    estate = virtual(phases=3, start_register_wh=1_000_000)
    estate.run_s(86400)
    phases = [estate.read(di2 << 16)[0] for di2 in (0x15, 0x29, 0x3D)]
    total = estate.read(ENERGY_TOTAL)[0]
    assert total - 40 <= sum(phases) <= total
    assert estate.read(0x00160000) == (0,)
    estate.run_s(3600)
    peaks = [estate.read(0x01000000 | di2 << 16)[0] for di2 in (0x15, 0x29, 0x3D)]
    assert sum(peaks) == estate.read(0x01010000)[0]


def test_a_single_phase_meter_has_no_other_phases():
    estate = virtual()
    for di in (0x02010200, 0x02020300, 0x00290000, 0x01290000, 0x03010201, 0x03090001, 0x020A0201, 0x14000001):
        assert said(estate, 0x11, di.to_bytes(4, "little")) == [(0xD1, b"\x02")], f"{di:08X}"


def test_a_gate_meter_may_be_three_phase_and_carry_more_than_a_field_can_say():
    dwellings = [household(f"1-{n:04d}", f"{n:012d}", load="constant", mean_power_w=9000) for n in range(1, 21)]
    gate = {"id": "gate-1", "meter": GATE, "bus": "bus-1", "prefix": "1-", "phases": 3}
    estate = Virtual(table(dwellings, [bus(wire="none")], [gate]))
    total, *each = estate.read(POWER_BLOCK, GATE)
    assert total is None
    assert sum(each) == 180_000_000
    assert None not in estate.read(CURRENT_BLOCK, GATE)


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [("phases", 2, "1 or 3"), ("vendor", "acme", "local-prepaid"), ("clock_drift_ms_per_day", 3_600_001, "3600000")],
)
def test_impossible_meters_are_refused_with_what_is_allowed(key, value, allowed):
    with pytest.raises(ScenarioError, match=f"{key}.*{allowed}"):
        scenario_from_dict(table([household(**{key: value})]))


def sealed(estate, action, parameter=0, minutes=5, word=True, spoil=0, level="98"):
    """Answer to a 1CH of level 98, sealed here by hand under the public key."""
    deadline = bytes.fromhex(f"{estate.civil() + timedelta(minutes=minutes):%y%m%d%H%M%S}")[::-1]
    plain = bytes([action, parameter]) + deadline + bytes(8)
    address = bytes.fromhex(ADDRESS)[::-1]
    key = hmac.digest(b"estate645 simulator: this key is public and protects nothing", bytes(2) + address, "sha256")
    mac = hmac.digest(key, b"control\0" + plain, "sha256")[:4]
    body = bytes.fromhex(level) + bytes([0, 0, word]) + bytes(4) + plain + bytes([mac[0] ^ spoil]) + mac[1:]
    ((control, data),) = said(estate, 0x1C, body)
    return control, int.from_bytes(data, "little"), len(data)


def test_a_sealed_order_is_answered_with_a_word_of_what_was_done():
    estate = virtual("state-grid-three-phase", phases=3)
    for action, bit in ((0x2A, 10), (0x2B, 11), (0x3A, 8), (0x3B, 9), (0x1A, 2), (0x1B, 1), (0x1C, 0), (0x1D, 4)):
        assert sealed(estate, action, int(action == 0x1D)) == (0x9C, 1 << bit, 2), f"{action:02X}"
    assert estate.household().meter.relay.shown_open
    assert sealed(estate, 0x1C, word=False) == (0x9C, 0, 0)


def test_a_sealed_order_that_is_refused_says_why():
    estate = virtual("state-grid-three-phase", phases=3)
    assert sealed(estate, 0x1A, spoil=1) == (0xDC, 1 << 1, 2), "MAC"
    assert sealed(estate, 0x1A, level="02") == (0xDC, 1 << 2, 2), "level"
    assert sealed(estate, 0x1A, minutes=-5) == (0xDC, 1 << 4, 2), "deadline"
    assert sealed(estate, 0x1D, 0) == (0xDC, 1 << 7, 2), "restore time"
    sealed(estate, 0x3A)
    assert sealed(estate, 0x1A) == (0xDC, 1 << 5, 2), "keep power"
    assert sealed(estate, 0x1D, 1) == (0xDC, 1 << 6, 2), "keep power"
    sealed(estate, 0x3B)
    sealed(estate, 0x1A)
    assert sealed(estate, 0x1D, 1) == (0xDC, 1 << 8, 2), "tripped"
    assert sealed(estate, 0x1A, spoil=1, word=False) == (0xDC, 0x04, 1)
    assert sealed(virtual(), 0x1A, word=False) == (0xDC, 0x04, 1), "other vendors have no such level"


def test_a_sealed_trip_with_a_delay_says_so():
    estate = virtual("state-grid-three-phase", phases=3, trip_delay_min=5)
    assert sealed(estate, 0x1A) == (0x9C, 1 << 3, 2)
    assert not estate.household().meter.relay.shown_open
