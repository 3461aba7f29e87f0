"""`estate645-sim inject URL PLACE KIND [key=value ...]`: a fault from the command line, while the estate runs."""

import argparse
import json

from sim.cli.remote import Remote
from sim.errors import ScenarioError

PLACES = ("gate", "bus")


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="estate645-sim inject",
        description="Begin a fault or theft now; KIND none ends all that go on at that place.",
        epilog="Example: estate645-sim inject ready.json 202600010101 unmetered_tap tap_power_w=2000 lasts_s=3600",
    )
    made.add_argument("where", metavar="URL|READY_FILE", help="the simulator's control address, or its ready file")
    made.add_argument("place", metavar="PLACE", help="a meter's address, a household's id, gate:ID or bus:ID")
    made.add_argument("kind", metavar="KIND", help="what goes wrong; an unknown kind is answered with all there are")
    made.add_argument("sizes", metavar="key=value", nargs="*", help="how much, such as drop_wh=20000")
    return made


def run(options: argparse.Namespace) -> int:
    """Tell the simulator, and say what it did."""
    where, colon, name = options.place.partition(":")
    place = {where: name} if colon and where in PLACES else {"meter": options.place}
    body = {**place, "fault": options.kind, **dict(map(_pair, options.sizes))}
    print(json.dumps(Remote(options.where).post("/fault", body)))
    return 0


def _pair(text: str) -> tuple[str, object]:
    """A key with its value: JSON where it is some (numbers, true, null, lists), text otherwise."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ScenarioError(f"{text!r}; allowed: key=value, such as tap_power_w=2000")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
