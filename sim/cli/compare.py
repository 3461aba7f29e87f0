"""`estate645-sim compare A B`: what differs between two recordings."""

import argparse
from itertools import islice
from pathlib import Path

from sim.wire.comparison import compare
from sim.wire.recording import exchanges, read_recording

NS_PER_MS = 1_000_000


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="estate645-sim compare", description="Compare two recordings of a bus.")
    made.add_argument("ours", type=Path)
    made.add_argument("theirs", type=Path)
    made.add_argument("--tolerance-ms", type=int, help="also compare how long exchanges took, to this tolerance")
    made.add_argument("--most", type=int, default=10, help="differences to show (default 10)")
    return made


def run(options: argparse.Namespace) -> int:
    """Print the differences; 0 when there are none, 1 when there are."""
    ours, theirs = (exchanges(read_recording(path)) for path in (options.ours, options.theirs))
    tolerance_ns = None if options.tolerance_ms is None else options.tolerance_ms * NS_PER_MS
    found = list(islice(compare(ours, theirs, tolerance_ns), options.most + 1))
    for difference in found[: options.most]:
        print(f"exchange {difference.number}: {difference.kind} differs")
        print(f"  {options.ours}: {difference.ours}")
        print(f"  {options.theirs}: {difference.theirs}")
    if len(found) > options.most:
        print(f"and more; --most {options.most} were shown")
    if not found:
        print(f"{len(ours)} exchanges, no difference")
    return 1 if found else 0
