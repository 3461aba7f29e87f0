"""Runs targets without any fuzzing engine: `python -m tests.fuzz.drive TARGET --runs N --seed S`.

Inputs come from the committed corpus by seeded edits, so a run repeats exactly; there is no feedback from
coverage, which `tests.fuzz.guided` has. An input that fails is saved under `.fuzz/failures` and printed with
the command that tries it again.
"""

import argparse
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.fuzz import codec, kernels, modbus
from tests.fuzz.mutate import mutate

TARGETS: dict[str, Callable[[bytes], None]] = {**kernels.TARGETS, **codec.TARGETS, **modbus.TARGETS}
CORPUS = Path(__file__).parent / "corpus"
FAILURES = Path(os.environ.get("E645_FAILURES") or Path(__file__).resolve().parents[2] / ".fuzz/failures")


class TargetFailed(AssertionError):
    """An input broke a target; the message holds it."""


def corpus(target: str) -> list[bytes]:
    """The committed inputs of a target: hex, one a line."""
    lines = (CORPUS / f"{target}.txt").read_text("ascii").splitlines()
    return [bytes.fromhex(line) for line in lines if line and not line.startswith("#")]


def attempt(target: str, data: bytes) -> None:
    """One execution; `TargetFailed` with the saved input when it fails."""
    try:
        TARGETS[target](data)
    except Exception as error:
        FAILURES.mkdir(parents=True, exist_ok=True)
        path = FAILURES / f"{target}-{hashlib.sha256(data).hexdigest()[:16]}"
        path.write_bytes(data)
        again = f"python -m tests.fuzz.drive {target} --replay {data.hex() or '00'}"
        raise TargetFailed(f"{target}: {type(error).__name__}: {error}\nsaved as {path}; again: {again}") from error


def campaign(target: str, runs: int, seed: int) -> int:
    """The corpus and then mutated inputs; returns how many executions there were."""
    pool, random = corpus(target), Random(f"{target} {seed}")
    for data in pool:
        attempt(target, data)
    for _ in range(runs):
        attempt(target, mutate(pool, random))
    return len(pool) + runs


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replay", metavar="HEX", help="try one input")
    arguments = parser.parse_args()
    if arguments.replay is not None:
        attempt(arguments.target, bytes.fromhex(arguments.replay))
        print(f"{arguments.target}: holds")
        return
    done = campaign(arguments.target, arguments.runs, arguments.seed)
    print(f"{arguments.target}: {done} executions, seed {arguments.seed}")


if __name__ == "__main__":
    main()
