"""What every test shares: Hypothesis profiles, and how files are shared out when two workers run side by side.

A file stays with one worker, so that its fixtures are made once; the browser tests share one demo and so are one piece,
which begins early because it waits most.
"""

import os

from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

ONE_PIECE = "tests/e2e/browser/"

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
