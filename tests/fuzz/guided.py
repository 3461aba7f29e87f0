"""Runs a target under libFuzzer, guided by coverage: `python -m tests.fuzz.guided TARGET --runs N --seed S`.

libFuzzer comes inside the wheel `atheris`. Targets of the decoders get their Python instrumented; targets of the
kernels get the edge counters of the compiled modules, when those were built for it (`tests.fuzz.instrumented`) and
`counters.c` is preloaded. Mutations are libFuzzer's, half of them mended into frames.
"""

import argparse
import ctypes
import importlib
import os
import sys
import tempfile
from pathlib import Path
from random import Random

import atheris

from tests.fuzz.mutate import LENGTH_MAX, mend


def main() -> None:
    """The command line; libFuzzer ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--grown", metavar="FOLDER", help="where inputs that reached new code go")
    arguments = parser.parse_args()
    compiled = "E645_COUNTERS" in os.environ
    drive = _targets(instrumented=not compiled)
    drive.FAILURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        grown = Path(arguments.grown or Path(folder, "grown"))
        seeds = Path(folder, "seeds")
        for path in (grown, seeds):
            path.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(drive.corpus(arguments.target)):
            (seeds / f"{number:04d}").write_bytes(data)
        options = [
            f"-runs={arguments.runs}",
            f"-seed={arguments.seed}",
            f"-max_len={LENGTH_MAX}",
            "-print_final_stats=1",
        ]
        atheris.Setup(
            [sys.argv[0], str(grown), str(seeds), *options, f"-artifact_prefix={drive.FAILURES}/{arguments.target}-"],
            lambda data: drive.attempt(arguments.target, data),
            custom_mutator=_mutated,
        )
        if compiled:
            _hand_over_counters(os.environ["E645_COUNTERS"])
        atheris.Fuzz()


def _targets(*, instrumented: bool):
    """The module of the targets; with `instrumented`, `core`'s Python reports its branches."""
    if not instrumented:
        return importlib.import_module("tests.fuzz.drive")
    with atheris.instrument_imports(include=["core"]):
        return importlib.import_module("tests.fuzz.drive")


def _mutated(data: bytes, size_max: int, seed: int) -> bytes:
    changed = bytearray(atheris.Mutate(data, size_max))
    if seed % 2:
        mend(changed, Random(seed))
    return bytes(changed[:size_max])


def _hand_over_counters(library: str) -> None:
    """Give libFuzzer the counters of the preloaded library."""
    own = (ctypes.c_uint8 * 65536).in_dll(ctypes.CDLL(library), "e645_counters")
    engine = ctypes.CDLL(str(next(Path(atheris.__file__).parent.glob("core_with_libfuzzer*.so"))))
    begin = ctypes.addressof(own)
    engine.__sanitizer_cov_8bit_counters_init(ctypes.c_void_p(begin), ctypes.c_void_p(begin + ctypes.sizeof(own)))


if __name__ == "__main__":
    main()
