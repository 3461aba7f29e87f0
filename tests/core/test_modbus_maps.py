"""Register maps: names and units as DL/T 645 has them, reads planned, values decoded and written, relay switched."""

from dataclasses import replace

import pytest

from core.dlt645.identifiers import lookup
from core.errors import MeterRefused, ProtocolMisuse, ValueFormatError
from core.modbus.commands import EXCEPTIONS, ReadRegisters, WriteRegisters, exception_names, reply_registers
from core.modbus.maps import like, read_of, reads, switch_relay, values_of, write_of
from core.modbus.meters import DDS238, DDSU666, DDSY1352, METERS, SDM630
from core.modbus.numbers import float32_bits
from core.modbus.rtu import RtuFrame, encode, exception_reply, parse, registers_reply, written_reply

ALL = [(meter, one) for meter in METERS.values() for one in meter.quantities]


@pytest.mark.parametrize(("meter", "one"), ALL, ids=lambda value: getattr(value, "key", getattr(value, "name_en", "")))
def test_a_quantity_is_named_in_both_languages_and_like_its_identifier(meter, one) -> None:
    assert one.name_en
    assert any("一" <= character <= "鿿" for character in one.name_zh)
    assert one.function in (3, 4)
    assert meter.named(one.name_en) is one
    if one.di is not None:
        entry = lookup(one.di)
        assert (one.name_en, one.name_zh, one.unit) == (entry.name_en, entry.name_zh, entry.unit)
        assert meter.of(one.di) is one


@pytest.mark.parametrize("meter", METERS.values(), ids=lambda meter: meter.key)
def test_no_two_quantities_of_a_meter_share_a_register(meter) -> None:
    taken = [
        (one.function, one.register + at, one.kind in ("high", "low") and one.kind)
        for one in meter.quantities
        for at in range(one.count)
    ]
    assert len(taken) == len(set(taken))
    assert meter.evidence
    assert METERS[meter.key] is meter


def test_the_maps_hold_what_is_sourced_and_no_more() -> None:
    assert {key: len(meter.quantities) for key, meter in METERS.items()} == {
        "chint-ddsu666": 8, "eastron-sdm630": 45, "hiking-dds238-2": 12, "acrel-ddsy1352": 11,
    }  # fmt: skip
    assert [meter.key for meter in METERS.values() if meter.relay] == ["hiking-dds238-2"]
    assert [one.name_en for one in DDSY1352.quantities if one.uncertain] == ["code"]


def test_adjacent_quantities_are_read_together() -> None:
    assert [(one.register, one.count) for one in reads(1, DDSU666, DDSU666.quantities)] == [
        (0x2000, 8), (0x200A, 2), (0x200E, 2), (0x4000, 2), (0x400A, 2),
    ]  # fmt: skip
    assert [(one.register, one.count) for one in reads(1, DDS238, DDS238.quantities)] == [(0, 27)]
    assert [(one.register, one.count) for one in reads(1, DDSY1352, DDSY1352.quantities)] == [(0, 14), (15, 2)]
    planned = reads(7, SDM630, SDM630.quantities)
    assert {one.unit for one in planned} == {7}
    assert max(one.count for one in planned) <= 80
    assert sorted({one.function for one in planned}) == [3, 4]
    assert reads(1, SDM630, []) == []


def test_a_read_stays_within_what_the_meter_answers_at_once() -> None:
    small = replace(SDM630, registers_max=6)
    phases = [one for one in SDM630.quantities if one.function == 4 and one.register < 0x12]
    assert [(one.register, one.count) for one in reads(1, small, phases)] == [(0, 6), (6, 6), (12, 6)]


@pytest.mark.parametrize("meter", METERS.values(), ids=lambda meter: meter.key)
def test_every_planned_read_brings_back_what_a_meter_would_hold(meter) -> None:
    """Registers filled by `encode` as a simulator does; numbers are judged by the oracle elsewhere."""
    held: dict[tuple[int, int], int] = {}
    expected = {}
    for number, one in enumerate(meter.quantities):
        if one.kind in ("high", "low"):
            held[one.function, one.register] = 0x2A04
            expected[one] = 0x2A if one.kind == "high" else 0x04
            continue
        expected[one] = (number + 1) * one.scale
        for at, word in enumerate(one.encode(expected[one])):
            held[one.function, one.register + at] = word
    got = {}
    for command in reads(9, meter, meter.quantities):
        span = range(command.register, command.register + command.count)
        words = [held.get((command.function, register), 0xFFFF) for register in span]
        got |= values_of(meter, command, parse(encode(registers_reply(command.to_frame(), words))))
    assert got == expected


def test_a_negative_power_is_negative() -> None:
    """Export of 986 W and -178 var as an owner of a DDS238-2 saw them, the second rolled over to 65358."""
    power, reactive = DDS238.of(0x02030000), DDS238.of(0x02040000)
    assert power.decode([0x10000 - 986]) == -986_000
    assert reactive.decode([65358]) == -178_000
    assert reactive.encode(-178_000) == (65358,)


def test_a_register_that_is_no_number_is_named() -> None:
    energy = SDM630.of(0x00010000)
    with pytest.raises(ValueFormatError, match=r"forward active energy, total \(register 0048H\): 7FC00000H"):
        energy.decode([0x7FC0, 0])
    with pytest.raises(ValueFormatError, match="3 registers"):
        energy.decode([0, 0, 0])
    with pytest.raises(ProtocolMisuse, match=r"voltage, phase A \(register 000CH\): 65536 counts"):
        DDS238.of(0x02010100).encode(6_553_600)
    with pytest.raises(ProtocolMisuse, match="one byte of a register"):
        DDS238.named("unit").encode(1)


def test_energies_are_rounded_once_to_watt_hours() -> None:
    energy = SDM630.of(0x00010000)
    assert energy.decode([0x47C3, 0x5000]) == 100_000_000  # 100,000 kWh
    assert energy.decode([0x47C3, 0x5001]) == 100_000_008  # the next single is 7.8125 Wh on
    assert energy.decode([0x3A03, 0x126F]) == 1  # 0.0005 kWh, a hair above half a Wh
    assert energy.decode([0x3A03, 0x126E]) == 0


def test_a_single_is_written_within_its_range_only() -> None:
    assert float32_bits(0, 1000) == 0
    assert float32_bits(2**24 - 1, 1) == 0x4B7FFFFF
    assert float32_bits(2**25 - 1, 1) == 0x4C000000  # rounded up to the next power of two
    assert float32_bits(-1, 2**126) == 0x80800000
    for value, scale in ((1, 2**127), (2**128, 1)):
        with pytest.raises(ProtocolMisuse, match="beyond a normal single"):
            float32_bits(value, scale)


def test_a_quantity_cannot_be_like_an_unknown_identifier() -> None:
    with pytest.raises(ProtocolMisuse, match="identifier 0A0A0A0A is not in the table"):
        like(0x0A0A0A0A, 0, "u16", 1)


def test_the_relay_is_one_register_written_by_function_16() -> None:
    opened = switch_relay(3, DDS238, closed=False)
    assert opened == WriteRegisters(3, 0x001A, (0,))
    assert switch_relay(3, DDS238, closed=True).values == (1,)
    assert encode(opened.to_frame()).hex(" ").upper().startswith("03 10 00 1A 00 01 02 00 00")
    assert read_of(3, DDS238.relay) == ReadRegisters(3, 0x001A, 1)
    assert reply_registers(opened, written_reply(opened.to_frame())) == ()
    for meter in (DDSU666, SDM630, DDSY1352):
        with pytest.raises(ProtocolMisuse, match="no relay"):
            switch_relay(1, meter, closed=False)


def test_only_parameters_are_written() -> None:
    period = SDM630.named("demand period")
    assert write_of(1, period, 15) == WriteRegisters(1, 0x0002, (0x4170, 0x0000))
    with pytest.raises(ProtocolMisuse, match="may only be read"):
        write_of(1, SDM630.of(0x00010000), 0)
    with pytest.raises(ProtocolMisuse, match="no known register for 00900200"):
        DDSY1352.of(0x00900200)
    with pytest.raises(ProtocolMisuse, match="no quantity 'balance'"):
        DDSY1352.named("balance")


def test_refusals_are_raised_by_name() -> None:
    command = ReadRegisters(1, 0, 2)
    for code, (name, _) in EXCEPTIONS.items():
        with pytest.raises(MeterRefused, match=name) as refusal:
            reply_registers(command, exception_reply(command.to_frame(), code))
        assert refusal.value.err == code
    assert exception_names(0x55) == ("a code of the vendor", "厂家自定义代码")
    with pytest.raises(ProtocolMisuse, match="does not answer"):
        reply_registers(command, RtuFrame(2, 3, True, 0, 2, (0, 0)))
