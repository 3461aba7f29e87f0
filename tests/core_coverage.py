"""Measures how much of `core` its own tests run, compiled lines included: `python -m tests.core_coverage`.

The compiled modules are built once more with line tracing, in a copy of their own; the normal build never has it.
Exit code 1 when core as a whole, or any compiled source, is below the floor. A compiled source of which no line
ran does not show up in coverage's report at all, so it is looked for by name.
"""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import coverage

from tests import instrumented

FLOOR_PERCENT = 95
COMPILED = (".pyx", ".pxd")
TESTS = ("-m", "pytest", "-q", "tests/core", "-m", "not ci and not long", "-p", "no:cacheprovider", "--timeout", "900")


def measure(folder: Path) -> dict[str, float]:
    """Percent of lines run by file, with the whole under "total"; the table goes to standard output."""
    environment = {**instrumented.environment(folder), "COVERAGE_CORE": "ctrace"}
    for step in (("erase",), ("run", *TESTS)):
        subprocess.run([sys.executable, "-m", "coverage", *step], cwd=folder, env=environment, check=True)
    with contextlib.chdir(folder):
        return reported()


def reported() -> dict[str, float]:
    """The shares that the data in the current folder gives."""
    measured = coverage.Coverage()
    measured.load()
    # Cython's plugin knows a .pxd only after it has read the module that inlines it, and coverage has no order
    files = sorted(measured.get_data().measured_files(), key=lambda name: (name.endswith(".pxd"), name))
    measured.report(morfs=files)
    total = measured.json_report(morfs=files, outfile="coverage.json")
    report = json.loads(Path("coverage.json").read_text())
    return {**{name: found["summary"]["percent_covered"] for name, found in report["files"].items()}, "total": total}


def complaints(shares: dict[str, float], sources: list[str]) -> list[str]:
    """What is below the floor: the whole, or a compiled source, one that never ran included."""
    found = [f"{name}: no line of it ran" for name in sources if name not in shares]
    floored = [name for name in shares if name == "total" or name.endswith(COMPILED)]
    return found + [
        f"{name}: {shares[name]:.1f} %, the floor is {FLOOR_PERCENT} %"
        for name in sorted(floored)
        if shares[name] < FLOOR_PERCENT
    ]


def with_code() -> list[str]:
    """Compiled sources that hold code and not only declarations."""
    paths = [path for path in (instrumented.ROOT / "core").iterdir() if path.suffix in COMPILED]
    return sorted(f"core/{path.name}" for path in paths if "return " in path.read_text("utf-8"))


def main() -> int:
    """The command line."""
    wrong = complaints(measure(instrumented.copy("traced")), with_code())
    print("\n".join(wrong) if wrong else f"core and each compiled source: at least {FLOOR_PERCENT} % of lines run")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
