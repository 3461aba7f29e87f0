"""`estate645-sim watch URL`: a live picture of a running estate in the terminal, or a line at a time elsewhere."""

import argparse
import io
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from sim.cli.remote import Refused, Remote, Unreachable
from sim.dashboard import ASCII, UNICODE, Glyphs, Sight, painted, picture, snapshot
from sim.dashboard.terminal import Terminal
from sim.timing.spans import DAY_S, HOUR_S

KEY_WAIT_S = 0.2
"""How soon a new size of the terminal is noticed."""
SPEEDS = (1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600)
FAILURES_MAX = 3
PAGE = 10


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="estate645-sim watch",
        description="Watch a running estate: buses, transactions, lag, faults, world time. In a pipe: line by line.",
        epilog="Keys: q quits, arrows scroll the buses, s sorts them, space pauses and resumes, + and - change the "
        "speed, n steps an hour, N a day. NO_COLOR is respected.",
    )
    made.add_argument("where", metavar="URL|READY_FILE", help="the simulator's control address, or its ready file")
    made.add_argument("--once", action="store_true", help="print one line, and end")
    made.add_argument("--json", action="store_true", help="print lines of JSON")
    made.add_argument("--every", type=_period_s, default=1.0, metavar="SECONDS", help="between two looks (default 1)")
    return made


def run(options: argparse.Namespace) -> int:
    """Watch until told to stop, or until the simulator ends."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    remote, sight = Remote(options.where), Sight()
    _look(remote, sight)
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    try:
        if options.once or options.json or not on_terminal:
            _print_lines(remote, sight, options)
        else:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            signal.signal(signal.SIGHUP, signal.default_int_handler)
            _watch(remote, sight, options.every)
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Unreachable:
        print("estate645-sim: the simulator has ended", file=sys.stderr)
    return 0


def _print_lines(remote: Remote, sight: Sight, options: argparse.Namespace) -> None:
    say: Callable[[Sight], str] = _as_json if options.json else snapshot
    print(say(sight), flush=True)
    while not options.once:
        time.sleep(options.every)
        _look(remote, sight)
        print(say(sight), flush=True)


def _as_json(sight: Sight) -> str:
    return json.dumps({"time": sight.time, "metrics": sight.metrics, "faults": sight.faults})


def _watch(remote: Remote, sight: Sight, every_s: float) -> None:
    glyphs, colour = _glyphs(), not os.environ.get("NO_COLOR")
    failures = 0
    with Terminal() as terminal:
        next_look_s = time.monotonic() + every_s
        while True:
            terminal.draw([painted(row, colour=colour) for row in picture(sight, *terminal.size(), glyphs)])
            key = terminal.key(min(KEY_WAIT_S, max(0.0, next_look_s - time.monotonic())))
            if key == "q":
                return
            if not _act(remote, sight, key) and time.monotonic() < next_look_s:
                continue
            next_look_s = time.monotonic() + every_s
            try:
                _look(remote, sight)
                failures = 0
            except (Unreachable, Refused) as error:
                failures += 1
                sight.message = str(error)
                if failures == FAILURES_MAX:
                    raise Unreachable(str(error)) from error


def _look(remote: Remote, sight: Sight) -> None:
    """Ask for everything."""
    sight.take(remote.get("/metrics"), remote.get("/time"), remote.get("/faults"))


def _act(remote: Remote, sight: Sight, key: str) -> bool:
    """Do what a key asks for; whether the simulator should be asked again at once."""
    if key:
        sight.message = ""
    moves = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -PAGE, "page down": PAGE}
    sight.scroll += moves.get(key, 0)
    if key == "s":
        sight.busiest_first = not sight.busiest_first
    change = _change(sight, key)
    if change is None or sight.time["clock"] == "stepped":
        return False
    try:
        remote.post("/time", change)
    except (Refused, Unreachable) as error:
        sight.message = str(error)
    return True


def _change(sight: Sight, key: str) -> dict[str, Any] | None:
    """The body of POST /time that a key stands for."""
    speed = sight.time["anchor"]["factor"]
    if key == " ":
        return {"speed": "pause" if speed else "resume"}
    if key in ("+", "="):
        return {"speed": next((faster for faster in SPEEDS if faster > speed), SPEEDS[-1])}
    if key in ("-", "_"):
        return {"speed": next((slower for slower in reversed(SPEEDS) if slower < speed), SPEEDS[0])}
    if key in ("n", "N"):
        return {"speed": "max", "for_s": HOUR_S if key == "n" else DAY_S}
    return None


def _glyphs() -> Glyphs:
    """What the terminal's own locale can show."""
    locale = next((os.environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)), "")
    return UNICODE if "utf" in locale.lower() else ASCII


def _period_s(text: str) -> float:
    try:
        period_s = float(text)
    except ValueError:
        period_s = 0.0
    if not 0.1 <= period_s <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: seconds from 0.1 to 3600")
    return period_s
