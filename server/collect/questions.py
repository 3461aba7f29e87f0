"""Questions that a person asks on a bus beside its schedule: one question, then one item of the schedule, by turns.

A search of the bus asks for hours; it must neither wait for a quiet moment nor keep the meters unread. Control orders
and demanded reads go before both. Only reads come here: who hands questions in has seen to that.
"""

from collections import deque
from concurrent.futures import Future
from typing import Any

from core.dlt645.search import Heard
from core.errors import CoreError
from server.collect.line import BusLine
from server.collect.port import PortError
from server.collect.work import MeterUnread

WAITING_MAX = 64


class QuestionLane:
    """The questions of one bus. All methods are of the collector's loop."""

    def __init__(self, line: BusLine, bus_id: str) -> None:
        self._line = line
        self._bus_id = bus_id
        self._waiting: deque[tuple[Any, float, Future[Heard]]] = deque()
        self._schedule_first = False

    def put(self, command: Any, linger_s: float, promise: Future[Heard]) -> None:
        """Queue one question; `promise` gets what was heard, or the reason."""
        if len(self._waiting) < WAITING_MAX:
            self._waiting.append((command, linger_s, promise))
        elif promise.set_running_or_notify_cancel():
            promise.set_exception(MeterUnread(f"bus {self._bus_id} already has {WAITING_MAX} questions waiting"))

    @property
    def waits(self) -> bool:
        """Whether a question waits."""
        return bool(self._waiting)

    @property
    def has_turn(self) -> bool:
        """Whether a question waits and the schedule had its item since the last one."""
        return bool(self._waiting) and not self._schedule_first

    def give_turn(self) -> None:
        """The schedule has had its item."""
        self._schedule_first = False

    async def serve(self) -> None:
        """Ask the oldest question; `PortError` when the port is lost, and then the promise has it too."""
        command, linger_s, promise = self._waiting.popleft()
        self._schedule_first = True
        if not promise.set_running_or_notify_cancel():
            return
        try:
            heard = await self._line.hear(command, linger_s)
        except (CoreError, PortError) as error:
            promise.set_exception(MeterUnread(str(error)))
            if isinstance(error, PortError):
                raise
        except BaseException:
            promise.set_exception(PortError(f"bus {self._bus_id} was closed while it was asked"))
            raise
        else:
            promise.set_result(heard)

    def refuse(self, reason: str) -> None:
        """Tell everybody who waits why nothing is asked."""
        while self._waiting:
            _, _, promise = self._waiting.popleft()
            if promise.set_running_or_notify_cancel():
                promise.set_exception(PortError(f"bus {self._bus_id} is not open: {reason}"))
