"""`estate645-sim SCENARIO`: run an estate of virtual meters until it is told to stop.

In real drive it opens the ports, serves the control API, writes the ready file and prints one line; SIGINT and
SIGTERM end it with status 0, after which no symlink, run file or process is left. With `--clock stepped` there are no
ports, and time passes when a client of the control API says so. In virtual drive
(`--virtual DAYS`) nothing is opened: the estate lives through the days as fast as it can and its truth is
printed or written.
"""

import argparse
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import FrameType

from sim.cli import Command, audit, compare, inject, record, replay, time, watch
from sim.control.announce import Announcement, refuse_unwritable, write_atomically, write_lines
from sim.control.api import Control
from sim.control.rundir import RunDirectory
from sim.errors import PortError, ScenarioError, SimError
from sim.estate import Scenario
from sim.export import export_lines
from sim.limits import check_limits
from sim.ports import MemoryPort, make_port
from sim.scenario.example import EXAMPLE
from sim.scenario.scenario import load_scenario
from sim.timing.anchor import Anchor, WorldClock, read_anchor
from sim.timing.clock import Environment, RealEnvironment, ServedEnvironment
from sim.timing.pace import SPEED_MAX
from sim.timing.spans import DAY_S
from sim.timing.stepped import SteppedEnvironment
from sim.truth import estate_truth
from sim.words import counted
from sim.world import World

DAYS_MAX = 3660
MAX_SPEED = "max"
ANY_CONTROL = ("127.0.0.1", 0)
NEEDS_PORTS = {
    "ready": "there is nothing to connect to",
    "record": "nobody speaks on its buses",
    "run_dir": "it has no ports",
    "control": "it takes no requests",
}
"""Options that a run at once has no use for, and why."""
COMMANDS: dict[str, Command] = {
    "replay": replay,
    "compare": compare,
    "audit": audit,
    "watch": watch,
    "inject": inject,
    "record": record,
    "time": time,
}
YEARS = (2000, 2099)
"""A meter's clock has two digits for the year; the years between these leave a margin for any zone."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 0, or 2 with one message on standard error."""
    try:
        try:
            return _obey(argv)
        finally:
            print(end="", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on: end without a complaint
        return 1


def _obey(argv: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    command = COMMANDS.get(words[0]) if words else None
    if command is not None:
        try:
            return command.run(command.parser().parse_args(words[1:]))
        except SimError as error:
            print(f"estate645-sim: {error}", file=sys.stderr)
            return 2
    options = _parser().parse_args(words)
    if options.version:
        print(f"estate645-sim {version('estate645')}")
        return 0
    if options.example:
        print(EXAMPLE, end="")
        return 0
    try:
        if options.scenario is None:
            raise ScenarioError("no scenario; name a TOML file, or print one with --example")
        _settle_speed(options)
        for path in filter(None, (options.truth_out, options.truth_export, options.labels)):
            refuse_unwritable(path)
        return _run(load_scenario(options.scenario, options.seed), options)
    except SimError as error:
        print(f"estate645-sim: {error}", file=sys.stderr)
        return 2


def _run(scenario: Scenario, options: argparse.Namespace) -> int:
    """The drive that the options ask for."""
    if options.wire_limit == "off":
        scenario = _without_wire(scenario)
    if options.speed == MAX_SPEED:
        return _run_at_once(scenario, options)
    return _run_served(scenario, options) if options.virtual is None else _run_virtual(scenario, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="estate645-sim",
        description="Whole estates of virtual DL/T 645 meters.",
        epilog=f"Other commands, each with its own --help: {', '.join(COMMANDS)}.",
    )
    parser.add_argument("scenario", type=Path, nargs="?", help="scenario file (TOML)")
    parser.add_argument("--version", action="store_true", help="print the version, and end")
    parser.add_argument("--example", action="store_true", help="print a scenario with every key explained, and end")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same world (default 1)")
    parser.add_argument("--factor", type=_factor, help=f"world seconds per machine second, 1 to {SPEED_MAX}")
    parser.add_argument("--world-start", type=_instant, help="world time now, ISO 8601 with an offset (default: now)")
    parser.add_argument("--anchor", type=Path, help="clock anchor (JSON) shared with the head-end; used if it exists")
    parser.add_argument("--run-dir", type=Path, help="where the ports appear (default: a temporary directory)")
    parser.add_argument("--control", type=_address, help="control API, HOST:PORT (default 127.0.0.1:0)")
    parser.add_argument(
        "--clock",
        choices=("machine", "stepped"),
        default="machine",
        help="stepped: time stands still until a client lets it pass, see /exchange and /advance",
    )
    parser.add_argument("--ready", type=Path, help="write this JSON file once everything is open")
    parser.add_argument("--record", type=Path, metavar="DIR", help="record every bus to DIR/BUS.pcap")
    parser.add_argument("--wire-limit", choices=("on", "off"), default="on", help="off: answer at once, at any baud")
    parser.add_argument("--speed", type=_speed, help="as --factor, or max: virtual time without ports, see --days")
    parser.add_argument("--days", type=_days, help="with --speed max: how many days; prints a summary as JSON")
    parser.add_argument("--virtual", type=_days, metavar="DAYS", help="live through DAYS at once, without ports")
    parser.add_argument(
        "--truth-out", type=Path, help="in virtual time: write the truth there (JSON Lines with --days)"
    )
    parser.add_argument("--truth-export", type=Path, metavar="FILE", help="at the end, write what `audit` judges by")
    parser.add_argument(
        "--labels",
        "--labels-out",
        type=Path,
        metavar="FILE",
        help="write the faults' labels there (JSON Lines) at the end",
    )
    return parser


def _settle_speed(options: argparse.Namespace) -> None:
    """--speed N is --factor N; what belongs to virtual time needs it."""
    at_once = options.speed == MAX_SPEED or options.virtual is not None
    for name, why in NEEDS_PORTS.items() if at_once else ():
        if getattr(options, name) is not None:
            option, run = f"--{name.replace('_', '-')}", "--virtual" if options.speed != MAX_SPEED else "--speed max"
            raise ScenarioError(f"{run}: leave out {option}, {why}; --clock stepped knows it, in virtual time too")
    if options.truth_out is not None and not at_once:
        raise ScenarioError("--truth-out goes with --speed max or --virtual; --truth-export with any run")
    if options.speed == MAX_SPEED:
        if options.days is None:
            raise ScenarioError("--speed max needs --days N, or it would never end")
        if options.factor is not None or options.virtual is not None or options.clock == "stepped":
            raise ScenarioError("--speed max: leave out --factor, --virtual and --clock stepped")
    elif options.clock == "stepped" and options.virtual is not None:
        raise ScenarioError("--clock stepped: leave out --virtual")
    elif options.days is not None:
        raise ScenarioError("--days goes with --speed max")
    elif options.speed is not None:
        if options.factor not in (None, options.speed):
            raise ScenarioError("--speed and --factor say the same; leave one out")
        options.factor = options.speed


def _run_at_once(scenario: Scenario, options: argparse.Namespace) -> int:
    """Live through --days, print a summary, and write truth and labels where they are wanted."""
    from sim.virtual import VirtualRun, truth_lines  # only here: the start on ports need not wait for it

    run = VirtualRun(scenario, options.seed, _anchor(options))
    run.run(options.days)
    if options.truth_out is not None:
        write_lines(options.truth_out, truth_lines(run.world))
    _write_what_was(run.world, options)
    print(json.dumps(run.summary(), indent=1))
    return 0


def _run_virtual(scenario: Scenario, options: argparse.Namespace) -> int:
    """Live through some days as fast as the machine goes."""
    anchor = _anchor(options)
    env, clock = Environment(), WorldClock(anchor, anchor.machine_utc)
    world = World(scenario, options.seed, env, clock, {bus.bus_id: MemoryPort(bus.bus_id) for bus in scenario.buses})
    for _ in env.passing(clock.now_s(world.origin_ms + round(options.virtual * DAY_S * 1000))):
        pass
    for truth in estate_truth(world):
        whole = truth
    _write_what_was(world, options)
    text = json.dumps({"truth": whole, "labels": world.faults.labels(world.now_ms)}, indent=1, sort_keys=True)
    if options.truth_out is None:
        print(text)
    else:
        write_atomically(options.truth_out, text + "\n")
    return 0


def _run_served(scenario: Scenario, options: argparse.Namespace) -> int:
    """Open everything, run until told to stop, and leave nothing behind."""
    stepped = options.clock == "stepped"
    if not stepped:
        check_limits(scenario.buses, recorded=options.record is not None)
    anchor = _anchor(options)
    if not stepped:
        _refuse_scaled_hardware(scenario, anchor)
    with ExitStack() as cleanup:
        env = SteppedEnvironment() if stepped else RealEnvironment()
        cleanup.callback(env.close)
        _on_signals(lambda _number, _frame: env.stop())
        cleanup.callback(_on_signals, signal.SIG_IGN)  # a second signal must not interrupt the last steps
        published = [bus.bus_id for bus in scenario.buses if bus.port == "pty" and not stepped]
        directory = RunDirectory.chosen(options.run_dir, published)
        cleanup.callback(directory.close)
        run_path = directory.path
        announcement = Announcement(options.ready, options.anchor)
        clock = WorldClock(anchor, anchor.machine_utc if stepped else datetime.now(UTC))
        ports = {b.bus_id: MemoryPort(b.bus_id) if stepped else make_port(b, run_path) for b in scenario.buses}
        world = World(scenario, options.seed, env, clock, ports)
        cleanup.callback(world.close)
        if options.record is not None:
            _record(world, options.record)
        world.open()
        control = Control(world, env, partial(_publish, announcement), *(options.control or ANY_CONTROL))
        cleanup.callback(control.close)
        control.start()
        gc.collect()
        gc.freeze()
        _announce(world, control, run_path, announcement)
        cleanup.callback(announcement.withdraw)
        env.serve()
        _write_what_was(world, options)
        _report(world, env)
    return 0


def _write_what_was(world: World, options: argparse.Namespace) -> None:
    """The labels, one fault a line, and what an auditor judges by, where they are wanted."""
    if options.labels is not None:
        labels = world.faults.labels(world.now_ms)
        write_lines(options.labels, (json.dumps(label, sort_keys=True) for label in labels))
    if options.truth_export is not None:
        write_lines(options.truth_export, (json.dumps(line) for line in export_lines(world)))


def _record(world: World, directory: Path) -> None:
    """Give every bus a recorder."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PortError(f"--record {directory}: cannot be used: {error.strerror}") from error
    for bus in world.buses.values():
        bus.record(directory / f"{bus.config.bus_id}.pcap", world.origin_ms * 1000)


def _refuse_scaled_hardware(scenario: Scenario, anchor: Anchor) -> None:
    """Real hardware knows one speed of the world."""
    real = [bus for bus in scenario.buses if bus.port.startswith("/")]
    if real and anchor.factor != 1:
        raise ScenarioError(f"bus {real[0].bus_id}: {real[0].port} is a real port: allowed there is only --factor 1")


def _on_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _announce(world: World, control: Control, run_path: Path, announcement: Announcement) -> None:
    announcement.ready(
        {
            "control_url": control.url,
            "ports": {bus_id: bus.port.name for bus_id, bus in world.buses.items()},
            "anchor": world.clock.anchor.to_json(),
            "clock": control.clock_name,
            "pid": os.getpid(),
            "seed": world.seed,
        }
    )
    speed = "time passes when told" if control.clock_name == "stepped" else f"x{world.clock.anchor.factor}"
    print(
        f"estate645-sim: {world.scenario.name}: {counted(len(world.fleet), 'meter')} "
        f"on {counted(len(world.buses), 'bus', 'buses')} "
        f"in {run_path}; control {control.url}; {speed}",
        file=sys.stderr,
        flush=True,
    )


def _publish(announcement: Announcement, anchor: Anchor) -> None:
    """Tell the new anchor; files that cannot be written are no reason to stop the wire, the control API still tells."""
    try:
        announcement.tie(anchor)
    except PortError as error:
        print(f"estate645-sim: {error}; GET /time has the new anchor", file=sys.stderr, flush=True)


def _report(world: World, env: ServedEnvironment) -> None:
    lag = env.lag.summary_ms()
    print(
        f"estate645-sim: lag p50 {lag['p50_ms']} ms, p99 {lag['p99_ms']} ms, max {lag['max_ms']} ms "
        f"over {lag['events']} events",
        file=sys.stderr,
    )
    for bus in world.buses.values():
        line = ", ".join(f"{key} {value}" for key, value in bus.summary(env.wall_s()).items() if key != "bus")
        print(f"estate645-sim: {bus.config.bus_id}: {line}", file=sys.stderr)


def _anchor(options: argparse.Namespace) -> Anchor:
    """The anchor of the file if there is one, else one that starts now."""
    if options.anchor is not None and options.anchor.exists():
        anchor = read_anchor(options.anchor)
        if options.world_start is not None or options.factor not in (None, anchor.factor):
            raise ScenarioError(
                f"--anchor {options.anchor} exists with factor {anchor.factor}: "
                "leave out --world-start and any other --factor, or remove the file"
            )
        return anchor
    now = datetime.now(UTC)
    world_start = options.world_start or now
    machine = world_start if options.clock == "stepped" else now  # virtual machine time is nobody's real one
    anchor = Anchor(machine, world_start, options.factor or 1)
    if options.anchor is not None:
        write_atomically(options.anchor, json.dumps(anchor.to_json()) + "\n")
    return anchor


def _without_wire(scenario: Scenario) -> Scenario:
    from dataclasses import replace

    return replace(scenario, buses=tuple(replace(bus, byte_true=False) for bus in scenario.buses))


def _factor(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= SPEED_MAX:
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: a whole number from 1 to {SPEED_MAX}")
    return int(text)


def _speed(text: str) -> int | str:
    return MAX_SPEED if text == MAX_SPEED else _factor(text)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0 < days <= DAYS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: a number of days above 0, up to {DAYS_MAX}")
    return days


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: ISO 8601 such as 2026-10-13T09:05:00+08:00") from error
    if instant.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no offset; write one, such as +08:00")
    if not YEARS[0] < instant.year < YEARS[1]:
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: years between {YEARS[0]} and {YEARS[1]}, as meters write")
    return instant


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: HOST:PORT, such as 127.0.0.1:0")
    return host, int(port)


if __name__ == "__main__":
    sys.exit(main())
