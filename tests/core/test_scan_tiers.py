"""The scanner gives the same in every tier: sound streams, damaged ones, and frames at both ends of the buffer."""

import numpy as np
import pytest

import core
from core import _isa
from core.dlt645.frame import Frame, encode

FIELDS = ("off", "addr", "ctrl", "dlen", "di", "value", "error")
CONTROLS = (0x11, 0x91, 0xB1, 0xD1, 0x13, 0x93, 0x12, 0x92, 0x14, 0x03, 0x83, 0xC3, 0x51, 0x1C)


@pytest.fixture(params=[pytest.param(tier, marks=pytest.mark.isa) for tier in _isa.TIERS[1:]])
def tier(request):
    """The tier under test; the one chosen at import is in use again afterwards."""
    if request.param not in _isa.available():
        pytest.skip(f"the host lacks the instruction set {request.param}")
    chosen = core.isa()
    yield request.param
    _isa.use(chosen)


def wire(random):
    """A frame with waking bytes; data mostly BCD, of any length, sometimes with marks in it."""
    length = int(random.choice((0, 1, 3, 4, 8, 11, 24, 36, 52, 53, 54, 60, 200)))
    data = bytes.fromhex("".join(f"{byte:02d}" for byte in random.integers(0, 100, length)))
    if random.random() < 0.3:
        data = bytes(random.choice(np.frombuffer(b"\x35\xe3\xfe\x68\x16\x80\xff\x99\x1a", np.uint8), length))
    frame = Frame(f"{random.integers(0, 10**12):012d}", int(random.choice(CONTROLS)), data)
    return encode(frame, int(random.choice((0, 1, 4, 15, 16))))


def stream(seed, frames=400, damage=0.0):
    random = np.random.default_rng(seed)
    sent = bytearray().join(wire(random) for _ in range(frames))
    for at in np.flatnonzero(random.random(len(sent)) < damage):
        sent[at] = random.choice((0x68, 0x16, 0xFE, 0x00, sent[at] ^ 1))
    return bytes(sent)


def scanned(tier, sent, rows=500, columns=5, **options):
    _isa.use(tier)
    arrays = [np.full(rows, 7, code) for code in ("i8", "u8", "u1", "u1", "u4")]
    arrays += [np.full((rows, columns), 7, np.int64), np.full(rows, 7, np.uint16)]
    done = core.decode_dlt645(np.frombuffer(sent, np.uint8), *arrays, **options)
    return done, dict(zip(FIELDS, arrays, strict=True))


def assert_same(tier, sent, **options):
    (wanted, expected), (done, got) = scanned("scalar", sent, **options), scanned(tier, sent, **options)
    assert done == wanted
    for name in FIELDS:
        assert np.array_equal(got[name], expected[name]), f"{name} differs in {tier}"
    return done


@pytest.mark.parametrize("columns", [0, 1, 5, 8, 9, 60])
@pytest.mark.parametrize("options", [{}, {"signed_values": True}, {"width": 3}, {"width": 8}])
def test_sound_streams_are_the_same(tier, columns, options):
    assert assert_same(tier, stream(columns), columns=columns, **options)[0] == 400


@pytest.mark.parametrize("seed", range(12))
def test_damaged_streams_are_the_same(tier, seed):
    frames, _, bad = assert_same(tier, stream(seed, damage=0.01), final=seed % 2 == 1)
    assert frames > 200
    assert bad > 0


def test_no_more_frames_than_rows_are_stored(tier):
    assert assert_same(tier, stream(3), rows=7)[0] == 7


def test_streams_that_end_anywhere_are_the_same(tier):
    sent = stream(4, frames=6)
    for size in range(1, len(sent)):
        assert_same(tier, sent[:size], final=size % 2 == 1)


def test_nothing_behind_the_stream_is_looked_at(tier):
    short = encode(Frame("000000000001", 0x93), 0)
    for sent in (short, short + short, b"\xfe" * 4 + short, encode(Frame("000000000001", 0x91, b"\x00\x00"), 0)):
        around = np.frombuffer(sent + b"\xaa" * 80, np.uint8)
        assert_same(tier, around[: len(sent)].tobytes())
