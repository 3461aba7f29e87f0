"""What goes wrong with meters of any protocol: quirks, strangers, doubles, power cuts, and who can be tripped."""

import pytest

from sim.faults import WrongPlace
from sim.wire.uart import LineSettings
from tests.core.modbus_oracle import crc
from tests.sim.rig import Virtual, bus, household, table

CHINT, HIKING, OLDER = "202600010105", "202600010106", "199700010103"
KEYS = {"load": "constant", "mean_power_w": 500, "resident": {"button": "never"}}
MODBUS = {"protocol": "modbus"} | KEYS


def estate(**keys):
    homes = [
        household("chint", CHINT, model="ddsu666", unit=5, **MODBUS),
        household("hiking", HIKING, model="dds238", unit=6, **MODBUS),
        household("older", OLDER, protocol="dlt645-1997", **KEYS),
        household("newer", "202600010107", **KEYS),
    ]
    return Virtual(table(homes, [bus(parity="N", **keys)]) | {"events": {}})


def ask(virtual, body_hex="050320000002"):
    virtual.run_s(1)
    body = bytes.fromhex(body_hex)
    return virtual.send(body + crc(body), wait_s=3.0)


def is_sound(wire):
    return len(wire) > 4 and wire[-2:] == crc(wire[:-2]) and not wire[1] & 0x80


def clear(virtual, name, where="household"):
    virtual.world.faults.clear(where, name, virtual.world.now_ms)


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("silent", {}),
        ("truncated", {"kept_bytes": 4}),
        ("noise_bytes", {}),
        ("late_answer", {"late_ms": 60_000}),
        ("power_cut", {}),
        ("wrong_line", {"baud": 2400, "parity": "N"}),
    ],
)
def test_a_fault_of_a_modbus_meter_shows_and_passes(kind, keys):
    virtual = estate()
    assert is_sound(ask(virtual))
    virtual.fault(kind, "household", "chint", **keys)
    assert not is_sound(ask(virtual))
    assert is_sound(ask(virtual, "060300000002")), "its neighbour is well"
    clear(virtual, "chint")
    virtual.run_s(60)
    virtual.ports["bus-1"].take()
    assert is_sound(ask(virtual))


@pytest.mark.parametrize("kind", ["preamble", "partial_writes"])
def test_a_quirk_of_a_mixed_line_does_modbus_no_harm(kind):
    virtual = estate()
    virtual.fault(kind, "bus", "bus-1")
    assert is_sound(ask(virtual))


EDITION_2007 = (
    "cover_opened", "cover_then_theft", "magnet", "neutral_tamper", "follow_up", "old_edition",
)  # fmt: skip
BOTH_EDITIONS = ("battery_low", "clock_jump", "clock_drift", "preamble", "wildcard_echo")
SWITCHED = ("relay_stuck_closed", "relay_stuck_open", "relay_inert", "false_tripped", "disconnection")


@pytest.mark.parametrize(
    ("kinds", "refused", "taken"),
    [
        (EDITION_2007, ("chint", "hiking", "older"), ("newer",)),
        (BOTH_EDITIONS, ("chint", "hiking"), ("newer", "older")),
        (SWITCHED, ("chint", "older"), ("newer", "hiking")),
    ],
)
def test_a_fault_that_no_wire_of_the_meter_can_show_is_refused(kinds, refused, taken):
    for kind in kinds:
        for name in refused:
            with pytest.raises(WrongPlace, match=f"{kind} cannot show at household {name}; allowed: meters of "):
                estate().fault(kind, "household", name)
        for name in taken:
            assert estate().fault(kind, "household", name)


def test_a_magnet_that_no_meter_notices_may_be_anywhere():
    for name in ("chint", "hiking", "older", "newer"):
        estate().fault("magnet", "household", name, event=False)


def test_a_quirk_of_frames_needs_a_meter_on_the_line_that_has_them():
    homes = [household("chint", CHINT, model="ddsu666", unit=5, **MODBUS)]
    with pytest.raises(WrongPlace, match="preamble cannot show at bus bus-1"):
        Virtual(table(homes, [bus(parity="N")])).fault("preamble", "bus", "bus-1")


def test_a_fault_of_any_meter_may_be_on_a_line_without_one():
    virtual = Virtual(table([household("newer", OLDER, **KEYS)], [bus(), bus("bus-2")]))
    assert virtual.fault("power_cut", "bus", "bus-2")


def test_the_false_trip_of_a_modbus_relay_is_read_from_its_register():
    virtual = estate()
    virtual.fault("false_tripped", "household", "hiking")
    assert ask(virtual, "0603001A0001")[3:5] == b"\0\0"
    assert virtual.household(HIKING).supply.on


@pytest.mark.parametrize("kind", ["swapped_line", "power_cut", "concentrator_reboot"])
def test_a_fault_of_the_line_strikes_every_protocol(kind):
    virtual = estate()
    virtual.fault(kind, "bus", "bus-1")
    assert not is_sound(ask(virtual))
    clear(virtual, "bus-1", "bus")
    virtual.run_s(5)
    virtual.ports["bus-1"].take()
    assert is_sound(ask(virtual))


def test_a_modbus_meter_set_otherwise_hears_a_client_that_is_set_like_it():
    virtual = estate()
    virtual.fault("wrong_line", "household", "chint", baud=2400, parity="N")
    virtual.ports["bus-1"].line = LineSettings(2400, "N", 1)
    assert is_sound(ask(virtual))
    assert ask(virtual, "060300000002") == b"", "another unit's request is none of its business"


@pytest.mark.parametrize("kind", ["swapped_line", "concentrator_reboot"])
def test_a_meter_set_otherwise_hears_no_more_of_a_broken_line_than_the_others(kind):
    virtual = estate()
    virtual.fault("wrong_line", "household", "chint", baud=2400, parity="N")
    virtual.ports["bus-1"].line = LineSettings(2400, "N", 1)
    before = virtual.world.buses["bus-1"].counters.requests
    virtual.fault(kind, "bus", "bus-1")
    ask(virtual)
    assert virtual.world.buses["bus-1"].counters.requests == before, "a command would have been obeyed"


def test_two_meters_of_one_unit_garble_each_other():
    virtual = estate()
    virtual.fault("duplicate_address", "household", "hiking", **{"with": "chint"})
    assert ask(virtual, "060300000002") == b"", "nobody is unit 6 any more"
    assert not is_sound(ask(virtual, "050320000002"))
    clear(virtual, "hiking")
    assert is_sound(ask(virtual, "060300000002"))


def test_a_name_is_shared_only_within_a_protocol():
    with pytest.raises(WrongPlace, match="speaks another protocol"):
        estate().fault("duplicate_address", "household", "older", **{"with": "chint"})


def test_only_a_relay_that_somebody_can_switch_is_tripped_for_debt():
    virtual = estate()
    for name in ("chint", "older"):
        with pytest.raises(WrongPlace, match="disconnection cannot show at household"):
            virtual.fault("disconnection", "household", name)
    virtual.fault("disconnection", "household", "hiking")
    assert ask(virtual, "0603001A0001")[3:5] == b"\0\0"
    assert not virtual.household(HIKING).supply.on
    clear(virtual, "hiking")
    assert ask(virtual, "0603001A0001")[3:5] == b"\0\1", "it closes by itself, without a button"
    assert virtual.household(HIKING).supply.on


def test_events_switch_only_what_can_be_switched():
    homes = [household(f"1-{n:04d}", f"{n:012d}", model="ddsu666", unit=n, **MODBUS) for n in range(1, 40)]
    homes += [household(f"2-{n:04d}", f"{n:012d}", model="dds238", unit=n, **MODBUS) for n in range(101, 140)]
    estate_table = table(homes, [bus(parity="N")]) | {"events": {"switchings": 900, "paid_after_h": [1, 2]}}
    virtual = Virtual(estate_table)
    virtual.run_s(20 * 86_400)
    moved = {name: home.meter.relay.events for name, home in virtual.world.households.items()}
    assert not any(events for name, events in moved.items() if name.startswith("1-"))
    assert sum(bool(events) for name, events in moved.items() if name.startswith("2-")) > 5
    assert {event.cause for events in moved.values() for event in events} == {"trip", "close"}
