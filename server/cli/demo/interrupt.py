"""Ctrl-C that cannot get lost: Python drops an exception that is raised while an object is being finalised.

The handler raises KeyboardInterrupt and sets an alarm that raises it again until somebody has taken it (`settle`).
From then on further signals are ignored, so that the clean-up is never cut short. Within `held` nothing is raised: what
is made there is also written down there.
"""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

AGAIN_AFTER_S = 2.0
LOOK_AGAIN_AFTER_S = 0.05  # while held
SIGNALS = (signal.SIGINT, signal.SIGTERM)

_holds: list[None] = []  # one for each `held` that the program is in


def watch() -> None:
    """Raise KeyboardInterrupt on Ctrl-C and SIGTERM, again and again until it is settled."""
    for number in (*SIGNALS, signal.SIGALRM):
        signal.signal(number, _interrupt)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let an interruption wait until the block has ended; it is raised within a twentieth of a second then."""
    _holds.append(None)
    try:
        yield
    finally:
        _holds.pop()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.setitimer(signal.ITIMER_REAL, LOOK_AGAIN_AFTER_S if _holds else AGAIN_AFTER_S)
    if not _holds:
        raise KeyboardInterrupt


def settle() -> None:
    """The interruption has been taken, or the work is done: let nothing disturb the clean-up."""
    for number in (signal.SIGALRM, *SIGNALS):
        signal.signal(number, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0)
