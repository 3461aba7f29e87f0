"""Reads over a simulated RS-485 line: how much of the wire's limit is used, and how fast it goes without one.

The simulator is a process of its own on ptys; `core.session` reads the total energy of its meters. With a
wire (2400 and 9600 baud, 8E1, four FE both ways, Td = 20 ms, no gap of the master) the peer is the computed
ideal, 11 x bytes / baud + Td, and the ratio is the utilisation. Without a wire the peer is the raw echo of as
many bytes between two Python processes. Counts per repetition are small; the mean of each one is a sample.
Hundreds of buses at once are read by a thin client (`bench.bus_many`).
"""

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import bus_many as many
from bench.bus_line import Child, Line, echo, session_of, simulator
from bench.echo_peer import REPLY, REQUEST_BYTES
from bench.machine import Load, LoadMeter
from bench.report import BenchFailed, Peer, Result, interleave, seconds, spread
from core.dlt645.commands import Command, Read
from core.dlt645.identifiers import ENERGY_TOTAL

BITS_PER_BYTE = 11
REPLY_DELAY_MS = 20
METERS = 4
BAUDS = (2400, 9600)
FAST_BAUD = 9600
READS = {2400: 20, 9600: 40}
FAST_READS = 1000
REPETITIONS = 7
QUICK_READS, QUICK_FAST_READS, QUICK_REPETITIONS = 2, 50, 2
WIRE_FLOOR, WIRE_GOAL = 0.95, 0.99
FAST_FLOOR, FAST_GOAL = 0.12, 0.90
UNLIMITED, ECHO = "without wire limit", "raw echo"

SCENARIO_HEAD = """
[estate]
id = "bench"
[tariff]
valid_from = "2020-01-01"
price = "0.4883"
"""
BUS = """
[[bus]]
id = "{name}"
baud = {baud}
preamble = 4
reply_delay_ms = {delay_ms}
wire = "{wire}"
"""
HOUSEHOLD = """
[[household]]
id = "{name}-{number}"
meter = "{address}"
bus = "{name}"
"""


def run(*, quick: bool) -> tuple[list[Result], list[Load]]:
    """Measure all lines in turns."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-bus-") as folder,
        simulator(scenario(), Path(folder)) as estate,
        echo() as peer,
    ):
        (*wires, fast), loads = _measure(estate, peer, quick=quick)
    return [*wires, *many.results(quick=quick), fast], loads


def scenario() -> str:
    """Three buses: two byte-true ones, and one that answers at once."""
    text = SCENARIO_HEAD
    lines = [(_line(baud), baud, REPLY_DELAY_MS, "byte-true") for baud in BAUDS]
    for index, (name, baud, delay_ms, wire) in enumerate([*lines, ("fast", FAST_BAUD, 0, "none")]):
        text += BUS.format(name=name, baud=baud, delay_ms=delay_ms, wire=wire)
        for number in range(METERS):
            text += HOUSEHOLD.format(name=name, number=number, address=_address(index, number))
    return text


def ideal_ms(baud: int) -> float:
    """Time of one read at the limit of the wire."""
    return (REQUEST_BYTES + len(REPLY)) * BITS_PER_BYTE * 1000 / baud + REPLY_DELAY_MS


def _line(baud: int) -> str:
    return f"line-{baud}"


def _address(bus: int, number: int) -> str:
    return f"{645_000_000_000 + bus * 1000 + number + 1:012d}"


def _measure(estate: Child, peer: Child, *, quick: bool) -> tuple[list[Result], list[Load]]:
    fast_reads = QUICK_FAST_READS if quick else FAST_READS
    reads = {baud: QUICK_READS if quick else READS[baud] for baud in BAUDS}
    with (
        Line(estate.ports[_line(2400)]) as slow,
        Line(estate.ports[_line(9600)]) as quicker,
        Line(estate.ports["fast"]) as fast,
        Line(peer.ports["echo"]) as raw,
    ):
        lines = dict(zip(BAUDS, (slow, quicker), strict=True))
        candidates: dict[str, Callable[[], float]] = {
            _line(baud): _reading(lines[baud], index, baud, reads[baud]) for index, baud in enumerate(BAUDS)
        }
        candidates[UNLIMITED] = _reading(fast, len(BAUDS), FAST_BAUD, fast_reads)
        candidates[ECHO] = lambda: _each(lambda: raw.exchange(bytes(REQUEST_BYTES), len(REPLY)), fast_reads)
        for warm_up in candidates.values():
            warm_up()
        with LoadMeter((estate.pid, peer.pid)) as meter:
            samples = interleave(candidates, QUICK_REPETITIONS if quick else REPETITIONS, "bus")
    rows = [_wire_result(baud, samples[_line(baud)], quick, meter.load) for baud in BAUDS]
    return [*rows, _fast_result(samples, quick, meter.load)], [meter.load]


def _reading(line: Line, bus: int, baud: int, reads: int) -> Callable[[], float]:
    """A candidate: seconds per read, over the meters of a bus in turn."""
    session = session_of(baud)
    commands: list[Command] = [Read(_address(bus, number), ENERGY_TOTAL) for number in range(METERS)]
    turn = 0

    def read() -> None:
        nonlocal turn
        line.transact(session, commands[turn % METERS])
        turn += 1

    return lambda: _each(read, reads)


def _each(action: Callable[[], None], times: int) -> float:
    def all_of_them() -> None:
        for _ in range(times):
            action()

    return seconds(all_of_them) / times


def _wire_result(baud: int, samples: list[float], quick: bool, load: Load) -> Result:
    value_ms = statistics.median(samples) * 1000
    if value_ms < ideal_ms(baud):
        raise BenchFailed(f"a read takes {value_ms:.2f} ms at {baud} baud: faster than the wire, so it is no wire")
    return Result(
        name=f"read of the total energy at {baud} baud, 4 FE, Td {REPLY_DELAY_MS} ms",
        value=value_ms,
        unit="ms",
        peer=Peer("limit of the wire", ideal_ms(baud)),
        ratio=ideal_ms(baud) / value_ms,
        spread=spread(samples),
        floor=None if quick else WIRE_FLOOR,
        goal=WIRE_GOAL,
        void=load.void,
    )


def _fast_result(samples: dict[str, list[float]], quick: bool, load: Load) -> Result:
    rate, raw_rate = 1 / statistics.median(samples[UNLIMITED]), 1 / statistics.median(samples[ECHO])
    return Result(
        name="reads without a wire, Td 0, one bus",
        value=rate,
        unit="tx/s",
        peer=Peer("raw echo over a pty", raw_rate),
        ratio=rate / raw_rate,
        spread=spread(samples[UNLIMITED]),
        floor=None if quick else FAST_FLOOR,
        goal=FAST_GOAL,
        void=load.void,
    )
