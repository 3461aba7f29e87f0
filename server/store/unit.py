"""The unit of work: what a flow receives, and what the writer promises.

A flow is `flow(unit, ..., now)`. It reads and writes through `unit.connection`, and may announce topics that are
delivered to subscribers only after the durable commit. The writer runs each unit in a savepoint, commits several
units together, and answers each caller only after that commit. A flow of many units at once (`Alike`) shares one
savepoint among them for as long as all of it goes well; else each gets its own again.

What people ask for is written as a `Deed`, a value that can travel: the process that they ask may be another one than
the process that writes.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from itertools import repeat
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection

from server.errors import EstateError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
P = ParamSpec("P")
Item = TypeVar("Item")
# Works out one item for each unit, alone; an answer that is an error means that nothing was written for its unit.
Alike = Callable[[Sequence["Unit"], str, Sequence[Item]], Sequence[T | EstateError]]

UNNAMED = "rows"  # rung by the writer for a unit that changed rows and announced nothing


class Unit:
    """One unit of work inside the writer's transaction."""

    __slots__ = ("alarms", "announcements", "connection")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.alarms: list[Callable[[Unit], object]] = []
        self.announcements: list[tuple[str, str]] = []

    def alarm(self, note: "Callable[[Unit], object]") -> None:
        """Have `note` written although this unit will be rolled back: what was tried must leave a trace."""
        self.alarms.append(note)

    def announce(self, topic: str, key: str) -> None:
        """Ring `topic` for `key` after the commit; lost announcements must be harmless (rows are the truth).

        Topics: "supply" (key: bus_id), "balance" (account_id), "notice" (account_id), "meter" (meter_id),
        "case" (case_id), "order" (order_no), "refund" (refund_no), "recharge" (meter_id), "seal" (estate_id), "estate"
        (estate_id: other buses or meters).
        """
        self.announcements.append((topic, key))

    def announce_all(self, topic: str, keys: Iterable[str]) -> None:
        """Ring `topic` for each of these keys after the commit."""
        self.announcements.extend(zip(repeat(topic), keys, strict=False))


class Deed(Generic[T_co]):
    """A flow and all of its arguments but the unit, as one value that can be pickled: flow and types by their names."""

    __slots__ = ("_arguments", "_flow", "_named")

    def __init__(self, flow: Callable[Concatenate[Unit, P], T_co], *arguments: P.args, **named: P.kwargs) -> None:
        self._flow: Callable[..., T_co] = flow
        self._arguments: tuple[Any, ...] = arguments
        self._named: dict[str, Any] = named

    def __call__(self, unit: Unit) -> T_co:
        """Run the flow in `unit`."""
        return self._flow(unit, *self._arguments, **self._named)

    def __reduce__(self) -> tuple[Any, ...]:
        return _deed, (self._flow, self._arguments, self._named)


def _deed(flow: Callable[..., T], arguments: tuple[Any, ...], named: dict[str, Any]) -> Deed[T]:
    """A deed from its parts."""
    return Deed(flow, *arguments, **named)


class Writing(Protocol):
    """The store's single writer, as seen by web, jobs and collect wiring."""

    def submit(self, work: Callable[[Unit], T], *, urgent: bool = False) -> Future[T]:
        """Queue one unit; payments are `urgent`. The future resolves after the durable commit."""
        ...

    def run(self, work: Callable[[Unit], T], *, urgent: bool = False) -> T:
        """Submit and wait; raises what the unit raised, or StorageUnavailable."""
        ...

    def submit_alike(self, flow: "Alike[Item, T]", estate_id: str, item: Item, *, urgent: bool = False) -> Future[T]:
        """Queue `item` as one unit; those of the same flow that wait are worked out and written by one call of it.

        When that call raises, each of them is run alone, so that nobody fails for another.
        """
        ...

    def subscribe(self, listener: Callable[[str, str], None]) -> None:
        """Call `listener(topic, key)` after commits, from the writer's thread; it must not block."""
        ...
