"""`estate645 demo`: a simulated estate, a payment provider and the server, with simulated people; nothing to set up.

Two minutes show the whole story: somebody is warned, cut, pays and is back. `--check` plays it without a person,
compares every number with the simulator's truth and ends with one line of JSON. `--faults` adds what goes wrong in real
estates; the check then also asks the auditor, and counts wrong trips at the simulated meters.
"""

import argparse
import contextlib
import json
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from server.cli.demo import check, interrupt, judgement, people
from server.cli.demo.estate import CAST, ESTATE_ID, STORY, Play
from server.cli.demo.faults import WITH_FAULTS
from server.cli.demo.files import PASSWORD, STAFF
from server.cli.demo.people import Person, PlayFailed
from server.cli.demo.stage import Stage, prepare, raise_curtain
from server.cli.demo.story import Story
from server.cli.languages import chinese, told
from server.cli.languages import mark as _

DEFAULT_PORT = 8645
UPGRADE_LOG = "upgrade.log"
LOOK_EVERY_S = 0.3
CHECK_LIMIT_S = 75.0  # the check takes about 35 s on a quiet machine; a busy one may take longer
ROOMS_OF_CHECK = tuple(part.room for part in CAST if part.pays in check.EXPECTED_TRIPS)
VISITOR = next(part.room for part in CAST if part.pays == "visitor")


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("demo", help="show the whole story on a simulated estate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="play without a person and compare with the truth")
    parser.add_argument("--faults", action="store_true", help="let lines, meters, relays and residents go wrong too")
    parser.add_argument(
        "--port", type=int, help=f"port of the server (default {DEFAULT_PORT}; with --check a free one)"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path(".demo"), help="where the demo keeps its files (default .demo)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Play; Ctrl-C ends it and leaves no process, port or symlink behind."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    interrupt.watch()
    port = arguments.port if arguments.port is not None else (0 if arguments.check else DEFAULT_PORT)
    play = WITH_FAULTS if arguments.faults else STORY
    with contextlib.closing(prepare(arguments.folder)) as stage, _upgrade_logged(stage.folder):
        try:
            raise_curtain(stage, port, play)
            return _check(stage, play) if arguments.check else _show(stage, play)
        finally:
            try:
                interrupt.settle()
            except KeyboardInterrupt:  # it came on the way in
                interrupt.settle()


@contextlib.contextmanager
def _upgrade_logged(folder: Path) -> Iterator[None]:
    """Making a database is thirty lines that nobody asked for: they go to a file, so that the greeting comes first."""
    file = logging.FileHandler(folder / UPGRADE_LOG, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    made = logging.getLogger("alembic")
    made.addHandler(file)
    made.propagate = False
    try:
        yield
    finally:
        made.propagate = True
        made.removeHandler(file)
        file.close()


def _show(stage: Stage, play: Play) -> int:
    """Print where to look, then play until Ctrl-C."""
    with Person(stage.url, STAFF[0][0]) as first, Person(stage.url, STAFF[1][0]) as second:
        people.arm(first, second)
        print(_programme(stage.url), flush=True)
        story = Story(stage.url, first, play, leave_alone=("visitor",))
        with contextlib.suppress(KeyboardInterrupt):
            _play(stage, story, play, until_s=None)
        interrupt.settle()
    print("\nstopping; the database stays for: estate645 verify", flush=True)
    return 0


def _programme(url: str) -> str:
    """Where to look, in both languages."""

    def both(message: str, **fields: object) -> str:
        return f"{message % fields}\n{chinese(message) % fields}"

    staff = "\n".join(f"    {login:8} {role:9} {name}" for login, role, name in STAFF)
    begin = both(_("estate645 demo: Tuesday 09:05 in an estate of 200 households, 120 times faster than life."))
    enter = told(_("sign in (password of everybody: %(password)s)"), "both", password=PASSWORD)
    visitor = told(_("is cut after about a minute and a half and leaves the paying to you"), "both")
    hall = told(_("the hall"), "both")
    end = both(_("Within two minutes somebody is warned, cut, pays and is back: see the room wall. Ctrl-C ends it."))
    return f"""
{begin}

  {url}/
  {enter}
{staff}
    {VISITOR:8} resident  {visitor}
    kiosk    {hall}  {url}/kiosk

{end}"""


def _play(stage: Stage, story: Story, play: Play, until_s: float | None) -> bool:
    """Advance the story; True when it is over, False when the time is up."""
    while until_s is None or time.monotonic() < until_s:
        started = time.monotonic()
        for child in stage.children:
            if child.process.poll() is not None:
                raise PlayFailed(f"the {child.name} ended unexpectedly:\n{child.tail()}")
        story.advance(started)
        if until_s is not None and story.over(ROOMS_OF_CHECK) and _noticed(stage, play):
            return True
        time.sleep(max(0.0, LOOK_EVERY_S - (time.monotonic() - started)))
    return False


def _noticed(stage: Stage, play: Play) -> bool:
    return play is not WITH_FAULTS or judgement.has_expected_cases(stage, ESTATE_ID)


def _check(stage: Stage, play: Play) -> int:
    """Play to the end, stop the server, compare, and print the line."""
    with Person(stage.url, STAFF[0][0]) as first, Person(stage.url, STAFF[1][0]) as second:
        people.arm(first, second)
        story = Story(stage.url, first, play, leave_alone=("visitor", "kiosk"))
        over = _play(stage, story, play, until_s=time.monotonic() + CHECK_LIMIT_S)
    code = stage.head_end().stop()
    outcome = check.compare(stage, ESTATE_ID, play)
    problems, document = list(outcome.mismatches), outcome.as_json()
    if play is WITH_FAULTS:
        judged = judgement.judge(stage, ESTATE_ID, play)
        problems += judged.problems
        document |= judged.as_json()
    if not over:
        problems.append(f"the story was not over within {CHECK_LIMIT_S:.0f} s")
    if code != 0:
        problems.append(f"the server ended with code {code}")
    for problem in problems:
        print(f"  {problem}", file=sys.stderr)
    print(json.dumps(document | {"mismatches": len(problems)}))
    return 0 if not problems else 1
