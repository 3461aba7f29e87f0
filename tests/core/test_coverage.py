"""The floor of coverage of core, and that the floor can be missed."""

import subprocess
import sys

import pytest

from tests import instrumented
from tests.core_coverage import complaints, with_code


def test_what_is_below_the_floor_is_named():
    shares = {"core/_scan.pyx": 94.9, "core/_crc.pyx": 95.0, "core/units.py": 10.0, "total": 94.0}
    assert complaints(shares, ["core/_crc.pyx", "core/_meter.pxd"]) == [
        "core/_meter.pxd: no line of it ran",
        "core/_scan.pyx: 94.9 %, the floor is 95 %",
        "total: 94.0 %, the floor is 95 %",
    ]


def test_sources_that_hold_code_are_found():
    assert {"core/_crc.pyx", "core/_deduct.pyx", "core/_meter.pxd", "core/_scan.pyx"} <= set(with_code())


@pytest.mark.ci
def test_the_tests_of_core_run_at_least_the_floor():
    done = subprocess.run(
        [sys.executable, "-m", "tests.core_coverage"],
        cwd=instrumented.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
