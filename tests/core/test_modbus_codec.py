"""The Modbus codec against published frames and the oracle, and bugs planted into a copy of it: each must be caught."""

import pytest

from tests.core import modbus_oracle as oracle
from tests.core.modbus_checks import CHECKS, failures, forget_modbus, load_modbus, published, spoken

PLANTED = {
    "the CRC is not checked in a stream": ("rtu", "if crc16_modbus(body[:-2]) != int", "if False and 0 != int"),
    "the CRC is read high byte first in a stream": (
        "rtu",
        'if crc16_modbus(body[:-2]) != int.from_bytes(body[-2:], "little")',
        'if crc16_modbus(body[:-2]) != int.from_bytes(body[-2:], "big")',
    ),
    "the CRC is not checked when one frame is parsed": ("rtu", "if carried != expected:", "if carried == 65536:"),
    "the CRC leaves out the unit": ("rtu", "crc16_modbus(wire[:-2])", "crc16_modbus(wire[1:-2])"),
    "a bad candidate costs more than one byte": ("rtu", "position += 1\n", "position += max(1, size)\n"),
    "a good frame is searched again inside": ("rtu", "position += size", "position += 1"),
    "unfinished frames swallow what follows": ("rtu", "elif size > len(head) and not final:", "elif size > len(head):"),
    "the echo is not looked for": ("rtu", "if echo and head[:echo] == self._sent:", "if echo > 999:"),
    "the echo is not waited for": ("rtu", "if echo > len(head) and self._sent", "if echo > 999 and self._sent"),
    "odd byte counts are let through": ("rtu", "head[2] % 2 == 0 and 1 <=", "1 <="),
    "empty answers are let through": ("rtu", "and 1 <= head[2] // 2 <=", "and 0 <= head[2] // 2 <="),
    "answers beyond 125 registers are let through": ("rtu", "READ_COUNT_MAX = 125", "READ_COUNT_MAX = 127"),
    "writes beyond 123 registers are let through": ("rtu", "WRITE_COUNT_MAX = 123", "WRITE_COUNT_MAX = 124"),
    "a write's byte count need not fit its count": ("rtu", "or head[6] == 2 * count", "or head[6] != 999"),
    "registers may lie beyond FFFFH": ("rtu", "or register + count > 0x10000:", "or register + count > 0x20000:"),
    "units above 247 speak": ("rtu", "UNIT_MAX = 247", "UNIT_MAX = 250"),
    "unit 0 speaks": ("rtu", "if not 1 <= head[0] <= UNIT_MAX or (", "if not 0 <= head[0] <= UNIT_MAX or ("),
    "unit 0 is written to": ("rtu", "_require(1 <= frame.unit", "_require(0 <= frame.unit"),
    "a meter hears refusals as requests": (
        "rtu",
        "SHORTEST if is_reply and head[2] else 0",
        "SHORTEST if head[2] else 0",
    ),
    "a refusal without a reason counts": (
        "rtu",
        "SHORTEST if is_reply and head[2] else 0",
        "SHORTEST if is_reply else 0",
    ),
    "a refusal keeps its bit": ("rtu", "body[0], body[1] & ~EXCEPTION_BIT", "body[0], body[1]"),
    "the register is one too high": ("rtu", "address=frame.register, count", "address=frame.register + 1, count"),
    "requests are taken for replies": ("rtu", "for is_reply in (False, True):", "for is_reply in (True, True):"),
    "words are low byte first": ("numbers", 'word.to_bytes(2, "big")', 'word.to_bytes(2, "little")'),
    "the low word comes first": (
        "numbers",
        "words = registers if high_word_first else",
        "words = registers if not high_word_first else",
    ),
    "the written low word comes first": (
        "numbers",
        "return words if high_word_first",
        "return words[::-1] if high_word_first",
    ),
    "whole numbers have no sign": ("numbers", "negative = kind[0] ==", "negative = kind[0] == kind and kind[0] =="),
    "the sign is another bit": ("numbers", "and bits >> (size - 1)", "and bits >> (size - 2)"),
    "singles have no sign": ("numbers", "return -magnitude if bits >> 31 else magnitude", "return magnitude"),
    "singles are cut": ("numbers", "(magnitude + (1 << -shift - 1)) >> -shift", "magnitude >> -shift"),
    "singles are rounded before they are scaled": (
        "numbers",
        "if exponent else significand) * scale\n",
        "if exponent else significand)\n",
    ),
    "the hidden bit is forgotten": (
        "numbers",
        "(significand | (1 << _SIGNIFICAND_BITS) if exponent",
        "(significand if exponent",
    ),
    "small singles have a hidden bit": (
        "numbers",
        "_SIGNIFICAND_BITS) if exponent else significand)",
        "_SIGNIFICAND_BITS))",
    ),
    "the exponent is off by one": ("numbers", "_EXPONENT_BIAS = 150", "_EXPONENT_BIAS = 149"),
    "infinity is a number": ("numbers", "if exponent == 0xFF:", "if exponent == 0x1FF:"),
    "numbers may outgrow 64 bits": ("numbers", "INT64_MAX = 2**63 - 1", "INT64_MAX = 2**80"),
    "the nearest single is missed": ("numbers", "whole + (2 * rest > below or", "whole + (0 * rest > below or"),
    "the scale is forgotten": ("numbers", "if negative else bits) * scale", "if negative else bits)"),
    "the high byte is the low one": ("numbers", '(bits >> 8 if kind == "high"', '(bits >> 8 if kind == "low"'),
    "the reply's unit is ignored": ("commands", "and reply.unit == unit", "and reply.unit"),
    "the reply's function is ignored": ("commands", "and reply.function == function", "and reply.function"),
    "the reply's length is ignored": ("commands", "or reply.count == self.count)", "or reply.count)"),
    "a request is its own reply": ("commands", "return reply.is_reply and", "return"),
    "where it was written is ignored": ("commands", "(reply.abnormal or same)", "(reply.abnormal or reply.count)"),
    "a refusal is an answer": (
        "commands",
        "    if reply.abnormal:\n",
        "    if reply.abnormal and not reply.exception:\n",
    ),
    "refusals are named wrongly": ("commands", '0x02: ("illegal data address"', '0x02: ("illegal data value"'),
    "energies count hundredths of a Wh": (
        "meters",
        'like(FORWARD, 0x000A, "u32", 10)',
        'like(FORWARD, 0x000A, "u32", 1)',
    ),
    "import and export are swapped": ("meters", "(0x0048, FORWARD, _KILO)", "(0x0048, REVERSE, _KILO)"),
    "a current counts tenths": (
        "meters",
        'like(CURRENT | _A, 0x000D, "u16", 10)',
        'like(CURRENT | _A, 0x000D, "u16", 100)',
    ),
    "a phase is left out": ("meters", "register + 2 * phase", "register + 4 * phase"),
    "a value at the edge of the block is lost": (
        "maps",
        "at + one.count <= command.count",
        "at + one.count < command.count",
    ),
    "values are cut one register late": (
        "maps",
        "registers[at : at + one.count]",
        "registers[at + 1 : at + 1 + one.count]",
    ),
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_codec_has_no_complaints(name: str) -> None:
    modbus = load_modbus()
    try:
        assert failures(modbus, {name: CHECKS[name]}) == []
    finally:
        forget_modbus(modbus)


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_caught(bug: str) -> None:
    module, old, new = PLANTED[bug]
    modbus = load_modbus({module: (old, new)})
    try:
        complaints = failures(modbus, CHECKS)
    finally:
        forget_modbus(modbus)
    assert complaints, f"nothing noticed that {bug}"


def test_the_vectors_are_what_their_readme_says() -> None:
    assert (len(published()), len(spoken())) == (64, 59)
    assert all(vector["source"].startswith("https://") for vector in published())


def test_the_oracle_agrees_with_the_published_sums() -> None:
    for vector in published():
        wire = bytes.fromhex(vector["hex"])
        assert (oracle.crc(wire[:-2]) == wire[-2:]) is vector["decoded"]["crc_ok"]
    assert oracle.crc(b"123456789") == bytes.fromhex("374B")  # the check value of the CRC catalogue
