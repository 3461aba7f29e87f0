"""What the registers of a meter mean: quantities as data, reads planned over them, values decoded and encoded.

A `Quantity` says where a value stands and how: function, register, kind of number, word order, scale to the project's
unit, names. `di` is the identifier of DL/T 645-2007 that holds the same quantity, with the same unit and names, so that
whoever reads meters of both protocols needs one vocabulary. A `MeterMap` is the evidence with the quantities that it
supports; a register without a source is absent.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.dlt645.entry import READ_ONLY, READ_WRITE
from core.dlt645.identifiers import lookup
from core.errors import ProtocolMisuse, ValueFormatError
from core.modbus.commands import ReadRegisters, WriteRegisters, reply_registers
from core.modbus.numbers import REGISTERS, decode_number, encode_number
from core.modbus.rtu import READ_COUNT_MAX, READ_HOLDING, RtuFrame


@dataclass(frozen=True, slots=True)
class Quantity:
    """One value of a meter; `scale` is what one of the register's own units (or counts) is worth in `unit`."""

    name_en: str
    name_zh: str
    register: int
    kind: str
    unit: str = ""
    scale: int = 1
    function: int = READ_HOLDING
    di: int | None = None
    access: str = READ_ONLY
    high_word_first: bool = True
    uncertain: bool = False

    @property
    def count(self) -> int:
        """Registers that it takes."""
        return REGISTERS[self.kind]

    def decode(self, registers: Sequence[int]) -> int:
        """The value in `unit`; `ValueFormatError` names the quantity whose registers are no number."""
        try:
            return decode_number(self.kind, registers, self.scale, high_word_first=self.high_word_first)
        except ValueFormatError as error:
            raise ValueFormatError(f"{self.name_en} (register {self.register:04X}H): {error}") from error

    def encode(self, value: int) -> tuple[int, ...]:
        """The registers in which a meter shows the value; `ProtocolMisuse` names what it cannot hold."""
        try:
            return encode_number(self.kind, value, self.scale, high_word_first=self.high_word_first)
        except ProtocolMisuse as error:
            raise ProtocolMisuse(f"{self.name_en} (register {self.register:04X}H): {error}") from error


@dataclass(frozen=True, slots=True)
class MeterMap:
    """The registers of one model. `gap_max` registers that nobody owns may lie inside one read: seen to be answered."""

    key: str
    model: str
    phases: int
    quantities: tuple[Quantity, ...]
    evidence: tuple[str, ...]
    bauds: tuple[int, ...] = ()
    registers_max: int = READ_COUNT_MAX
    gap_max: int = 0

    def of(self, di: int) -> Quantity:
        """The quantity of an identifier; `ProtocolMisuse` when this meter has none."""
        found = next((one for one in self.quantities if one.di == di), None)
        if found is None:
            raise ProtocolMisuse(f"{self.model} has no known register for {di:08X}")
        return found

    def named(self, name_en: str) -> Quantity:
        """The quantity of that English name; `ProtocolMisuse` when this meter has none."""
        found = next((one for one in self.quantities if one.name_en == name_en), None)
        if found is None:
            raise ProtocolMisuse(f"{self.model} has no quantity {name_en!r}")
        return found

    @property
    def relay(self) -> Quantity | None:
        """The register that switches the relay (1 closed, 0 open), where the model has one."""
        return next((one for one in self.quantities if one.name_en == RELAY_EN), None)


RELAY_EN, RELAY_ZH = "relay, 1 closed", "继电器，1合0分"


def like(di: int, register: int, kind: str, scale: int, *, function: int = READ_HOLDING) -> Quantity:
    """A quantity that DL/T 645 has too: names and unit are those of the identifier."""
    entry = lookup(di)
    if entry is None:
        raise ProtocolMisuse(f"identifier {di:08X} is not in the table")
    return Quantity(entry.name_en, entry.name_zh, register, kind, entry.unit, scale, function, di)


def reads(unit: int, meter: MeterMap, quantities: Iterable[Quantity]) -> list[ReadRegisters]:
    """The fewest reads that bring these quantities of one meter, as its map allows."""
    planned: list[ReadRegisters] = []
    for one in sorted(quantities, key=lambda one: (one.function, one.register)):
        last = planned[-1] if planned else None
        if last is not None and last.function == one.function:
            count = max(last.count, one.register + one.count - last.register)
            gap = one.register - (last.register + last.count)
            if gap <= meter.gap_max and count <= meter.registers_max:
                planned[-1] = ReadRegisters(unit, last.register, count, one.function)
                continue
        planned.append(ReadRegisters(unit, one.register, one.count, one.function))
    return planned


def read_of(unit: int, quantity: Quantity) -> ReadRegisters:
    """The request for one quantity."""
    return ReadRegisters(unit, quantity.register, quantity.count, quantity.function)


def values_of(meter: MeterMap, command: ReadRegisters, reply: RtuFrame) -> Mapping[Quantity, int]:
    """Every quantity of the map that lies wholly within what was read.

    `MeterRefused` and `ProtocolMisuse` as for `reply_registers`, `ValueFormatError` for registers that are no number.
    """
    registers = reply_registers(command, reply)
    found = {}
    for one in meter.quantities:
        at = one.register - command.register
        if one.function == command.function and at >= 0 and at + one.count <= command.count:
            found[one] = one.decode(registers[at : at + one.count])
    return found


def write_of(unit: int, quantity: Quantity, value: int) -> WriteRegisters:
    """The request that writes one quantity; `ProtocolMisuse` for one that may only be read."""
    if quantity.access != READ_WRITE:
        raise ProtocolMisuse(f"{quantity.name_en} (register {quantity.register:04X}H) may only be read")
    return WriteRegisters(unit, quantity.register, quantity.encode(value))


def switch_relay(unit: int, meter: MeterMap, *, closed: bool) -> WriteRegisters:
    """The request that closes or opens the relay; only a read of the register tells what it did."""
    if meter.relay is None:
        raise ProtocolMisuse(f"{meter.model} has no relay that a known register switches")
    return write_of(unit, meter.relay, int(closed))
