"""The DL/T 645 codec: a stream to arrays, requests in bulk, and one frame a call, beside PyPI `dlt645`.

The stream holds energy replies of one or five values with 0, 1 or 4 waking bytes. `dlt645` copies the rest of
its buffer for every frame, so it is fed 256 bytes at a time and sees fewer frames; the unit is ns per frame.
It builds objects where the bulk scanner fills arrays; the single-frame rows compare like with like.
"""

import statistics
from collections.abc import Callable

import numpy as np
from dlt645.protocol.protocol import DLT645Protocol

from bench.machine import Load, LoadMeter
from bench.report import BenchFailed, Peer, Result, cpu_seconds, interleave, spread
from core import decode_dlt645, encode_dlt645
from core.dlt645.frame import Frame, encode, parse

FRAMES, QUICK_FRAMES = 200_000, 5_000
PEER_FRAMES, QUICK_PEER_FRAMES = 4_000, 500
SINGLES = 5_000
REPETITIONS, QUICK_REPETITIONS = 7, 3
CHUNK = 256
VALUES_MAX = 5
SEED = 645
NS_PER_S = 1e9
PEER = "dlt645"
ENERGY_TOTAL = 0x00010000
FLOORS = {"stream decode": 200.0, "bulk encode": 400.0, "one frame, encode and decode": 3.0}
GOALS = {"stream decode": 800.0, "bulk encode": 3_000.0, "one frame, encode and decode": 10.0}


def replies(count: int) -> list[bytes]:
    """Wire bytes of energy replies with random registers."""
    random = np.random.default_rng(SEED)
    wires = []
    for i in range(count):
        items = int(random.choice((1, VALUES_MAX)))
        digits = "".join(f"{value:08d}" for value in random.integers(0, 10**8, items))
        head = "00000100" if items == 1 else "00FF0100"
        frame = Frame(f"{i % 10**12:012d}", 0x91, bytes.fromhex(head + digits))
        wires.append(encode(frame, int(random.choice((0, 1, 4)))))
    return wires


class Scan:
    """The bulk scanner over one stream, with its arrays."""

    def __init__(self, stream: bytes, frames: int) -> None:
        self.buf = np.frombuffer(stream, np.uint8)
        self.off, self.addr = np.zeros(frames, np.int64), np.zeros(frames, np.uint64)
        self.ctrl, self.dlen = (np.zeros(frames, np.uint8) for _ in range(2))
        self.error = np.zeros(frames, np.uint16)
        self.di, self.value = np.zeros(frames, np.uint32), np.zeros((frames, VALUES_MAX), np.int64)

    def __call__(self) -> int:
        """Scan the whole stream; the number of frames."""
        arrays = (self.off, self.addr, self.ctrl, self.dlen, self.di, self.value, self.error)
        return decode_dlt645(self.buf, *arrays)[0]


def peer_scan(stream: bytes) -> int:
    """The peer over the same stream, in chunks; the number of frames."""
    held, count = b"", 0
    for at in range(0, len(stream), CHUNK):
        held += stream[at : at + CHUNK]
        while True:
            held, frame = DLT645Protocol.deserialize_with_remaining(held)
            if frame is None:
                break
            count += 1
    return count


def both_ways(wires: list[bytes]) -> None:
    """Decode each frame and encode it again."""
    for wire in wires:
        encode(parse(wire), 0)


def peer_both_ways(wires: list[bytes]) -> None:
    """The same with the peer."""
    for wire in wires:
        frame = DLT645Protocol.deserialize(wire)
        DLT645Protocol.build_frame(frame.addr, frame.ctrl_code, frame.data, 0)


def run(*, quick: bool) -> tuple[list[Result], list[Load]]:
    """Measure the three rows; results in ns per frame."""
    count, peer_count = (QUICK_FRAMES, QUICK_PEER_FRAMES) if quick else (FRAMES, PEER_FRAMES)
    wires = replies(count)
    scan, short = Scan(b"".join(wires), count), b"".join(wires[:peer_count])
    if scan() != count or peer_scan(short) != peer_count:
        raise BenchFailed("the scanner and dlt645 do not find every frame")
    singles = wires[: min(SINGLES, peer_count)]
    requests = np.zeros((count, 20), np.uint8)
    encode_dlt645(scan.addr, ENERGY_TOTAL, requests)
    address, data = bytes(6), bytes.fromhex("00000100")
    if requests[0].tobytes() != bytes(DLT645Protocol.build_frame(address, 0x11, data)):
        raise BenchFailed("encode_dlt645 and dlt645 disagree about a request")

    def per_frame(action: Callable[[], object], frames: int) -> Callable[[], float]:
        return lambda: cpu_seconds(action) / frames * NS_PER_S

    def peer_requests() -> None:
        for _ in range(peer_count):
            DLT645Protocol.build_frame(address, 0x11, data)

    rows = {
        "stream decode": (per_frame(scan, count), per_frame(lambda: peer_scan(short), peer_count)),
        "bulk encode": (
            per_frame(lambda: encode_dlt645(scan.addr, ENERGY_TOTAL, requests), count),
            per_frame(peer_requests, peer_count),
        ),
        "one frame, encode and decode": (
            per_frame(lambda: both_ways(singles), len(singles)),
            per_frame(lambda: peer_both_ways(singles), len(singles)),
        ),
    }
    candidates: dict[str, Callable[[], float]] = {}
    for name, (mine, other) in rows.items():
        candidates |= {name: mine, f"{name}, {PEER}": other}
    with LoadMeter() as meter:
        samples = interleave(candidates, QUICK_REPETITIONS if quick else REPETITIONS, "codec")
    return [_result(name, samples, quick, meter.load) for name in rows], [meter.load]


def _result(name: str, samples: dict[str, list[float]], quick: bool, load: Load) -> Result:
    mine, other = statistics.median(samples[name]), statistics.median(samples[f"{name}, {PEER}"])
    return Result(
        name=name,
        value=mine,
        unit="ns/frame",
        peer=Peer(PEER, other),
        ratio=other / mine,
        spread=spread(samples[name]),
        floor=None if quick else FLOORS[name],
        goal=GOALS[name],
        void=load.void,
    )
