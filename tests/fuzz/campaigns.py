"""Starts fuzzing campaigns as children and counts their executions.

A campaign is guided by libFuzzer where the wheel `atheris` is installed (Linux on x86-64) and driven by the plain
mutator elsewhere. A finding of a target, of a sanitizer or a hang fails it; the child's report names the input.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

from tests import instrumented
from tests.fuzz.drive import FAILURES

COUNT = re.compile(r"Done (\d+) runs|: (\d+) executions")
ENGINE = "guided" if importlib.util.find_spec("atheris") else "drive"


class Found(AssertionError):
    """A campaign ended with a finding."""


def campaign(target: str, runs: int, seed: int, *, sanitized: bool) -> int:
    """Executions done; `Found` with the end of the report when something was found."""
    command = ["-m", f"tests.fuzz.{ENGINE}", target, "--runs", str(runs), "--seed", str(seed)]
    done = run(command, sanitized=sanitized)
    counted = COUNT.search(done.stdout)
    if done.returncode or not counted:
        raise Found(f"{target}, seed {seed}, exit code {done.returncode}\n{_telling(done.stdout)}")
    return int(counted[1] or counted[2])


def run(arguments: list[str], *, sanitized: bool, **variables: str) -> subprocess.CompletedProcess[str]:
    """Python in the sanitized copy or here, with both outputs as one text."""
    folder, environment = instrumented.ROOT, {**os.environ, "PYTHONPATH": str(instrumented.ROOT)}
    if sanitized:
        folder = instrumented.copy("sanitized")
        environment = instrumented.environment(folder)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**environment, "E645_FAILURES": str(Path(FAILURES)), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def _telling(report: str) -> str:
    """The report without libFuzzer's progress lines."""
    lines = [line for line in report.splitlines() if not re.match(r"#\d+\s", line)]
    return "\n".join(lines[-60:])
