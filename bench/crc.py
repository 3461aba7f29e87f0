"""Checks of frames: ns per frame of one batch call, beside the peers that check one frame a call.

Frames of 16 to 40 random bytes, lengths in random order, far more of them than any cache or branch predictor
holds. CRC-16/MODBUS stands beside a loop over `fastcrc`, the sum beside `np.add.reduceat`. Every tier of
the host runs in turns with the peers; results are compared before the first timing.
"""

import statistics
from collections.abc import Callable

import fastcrc
import numpy as np

from bench.machine import Load, LoadMeter
from bench.report import BenchFailed, Peer, Result, cpu_seconds, interleave, spread
from core import CRC_MODBUS, crc_batch, isa, isa_available, sum_batch, use_isa

FRAMES, QUICK_FRAMES = 1_000_000, 20_000
REPETITIONS, QUICK_REPETITIONS = 7, 3
SHORTEST, LONGEST = 16, 40
SEED = 645
NS_PER_S = 1e9
FASTCRC, REDUCEAT = "fastcrc loop", "np.add.reduceat"
FLOORS = {"avx512": (10.0, 5.0), "avx2": (10.0, 6.0), "scalar": (3.0, 0.7)}
GOALS = {"avx512": (30.0, 15.0), "avx2": (20.0, 12.0), "scalar": (5.0, 1.2)}


def run(*, quick: bool) -> tuple[list[Result], list[Load]]:
    """Measure every tier of the host; results in ns per frame."""
    n = QUICK_FRAMES if quick else FRAMES
    random = np.random.default_rng(SEED)
    off = np.concatenate(([0], np.cumsum(random.integers(SHORTEST, LONGEST + 1, n)))).astype(np.int64)
    buf = random.integers(0, 256, int(off[-1])).astype(np.uint8)
    whole, bounds = buf.tobytes(), off.tolist()
    frames = [whole[bounds[i] : bounds[i + 1]] for i in range(n)]
    crcs, sums = np.zeros(n, np.uint16), np.zeros(n, np.uint8)

    def in_tier(name: str, action: Callable[[], object]) -> Callable[[], float]:
        def once() -> float:
            use_isa(name)
            return cpu_seconds(action) / n * NS_PER_S

        return once

    def crc() -> None:
        crc_batch(CRC_MODBUS, buf, off, crcs)

    def total() -> None:
        sum_batch(buf, off, sums)

    peers: dict[str, Callable[[], float]] = {
        FASTCRC: lambda: cpu_seconds(lambda: [fastcrc.crc16.modbus(frame) for frame in frames]) / n * NS_PER_S,
        REDUCEAT: lambda: cpu_seconds(lambda: np.add.reduceat(buf, off[:-1], dtype=np.uint8)) / n * NS_PER_S,
    }
    chosen = isa()
    candidates = dict(peers)
    for name in isa_available():
        use_isa(name)
        crc()
        total()
        if crcs.tolist() != [fastcrc.crc16.modbus(frame) for frame in frames]:
            raise BenchFailed(f"the CRC of tier {name} and fastcrc disagree")
        if not np.array_equal(sums, np.add.reduceat(buf, off[:-1], dtype=np.uint8)):
            raise BenchFailed(f"the sum of tier {name} and np.add.reduceat disagree")
        candidates |= {f"crc {name}": in_tier(name, crc), f"sum {name}": in_tier(name, total)}
    with LoadMeter() as meter:
        samples = interleave(candidates, QUICK_REPETITIONS if quick else REPETITIONS, f"crc {n} frames")
    use_isa(chosen)
    results = []
    for name in isa_available():
        for position, (kind, peer) in enumerate((("crc", FASTCRC), ("sum", REDUCEAT))):
            mine, other = samples[f"{kind} {name}"], statistics.median(samples[peer])
            results.append(
                Result(
                    name=f"{kind}_batch, {name}, {n} frames of {SHORTEST}-{LONGEST} bytes",
                    value=statistics.median(mine),
                    unit="ns/frame",
                    peer=Peer(peer, other),
                    ratio=other / statistics.median(mine),
                    spread=spread(mine),
                    floor=None if quick else FLOORS[name][position],
                    goal=GOALS[name][position],
                    void=meter.load.void,
                )
            )
    return results, [meter.load]
