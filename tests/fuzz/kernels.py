"""What must hold in the compiled modules for any bytes: one function a target, the bytes of one execution in.

Bytes choose options, array contents out of pools of extreme values, and the stream itself. Refusals must be
the documented ValueError and must leave the arrays alone; results are judged by the oracles, which share nothing
with the code. Under the sanitizers the same calls prove that no access leaves its buffer and no sum overflows.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

import core
from core.dlt645.frame import Frame, FrameDecoder, encode
from core.errors import ProtocolMisuse
from tests import oracle
from tests.core import frame_oracle
from tests.core.deduct_batch import ROW, Meter, Terms, expect

SCAN_ROWS = 64
NOT_WRITTEN = 0x55
CHOICES_MAX = 4096  # more than any execution needs: a deduction of 20 meters takes 700


class Choices:
    """The bytes of an execution as a source of choices; when they run out it starts over."""

    def __init__(self, data: bytes) -> None:
        data = data or b"\0"
        self._bytes = np.frombuffer(data * (CHOICES_MAX // len(data) + 1), np.uint8)
        self._at = 0

    def below(self, limit: int) -> int:
        """One number of 0..limit - 1 (limit up to 256)."""
        return self.several(1).item() % limit

    def several(self, count: int) -> np.ndarray:
        """That many bytes."""
        start, self._at = self._at, self._at + count
        assert self._at <= CHOICES_MAX, "one execution chooses more than there is"
        return self._bytes[start : self._at]

    def column(self, pool: np.ndarray, count: int) -> np.ndarray:
        """That many values out of a pool."""
        return pool[self.several(count) % len(pool)]


def _tight(data: bytes) -> np.ndarray:
    """The bytes in an allocation of exactly their size, so that one byte too far is seen."""
    return np.frombuffer(data, np.uint8).copy()


def _refusal(call: Callable[..., None], *arguments: object, **options: int) -> str | None:
    """What the call said when it refused its arguments; None when it did its work."""
    try:
        call(*arguments, **options)
    except ValueError as refused:
        return str(refused)
    return None


class _Rows:
    """Results of the scanner, filled so that what is not written shows."""

    def __init__(self, count: int, items: int) -> None:
        self.off = np.full(count, NOT_WRITTEN, np.int64)
        self.addr, self.di = np.full(count, NOT_WRITTEN, np.uint64), np.full(count, NOT_WRITTEN, np.uint32)
        self.ctrl, self.dlen = (np.full(count, NOT_WRITTEN, np.uint8) for _ in range(2))
        self.error = np.full(count, NOT_WRITTEN, np.uint16)
        self.value = np.full((count, items), NOT_WRITTEN, np.int64)

    def blank(self) -> None:
        """Forget what was written."""
        for column in self.columns():
            column.fill(NOT_WRITTEN)

    def columns(self) -> tuple[np.ndarray, ...]:
        return self.off, self.addr, self.ctrl, self.dlen, self.di, self.value, self.error

    def row(self, k: int) -> tuple:
        return tuple(column[k].tolist() for column in self.columns()[1:])


def scan(data: bytes) -> None:
    """The scanner: one pass and many agree, sound frames build the same bytes, the stream decoder sees the same."""
    if len(data) < 4:
        return
    width, signed, final = data[0] % 8 + 1, bool(data[0] & 8), bool(data[0] & 16)
    items, room, cut, stream = data[1] % 4, data[1] // 4 % 3 + 1, data[2] + 1, data[3:]
    options = {"width": width, "signed_values": signed}
    rows = _Rows(SCAN_ROWS, items)
    count, consumed, bad = core.decode_dlt645(_tight(stream), *rows.columns(), **options, final=final)
    assert 0 <= consumed <= len(stream)
    assert consumed == len(stream) or count == SCAN_ROWS or not final
    assert all((column[count:] == NOT_WRITTEN).all() for column in rows.columns())
    found = [_judged(stream, rows, k, width, signed) for k in range(count)]
    if count < SCAN_ROWS:
        decoder = FrameDecoder()
        frames = decoder.feed(stream) + (decoder.flush() if final else [])
        assert [(f.address, f.control, f.data.hex()) for f in frames] == found
        assert (decoder.pending, decoder.bad_sums) == (len(stream) - consumed, bad)
        assert [rows.row(k) for k in range(count)] == _piecemeal(stream, room, cut, items, options, final=final)


def _judged(stream: bytes, rows: _Rows, k: int, width: int, signed: bool) -> tuple[str, int, str]:
    """Row k against the oracle's reading of the bytes it points at."""
    at = int(rows.off[k])
    hit = frame_oracle.frame_at([f"{byte:02x}" for byte in stream[at : at + 300]], 0)
    assert hit is not None, f"row {k} at {at} is no frame"
    seen, size = hit
    wire, plain = stream[at : at + size], bytes.fromhex(seen.data)
    assert frame_oracle.build(seen) == wire
    try:
        assert encode(Frame(seen.address.upper(), seen.control, plain), 0) == wire
    except ProtocolMisuse:
        assert not is_digits(seen.address)
    assert (f"{rows.addr[k]:012x}", rows.ctrl[k], rows.dlen[k]) == (seen.address, seen.control, len(plain))
    carries = len(plain) >= 4 and not seen.control & 0x40 and seen.control & 0x1F in (0x03, 0x11, 0x12, 0x14)
    assert rows.di[k] == (int.from_bytes(plain[:4], "little") if carries else core.NO_IDENTIFIER)
    assert rows.error[k] == (int.from_bytes(plain[:2], "little") if seen.control & 0xC0 == 0xC0 else 0)
    parts = [plain[i : i + width] for i in range(4, len(plain) - width + 1, width)] if carries else []
    numbers = [frame_oracle.number(part, 0, signed=signed) for part in parts]
    numbers += [None] * rows.value.shape[1]
    wanted = [core.ABSENT if n is None else int(n) for n in numbers[: rows.value.shape[1]]]
    assert rows.value[k].tolist() == wanted
    return seen.address.upper(), seen.control, seen.data


def _piecemeal(stream: bytes, room: int, cut: int, items: int, options: dict, *, final: bool) -> list[tuple]:
    """The same stream in pieces of `cut` bytes with `room` rows a call."""
    held, found, rows = b"", [], _Rows(room, items)
    for start in range(0, len(stream), cut):
        held += stream[start : start + cut]
        last = final and start + cut >= len(stream)
        while True:
            rows.blank()
            count, consumed, _ = core.decode_dlt645(_tight(held), *rows.columns(), **options, final=last)
            found += [rows.row(k) for k in range(count)]
            held = held[consumed:]
            if count < room:
                break
    return found


def requests(data: bytes) -> None:
    """Read requests in bulk: every row is what the oracle would send, or the address is refused by its number."""
    if len(data) < 13:
        return
    count, preamble, di = data[0] % 5 + 1, data[1] % 17, int.from_bytes(data[2:6], "little")
    raw = (data[6:] * 40)[: 8 * count]
    addresses = np.frombuffer(raw, np.uint64).copy()
    if data[0] & 64:
        addresses &= np.uint64(0x0000777777777777)
    if data[0] & 128:
        addresses[-1] = 0xAAAAAAAAAAAA
    out = np.full((count, 16 + preamble), NOT_WRITTEN, np.uint8)
    refusal = _refusal(core.encode_dlt645, addresses, di, out)
    if refusal is not None:
        texts = [f"{address:012x}" for address in addresses.tolist()]
        legal = [len(text) == 12 and is_digits(text) for text in texts]
        assert f"addr[{legal.index(False)}]" in refusal
        assert (out == NOT_WRITTEN).all()
        return
    for row, address in zip(out, addresses.tolist(), strict=True):
        seen = frame_oracle.Seen(f"{address:012x}", 0x11, di.to_bytes(4, "little").hex())
        assert row.tobytes() == frame_oracle.build(seen, preamble)


def is_digits(text: str) -> bool:
    """Whether an address of 12 lower-case characters may be sent: digits, or aa for any two of them."""
    return all(text[i : i + 2] == "aa" or text[i : i + 2].isdecimal() for i in range(0, 12, 2))


def checks(data: bytes) -> None:
    """Sums and CRCs of batches in every tier: offsets that lie are refused, true ones give the oracle's checks."""
    if len(data) < 3:
        return
    choices = Choices(data)
    buf = _tight(data[3:])
    off = np.cumsum(choices.several(data[0] % 6).astype(np.int64) % (data[1] % 80 + 1))
    off = np.concatenate(([0], off)).astype(np.int64) + data[2] % 3
    if data[1] & 128:
        off[choices.below(len(off))] = choices.column(np.array([-1, -(2**63), 2**63 - 1, len(buf) + 1]), 1)[0]
    off = off if data[2] & 128 else np.minimum(off, len(buf))
    legal = off[0] >= 0 and off[-1] <= len(buf) and (np.diff(off.astype(object)) >= 0).all()
    pieces = [buf[start:end].tobytes() for start, end in pairwise(off.tolist())] if legal else None
    wanted = None if pieces is None else [_reckoned(piece) for piece in pieces]
    chosen = core.isa()
    try:
        for tier in core.isa_available():
            core.use_isa(tier)
            _checked(buf, off, wanted)
    finally:
        core.use_isa(chosen)


def _reckoned(piece: bytes) -> tuple[bool, int, int, int]:
    """What the oracles say of one piece: whether it is a frame, its sum and both CRCs."""
    whole = frame_oracle.frame_at([f"{byte:02x}" for byte in piece], 0)
    return (
        whole is not None and whole[1] == len(piece),
        oracle.sum_modulo_256(piece),
        oracle.crc16_bitwise(piece, 0x8005, 0xFFFF, 0),
        oracle.crc16_bitwise(piece, 0x1021, 0xFFFF, 0xFFFF),
    )


def _checked(buf: np.ndarray, off: np.ndarray, wanted: list[tuple[bool, int, int, int]] | None) -> None:
    """One tier; `wanted` is None for offsets that lie."""
    count = len(off) - 1
    sums, good = np.full(count, NOT_WRITTEN, np.uint8), np.full(count, NOT_WRITTEN, np.uint8)
    modbus, x25 = np.full(count, NOT_WRITTEN, np.uint16), np.full(count, NOT_WRITTEN, np.uint16)
    try:
        core.sum_batch(buf, off, sums)
        core.check_batch(buf, off, good)
        core.crc_batch(core.CRC_MODBUS, buf, off, modbus)
        core.crc_batch(core.CRC_X25, buf, off, x25)
    except ValueError:
        assert wanted is None
        assert all((out == NOT_WRITTEN).all() for out in (sums, good, modbus, x25))
        return
    assert wanted is not None
    assert list(zip(*(out.tolist() for out in (good, sums, modbus, x25)), strict=True)) == wanted
    for (start, end), one in zip(pairwise(off.tolist()), wanted, strict=True):
        view, piece = buf[start:end], buf[start:end].tobytes()
        assert (core.dlt_sum(piece), core.crc16_modbus(piece), core.crc16_x25(piece)) == one[1:]
        assert core.dlt_sum(view) == one[1]


LONG = np.array([0, 1, -1, 2**53, 2**53 + 1, 2**62, -(2**62), 2**62 + 1, -(2**62) - 1, 2**63 - 1, -(2**63), 10**12])
WORD = np.array([0, 1, -1, 1000, -1000, 2**31 - 1, -(2**31), 10**9 - 1, 10**9, 2**30])
REGISTER = np.array([0, 1, 999_999_999, 999_999_998, 10**8, 10**8 + 1, 10**8 - 1, 5, 500_000_000, 899_999_999])
RATIO = np.array([1, 1, 1, 2, 21, 22, 30, 2**20, 2**20 - 1])
PRICE = np.array([0, 1, 66_286_875, 2**30, 2**31 - 1, 2**31 - 2, 10**8])
STEP = np.array([0, 0, 1, -1, 5_000_000, 30_000_000, -66_286_875, 2**30, -(2**30)])
LIMIT = np.array([1, 100, 10**6, 2**53, 2**53 - 1, 0, 10**8])
IN_PLACE = (4, 5, 9, 10, 11)
GIVEN = (0, 1, 2, 3, 6, 7, 8)
TARIFFS = 3


def deduct(data: bytes) -> None:
    """Bulk deduction on extreme rows: refusals change nothing, every tier gives the same bits, the oracle agrees."""
    choices = Choices(data)
    count, rates, wild = choices.below(20) + 1, choices.below(5) + 1, choices.below(8) == 0
    table = _tariffs(choices, wild=wild)
    columns = _meters(choices, count, rates, wild=wild)
    lo = choices.below(count)
    hi = lo + 1 + choices.below(count - lo)
    chosen, results = core.isa(), []
    try:
        for tier in core.isa_available():
            core.use_isa(tier)
            copies = [column.copy() for column in columns]
            refusal = _refusal(core.deduct, *copies, table, lo=lo, hi=hi)
            kept = GIVEN if refusal is None else range(len(columns))
            same = all(copies[k].tobytes() == columns[k].tobytes() for k in kept)
            assert same, f"{refusal or 'it is only read'}, and yet something changed"
            results.append(refusal or [copies[k].tobytes() for k in IN_PLACE])
    finally:
        core.use_isa(chosen)
    assert all(result == results[0] for result in results), f"tiers {core.isa_available()} differ"
    if isinstance(results[0], list):
        _agree(columns, table, [copies[k].tolist() for k in IN_PLACE], lo, hi)


def _tariffs(choices: Choices, *, wild: bool) -> np.ndarray:
    table = np.zeros(TARIFFS, ROW)
    table["price"] = choices.column(WORD if wild else PRICE, 4 * TARIFFS).reshape(TARIFFS, 4)
    table["fifth"] = choices.column(PRICE, TARIFFS)
    table["step"] = choices.column(WORD if wild else STEP, 3 * TARIFFS).reshape(TARIFFS, 3)
    table["boundary"] = np.sort(choices.column(LONG if wild else LIMIT, 3 * TARIFFS).reshape(TARIFFS, 3))
    table["close_allowed"] = choices.column(LONG, TARIFFS)
    for row in table if not wild else ():
        dearest = max(row["price"].max(), row["fifth"])
        while dearest + np.abs(row["step"].astype(np.int64)).sum() > 2**31 - 1:
            row["step"][np.abs(row["step"].astype(np.int64)).argmax()] = 0
    return table


def _meters(choices: Choices, count: int, rates: int, *, wild: bool) -> list[np.ndarray]:
    """The twelve columns of a call, in argument order."""
    registers = choices.column(WORD if wild else REGISTER, 2 * rates * count)
    if choices.below(2):  # steps that are charged, not only anomalies
        registers[rates * count :] = (registers[: rates * count] + choices.several(rates * count)) % 10**9
    prev, new = registers.astype(np.int32).reshape(2, rates, count)
    return [
        prev,
        new,
        choices.column(WORD if wild else RATIO, count).astype(np.int32),
        (choices.several(count) % (TARIFFS + wild)).astype(np.uint16),
        choices.column(LONG, count),
        choices.column(LONG, count),
        *(choices.column(WORD, count).astype(np.int32) for _ in range(3)),
        choices.several(count).copy(),
        np.full(count, NOT_WRITTEN, np.int64),
        np.full(count, NOT_WRITTEN, np.uint8),
    ]


def _agree(columns: list[np.ndarray], table: np.ndarray, result: list[list[int]], lo: int, hi: int) -> None:
    """What the call left behind is what the oracle of fractions says, and nothing outside the slice moved."""
    period, balance, flags, charge, event = result
    prev, new = columns[0].T.tolist(), columns[1].T.tolist()
    fields = [columns[k].tolist() for k in range(2, 10)]
    terms = [
        Terms((*row["price"].tolist(), int(row["fifth"])), tuple(row["step"].tolist()), tuple(row["boundary"].tolist()))
        for row in table
    ]
    for one, row in zip(terms, table, strict=True):
        one.close_allowed_nf = int(row["close_allowed"])
    for i in sorted({lo, hi - 1}):
        wanted = expect([Meter(tuple(prev[i]), tuple(new[i]), *(column[i] for column in fields))], terms)
        got = (charge[i], period[i], balance[i], flags[i], event[i])
        assert got == (*wanted.charge, *wanted.period, *wanted.balance, *wanted.flags, *wanted.event)
    old_period, old_balance, old_flags = fields[2], fields[3], fields[7]
    for i in range(len(period)):
        if lo <= i < hi:
            assert balance[i] + charge[i] == old_balance[i]
        else:
            assert (charge[i], event[i]) == (NOT_WRITTEN, NOT_WRITTEN)
            assert (period[i], balance[i], flags[i]) == (old_period[i], old_balance[i], old_flags[i])


def levels(data: bytes) -> None:
    """Levels and postings over the whole of int64: one account and an array agree, fen are the exact half up."""
    choices = Choices(data)
    count = choices.below(12) + 1
    money, close, residue = (choices.column(LONG, count) for _ in range(3))
    if choices.below(2):
        money = money // 2**30 * choices.several(count)
    alarms = [choices.column(WORD, count).astype(np.int32) for _ in range(3)]
    flags, event = choices.several(count).copy(), np.zeros(count, np.uint8)
    before = flags.tolist()
    core.update_levels(money, *alarms, close, flags, event)
    rows = zip(money.tolist(), *(a.tolist() for a in alarms), close.tolist(), before, strict=True)
    assert [core.level_after(*row) for row in rows] == list(zip(flags.tolist(), event.tolist(), strict=True))
    kept, posted = residue.copy(), np.full(count, NOT_WRITTEN, np.int64)
    fits = (abs(money.astype(object)) <= 2**62) & (abs(residue.astype(object)) <= 2**62 - 10**9)
    try:
        core.post_fen(money, residue, posted)
    except ValueError:
        assert not fits.all()
        assert (residue == kept).all()
        return
    assert fits.all()
    for charge, old, new, fen in zip(*(a.tolist() for a in (money, kept, residue, posted)), strict=True):
        assert fen == oracle.half_up_fen(oracle.Fraction(charge + old, 10**11))
        assert fen * 10**9 + new == charge + old


TARGETS = {"scan": scan, "requests": requests, "checks": checks, "deduct": deduct, "levels": levels}
