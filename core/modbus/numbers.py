"""Registers to integers of the project's units and back, exactly: no float exists on the way to a bill.

An IEEE 754 single is a whole number times a power of two, so `value x scale` is a fraction that is rounded once, half
away from zero. Rounding keeps order, so a register that only grows never steps back by it. What it cannot mend is the
meter's own step: at 100,000 kWh one float32 counts 7.8 Wh.
"""

from collections.abc import Mapping, Sequence

from core.errors import ProtocolMisuse, ValueFormatError

INT64_MAX = 2**63 - 1
_EXPONENT_BIAS = 150  # of the significand taken as a whole number of 24 bits
_SIGNIFICAND_BITS = 23

REGISTERS: Mapping[str, int] = {"f32": 2, "u32": 2, "s32": 2, "u16": 1, "s16": 1, "high": 1, "low": 1}


def decode_number(kind: str, registers: Sequence[int], scale: int = 1, *, high_word_first: bool = True) -> int:
    """One value in units of `1 / scale` of the register's own; `ValueFormatError` for what is no number.

    kind: "f32" single, "u32" "s32" "u16" "s16" integers, "high" "low" one byte of a register.
    """
    if len(registers) != REGISTERS[kind]:
        raise ValueFormatError(f"{len(registers)} registers, a value of kind {kind} has {REGISTERS[kind]}")
    words = registers if high_word_first else registers[::-1]
    bits = int.from_bytes(b"".join(word.to_bytes(2, "big") for word in words), "big")
    if kind == "f32":
        return scaled_float32(bits, scale)
    if kind in ("high", "low"):
        return (bits >> 8 if kind == "high" else bits & 0xFF) * scale
    size = 16 * len(registers)
    negative = kind[0] == "s" and bits >> (size - 1)
    return (bits - (1 << size) if negative else bits) * scale


def encode_number(kind: str, value: int, scale: int = 1, *, high_word_first: bool = True) -> tuple[int, ...]:
    """The registers in which a meter holds a value: integers cut towards zero, a single rounded to the nearest.

    `ProtocolMisuse` for what the register cannot hold, and for one byte of a register, which cannot go alone.
    """
    if kind in ("high", "low"):
        raise ProtocolMisuse("one byte of a register cannot be written alone")
    size = 16 * REGISTERS[kind]
    if kind == "f32":
        bits = float32_bits(value, scale)
    else:
        bits = value // scale if value >= 0 else -(-value // scale)
        lowest, highest = (-(1 << (size - 1)), (1 << (size - 1)) - 1) if kind[0] == "s" else (0, (1 << size) - 1)
        if not lowest <= bits <= highest:
            raise ProtocolMisuse(f"{bits} counts do not fit into {kind}")
    raw = (bits % (1 << size)).to_bytes(size // 8, "big")
    words = tuple(int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2))
    return words if high_word_first else words[::-1]


def scaled_float32(bits: int, scale: int) -> int:
    """An IEEE 754 single times `scale` as an integer, half away from zero; `ValueFormatError` for NaN and infinity."""
    exponent, significand = bits >> _SIGNIFICAND_BITS & 0xFF, bits & (1 << _SIGNIFICAND_BITS) - 1
    if exponent == 0xFF:
        raise ValueFormatError(f"{bits:08X}H is no number but {'not a number' if significand else 'infinity'}")
    magnitude = (significand | (1 << _SIGNIFICAND_BITS) if exponent else significand) * scale
    shift = max(exponent, 1) - _EXPONENT_BIAS
    magnitude = magnitude << shift if shift >= 0 else (magnitude + (1 << -shift - 1)) >> -shift
    if magnitude > INT64_MAX:
        raise ValueFormatError(f"{bits:08X}H times {scale} does not fit into 64 bits")
    return -magnitude if bits >> 31 else magnitude


def float32_bits(value: int, scale: int) -> int:
    """The IEEE 754 single nearest to `value / scale`, half to even, by integer arithmetic; `ProtocolMisuse` if none."""
    magnitude, sign = abs(value), (1 << 31 if value < 0 else 0)
    if not magnitude:
        return 0
    power = magnitude.bit_length() - scale.bit_length() - _SIGNIFICAND_BITS
    if _quotient(magnitude, scale, power) < 1 << _SIGNIFICAND_BITS:  # the bit lengths tell the power within one
        power -= 1
    significand = _quotient(magnitude, scale, power)
    exponent = power + _EXPONENT_BIAS
    if not 1 <= exponent < 0xFF - 1:
        raise ProtocolMisuse(f"{value} / {scale} is beyond a normal single")
    # a significand rounded up to 2^24 carries into the exponent, as it must
    return sign | (exponent << _SIGNIFICAND_BITS) + significand - (1 << _SIGNIFICAND_BITS)


def _quotient(magnitude: int, scale: int, power: int) -> int:
    """`magnitude / scale / 2**power` rounded half to even."""
    above, below = (magnitude, scale << power) if power >= 0 else (magnitude << -power, scale)
    whole, rest = divmod(above, below)
    return whole + (2 * rest > below or (2 * rest == below and whole & 1))
