"""`estate645-sim time URL [CHANGE]`: what time it is in the world and how fast it goes, or another way from now on."""

import argparse
import json
from typing import Any

from sim.cli.remote import STEP_WITHIN_S, Remote
from sim.errors import ScenarioError

WORDS = ("pause", "resume", "real")
ALLOWED = "pause, resume, real, a speed such as 60, step SECONDS, leap SECONDS"


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="estate645-sim time",
        description="Say what time it is in the world and how fast it goes, or change that.",
        epilog=f"CHANGE is one of: {ALLOWED}. A step is answered on arrival, a leap at once.",
    )
    made.add_argument("where", metavar="URL|READY_FILE", help="the simulator's control address, or its ready file")
    made.add_argument("change", metavar="CHANGE", nargs="*", help="nothing only asks")
    return made


def run(options: argparse.Namespace) -> int:
    """Ask or change, and print what time it is."""
    remote = Remote(options.where)
    body = _body(options.change)
    print(json.dumps(remote.get("/time") if body is None else remote.post("/time", body, STEP_WITHIN_S)))
    return 0


def _body(change: list[str]) -> dict[str, Any] | None:
    match change:
        case []:
            return None
        case [word] if word in WORDS:
            return {"speed": word}
        case [speed] if speed.isdecimal():
            return {"speed": int(speed)}
        case ["step", seconds] if seconds.isdecimal():
            return {"step_s": int(seconds)}
        case ["leap", seconds] if seconds.isdecimal():
            return {"speed": "max", "for_s": int(seconds)}
    raise ScenarioError(f"{' '.join(change)}; allowed: {ALLOWED}")
