"""Work that one thread asks of another: done in slices by the loop that owns the estate.

A job is an iterator whose every step is one slice. `Call` wraps steps that yield values for a thread that waits for
the last of them.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any

Job = Iterator[None]


class Call:
    """A function of the loop's thread that another thread waits for."""

    def __init__(self, steps: Iterator[Any]) -> None:
        self._steps = steps
        self._done = threading.Event()
        self.result: Any = None
        self.error: Exception | None = None

    def job(self) -> Job:
        """The slices: each value of the steps replaces the result, the last one stays."""
        try:
            for value in self._steps:
                self.result = value
                yield
        except Exception as error:
            self.error = error
        finally:
            self._done.set()

    def wait(self, timeout_s: float) -> Any:
        """The last value, or the error that the steps raised; TimeoutError if the loop is gone."""
        if not self._done.wait(timeout_s):
            raise TimeoutError("the simulator's loop did not answer")
        if self.error is not None:
            raise self.error
        return self.result


class Later:
    """A result that is not there yet: once `event` is set, `steps` give it."""

    def __init__(self, event: threading.Event, steps: Callable[[], Iterator[Any]]) -> None:
        self.event = event
        self.steps = steps
