"""Bugs planted into a copy of the codec, one at a time: the vectors and the oracle must catch each.

Without this, nobody would know whether the checks of `test_vectors` can fail at all.
"""

import pytest

from tests.core.codec_checks import failures, forget_codec, load_codec
from tests.core.test_vectors import CHECKS

PLANTED = {
    "received data keeps the 33H offset": ("frame", "(byte - OFFSET) & 0xFF", "byte"),
    "sent data lacks the 33H offset": ("frame", "(byte + OFFSET) & 0xFF", "byte"),
    "the offset saturates instead of wrapping on receipt": ("frame", "(byte - OFFSET) & 0xFF", "max(byte - 0x33, 0)"),
    "the offset saturates instead of wrapping on sending": ("frame", "(byte + OFFSET) & 0xFF", "min(byte + 0x33, 255)"),
    "the offset is 34H": ("frame", "(byte - OFFSET) & 0xFF", "(byte - 0x34) & 0xFF"),
    "received addresses are reversed": ("values", "return data[::-1].hex().upper()", "return data.hex().upper()"),
    "sent addresses are reversed": ("values", "bytes.fromhex(address)[::-1]", "bytes.fromhex(address)"),
    "the sum leaves out the first 68H": ("anatomy", "sum(self.body[:-2]) & 0xFF if", "sum(self.body[1:-2]) & 0xFF if"),
    "the stream's sum covers too little": (
        "frame",
        "if dlt_sum(body[:-2]) != body[-2]:",
        "if dlt_sum(body[:-3]) != body[-2]:",
    ),
    "the stream's sum is not checked": ("frame", "if dlt_sum(body[:-2]) != body[-2]:", "if False:"),
    "waking bytes count in the sum": (
        "frame",
        "bytes((dlt_sum(body), END))",
        "bytes((dlt_sum(b'\\xfe' * preamble + body), END))",
    ),
    "the length counts one too many": (
        "frame",
        "bytes((frame.control, len(frame.data)))",
        "bytes((frame.control, len(frame.data) + 1))",
    ),
    "the stream takes the length one short": (
        "frame",
        "size = OVERHEAD + self._buffer[start + 9]",
        "size = OVERHEAD - 1 + self._buffer[start + 9]",
    ),
    "the end mark is not checked": (
        "frame",
        "if body[-1] != END:\n            return False",
        "if body[-1] == END + 256:\n            return False",
    ),
    "a bad candidate costs more than one byte": (
        "frame",
        "position = start + 1",
        "position = start + max(1, size or 0)",
    ),
    "a good frame is searched again inside": ("frame", "position = start + len(body)", "position = start + 1"),
    "unfinished frames swallow what follows": ("frame", "if size is None and not final:", "if size is None:"),
    "the second 68H is not checked": (
        "frame",
        "if held >= 8 and self._buffer[start + 7] != START:",
        "if held >= 8 and self._buffer[start + 7] == 256:",
    ),
    "identifiers are read high byte first": (
        "frame",
        'int.from_bytes(self.data[:4], "little")',
        'int.from_bytes(self.data[:4], "big")',
    ),
    "identifiers are sent high byte first": ("commands", 'di.to_bytes(4, "little")', 'di.to_bytes(4, "big")'),
    "refusals carry an identifier": ("frame", "if self.abnormal or len(self.data) < 4 or", "if len(self.data) < 1 or"),
    "the direction bit is ignored": (
        "commands",
        "return plain == function | REPLY_BIT and",
        "return plain & 0x7F == function and",
    ),
    "the follow bit is bit 4": ("frame", "FOLLOW_BIT = 0x20", "FOLLOW_BIT = 0x10"),
    "the abnormal bit is ignored": (
        "commands",
        "    if reply.abnormal:\n",
        "    if reply.abnormal and not reply.data:\n",
    ),
    "numbers are read high byte first": ("values", "digits = data[::-1].hex()", "digits = data.hex()"),
    "nibbles are swapped": ("values", "digits = data[::-1].hex()", "digits = data.hex()[::-1]"),
    "nibbles above nine are let through": ("values", "if not digits.isdecimal():", "if not digits:"),
    "numbers are binary": ("values", "return int(digits)", "return int(digits, 16)"),
    "the sign bit is a digit": ("values", "if data[-1] & SIGN_BIT:", "if data[-1] & SIGN_BIT == 1:"),
    "the sign is looked for in the first byte": ("values", "if data[-1] & SIGN_BIT:", "if data[0] & SIGN_BIT:"),
    "fillers are numbers": ("values", "return bool(data) and data.count(FILLER) == len(data)", "return False"),
    "status words are high byte first": (
        "identifiers",
        'int.from_bytes(field, "little"),)',
        'int.from_bytes(field, "big"),)',
    ),
    "power counts tenths of a milliwatt wrongly": (
        "catalogue",
        '(0x03, "active power", "有功功率", 3, "signed", "mW", 100, 0)',
        '(0x03, "active power", "有功功率", 3, "signed", "mW", 10, 0)',
    ),
    "currents have no sign": (
        "catalogue",
        '(0x02, "current", "电流", 3, "signed", "mA", 1, 1)',
        '(0x02, "current", "电流", 3, "number", "mA", 1, 1)',
    ),
    "combined energy has no sign": (
        "catalogue",
        '"combined active energy", "组合有功", "Wh", True',
        '"combined active energy", "组合有功", "Wh", False',
    ),
    "passwords are sent high byte first": (
        "commands",
        "return bytes.fromhex(text)[::-1]",
        "return bytes.fromhex(text)",
    ),
    "the operator goes before the password": (
        "commands",
        "return Frame(self.address, RELAY, who + what",
        "return Frame(self.address, RELAY, who[4:] + who[:4] + what",
    ),
    "the deadline is sent year first": (
        "values",
        "return encode_datetime(when)\n",
        "return encode_datetime(when)[::-1]\n",
    ),
    "the sequence number is ignored": ("commands", " and reply.data[-1] == self.seq", ""),
    "the sequence number stays in the payload": ("commands", "return reply.data[4:-1]", "return reply.data[4:]"),
    "the reply's identifier is ignored": ("commands", "normal and reply.identifier == self.di)", "normal)"),
    "the reply's address is ignored": (
        "commands",
        "    if pattern == address:\n",
        "    if pattern != address:\n        return True\n    if pattern == address:\n",
    ),
    "identifiers of 1997 are read high byte first": (
        "edition1997",
        'return int.from_bytes(frame.data[:2], "little")',
        'return int.from_bytes(frame.data[:2], "big")',
    ),
    "identifiers of 1997 are sent high byte first": (
        "edition1997",
        'di.to_bytes(2, "little")',
        'di.to_bytes(2, "big")',
    ),
    "errors of 1997 are those of 2007": ("edition1997", '1: ("identifier error"', '3: ("identifier error"'),
    "voltages of 1997 have a decimal": (
        "catalogue_1997",
        '(0xB611, "voltage", "电压", 2, "mV", 1000,',
        '(0xB611, "voltage", "电压", 2, "mV", 100,',
    ),
    "a write of 1997 lacks half its password": ("edition1997", "PASSWORD_BYTES = 4", "PASSWORD_BYTES = 2"),
    "broadcast reads of 1997 are not answered": (
        "edition1997",
        "if pattern in (BROADCAST_ADDRESS, ANY_ADDRESS):",
        "if pattern == ANY_ADDRESS:",
    ),
    "a refusal of 1997 is an answer": ("edition1997", "    if reply.abnormal:\n", "    if reply.follow:\n"),
    "baud words count in 300s": ("values", "9600: 0x20", "9600: 0x32"),
    "the operator of 03H is sent high byte first": (
        "service",
        "operator_bytes(self.operator) + self.payload",
        "operator_bytes(self.operator)[::-1] + self.payload",
    ),
    "freeze fields go month first": ("service", "for value in reversed(row))", "for value in row)"),
    "amounts of 03H lose their place": ("requests", "_di(data), data[8:], _operator", "_di(data), data[4:], _operator"),
    "amounts of 03H are high byte first": ("prepaid", 'number.to_bytes(4, "little")', 'number.to_bytes(4, "big")'),
    "amounts of 03H are read high byte first": (
        "prepaid",
        'int.from_bytes(data, "little")',
        'int.from_bytes(data, "big")',
    ),
    "the customer of 03H goes before MAC 1": (
        "prepaid",
        "self.credit.money + macs[0] + self.credit.owner + macs[1]",
        "self.credit.money + self.credit.owner + macs[0] + macs[1]",
    ),
    "MAC 1 and MAC 2 of 03H are swapped": ("prepaid", "payload[8:12], payload[18:]", "payload[18:], payload[8:12]"),
    "a reply of 03H names any identifier": ("prepaid", 'data[:4] == self.DI.to_bytes(4, "little") and', ""),
    "errors of 03H are those of reads": ("commands", "    if function == SECURITY:\n", "    if function == READ:\n"),
    "the follow bit of a typed reply is dropped": ("replies", "seq, frame.follow,", "seq, False,"),
    "the typed reply keeps its sequence number": (
        "replies",
        "data[-1] if function == READ_FOLLOW else None",
        "data[-1] if function == 0x32 else None",
    ),
    "follow-ups all ask for the first": ("follow", "self._seq += 1", "self._seq = 1"),
    "follow-ups stop after the first": ("follow", "if not reply.follow:", "if self._seq:"),
    "pending events are mixed into the data": (
        "follow",
        "if reply.identifier == ACTIVE_REPORT != self._di:",
        "if reply.identifier is None:",
    ),
    "pending events are not recognised": ("commands", "in (self.di, ACTIVE_REPORT)", "in (self.di,)"),
    "wildcards match only themselves": ("commands", 'in ("AA", address[i : i + 2])', "in (address[i : i + 2],)"),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_caught(bug: str) -> None:
    module, old, new = PLANTED[bug]
    try:
        complaint = next(failures(load_codec({module: (old, new)}), CHECKS), None)
    finally:
        forget_codec()
    assert complaint, f"nothing noticed that {bug}"


def test_the_untouched_copy_has_no_complaints() -> None:
    try:
        assert list(failures(load_codec(), CHECKS)) == []
    finally:
        forget_codec()


def test_a_bug_that_no_longer_applies_is_noticed() -> None:
    with pytest.raises(AssertionError, match="0 times"):
        load_codec({"frame": ("text that is nowhere in the source", "")})
