"""Runs orders of `core.vending` against the meter on paper over a line with faults, and checks what may never happen.

A fault is what the line does to one exchange: "lost" (the request), "mute" (the reply), "slow" (the request arrives
when `Line.release` is called), "late" (the reply comes in answer to the next request, or is dropped there), "twice"
(the request arrives twice). Replies keep their order, as the module assumes.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import count
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import core.vending
from core.dlt645.frame import encode, parse
from tests.core.prepaid_meter import PaperMeter

ADDRESS, CUSTOMER = "201412345678", "000000123456"
SEED = bytes(range(16))
FAULTS = ("lost", "mute", "slow", "late", "twice")
MODULES = ("backend", "dummy", "outcomes", "recharge")
STEPS_MAX = 60
SILENCES = 4  # more than a question is repeated
_serial = count()


def load_vending(changes: Mapping[str, tuple[str, str]] | None = None) -> Any:
    """The names of `core.vending`; with `changes[module] = (old, new)` those of a copy in which this is replaced."""
    if not changes:
        return core.vending
    package = f"vending_copy_{next(_serial)}"
    sys.modules[package] = ModuleType(package)
    names: dict[str, Any] = {}
    for name in MODULES:
        text = Path(import_module(f"core.vending.{name}").__file__).read_text(encoding="utf-8")
        if name in changes:
            old, new = changes[name]
            assert text.count(old) == 1, f"{name}.py has {text.count(old)} times: {old}"
            text = text.replace(old, new)
        module = ModuleType(f"{package}.{name}")
        sys.modules[module.__name__] = module
        exec(compile(text.replace("core.vending", package), f"{name}.py", "exec"), module.__dict__)
        names |= vars(module)
    for name in (package, *(f"{package}.{name}" for name in MODULES)):
        del sys.modules[name]
    return SimpleNamespace(**names)


def meter(**traits: Any) -> PaperMeter:
    """At count 2 with two purchases behind it."""
    made = PaperMeter(ADDRESS, CUSTOMER)
    made.purchase(1, 1001)
    made.purchase(2, 1002)
    for name, value in traits.items():
        setattr(made, name, value)
    return made


class Line:
    """One line to one meter; `fault` is asked before every exchange."""

    def __init__(self, meter: PaperMeter, fault: Callable[[Any], str | None] = lambda _command: None) -> None:
        self.meter, self.fault, self.now_s = meter, fault, 0.0
        self.slow: list[bytes] = []
        self.late: list[bytes] = []
        self.sent: list[Any] = []

    def exchange(self, command: Any) -> bytes | None:
        """The reply that the master takes for the answer, or None after its timeout."""
        self.sent.append(command)
        request, fault = encode(command.to_frame(), 0), self.fault(command)
        self.now_s += 1
        arrived, self.late = self.late, []
        if fault == "slow":
            self.slow.append(request)
        elif fault != "lost":
            replies = [self.meter.hear(request, self.now_s) for _ in range(2 if fault == "twice" else 1)]
            if fault == "late":
                self.late = replies
            elif fault != "mute":
                arrived += replies
        taken = next((at for at, reply in enumerate(arrived) if command.match(parse(reply))), None)
        if taken is None:
            return None
        self.late = arrived[taken + 1 :] + self.late
        return arrived[taken]

    def release(self) -> None:
        """What was slow arrives now; nobody waits for the replies."""
        for request in self.slow:
            self.meter.hear(request, self.now_s)
        self.slow.clear()


def step_once(run: Any, line: Line, backend: Any) -> None:
    """Do one step of a run; `backend` None is one that fails."""
    step = run.next_step()
    if hasattr(step, "ask"):
        if backend is None:
            run.backend_failed()
        else:
            run.supply(step.ask(backend))
        return
    reply = line.exchange(step)
    if reply is None:
        run.silent(line.now_s)
    else:
        run.take(parse(reply), line.now_s)


def finish(run: Any, line: Line, backend: Any) -> Any:
    """Run to the end."""
    for _ in range(STEPS_MAX):
        if run.next_step() is None:
            return run.outcome
        step_once(run, line, backend)
    raise AssertionError(f"no end after {STEPS_MAX} steps")


def wrongs(outcome: Any, order: Any, meter: PaperMeter) -> Iterator[str]:
    """What the outcome claims and the dictionary denies; every amount in a test belongs to one order only."""
    kind, amounts = type(outcome).__name__, [amount for _, amount in meter.log]
    if kind == "Booked" and meter.books.get(order.count) != order.amount_fen:
        yield f"{outcome} but the meter has {meter.books}"
    if kind == "Refused" and order.amount_fen in amounts:
        yield f"{outcome} but the meter has {meter.books}"
    if len(set(amounts)) != len(amounts):
        yield f"booked twice: {meter.log}"


def at_steps(faults: Mapping[int, str]) -> Callable[[Any], str | None]:
    """A fault at each of these exchanges, counted from 0."""
    exchange = count()
    return lambda _command: faults.get(next(exchange))


def sweep(vending: Any, meters: Sequence[Callable[[], PaperMeter]], depth: int) -> Iterator[str]:
    """Every placing of up to two faults in one run, then slow frames arriving, then resuming until it is known."""
    plans: list[dict[int, str]] = [{}]
    plans += [{at: fault} for at in range(depth) for fault in FAULTS]
    plans += [{**one, **two} for one in plans[1:] for two in plans[1:] if min(one) < min(two)]
    plans += [dict.fromkeys(range(at, depth + SILENCES), fault) for at in range(depth) for fault in FAULTS]
    for make in meters:
        for plan in plans:
            for complaint in _play(vending, make(), plan):
                yield f"{plan}: {complaint}"


def _play(vending: Any, meter: PaperMeter, plan: Mapping[int, str]) -> Iterator[str]:
    order = vending.Order(ADDRESS, CUSTOMER, 3, 5000)
    backend, line = vending.DummyVendingBackend(), Line(meter, at_steps(plan))
    outcome = finish(vending.RechargeRun(order, SEED, resumed=False), line, backend)
    yield from wrongs(outcome, order, meter)
    if not plan and type(meter) is PaperMeter and meter.hoard_fen > 10_000 and type(outcome).__name__ != "Booked":
        yield f"{outcome} on a good line"
    meter.left_fen = 0
    line.release()
    yield from wrongs(outcome, order, meter)
    for again in range(3):
        if type(outcome).__name__ != "Unknown":
            break
        run = vending.RechargeRun(order, SEED + bytes([again]), resumed=True)
        line.fault = lambda _command: None
        outcome = finish(run, line, backend)
        yield from wrongs(outcome, order, meter)
    line.release()
    yield from wrongs(outcome, order, meter)
    if any(command.credit != order.credit for command in line.sent if hasattr(command, "credit")):
        yield "another purchase was sent than ordered"
