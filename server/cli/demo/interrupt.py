"""Ctrl-C that cannot get lost: Python drops an exception that is raised while an object is being finalised.

The handler raises KeyboardInterrupt and sets an alarm that raises it again until somebody has taken it (`settle`).
From then on further signals are ignored, so that the clean-up is never cut short.
"""

import signal
from types import FrameType
from typing import NoReturn

AGAIN_AFTER_S = 2.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def watch() -> None:
    """Raise KeyboardInterrupt on Ctrl-C and SIGTERM, again and again until it is settled."""
    for number in (*SIGNALS, signal.SIGALRM):
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.setitimer(signal.ITIMER_REAL, AGAIN_AFTER_S)
    raise KeyboardInterrupt


def settle() -> None:
    """The interruption has been taken, or the work is done: let nothing disturb the clean-up."""
    for number in (signal.SIGALRM, *SIGNALS):
        signal.signal(number, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0)
