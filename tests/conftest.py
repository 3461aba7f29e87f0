"""What every test shares: Hypothesis profiles, how files are shared out when workers run side by side, and that a
nightly campaign takes the time it takes, however it is started.

A file stays with one worker, so that its fixtures are made once; the browser tests share one demo and so are one piece,
which begins early because it waits most. What tests write goes into memory where there is room, and is kept only when
they fail.
"""

import os

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from tests.memory import quick_folder

ONE_PIECE = "tests/e2e/browser/"

if folder := quick_folder():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", folder)

settings.register_profile("dev", deadline=None, max_examples=50, print_blob=True)
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    max_examples=50,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


class WholePieces(LoadFileScheduling):
    """File by file, the browser tests together."""

    def _split_scope(self, nodeid: str) -> str:
        return ONE_PIECE if nodeid.startswith(ONE_PIECE) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config, log):
    return WholePieces(config, log)


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.timeout(0), append=False)
